"""A Node application with the real Prisma client, and the runtime, on one database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime import heartbeats, jobs, lease, schedules
from runtime.context import Job
from runtime.db import Database
from runtime.handlers import ScheduleDefinition
from runtime.loop import Stop
from runtime.worker import Worker
from tests.runtime.support import ended, registry, running, settings

pytestmark = pytest.mark.node
Node = Callable[..., Any]


def test_a_job_enqueued_by_node_is_run_by_python_and_read_by_node(db: Database, url: str, node: Node) -> None:
    seen: list[Any] = []

    def mail(job: Job) -> None:
        seen.append(job.payload)
        job.log("sent ✓")
        job.progress(100)

    job_id = node("enqueue", "mail", '{"to": "ö@example.org", "count": 2}')
    with running(Worker(settings(url), registry(mail=mail), Stop())):
        ended(db, job_id)
    assert seen == [{"to": "ö@example.org", "count": 2}]
    row = node("job", job_id)
    assert (row["status"], row["attempt"], row["progress"], row["payload"]["count"]) == ("COMPLETED", 1, 100, 2)
    finished = datetime.fromisoformat(row["finishedAt"].replace("Z", "+00:00"))
    assert abs(datetime.now(UTC) - finished) < timedelta(minutes=5), "a time zone came between them"
    assert [line["message"] for line in node("logs", job_id)] == ["sent ✓"]


def test_a_time_written_by_node_is_the_same_time_here(db: Database, node: Node) -> None:
    job_id = node("later", "mail", "3600000")
    row = jobs.read(db, job_id)
    assert row is not None
    assert row.run_at is not None
    assert row.status == "SCHEDULED"
    assert timedelta(minutes=55) < row.run_at - datetime.now(UTC) < timedelta(minutes=65)


def test_a_unique_key_holds_for_both(db: Database, node: Node) -> None:
    first = node("enqueue", "mail", "{}", "only-one")
    assert node("enqueue", "mail", "{}", "only-one") == first
    assert jobs.enqueue(db, "mail", unique_key="only-one") == first


def test_a_heartbeat_of_node_is_a_heartbeat(db: Database, node: Node) -> None:
    assert node("beat", "node-1", "job_worker") is True
    assert node("beat", "node-1", "job_worker") is True
    [beat] = heartbeats.read(db)
    assert (beat.worker_id, beat.kind, beat.status, beat.beats) == ("node-1", "job_worker", "RUNNING", 2)
    assert beat.seconds_ago is not None
    assert beat.seconds_ago < 60
    db.change("UPDATE WorkerInstance SET status = 'DEAD'", {})
    assert node("beat", "node-1", "job_worker") is False


def test_node_and_python_do_not_lead_at_the_same_time(db: Database, node: Node) -> None:
    assert node("lead", "node-1") == "1"
    assert node("lead", "node-1", "1") == "1"
    assert lease.acquire(db, "python", 60_000) is None
    db.change("UPDATE SchedulerLease SET expiresAt = '1970-01-02'", {})
    mine = lease.acquire(db, "python", 60_000)
    assert mine is not None
    assert mine.token == 2
    assert node("lead", "node-1", "1") is None
    assert lease.renew(db, mine, 60_000)


def test_what_the_runtime_writes_can_be_read_by_prisma(db: Database, url: str, node: Node) -> None:
    schedules.sync(db, [ScheduleDefinition("nightly", "mail", cron="0 3 * * *", payload={"a": 1}, enabled=True)])
    with running(Worker(settings(url), registry(mail=lambda job: None), Stop())):
        ended(db, jobs.enqueue(db, "mail"))
        [process] = node("processes")
    assert (process["workerType"], process["status"]) == ("job_worker", "RUNNING")
    [schedule] = node("schedules")
    assert (schedule["name"], schedule["enabled"], schedule["payload"]) == ("nightly", True, {"a": 1})
