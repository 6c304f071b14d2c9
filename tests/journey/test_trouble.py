"""Every trouble ends with a clear message, the documented exit code, and nothing half-written."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

import pytest

from tests.journey.conftest import REPOSITORY, Cli, Running


def test_a_missing_token_says_where_to_put_one(cli: Cli) -> None:
    answer = cli("plan", "pre-launch")
    assert answer.status == 4
    assert "RAILWAY_TOKEN" in answer.err
    assert "Traceback" not in answer.err
    assert not (cli.folder / ".deploykit").exists()


def test_a_wrong_token_is_refused_without_being_printed(railway: Running) -> None:
    answer = railway("plan", "pre-launch", env={"RAILWAY_TOKEN": "wrong-5f2c1"})
    assert answer.status == 4
    assert "wrong-5f2c1" not in answer.err + answer.out
    assert not (railway.folder / ".deploykit").exists()


@pytest.mark.parametrize("verb", ["plan", "apply", "verify"])
def test_a_dead_endpoint_is_unreachable(cli: Cli, verb: str) -> None:
    dead = {"DEPLOYKIT_RAILWAY_URL": "http://127.0.0.1:9/graphql/v2", "RAILWAY_TOKEN": "x"}
    answer = cli(verb, "pre-launch", env=dead)
    assert answer.status == 75
    assert "127.0.0.1:9" in answer.err
    assert "Traceback" not in answer.err


def test_plain_http_to_the_world_is_refused(cli: Cli) -> None:
    answer = cli("plan", "pre-launch", env={"DEPLOYKIT_RAILWAY_URL": "http://example.test/", "RAILWAY_TOKEN": "x"})
    assert answer.status in (3, 64)
    assert "https" in answer.err


def test_a_dead_database_is_inconclusive_and_never_healthy(railway: Running) -> None:
    assert railway("apply", "pre-launch", "--yes").status == 0
    dead = {"DEPLOYKIT_DATABASE_URL": "mysql://root:hunter2@127.0.0.1:9/railway"}
    answer = railway("verify", "pre-launch", env=dead)
    assert answer.status in (9, 75)
    assert "hunter2" not in answer.err + answer.out
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("url", ["nonsense", "postgres://u:hunter2@127.0.0.1/x", "mysql://u:hunter2@127.0.0.1:port/x"])
@pytest.mark.parametrize("verb", ["apply pre-launch --yes", "verify pre-launch", "ghosts pre-launch", "unlock"])
def test_what_can_be_no_database_is_refused_before_anything_is_asked_or_locked(cli: Cli, verb: str, url: str) -> None:
    unreachable = {"DEPLOYKIT_RAILWAY_URL": "http://127.0.0.1:9/graphql/v2", "RAILWAY_TOKEN": "x"}
    for answer in (
        cli(*verb.split(), "--database-url", url, env=unreachable),
        cli(*verb.split(), env={**unreachable, "DEPLOYKIT_DATABASE_URL": url}),
    ):
        assert answer.status == 3, answer.err
        assert "the database's URL" in answer.err
        assert "mysql://user:password@host" in answer.err
        assert "hunter2" not in answer.err + answer.out


def test_a_webhook_that_is_down_hides_no_verdict(railway: Running) -> None:
    answer = railway("verify", "pre-launch", "-q", "--webhook", "https://127.0.0.1:9/hooks/s3cret")
    assert answer.status == 8, answer.err
    assert "nobody was told" in answer.err
    assert "s3cret" not in answer.err + answer.out


def test_a_look_without_an_answer_is_told_in_json_too(railway: Running) -> None:
    fault = ["sandbox", "fault", "--state", str(railway.folder / "railway"), "rate-limited", "retry_after_seconds=600"]
    assert railway(*fault, "field=environment", "count=null").status == 0
    answer = railway("watch", "pre-launch", "--count", "1", "--format", "json")
    assert (answer.status, answer.out) == (75, "")
    assert "limits the rate of requests" in answer.err


def test_a_read_only_folder_leaves_nothing_behind(railway: Running) -> None:
    folder = railway.folder / "read-only"
    folder.mkdir(mode=0o555)
    done = subprocess.run(
        [sys.executable, "-m", "deploykit", "plan", "pre-launch"],
        cwd=folder,
        env=railway.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=obey_permissions,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "ermission denied" in done.stderr
    assert list(folder.iterdir()) == []


def obey_permissions() -> None:
    """Root may write anywhere; without this capability it is bound by permissions like everybody."""
    cap_dac_override, drop_from_bounding_set = 1, 24
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(drop_from_bounding_set, cap_dac_override, 0, 0, 0)


@pytest.mark.parametrize("what", [["pre-launch"], []], ids=["profile", "saved plan"])
def test_an_interrupted_apply_ends_with_130_or_7_and_the_same_command_resumes(
    railway: Running, what: list[str]
) -> None:
    assert railway("plan", "pre-launch").status == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "deploykit", "apply", *what, "--yes"],
        cwd=railway.folder,
        env=railway.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    first = ""
    while "configure" not in first:  # something was begun
        line = process.stderr.readline()
        assert line, first
        first += line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (130, 7), err
    assert "Traceback" not in first + err + out

    again = railway("apply", *what, "--yes")
    assert again.status == 0, again.err
    assert railway("plan", "pre-launch", "--detailed-exitcode").status == 0


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        pytest.param(b"no\n", 1, "nothing was changed", id="no"),
        pytest.param(b"\n", 1, "nothing was changed", id="nothing"),
        pytest.param(b"\x03", 130, "interrupted", id="Ctrl-C"),
        pytest.param(b"\x04", 130, "interrupted", id="Ctrl-D"),
    ],
)
def test_a_no_is_a_command_that_did_nothing_and_ctrl_c_an_interrupt(
    railway: Running, answer: bytes, status: int, words: str
) -> None:
    said = railway.at_a_terminal("apply", "pre-launch", answer=answer)
    assert said.status == status, said.out
    assert words in said.out
    assert "Traceback" not in said.out
    assert not (railway.folder / ".deploykit" / "history").exists()


@pytest.mark.parametrize("options", [["-q"], ["--format", "json"], ["-q", "--format", "json"]])
def test_nobody_is_asked_about_what_is_not_shown(railway: Running, options: list[str]) -> None:
    applied = railway.at_a_terminal("apply", "pre-launch", *options, answer=b"no\n")
    assert "create service schedule-daemon" in applied.out.partition("Apply this plan?")[0]


@pytest.mark.parametrize(
    "args", [["lint", "--nope"], ["explain", "DK999"], ["frobnicate"], ["plan", "--format", "yaml", "pre-launch"]]
)
def test_wrong_usage_is_64(cli: Cli, args: list[str]) -> None:
    answer = cli(*args)
    assert answer.status == 64
    assert "Traceback" not in answer.err


def test_an_unknown_fault_is_wrong_usage_and_the_known_ones_are_named(railway: Running) -> None:
    answer = railway("sandbox", "fault", "nope", "--state", str(railway.folder / "railway"))
    assert answer.status == 64
    assert "rate-limited" in answer.err


def test_no_repository_path_is_needed(cli: Cli) -> None:
    assert REPOSITORY not in cli.folder.parents
    answer = cli("lint", "--format", "json")
    assert answer.status == 0
