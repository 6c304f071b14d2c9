from __future__ import annotations

from datetime import timedelta

import pytest

from runtime import jobs
from runtime.db import Database, DatabaseError, Duplicate, instant, stamp
from runtime.identity import new_id
from runtime.jobs import NewJob
from runtime.queue import Outcome, Queue


def test_a_number_that_no_column_holds_is_an_error_of_the_database(db: Database) -> None:
    with pytest.raises(DatabaseError):
        jobs.enqueue(db, "mail", priority=2**70)


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


@pytest.mark.parametrize("before", [1, 1200])
def test_a_taken_key_refuses_a_bulk_as_a_whole(db: Database, before: int) -> None:
    jobs.enqueue(db, "mail", unique_key="k")
    with pytest.raises(Duplicate):
        jobs.enqueue_many(db, [*[NewJob("mail")] * before, NewJob("mail", unique_key="k"), *[NewJob("mail")] * 1200])
    assert jobs.summary(db).queued == 1
    jobs.enqueue_many(db, [NewJob("mail")])
    assert jobs.summary(db).queued == 2, "the connection is of use as before"


def test_a_payload_that_cannot_be_written_refuses_a_bulk_as_a_whole(db: Database) -> None:
    with pytest.raises(TypeError):
        jobs.enqueue_many(db, [*[NewJob("mail")] * 1200, NewJob("mail", object())])
    assert jobs.summary(db).queued == 0
    with pytest.raises(DatabaseError):
        jobs.enqueue_many(db, [*[NewJob("mail")] * 1200, NewJob("mail", "\ud800")])
    assert jobs.summary(db).queued == 0


def test_a_bulk_of_large_payloads_is_split_before_a_server_refuses_its_statement(db: Database) -> None:
    """MariaDB takes statements of 16 MiB."""
    ids = jobs.enqueue_many(db, [NewJob("mail", "x" * 1_000_000)] * 20)
    assert len(ids) == jobs.summary(db).queued == 20


def test_however_a_job_is_enqueued_it_is_the_same(db: Database) -> None:
    """A bulk writes plain jobs, others and later ones with three INSERTs, of which the shortest names three columns."""
    jobs.enqueue_many(db, [NewJob("a", 1), NewJob("a", 2, priority=5), NewJob("a", 3, delay_seconds=60)])
    jobs.enqueue(db, "a", 1)
    rows = {row.id: row for row in jobs.recent(db)}
    assert sorted((row.payload, row.status, row.priority) for row in rows.values()) == [
        (1, "QUEUED", 0),
        (1, "QUEUED", 0),
        (2, "QUEUED", 5),
        (3, "SCHEDULED", 0),
    ]
    assert {(row.attempt, row.max_attempts, row.worker_id, row.progress) for row in rows.values()} == {
        (0, 3, None, None)
    }
    one, other = (db.fetch("jobs.read", id=row.id)[0] for row in rows.values() if row.payload == 1)
    differing = {name for name in one if one[name] != other[name]}
    assert differing <= {"id", "runAt", "queuedAt"}
    assert Queue(db).glance().ready


def test_an_enqueue_that_is_sent_again_adds_nothing(db: Database) -> None:
    """The answer to the first was lost: the job's own id says whether it had arrived."""
    for key in (None, "k"):
        first = jobs.enqueue(db, "mail", unique_key=key)
        assert jobs.enqueue(db, "mail", unique_key=key, job_id=first) == first
    queue = Queue(db)
    claims = queue.turn_over([], ["mail"], 10, "me")
    queue.turn_over([Outcome(claim, "done") for claim in claims], [], 0, "me")
    for claim in claims:
        assert jobs.enqueue(db, "mail", unique_key="k", job_id=claim.job_id) == claim.job_id, "it has even run"
    assert jobs.summary(db).completed == 2
    assert jobs.summary(db).queued == 0


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "not JSON"])
def test_a_payload_that_is_not_json_is_handed_over_as_it_is(text: str) -> None:
    assert jobs.parse_payload(text) == text


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


