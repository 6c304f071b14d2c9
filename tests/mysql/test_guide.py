"""The guide's queries, unchanged, on the tables of a running pre-launch system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime import jobs, schedules
from runtime.daemon import ScheduleDaemon
from runtime.db import Database
from runtime.handlers import Registry, ScheduleDefinition
from runtime.loop import Stop
from runtime.worker import Worker
from tests.mysql.server import Server
from tests.runtime.support import ended, eventually, registry, running, settings

PRE_LAUNCH = {"JOB_WORKER_POLL_INTERVAL_MS": "30000", "SCHEDULE_POLL_INTERVAL_MS": "3600000"}


def ask(server: Server, query: str) -> tuple[tuple[Any, ...], ...]:
    """As somebody's client does: its own connection, no session settings of ours."""
    with server.root("runtime") as root, root.cursor() as cursor:
        cursor.execute(query)
        rows: tuple[tuple[Any, ...], ...] = cursor.fetchall()
        return rows


def _definitions() -> Registry:
    known = Registry()
    known.add_schedule(ScheduleDefinition("hourly", "report", cron="0 * * * *"))
    return known


@pytest.fixture
def pre_launch(db: Database, url: str) -> Iterator[None]:
    """One worker, one daemon, and a second daemon that stands by."""
    worker = Worker(settings(url, **PRE_LAUNCH), registry(report=lambda job: None), Stop())
    daemons = [ScheduleDaemon(settings(url, **PRE_LAUNCH), _definitions(), Stop()) for _ in range(2)]
    with running(worker, *daemons):
        eventually(lambda: worker.registered and all(daemon._introduced for daemon in daemons))
        yield


def test_exactly_one_of_each_is_running(server: Server, pre_launch: None) -> None:
    rows = ask(
        server,
        """
        SELECT workerType, COUNT(*)
        FROM WorkerInstance
        WHERE status = 'RUNNING'
        GROUP BY workerType;
        """,
    )
    assert set(rows) == {("schedule_daemon", 1), ("job_worker", 1)}


def test_heartbeats_are_fresh(server: Server, pre_launch: None) -> None:
    rows = ask(
        server,
        """
        SELECT
          id,
          workerType,
          lastHeartbeatAt,
          TIMESTAMPDIFF(SECOND, lastHeartbeatAt, NOW()) as seconds_ago
        FROM WorkerInstance
        WHERE status = 'RUNNING'
        ORDER BY lastHeartbeatAt DESC;
        """,
    )
    assert {row[1] for row in rows} == {"schedule_daemon", "job_worker"}
    assert all(0 <= row[3] < 30 for row in rows)


def test_the_history_of_schedules_can_be_read(db: Database, server: Server, pre_launch: None) -> None:
    schedules.enable(db, "hourly")
    schedules.run_now(db, "hourly")
    [row] = ask(
        server,
        """
        SELECT
          id,
          name,
          lastRunAt,
          nextRunAt,
          TIMESTAMPDIFF(MINUTE, lastRunAt, NOW()) as minutes_since_last
        FROM JobSchedule
        WHERE enabled = true
        ORDER BY lastRunAt DESC;
        """,
    )
    assert (row[1], row[4]) == ("hourly", 0)
    assert row[3] > row[2]


def test_the_length_of_the_queue_can_be_read(db: Database, server: Server) -> None:
    jobs.enqueue_many(db, [jobs.NewJob("report") for _ in range(3)])
    [row] = ask(
        server,
        """
        SELECT
          COUNT(*) as queued_jobs,
          MAX(queuedAt) as oldest_queued
        FROM JobRun
        WHERE status = 'QUEUED';
        """,
    )
    assert row[0] == 3


@pytest.mark.parametrize(("kind", "count"), [("job_worker", 1), ("schedule_daemon", 2)])
def test_a_kind_of_process_can_be_looked_up(server: Server, pre_launch: None, kind: str, count: int) -> None:
    assert len(ask(server, f"SELECT * FROM WorkerInstance WHERE workerType = '{kind}';")) == count


def test_a_plain_insert_by_anybody_is_run_whatever_their_time_zone(db: Database, url: str, server: Server) -> None:
    with running(Worker(settings(url), registry(report=lambda job: None), Stop())):
        with server.root("runtime") as root, root.cursor() as cursor:
            cursor.execute("SET time_zone = '+09:00'")
            cursor.execute("INSERT INTO JobRun (id, jobName, payload) VALUES ('by-hand', 'report', '{}')")
        row = ended(db, "by-hand")
    assert row.queued_at is not None
    assert row.finished_at is not None
    assert 0 <= (row.finished_at - row.queued_at).total_seconds() < 60
