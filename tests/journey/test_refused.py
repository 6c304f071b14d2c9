"""What must never reach Railway is refused with file, line, cause and cure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.journey.conftest import REPOSITORY, Cli

PRE_LAUNCH = (REPOSITORY / "profiles" / "pre-launch.yaml").read_text()

REFUSED = {
    "two daemons": (r"SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DAEMON_ENABLED: true", "DK101"),
    "a missing flag": (r"      SCHEDULE_DAEMON_ENABLED: false.*\n", "", "DK103"),
    "seconds for milliseconds": ("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 3600", "DK201"),
    "too many connections": (
        "DATABASE_CONNECTION_LIMIT: 5",
        "DATABASE_CONNECTION_LIMIT: 40",
        "DK501",
    ),
}


def write(folder: Path, text: str) -> Path:
    path = folder / "profiles" / "pre-launch.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("offence", REFUSED)
def test_a_profile_that_breaks_a_rule_is_refused_on_its_line(cli: Cli, offence: str) -> None:
    old, new, code = REFUSED[offence]
    text = re.sub(old, new, PRE_LAUNCH)
    if code == "DK501":
        text = text.replace("    role: web\n", "    role: web\n    replicas: 8\n", 1)
    assert text != PRE_LAUNCH
    write(cli.folder, text)

    # A dead endpoint proves that nothing was sent: reaching for it would end with 75.
    unreachable = {"DEPLOYKIT_RAILWAY_URL": "http://127.0.0.1:9/graphql/v2", "RAILWAY_TOKEN": "x"}
    planned = cli("plan", "pre-launch", env=unreachable)
    linted = cli("lint", "profiles/pre-launch.yaml", "--format", "json")

    assert planned.status == 3
    assert code in planned.err
    found = [finding for finding in linted.json["findings"] if finding["code"] == code]
    assert linted.status == 1
    assert found
    assert f"profiles/pre-launch.yaml:{found[0]['line']}:" in planned.err
    assert found[0]["hint"]
    assert found[0]["hint"] in planned.err


def test_broken_yaml_points_at_the_token(cli: Cli) -> None:
    write(cli.folder, PRE_LAUNCH.replace("    role: web\n", "\trole: web\n"))
    answer = cli("plan", "pre-launch")
    assert answer.status == 3
    assert "profiles/pre-launch.yaml:" in answer.err
    assert "DK001" in answer.err
    assert "Traceback" not in answer.err


def test_an_unknown_profile_names_the_nearest(cli: Cli) -> None:
    answer = cli("plan", "pre-lunch")
    assert answer.status == 3
    assert "pre-launch" in answer.err
