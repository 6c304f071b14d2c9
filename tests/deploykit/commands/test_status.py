"""A status that cannot be read is no evidence, and its token goes to the host that was named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploykit.commands.status import StatusTables
from deploykit.errors import UsageError
from runtime.db import DatabaseError


class Site:
    """Answers with ``body`` in ``status``, and keeps what tokens it was shown."""

    def __init__(self) -> None:
        self.status, self.body, self.promised = 200, b"", 0
        self.location = ""
        self.tokens: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.tokens.append(self.headers["Authorization"] or "")
                self.send_response(site.status)
                self.send_header("Content-Length", str(site.promised or len(site.body)))
                if site.location:
                    self.send_header("Location", site.location)
                self.end_headers()
                self.wfile.write(site.body)

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    two = Site(), Site()
    threads = [threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.05}) for one in two]
    for thread in threads:
        thread.start()
    yield two
    for site, thread in zip(two, threads, strict=True):
        site.server.shutdown()
        thread.join()
        site.server.server_close()


def test_the_token_does_not_follow_a_redirect(sites: tuple[Site, Site]) -> None:
    named, other = sites
    named.status, named.location = 302, other.url
    with pytest.raises(DatabaseError, match=r"302.*127\.0\.0\.1"):
        StatusTables(named.url, "marked-token").sample()
    assert named.tokens == ["Bearer marked-token"]
    assert not other.tokens


@pytest.mark.parametrize(
    ("body", "promised"),
    [
        (b"<html>", 0),
        (b'{"schema": "deploykit.status/1"', 500),
        (b'{"schema": "deploykit.status/1"}', 0),
        (b'{"schema": "deploykit.status/1", "heartbeats": [{"odd": 1}], "now": "soon"}', 0),
        (b'{"schema": "deploykit.status/1", "heartbeats": [], "now": null}', 0),
        (b'{"schema": "deploykit.status/9"}', 0),
    ],
)
def test_half_a_status_and_one_of_another_version_are_none(
    sites: tuple[Site, Site], body: bytes, promised: int
) -> None:
    sites[0].body, sites[0].promised = body, promised
    with pytest.raises(DatabaseError):
        StatusTables(sites[0].url, "token").sample()


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "https://127.0.0.1:s3cret/", "http://example.test/"])
def test_what_is_no_status_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        StatusTables(url, "token")
    assert "s3cret" not in refused.value.message
