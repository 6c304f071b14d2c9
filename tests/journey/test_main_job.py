"""The main job, whole: rehearse, and plan, apply, verify one after the other."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest

from tests.journey.conftest import Cli, Running, start


def survivors(folder: Path) -> list[str]:
    """Command lines of processes that still work inside ``folder``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (entry / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(entry.name) != os.getpid() and (str(folder) in command or f"={folder}" in environment):
            found.append(command)
    return found


def test_rehearse_proves_the_pre_launch_system_and_leaves_nothing_running(cli: Cli) -> None:
    answer = cli("rehearse", "pre-launch", "--database", "sqlite", env={"TMPDIR": str(cli.folder)}, timeout=180)
    assert answer.status == 0, answer.err
    assert "1 of 1 schedule daemons" in answer.out
    assert "1 of 1 job workers" in answer.out
    assert "0 others" in answer.out
    assert not survivors(cli.folder)


def test_plan_apply_verify_and_the_second_plan_is_empty(railway: Running) -> None:
    planned = railway("plan", "pre-launch", "--format", "json")
    assert planned.status == 0, planned.err
    assert planned.json["schema"] == "deploykit.plan/1"
    assert planned.json["census"]["before"] == {"schedule_daemon": 0, "job_worker": 0}
    assert planned.json["census"]["after"] == {"schedule_daemon": 1, "job_worker": 1}
    saved = railway.folder / ".deploykit" / "plan.json"
    assert saved.stat().st_mode & 0o077 == 0

    applied = railway("apply", "--yes")
    assert applied.status == 0, applied.err
    verified = railway("verify", "--format", "json")
    assert verified.status == 0, verified.out + verified.err
    assert verified.json["verdict"] == "healthy"

    assert railway("apply", "--yes").status == 5, "a saved plan runs once"
    again = railway("plan", "pre-launch", "--detailed-exitcode")
    assert again.status == 0, again.out
    assert "Nothing to do" in again.out


def test_a_daemon_started_by_hand_schedules_nothing_and_is_named_a_ghost(railway: Running) -> None:
    assert railway("apply", "pre-launch", "--yes").status == 0
    ghost = subprocess.Popen(
        [sys.executable, "-m", "runtime", "daemon"],
        cwd=railway.folder,
        env=railway.environment(
            DATABASE_URL=railway.sandbox["database_url"],
            SCHEDULE_DAEMON_ENABLED="true",
            SCHEDULE_POLL_INTERVAL_MS="60000",
            EMBEDDED_JOB_WORKER="false",
            JOBS_MODULE="runtime.demo",
            HEARTBEAT_INTERVAL_MS="1000",
            NODE_ENV="production",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert ghost.stdout is not None
        for line in ghost.stdout:
            if "registered" in line:
                break
        verified = railway("verify", "pre-launch", "--format", "json")
        assert verified.status == 8, verified.out + verified.err
        daemons = [row for row in verified.json["census"] if row["kind"] == "schedule_daemon"]
        assert sorted(row["class"] for row in daemons) == ["expected", "foreign"]
    finally:
        ghost.terminate()
        ghost.wait(timeout=30)
        assert ghost.stdout is not None
        ghost.stdout.close()
    deadline = time.monotonic() + 60
    while (answer := railway("verify", "pre-launch")).status != 0:
        assert time.monotonic() < deadline, answer.out
    assert not double_fires(railway.sandbox["database_url"])


def double_fires(url: str) -> list[Any]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        return database.execute(
            "SELECT scheduleId, dueAt, COUNT(*) FROM JobRun WHERE scheduleId IS NOT NULL AND dueAt IS NOT NULL"
            " GROUP BY scheduleId, dueAt HAVING COUNT(*) > 1"
        ).fetchall()


def test_the_timeline_shows_one_daemon_at_every_instant(railway: Running) -> None:
    assert railway("apply", "pre-launch", "--yes").status == 0
    request = urllib.request.Request(
        railway.sandbox["timeline"], headers={"Authorization": f"Bearer {railway.sandbox['token']}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        events = json.load(answer)
    daemons: set[int] = set()
    for event in events:
        if event["env_flags"].get("SCHEDULE_DAEMON_ENABLED") != "true":
            continue
        if event["event"] == "start":
            daemons.add(event["pid"])
        elif event["event"] == "exit":
            daemons.discard(event["pid"])
        assert len(daemons) <= 1
    assert len(daemons) == 1


@pytest.mark.mysql
def test_on_mysql_the_guides_last_query_counts_one_of_each(tmp_path: Path) -> None:
    running = start(tmp_path, "--database", "auto")
    try:
        if running.sandbox["database_url"].startswith("sqlite"):
            pytest.skip("no mysqld or mariadbd on this machine: the sandbox fell back to SQLite")
        applied = running("apply", "pre-launch", "--yes")
        assert applied.status == 0, applied.err
        assert running("verify", "pre-launch").status == 0
        url = urlsplit(running.sandbox["database_url"])
        connection = pymysql.connect(
            host=url.hostname,
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            database=url.path.strip("/"),
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT workerType, COUNT(*) FROM WorkerInstance WHERE status = 'RUNNING' GROUP BY workerType"
            )
            assert sorted(cursor.fetchall()) == [("job_worker", 1), ("schedule_daemon", 1)]
    finally:
        assert running("sandbox", "stop", "--state", str(tmp_path / "railway")).status == 0
