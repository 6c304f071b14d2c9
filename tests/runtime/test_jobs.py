from __future__ import annotations

import pytest

from runtime import jobs
from runtime.db import Database, Duplicate
from runtime.jobs import NewJob
from runtime.queue import Outcome, Queue


def test_an_enqueued_job_can_be_read_back(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", {"to": "ünïcode ✓", "n": [1, None]}, priority=-3, max_attempts=7)
    row = jobs.read(db, job_id)
    assert row is not None
    assert (row.job_name, row.status, row.priority, row.max_attempts) == ("mail", "QUEUED", -3, 7)
    assert row.payload == {"to": "ünïcode ✓", "n": [1, None]}
    assert row.queued_at is not None
    assert row.queued_at.tzinfo is not None
    assert not row.finished


def test_an_unknown_job_reads_as_none(db: Database) -> None:
    assert jobs.read(db, "nobody") is None


def test_anyone_may_enqueue_with_one_plain_insert(db: Database) -> None:
    db.change("INSERT INTO JobRun (id, jobName, payload) VALUES ('x1', 'mail', '{\"a\": 1}')", {})
    [claim] = Queue(db).turn_over([], ["mail"], 10, "me")
    assert (claim.job_id, claim.payload, claim.attempt, claim.max_attempts) == ("x1", {"a": 1}, 1, 3)


def test_a_delayed_job_waits_apart_from_the_ready_ones(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", delay_seconds=3600)
    row = jobs.read(db, job_id)
    assert row is not None
    assert row.status == "SCHEDULED"
    glance = Queue(db).glance()
    assert not glance.ready
    assert glance.next_due_seconds == pytest.approx(3600, abs=60)
    assert Queue(db).promote() == 0


def test_a_unique_key_allows_one_unfinished_job(db: Database) -> None:
    first = jobs.enqueue(db, "report", unique_key="report:7")
    assert jobs.enqueue(db, "report", unique_key="report:7") == first
    queue = Queue(db)
    [claim] = queue.turn_over([], ["report"], 10, "me")
    assert jobs.enqueue(db, "report", unique_key="report:7") == first, "still running"
    queue.turn_over([Outcome(claim, "done")], [], 0, "me")
    assert jobs.enqueue(db, "report", unique_key="report:7") != first


def test_many_jobs_are_enqueued_in_few_statements(db: Database) -> None:
    ids = jobs.enqueue_many(db, (NewJob("mail", {"n": n, "text": "50% \\ 'quoted'"}) for n in range(1201)))
    assert len(set(ids)) == 1201
    assert jobs.summary(db).queued == 1201
    row = jobs.read(db, ids[1200])
    assert row is not None
    assert row.payload == {"n": 1200, "text": "50% \\ 'quoted'"}


def test_a_taken_key_refuses_the_whole_statement_of_a_bulk(db: Database) -> None:
    jobs.enqueue(db, "mail", unique_key="k")
    with pytest.raises(Duplicate):
        jobs.enqueue_many(db, [NewJob("mail"), NewJob("mail", unique_key="k")])
    assert jobs.summary(db).queued == 1


def test_the_summary_counts_every_state(db: Database) -> None:
    assert jobs.summary(db).oldest_queued_seconds is None
    queue = Queue(db)
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(4)])
    jobs.enqueue(db, "mail", delay_seconds=60)
    one, two, _ = queue.turn_over([], ["mail"], 3, "me")
    queue.turn_over([Outcome(one, "done"), Outcome(two, "failed", "no", final=True)], [], 0, "me")
    summary = jobs.summary(db)
    assert (summary.queued, summary.running, summary.scheduled, summary.failed, summary.completed) == (1, 1, 1, 1, 1)
    assert summary.oldest_queued_seconds is not None
    assert 0 <= summary.oldest_queued_seconds < 60


def test_cancelling_answers_what_it_could_do(db: Database) -> None:
    waiting, job_id = jobs.enqueue(db, "a"), jobs.enqueue(db, "b")
    assert jobs.cancel(db, waiting) == "cancelled"
    [claim] = Queue(db).turn_over([], ["a", "b"], 10, "me")
    assert claim.job_id == job_id, "a cancelled job is never claimed"
    assert jobs.cancel(db, job_id) == "requested"
    assert Queue(db).cancelled_among([claim]) == {job_id}
    Queue(db).turn_over([Outcome(claim, "done")], [], 0, "me")
    assert jobs.cancel(db, job_id) == "finished"
    assert jobs.cancel(db, "nobody") is None


def test_a_failed_job_can_be_started_again_with_all_its_attempts(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", max_attempts=1)
    [claim] = Queue(db).turn_over([], ["mail"], 1, "me")
    Queue(db).turn_over([Outcome(claim, "failed", "broken")], [], 0, "me")
    assert jobs.requeue(db, job_id)
    assert not jobs.requeue(db, job_id), "it waits already"
    [again] = Queue(db).turn_over([], ["mail"], 1, "me")
    assert again.attempt == 1


def test_recent_jobs_come_latest_first_and_by_status(db: Database) -> None:
    ids = [jobs.enqueue(db, "mail") for _ in range(3)]
    jobs.cancel(db, ids[0])
    assert [row.id for row in jobs.recent(db, "QUEUED")] == [ids[2], ids[1]]
    assert len(jobs.recent(db, limit=2)) == 2


def test_a_job_nobody_here_can_run_is_named(db: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail"), NewJob("new-thing"), NewJob("new-thing")])
    assert jobs.waiting_without_handler(db, ["mail"]) == {"new-thing": 2}
