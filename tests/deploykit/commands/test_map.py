"""`deploykit map`: one profile, four ways to look at it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deploykit.cli.main import run
from deploykit.errors import Exit


def _shown(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert run(["map", "pre-launch", *args]) == Exit.OK
    return capsys.readouterr().out


def test_each_format_shows_both_services(capsys: pytest.CaptureFixture[str]) -> None:
    assert "SERVICE 2: schedule-daemon" in _shown(capsys)
    assert "schedule-daemon" in _shown(capsys, "--format", "mermaid")
    texts = ElementTree.fromstring(_shown(capsys, "--format", "svg")).itertext()
    assert any("SERVICE 2: schedule-daemon" in text for text in texts)
    assert [service["name"] for service in json.loads(_shown(capsys, "--format", "json"))["services"]] == [
        "web-server",
        "schedule-daemon",
    ]


def test_a_map_can_go_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "map.svg"
    assert _shown(capsys, "--format", "svg", "-o", str(target)) == ""
    assert target.read_text("utf-8").startswith("<svg ")


def test_another_format_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["map", "--format", "png"]) == Exit.USAGE
    assert "text, json, mermaid, svg" in capsys.readouterr().err
