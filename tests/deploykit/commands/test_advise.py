"""Advice from real rows: what the runtime's own tables say, through the command line too."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploykit.commands.advise import applied_at, neighbours
from runtime.db import Database, connect, stamp
from runtime.migrations import migrate
from tests.deploykit.rendering.profiles import REPOSITORY, real
from tests.journey.conftest import Cli, Running, railway

__all__ = ["railway"]
HOURS = 26


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with connect(f"sqlite:///{tmp_path / 'jobs.db'}", create=True) as db:
        migrate(db)
        yield db


@pytest.fixture
def shop(db: Database, tmp_path: Path) -> Cli:
    shutil.copytree(REPOSITORY / "profiles", tmp_path / "profiles")
    return Cli(tmp_path, {"DEPLOYKIT_DATABASE_URL": f"sqlite:///{tmp_path / 'jobs.db'}"})


def worker(db: Database) -> None:
    now = stamp(datetime.now(UTC))
    db.change(
        "INSERT INTO WorkerInstance (id, workerType, status, startedAt, lastHeartbeatAt, leaseUntil) "
        f"VALUES ('w', 'job_worker', 'RUNNING', '{now}', '{now}', '{now}')",
        {},
    )


def work(db: Database, *, each_seconds: int, hours: int = HOURS, every_minutes: int = 10) -> None:
    """Jobs that ran one after the other, some in each of the last hours."""
    now = datetime.now(UTC)
    for minute in range(1, hours * 60, every_minutes):
        end = now - timedelta(minutes=minute)
        start = end - timedelta(seconds=each_seconds)
        moments = ", ".join(f"'{stamp(moment)}'" for moment in (start, start, start, end))
        columns = "id, jobName, status, runAt, queuedAt, startedAt, finishedAt"
        db.change(f"INSERT INTO JobRun ({columns}) VALUES ('{minute}', 'x', 'COMPLETED', {moments})", {})


def test_busy_hours_call_for_the_larger_profile(db: Database, shop: Cli) -> None:
    worker(db)
    work(db, each_seconds=9 * 60)
    answer = shop("advise", "pre-launch")
    assert answer.status == 0, answer.err
    assert answer.out.startswith("move up: pre-launch → 100-users")
    assert "up to 90% of 1 worker" in answer.out
    assert answer.out.rstrip().endswith("Next: deploykit plan 100-users")


def test_a_quiet_day_calls_for_the_smaller_one_as_json(db: Database, shop: Cli) -> None:
    worker(db)
    work(db, each_seconds=5)
    said = shop("advise", "100-users", "--format", "json").json
    assert (said["schema"], said["verdict"], said["profile"]) == ("deploykit.advise/1", "down", "100-users")
    assert (said["to"], said["next"]) == ("pre-launch", "deploykit plan pre-launch")
    assert said["reasons"]
    assert any("a month" in one for one in said["differences"])


def test_a_schedule_that_is_due_more_often_than_it_is_looked_at(db: Database, shop: Cli) -> None:
    worker(db)
    db.change(
        "INSERT INTO JobSchedule (id, name, jobName, enabled, cron) VALUES ('s', 'often', 'x', 1, '*/15 * * * *')", {}
    )
    assert "schedule often is due every 15 min" in shop("advise", "pre-launch").out


def test_a_dead_worker_is_no_reason_to_grow(db: Database, shop: Cli) -> None:
    work(db, each_seconds=9 * 60)
    answer = shop("advise", "pre-launch")
    assert answer.status == 9
    assert "0 of 1 job worker alive" in answer.out
    assert "deploykit doctor pre-launch" in answer.out


def test_a_table_without_our_columns_still_tells_of_its_queue(db: Database, shop: Cli) -> None:
    worker(db)
    db.change("DROP TABLE JobRun", {})
    db.change("CREATE TABLE JobRun (id TEXT, jobName TEXT, status TEXT, queuedAt TEXT)", {})
    db.change("INSERT INTO JobRun VALUES ('a', 'x', 'QUEUED', '2026-01-01 00:00:00.000')", {})
    answer = shop("advise", "pre-launch")
    assert answer.status == 0, answer.out + answer.err
    assert answer.out.startswith("move up: pre-launch → 100-users\n  because the oldest of 1 job in the queue")


@pytest.mark.parametrize("url", [None, "sqlite:////nowhere/jobs.db"])
def test_a_queue_that_cannot_be_read_is_inconclusive(shop: Cli, url: str | None) -> None:
    if url is None:
        del shop.env["DEPLOYKIT_DATABASE_URL"]
    else:
        shop.env["DEPLOYKIT_DATABASE_URL"] = url
    answer = shop("advise", "pre-launch")
    assert answer.status == 9
    assert "the queue cannot be read" in answer.out


def test_own_profiles_are_compared_with_each_other_and_bundled_ones_without_any(shop: Cli) -> None:
    small = real(REPOSITORY / "profiles" / "pre-launch.yaml")
    (shop.folder / "profiles" / "1000-users.yaml").unlink()
    assert [one.name for one in neighbours(shop.folder, small)] == ["100-users"]
    assert [one.name for one in neighbours(shop.folder / "elsewhere", small)] == ["100-users", "1000-users"]


def test_beside_a_running_system_it_tells_what_was_measured_and_since_when(railway: Running) -> None:
    assert railway("apply", "pre-launch", "--yes").status == 0
    applied = applied_at(railway.folder, real(REPOSITORY / "profiles" / "pre-launch.yaml"))
    assert applied is not None
    assert datetime.now(UTC) - applied < timedelta(minutes=10)
    assert applied_at(railway.folder, real(REPOSITORY / "profiles" / "100-users.yaml")) is None
    deadline = time.monotonic() + 30  # Railway measures every few seconds
    while "measured use" not in (answer := railway("advise")).out and time.monotonic() < deadline:
        time.sleep(0.5)
    assert answer.status == 0, answer.out + answer.err
    assert answer.out.startswith("stay with pre-launch")
    assert "measured use comes to $" in answer.out