def test_a_job_that_moves_while_it_is_being_cancelled_is_cancelled_all_the_same(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ran when we first looked, and waited for its next attempt when we then asked its worker to end it."""
    job_id = jobs.enqueue(db, "mail")
    [claim] = Queue(db).turn_over([], ["mail"], 1, "me")
    execute = db.execute

    def in_between(query: str, **parameters: object) -> int:
        if query == "jobs.request_cancel":
            Queue(db).turn_over([Outcome(claim, "failed", "no")], [], 0, "me")
        return execute(query, **parameters)

    monkeypatch.setattr(db, "execute", in_between)
    assert jobs.cancel(db, job_id) == "cancelled"
    row = jobs.read(db, job_id)
    assert row is not None
    assert row.status == "CANCELLED"


def test_a_failed_job_can_be_started_again_with_all_its_attempts(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", max_attempts=1)
    [claim] = Queue(db).turn_over([], ["mail"], 1, "me")
    Queue(db).turn_over([Outcome(claim, "failed", "broken")], [], 0, "me")
    assert jobs.requeue(db, job_id)
    assert not jobs.requeue(db, job_id), "it waits already"
    [again] = Queue(db).turn_over([], ["mail"], 1, "me")
    assert again.attempt == 1


def test_all_failed_jobs_can_be_started_again_or_those_of_one_name(db: Database) -> None:
    jobs.enqueue_many(
        db, [NewJob("mail", max_attempts=1)] * 3 + [NewJob("page", max_attempts=1)] * 2 + [NewJob("page")]
    )
    claims = Queue(db).turn_over([], ["mail", "page"], 6, "me")
    Queue(db).turn_over([Outcome(claim, "failed", "broken") for claim in claims], [], 0, "me")
    assert jobs.requeue_failed(db, "page") == 2
    assert (jobs.summary(db).queued, jobs.summary(db).failed, jobs.summary(db).scheduled) == (2, 3, 1)
    assert jobs.requeue_failed(db) == 3
    assert jobs.requeue_failed(db) == 0
    assert jobs.summary(db).queued == 5


def test_recent_jobs_come_latest_first_and_by_status(db: Database) -> None:
    ids = [jobs.enqueue(db, "mail") for _ in range(3)]
    jobs.cancel(db, ids[0])
    assert [row.id for row in jobs.recent(db, "QUEUED")] == [ids[2], ids[1]]
    assert len(jobs.recent(db, limit=2)) == 2


def test_a_job_nobody_here_can_run_is_named(db: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail"), NewJob("new-thing"), NewJob("new-thing")])
    assert jobs.waiting_without_handler(db, ["mail"]) == {"new-thing": 2}


def ended(db: Database, *, ago_seconds: int, ran_seconds: int, waited_seconds: int, status: str = "COMPLETED") -> None:
    """A job that ended so long ago, by the clock of the database."""
    now = instant(db.fetch("server.now")[0]["now"])
    assert now is not None
    end = now - timedelta(seconds=ago_seconds)
    start = end - timedelta(seconds=ran_seconds)
    ready, first = start - timedelta(seconds=waited_seconds), start - timedelta(days=1)
    moments = ", ".join(f"'{stamp(moment)}'" for moment in (ready, first, start, end))
    columns = "id, jobName, status, runAt, queuedAt, startedAt, finishedAt"
    db.change(f"INSERT INTO JobRun ({columns}) VALUES ('{new_id()}', 'mail', '{status}', {moments})", {})


def test_what_ended_is_counted_by_the_hour_with_its_work_and_its_waits(db: Database) -> None:
    ended(db, ago_seconds=60, ran_seconds=30, waited_seconds=5)
    ended(db, ago_seconds=120, ran_seconds=10, waited_seconds=90, status="FAILED")
    ended(db, ago_seconds=5 * 3600 + 60, ran_seconds=2, waited_seconds=0)
    ended(db, ago_seconds=10 * 86_400, ran_seconds=2, waited_seconds=0)
    jobs.enqueue(db, "mail")
    now, before = jobs.by_hour(db, seconds=7 * 86_400, patience_seconds=60)
    assert (now.hours_ago, now.jobs, now.late) == (0, 2, 1)
    assert now.busy_seconds == pytest.approx(40, abs=0.1)
    assert (before.hours_ago, before.jobs, before.late) == (5, 1, 0)


def test_of_an_empty_table_no_hour_is_told(db: Database) -> None:
    assert jobs.by_hour(db, seconds=86_400, patience_seconds=60) == []
