"""Scenarios 15 to 22 and 27 to 29: workers that die, freeze, are told to stop, or run jobs that should not exist."""

from __future__ import annotations

import signal

import pytest

from runtime import heartbeats, jobs
from runtime.db import Database
from runtime.jobs import JobRow, NewJob
from tests.chaos.conftest import on_servers, plain_url
from tests.chaos.history import Ended, Execution, History, complaints, read_executions
from tests.chaos.processes import Fleet
from tests.chaos.proxy import Fate, Proxy
from tests.mysql.server import Server
from tests.runtime.support import ended, eventually

HURRY = "UPDATE JobRun SET runAt = '2020-01-01 00:00:00.000' WHERE status = 'SCHEDULED'"
"""A retry waits for seconds so as not to hammer a service that is down; a test need not."""


def running(db: Database, count: int) -> None:
    eventually(lambda: jobs.summary(db).running == count)


def executions(machines: Fleet, event: str = "begin") -> list[Execution]:
    return [each for each in read_executions(machines.executions) if each.event == event]


def rows(db: Database, ids: list[str]) -> list[JobRow]:
    return [row for id_ in ids if (row := jobs.read(db, id_)) is not None]


def history(db: Database, machines: Fleet, ids: list[str], transactional: bool = False) -> History:
    return History(
        accepted=frozenset(ids),
        ended={row.id: Ended(row.status, row.attempt or 0) for row in rows(db, ids)},
        executions=read_executions(machines.executions),
        effects=tuple(row["jobId"] for row in db.rows("SELECT jobId FROM Effect", {})),
        transactional=frozenset(ids) if transactional else frozenset(),
    )


def all_completed(db: Database, count: int) -> None:
    def look() -> bool:
        db.change(HURRY, {})
        return jobs.summary(db).completed == count

    eventually(look)


@pytest.mark.parametrize("number", [15, 21], ids=["15_killed", "21_given_no_time_to_drain"])
def test_the_jobs_of_a_worker_that_was(db: Database, machines: Fleet, number: int) -> None:
    ids = jobs.enqueue_many(db, [NewJob("work", {"seconds": 60})] * 10)
    first = machines.worker(JOB_WORKER_CONCURRENCY="10", RAILWAY_DEPLOYMENT_DRAINING_SECONDS="0")
    eventually(lambda: len(executions(machines)) == 10)
    if number == 21:
        first.terminate()
    first.kill()
    db.change("UPDATE JobRun SET payload = '{}'", {})
    machines.worker()
    all_completed(db, 10)
    assert complaints(history(db, machines, ids)) == []
    # With a SIGTERM before it, the worker may have given its jobs back in time: then their attempt does not count.
    assert {row.attempt for row in rows(db, ids)} <= ({2} if number == 15 else {1, 2})
    assert {beat.status for beat in heartbeats.read(db)} == {"RUNNING", "DEAD"} if number == 15 else {"RUNNING"}


def test_16_a_frozen_workers_late_result_is_refused_and_it_comes_back_under_a_new_id(
    db: Database, machines: Fleet
) -> None:
    [job] = jobs.enqueue_many(db, [NewJob("work", {"seconds": 0.4})])
    frozen = machines.worker()
    eventually(lambda: executions(machines))
    machines.freeze(frozen)
    before = frozen.id
    other = machines.worker()
    all_completed(db, 1)
    row = ended(db, job)
    frozen.thaw()
    eventually(lambda: "declared dead while alive" in frozen.log)
    fresh = jobs.enqueue_many(db, [NewJob("work")] * 4)
    all_completed(db, 5)
    assert jobs.read(db, job) == row, "the late result changed the row"
    assert (row.worker_id, row.attempt) == (other.id, 2)
    eventually(lambda: sum(beat.status == "RUNNING" for beat in heartbeats.read(db)) == 2)
    assert before not in {beat.worker_id for beat in heartbeats.read(db) if beat.status == "RUNNING"}
    assert complaints(history(db, machines, [job, *fresh])) == []


@on_servers
def test_18_a_database_that_is_away_for_a_moment_costs_no_second_execution(
    db: Database, server: Server, machines: Fleet
) -> None:
    ids = jobs.enqueue_many(db, [NewJob("work", {"seconds": 0.5})] * 4)
    with Proxy(server.port) as proxy:
        worker = machines.worker(
            url=plain_url(server, proxy.port), JOB_WORKER_CONCURRENCY="4", HEARTBEAT_INTERVAL_MS="4000"
        )
        eventually(lambda: len(executions(machines)) == 4)
        proxy.cut()
        eventually(lambda: len(executions(machines, "end")) == 4)
        eventually(lambda: "[worker] database unreachable" in worker.log)
        assert jobs.summary(db).running == 4
        proxy.heal()
        all_completed(db, 4)
        eventually(lambda: "[worker] database is back" in worker.log)
        assert worker.log.count("[worker] database unreachable") == 1, "said more than once"
    assert len(executions(machines)) == 4
    assert complaints(history(db, machines, ids)) == []


