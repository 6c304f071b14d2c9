from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from runtime import log


@pytest.fixture(autouse=True)
def _text_again() -> Iterator[None]:
    yield
    log.configure("text")


def test_a_line_carries_its_facts(capfd: pytest.CaptureFixture[str]) -> None:
    log.info("claimed", jobs=3, worker=None)
    assert capfd.readouterr().out == "claimed jobs=3\n"


def test_only_errors_go_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log.warning("careful")
    log.error("broken")
    said = capfd.readouterr()
    assert (said.out, said.err) == ("careful\n", "broken\n")


def test_json_lines_have_level_message_and_facts(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    log.warning("⚠️  careful", jobs=3)
    event = json.loads(capfd.readouterr().out)
    assert (event["level"], event["message"], event["jobs"]) == ("warn", "⚠️  careful", 3)
    assert "timestamp" in event


def test_an_exception_is_one_json_event(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("json")
    log.exception("turn failed", ValueError("no"))
    [line] = capfd.readouterr().err.splitlines()
    assert "ValueError: no" in json.loads(line)["trace"]
