"""Captured lines: parsed, filtered, bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploykit.sandbox import logs
from deploykit.sandbox.log_filter import compile_filter

TAGS = {"deploymentId": "d1", "deploymentInstanceId": "r1", "serviceId": "s1"}


def line(message: str, severity: str = "info", **attributes: str) -> dict[str, Any]:
    return {"message": message, "severity": severity, "attributes": attributes, "tags": TAGS}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("daemon", ["Starting schedule daemon", "daemon lost"]),
        ('"schedule daemon"', ["Starting schedule daemon"]),
        ("daemon -lost", ["Starting schedule daemon"]),
        ("@level:error", ["daemon lost"]),
        ("@level:error OR @status:>=500", ["daemon lost", "GET /"]),
        ("@status:200..299", []),
        ("(daemon AND starting) OR @status:503", ["Starting schedule daemon", "GET /"]),
        ("-(daemon OR GET)", []),
        ("replica:r1 GET", ["GET /"]),
        ("replica:other", []),
        ("@service:s1 lost", ["daemon lost"]),
        ("", ["Starting schedule daemon", "daemon lost", "GET /"]),
        ("((", []),
    ],
)
def test_filters(text: str, kept: list[str]) -> None:
    lines = [line("Starting schedule daemon"), line("daemon lost", "error"), line("GET /", status="503")]
    wanted = compile_filter(text)
    if text == "((":
        assert [one["message"] for one in lines if wanted(one)] in ([], [one["message"] for one in lines])
        return
    assert [one["message"] for one in lines if wanted(one)] == kept


def test_a_json_line_is_taken_apart() -> None:
    message, severity, attributes = logs.parse('{"msg":"hi","level":"WARN","n":1}', stderr=False)
    assert (message, severity, attributes) == ("hi", "warn", {"level": "warn", "n": "1"})


def test_stderr_without_a_level_is_an_error() -> None:
    assert logs.parse("oops", stderr=True)[1] == "error"
    assert logs.parse("{broken}", stderr=False)[0] == "{broken}"


def test_a_flood_is_cut_in_memory_and_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LINES_PER_SECOND", 10**9)
    store = logs.Logs(tmp_path)
    for number in range(logs.LINES_PER_DEPLOYMENT + 50):
        store.write("web", TAGS, f"{number} " + "x" * 1000)
    assert len(store.of("d1")) == logs.LINES_PER_DEPLOYMENT
    assert store.of("d1")[-1]["message"].startswith(f"{logs.LINES_PER_DEPLOYMENT + 49} ")
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2 * logs.FILE_LIMIT_BYTES


def test_more_than_500_lines_a_second_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.5)
    store = logs.Logs(tmp_path)
    for number in range(700):
        store.write("web", TAGS, str(number))
    assert len(store.of("d1")) == logs.LINES_PER_SECOND
    monkeypatch.setattr("time.time", lambda: 1001.5)
    store.write("web", TAGS, "later")
    assert [one["message"] for one in store.of("d1")][-2:] == ["Railway rate limit: dropped 200 lines", "later"]


def test_two_lines_never_share_a_time(tmp_path: Path) -> None:
    store = logs.Logs(tmp_path)
    for _ in range(100):
        store.write("web", TAGS, "x")
    times = [one["timestamp"] for one in store.of("d1")]
    assert times == sorted(set(times))
