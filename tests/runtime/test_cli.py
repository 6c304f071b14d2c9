"""The processes as the platform sees them: started by a command, told to end by a signal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runtime import cli, heartbeats, jobs, schedules
from runtime.db import connect
from runtime.handlers import ScheduleDefinition
from runtime.migrations import migrate
from tests.mysql.server import free_port
from tests.runtime.support import LONGEST_SECONDS, ended

ROOT = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}


@contextmanager
def process(*words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "runtime", *words],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def said(started: subprocess.Popen[str], wanted: str) -> list[str]:
    """The lines up to the one that holds `wanted`."""
    lines = []
    assert started.stdout is not None
    for line in started.stdout:
        lines.append(line.rstrip("\n"))
        if wanted in line:
            return lines
    raise AssertionError(f"{wanted!r} was never said: {lines}")


def end(started: subprocess.Popen[str]) -> tuple[int, str]:
    started.send_signal(signal.SIGTERM)
    out, _ = started.communicate(timeout=LONGEST_SECONDS)
    return started.returncode, out


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite://{tmp_path}/jobs.db"
    with connect(url, create=True) as db:
        migrate(db)
    return url


def test_a_worker_runs_a_job_and_ends_well_when_told_to(database: str) -> None:
    with process("worker", DATABASE_URL=database, JOBS_MODULE="runtime.demo") as worker:
        said(worker, "Job worker registered")
        with connect(database) as db:
            ended(db, jobs.enqueue(db, "demo-report"))
            status, out = end(worker)
            assert (status, "Job worker stopped" in out) == (0, True)
            assert heartbeats.read(db)[0].status == "STOPPED"


def test_a_daemon_says_what_the_guide_promises_and_ends_well(database: str) -> None:
    with process(
        "daemon",
        DATABASE_URL=database,
        JOBS_MODULE="runtime.demo",
        SCHEDULE_DAEMON_ENABLED="true",
        SCHEDULE_POLL_INTERVAL_MS="3600000",
    ) as daemon:
        lines = said(daemon, "Polling every 3600s")
        assert "📋 Synced 3 schedule definitions from code" in lines
        assert "📋 Loaded 3 schedule definitions from code" in lines
        assert end(daemon)[0] == 0


@pytest.mark.parametrize("value", [None, "false"])
def test_a_daemon_that_is_not_enabled_refuses_to_start(database: str, value: str | None) -> None:
    variables = {"DATABASE_URL": database} | ({} if value is None else {"SCHEDULE_DAEMON_ENABLED": value})
    with process("daemon", **variables) as daemon:
        out, _ = daemon.communicate(timeout=LONGEST_SECONDS)
        assert daemon.returncode == 3
        assert "SCHEDULE_DAEMON_ENABLED" in out
        assert "set it to true in the one service that is the schedule daemon" in out
        assert "Traceback" not in out
    with connect(database) as db:
        assert heartbeats.read(db) == []


@pytest.mark.parametrize(
    ("words", "variables", "status", "wanted"),
    [
        (["worker"], {}, 3, "DATABASE_URL is not set"),
        (["worker"], {"DATABASE_URL": "mysql://u:hunter2@h"}, 3, "lacks a host or a database name"),
        (["worker"], {"JOB_WORKER_POLL_INTERVAL_MS": "5s"}, 3, "JOB_WORKER_POLL_INTERVAL_MS is '5s'"),
        (["worker"], {"DATABASE_URL": "sqlite:///tmp/x.db", "JOBS_MODULE": "nowhere"}, 3, "'nowhere'"),
        (["jobs"], {"DATABASE_URL": "sqlite:///nowhere/x.db"}, 75, "no such SQLite database"),
        (["daemon", "--twice"], {}, 64, "--twice"),
        (["dance"], {}, 64, "dance"),
        (["daemon", "--once", "--once"], {}, 3, "SCHEDULE_DAEMON_ENABLED is not set"),
        (["worker"], {"DATABASE_URL": "sqlite:///tmp/x.db", "JOBS_MODULE": "./jobs"}, 3, "which is no module"),
        (["worker"], {"WAKE_ADDRESSES": "host:²"}, 3, "WAKE_ADDRESSES holds 'host:²'"),
        (["enqueue", "noop", "{"], {}, 64, "not JSON"),
        (["enqueue", "noop", "[" * 50_000], {}, 64, "not JSON"),
        (["enqueue", "noop", "--delay-seconds", "nan"], {}, 64, "'nan' is not 0 to"),
        (["enqueue", "noop", "--delay-seconds", "1e300"], {}, 64, "'1e300' is not 0 to"),
        (["enqueue", "noop", "--priority", "9999999999"], {}, 64, "'9999999999' is not a whole number"),
        (["jobs", "list", "--limit", "-1"], {}, 64, "'-1' is not a whole number"),
        (["schedules", "enable"], {"DATABASE_URL": "sqlite:///nowhere/x.db"}, 64, "which schedule?"),
    ],
)
def test_what_cannot_work_ends_with_a_clear_message(
    words: list[str],
    variables: dict[str, str],
    status: int,
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in list(os.environ):
        if name.startswith(("DATABASE_", "JOB", "SCHEDULE_", "WAKE_")):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended_with:
        sys.exit(cli.main(words))
    assert ended_with.value.code == status
    out = "".join(capfd.readouterr())
    assert wanted in out
    assert "Traceback" not in out
    assert "hunter2" not in out


def test_a_database_that_is_down_is_waited_for_and_a_stop_still_ends_at_once() -> None:
    url = f"mysql://user:hunter2@127.0.0.1:{free_port()}/jobs"
    with process("worker", DATABASE_URL=url) as worker:
        lines = said(worker, "database unreachable, retrying")
        status, out = end(worker)
        assert status == 0
        assert "hunter2" not in "".join(lines) + out


def test_a_killed_worker_leaves_a_row_that_tells_of_it(database: str) -> None:
    with process("worker", DATABASE_URL=database, JOBS_MODULE="runtime.demo") as worker:
        said(worker, "Job worker registered")
        worker.kill()
        worker.wait()
    with connect(database) as db:
        assert heartbeats.read(db)[0].status == "RUNNING"


def test_a_restarted_container_takes_over_from_its_killed_predecessor_at_once(database: str) -> None:
    place = {"RAILWAY_DEPLOYMENT_ID": "d1", "RAILWAY_REPLICA_ID": "r1", "JOBS_MODULE": "runtime.demo"}
    with connect(database) as db:
        job_id = jobs.enqueue(db, "demo-sleep", {"seconds": 600})
        with process("worker", DATABASE_URL=database, **place) as worker:
            said(worker, "Job worker registered")
            ended(db, job_id, "RUNNING")
            worker.kill()
            worker.wait()
        with process("worker", DATABASE_URL=database, **place) as again:
            said(again, "gave 1 job(s) of ended workers a new attempt")
        assert sorted(seen.status for seen in heartbeats.read(db)) == ["DEAD", "RUNNING"]


def test_logs_can_be_json(database: str) -> None:
    with process("worker", DATABASE_URL=database, LOG_FORMAT="json") as worker:
        line = said(worker, "Job worker starting")[0]
        assert json.loads(line)["level"] == "info"


def run(words: list[str], database: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setenv("DATABASE_URL", database)
    assert cli.main(words) == 0
    return capfd.readouterr().out.strip()


def test_jobs_and_schedules_are_handled_from_the_command_line(
    database: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str) -> str:
        return run(list(words), database, monkeypatch, capfd)

    with connect(database) as db:
        job_id = command("enqueue", "mail", '{"to": 1}', "--priority", "-2")
        assert jobs.read(db, job_id).payload == {"to": 1}  # type: ignore[union-attr]
        assert job_id in command("jobs", "list")
        assert "queued                 1" in command("jobs")
        assert json.loads(command("jobs", "show", job_id, "--json"))[0]["priority"] == -2
        assert command("jobs", "cancel", job_id) == "cancelled"
        assert command("jobs", "retry", job_id) == "queued again"
        assert command("jobs", "retry", "--failed") == "0 failed job(s) queued again"
        schedules.sync(db, [ScheduleDefinition("hourly", "mail", cron="0 * * * *")])
        command("schedules", "enable", "hourly")
        assert "enabled" in command("schedules")
        assert jobs.read(db, command("schedules", "run", "hourly")) is not None
        command("schedules", "disable", "hourly")
        assert json.loads(command("schedules", "list", "--json"))[0]["enabled"] is False
    assert command("migrate") == "nothing to do"
