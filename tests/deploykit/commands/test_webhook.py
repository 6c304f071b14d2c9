"""A webhook hears of a change, and only of a change."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploykit.commands.webhook import tell_on_change
from deploykit.errors import UnreachableError, UsageError


class Ear:
    """Listens on this machine; answers ``status``."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 200
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                ear.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(ear.status)
                self.send_header("Location", ear.url)
                self.end_headers()

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/s3cret"


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()
    thread = threading.Thread(target=ear.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield ear
    ear.server.shutdown()
    thread.join()
    ear.server.server_close()


def result(verdict: str) -> dict[str, Any]:
    return {"profile": "pre-launch", "environment": "production", "verdict": verdict}


def test_a_change_is_told_once_and_so_is_the_recovery(ear: Ear, tmp_path: Path) -> None:
    memory = tmp_path / ".deploykit" / "verdicts.json"
    told = [tell_on_change(ear.url, memory, result(v)) for v in ("healthy", "unhealthy", "unhealthy", "healthy")]
    assert told == [False, True, False, True]
    assert [(body["verdict_before"], body["verdict"]) for body in ear.heard] == [
        ("healthy", "unhealthy"),
        ("unhealthy", "healthy"),
    ]


def test_what_was_not_heard_is_told_again(ear: Ear, tmp_path: Path) -> None:
    memory = tmp_path / "verdicts.json"
    ear.status = 500
    with pytest.raises(UnreachableError) as refused:
        tell_on_change(ear.url, memory, result("unhealthy"))
    assert "s3cret" not in f"{refused.value.message} {refused.value.where}"
    ear.status = 200
    assert tell_on_change(ear.url, memory, result("unhealthy"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_has_heard_nothing(ear: Ear, tmp_path: Path, status: int) -> None:
    ear.status = status
    with pytest.raises(UnreachableError, match=str(status)) as refused:
        tell_on_change(ear.url, tmp_path / "verdicts.json", result("unhealthy"))
    assert refused.value.hint


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "https://127.0.0.1:s3cret/", "https:///s3cret"])
def test_what_is_no_url_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError) as refused:
        tell_on_change(url, tmp_path / "v.json", result("unhealthy"))
    assert "s3cret" not in refused.value.message


def test_clear_text_to_the_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="https"):
        tell_on_change("http://example.test/hook", tmp_path / "v.json", result("unhealthy"))