@on_servers
@pytest.mark.parametrize("job_name", ["work", "effect"])
@pytest.mark.parametrize("fate", ["lost on the way", "answer lost"])
def test_7_a_claim_or_completion_whose_commit_is_unknown_is_neither_lost_nor_doubled(
    db: Database, server: Server, machines: Fleet, fate: Fate, job_name: str
) -> None:
    with Proxy(server.port) as proxy:
        machines.worker(url=plain_url(server, proxy.port), HEARTBEAT_INTERVAL_MS="4000")
        eventually(lambda: heartbeats.read(db))
        proxy.spoil_next_commit(fate)
        ids = [jobs.enqueue(db, job_name)]
        assert proxy.spoiled.wait(20), "the claim"
        all_completed(db, 1)
        ids.append(jobs.enqueue(db, job_name, {"seconds": 0.3}))
        eventually(lambda: ids[1] in {each.job for each in executions(machines)})
        proxy.spoil_next_commit(fate)
        assert proxy.spoiled.wait(20), "the completion"
        all_completed(db, 2)
    assert complaints(history(db, machines, ids, transactional=job_name == "effect")) == []


def test_19_an_error_that_cannot_be_written_fails_its_job_and_no_other(db: Database, machines: Fleet) -> None:
    bad = jobs.enqueue(db, "unspeakable", max_attempts=1)
    good = jobs.enqueue(db, "work")
    worker = machines.worker()
    failed = ended(db, bad, "FAILED")
    assert "half a character" in (failed.last_error or "")
    ended(db, good)
    assert len(jobs.logs(db, bad)) == 1
    assert worker.alive


def test_20_a_job_longer_than_the_drain_window_is_given_back_unharmed(db: Database, machines: Fleet) -> None:
    job = jobs.enqueue(db, "work", {"seconds": 60})
    worker = machines.worker(RAILWAY_DEPLOYMENT_DRAINING_SECONDS="1")
    eventually(lambda: executions(machines))
    worker.terminate()
    assert worker.wait() == 0
    row = jobs.read(db, job)
    assert row is not None
    assert (row.status, row.attempt, row.worker_id) == ("QUEUED", 0, None)
    assert len(executions(machines, "told")) == 1
    assert [beat.status for beat in heartbeats.read(db)] == ["STOPPED"]


def test_22_a_job_that_kills_its_process_each_time_fails_in_the_end(db: Database, machines: Fleet) -> None:
    poison = jobs.enqueue(db, "poison", max_attempts=2)
    innocent = jobs.enqueue(db, "work", max_attempts=2, delay_seconds=0.01)
    for number in (1, 2):
        worker = machines.worker()
        assert worker.wait() == -signal.SIGKILL
        assert sum(each.job == poison for each in executions(machines)) == number
        reaper = machines.worker(JOBS_MODULE="tests.chaos.bystander")
        eventually(lambda: (row := jobs.read(db, poison)) is not None and row.status != "RUNNING")
        reaper.kill()
        db.change(HURRY, {})
        db.change("UPDATE JobRun SET status = 'QUEUED' WHERE status = 'SCHEDULED'", {})
    failed = ended(db, poison, "FAILED")
    assert (failed.attempt, "worker lost" in (failed.last_error or "")) == (2, True)
    machines.worker()
    ended(db, innocent)


def test_27_what_was_claimed_and_not_begun_is_given_back_at_a_stop(db: Database, machines: Fleet) -> None:
    """Quick jobs are claimed many at a time; then one that is not quick stands in front of the others."""
    jobs.enqueue_many(db, [NewJob("work") for _ in range(300)])
    worker = machines.worker(RAILWAY_DEPLOYMENT_DRAINING_SECONDS="1")
    eventually(lambda: jobs.summary(db).completed >= 250)
    ids = jobs.enqueue_many(db, [NewJob("work", {"seconds": 60})] * 20)
    eventually(lambda: {each.job for each in executions(machines)} & set(ids))
    worker.terminate()
    assert worker.wait() == 0
    assert {(row.status, row.attempt) for row in rows(db, ids)} == {("QUEUED", 0)}


def test_28_cancelling_is_acknowledged_whenever_it_comes(db: Database, machines: Fleet) -> None:
    waiting = jobs.enqueue(db, "work", delay_seconds=3600)
    assert jobs.cancel(db, waiting) == "cancelled"
    running_job = jobs.enqueue(db, "work", {"seconds": 60})
    machines.worker()
    eventually(lambda: executions(machines))
    assert jobs.cancel(db, running_job) == "requested"
    ended(db, running_job, "CANCELLED")
    finished = jobs.enqueue(db, "work")
    ended(db, finished)
    assert jobs.cancel(db, finished) == "finished"
    assert jobs.cancel(db, "no such job") is None
    row = jobs.read(db, finished)
    assert row is not None
    assert row.status == "COMPLETED"
    assert {each.job for each in executions(machines)} == {running_job, finished}


def test_29_a_job_nobody_here_knows_waits_for_a_worker_that_does(db: Database, machines: Fleet) -> None:
    job = jobs.enqueue(db, "work", priority=-10)
    old = machines.worker(JOBS_MODULE="tests.chaos.bystander")
    known = jobs.enqueue(db, "bystander")
    ended(db, known)
    eventually(lambda: "no handler: work" in old.log)
    row = jobs.read(db, job)
    assert row is not None
    assert (row.status, row.attempt) == ("QUEUED", 0)
    machines.worker()
    ended(db, job)
