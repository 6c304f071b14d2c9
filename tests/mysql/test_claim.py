"""The claim on a real server: exact interleavings, the plan, and what an empty poll costs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from runtime import jobs
from runtime.db import Conflict, Database, DatabaseError, Duplicate, Row, connect, server_facts
from runtime.jobs import NewJob
from runtime.queue import Outcome, Queue
from tests.mysql.server import Server


@contextmanager
def claiming(rival: Database, count: int) -> Iterator[set[str]]:
    """A rival in the middle of its claim: rows locked, nothing committed. Lets go by itself."""
    rival.begin()
    try:
        rows = rival.tuples("jobs.claimable", names=["mail"], limit=count)
        yield {row[0] for row in rows}
    finally:
        rival.rollback()


def test_a_claim_passes_over_jobs_somebody_else_is_claiming(db: Database, rival: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(5)])
    with claiming(rival, 3) as taken:
        mine = {claim.job_id for claim in Queue(db).turn_over([], ["mail"], 5, "me")}
    assert len(mine) == 2
    assert not mine & taken


def test_a_due_job_that_somebody_holds_keeps_no_other_waiting(db: Database, rival: Database) -> None:
    """Somebody's open transaction, or another worker that makes the same jobs ready at this moment."""
    held, *others = jobs.enqueue_many(db, [NewJob("mail", delay_seconds=0.001, priority=n % 2) for n in range(4)])
    rival.begin()
    rival.rows(f"SELECT id FROM JobRun WHERE id = '{held}' FOR UPDATE", {})
    while sum(Queue(db).promote() for _ in range(2)) == 0:
        continue
    assert {claim.job_id for claim in Queue(db).turn_over([], ["mail"], 9, "me")} <= set(others)
    rival.rollback()


def test_a_job_of_a_dead_worker_that_somebody_holds_keeps_no_other_waiting(db: Database, rival: Database) -> None:
    """As a worker does that vanished behind a dead route in the middle of a completion."""
    ids = jobs.enqueue_many(db, [NewJob("mail")] * 3)
    Queue(db).turn_over([], ["mail"], 3, "gone")
    rival.begin()
    rival.rows(f"SELECT id FROM JobRun WHERE id = '{ids[0]}' FOR UPDATE", {})
    assert Queue(db).rescue_orphans() == 2
    rival.rollback()
    assert Queue(db).rescue_orphans() == 1


def test_a_stray_that_somebody_holds_keeps_no_other_waiting(db: Database, rival: Database) -> None:
    ids = jobs.enqueue_many(db, [NewJob("mail")] * 3)
    Queue(db).turn_over([], ["mail"], 3, "me")
    rival.begin()
    rival.rows(f"SELECT id FROM JobRun WHERE id = '{ids[0]}' FOR UPDATE", {})
    assert Queue(db).release_strays("me", []) == 2
    rival.rollback()
    assert Queue(db).release_strays("me", []) == 1


def test_a_unique_key_and_a_status_of_the_application_end_in_an_error(db: Database, rival: Database) -> None:
    """They are no race that another try would win."""
    held = jobs.enqueue(db, "mail")
    known = "'SCHEDULED', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED'"
    statuses = f"ALTER TABLE JobRun MODIFY status ENUM({known}{{}}) NOT NULL DEFAULT 'QUEUED'"
    rival.change("ALTER TABLE JobRun ADD UNIQUE KEY one_of_each (jobName)", {})
    rival.change(statuses.format(", 'PARKED'"), {})
    try:
        with pytest.raises(Duplicate):
            jobs.enqueue(db, "mail", unique_key="k")
        db.change("UPDATE JobRun SET status = 'PARKED'", {})
        with pytest.raises(DatabaseError, match="PARKED"):
            jobs.cancel(db, held)
    finally:
        rival.change("DELETE FROM JobRun", {})
        rival.change("ALTER TABLE JobRun DROP KEY one_of_each", {})
        rival.change(statuses.format(""), {})


def test_an_enqueue_does_not_wait_for_a_claim(db: Database, rival: Database) -> None:
    """Under REPEATABLE READ the claim would lock the gap at the end of the index."""
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(2)])
    with claiming(rival, 10):
        jobs.enqueue(db, "mail")
        jobs.enqueue(db, "mail", priority=-5)


def test_completing_does_not_wait_for_a_claim(db: Database, rival: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(3)])
    queue = Queue(db)
    mine = queue.turn_over([], ["mail"], 1, "me")
    with claiming(rival, 10) as taken:
        assert len(taken) == 2
        queue.turn_over([Outcome(claim, "done") for claim in mine], [], 0, "me")
    assert queue.fence_refusals == 0


def test_the_test_itself_would_notice_a_wait(db: Database, rival: Database) -> None:
    """The same interleaving without SKIP LOCKED waits, and waiting is an error here."""
    jobs.enqueue(db, "mail")
    with claiming(rival, 1), pytest.raises(Conflict):
        db.rows(db.sql("jobs.claimable").replace("SKIP LOCKED", ""), {"names": ["mail"], "limit": 1})


def test_many_threads_claim_every_job_exactly_once(db: Database, url: str) -> None:
    ids = jobs.enqueue_many(db, [NewJob("mail") for _ in range(400)])
    claimed: list[str] = []

    def work(name: str) -> None:
        with connect(url) as own:
            queue, outcomes = Queue(own), list[Outcome]()
            while claims := queue.turn_over(outcomes, ["mail"], 7, name):
                claimed.extend(claim.job_id for claim in claims)
                outcomes = [Outcome(claim, "done") for claim in claims]
            assert queue.fence_refusals == 0

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(claimed) == sorted(ids)
    assert jobs.summary(db).completed == 400


def _reads(db: Database, query: str, **parameters: object) -> int:
    """How many rows the server had to touch for a query."""
    db.change("FLUSH STATUS", {})
    db.fetch(query, **parameters)
    return sum(int(row["Value"]) for row in db.rows("SHOW SESSION STATUS LIKE 'Handler_read%%'", {}))


def _plan(db: Database, query: str, **parameters: object) -> Row:
    if "MariaDB" not in server_facts(db).version:
        db.change("SET explain_format = 'TRADITIONAL'", {})
    [plan] = db.rows("EXPLAIN " + db.sql(query), parameters)
    return plan


@pytest.fixture
def history(db: Database, server: Server) -> None:
    """A table with a past and a future: 3,000 finished jobs and 3,000 that are due some day."""
    jobs.enqueue_many(db, [NewJob("mail", priority=n % 3) for n in range(3000)])
    db.change("UPDATE JobRun SET status = 'COMPLETED', finishedAt = UTC_TIMESTAMP(3)", {})
    jobs.enqueue_many(db, [NewJob("mail", delay_seconds=3600 + n, priority=n % 3) for n in range(3000)])
    with server.root("runtime") as root, root.cursor() as cursor:
        cursor.execute("ANALYZE TABLE JobRun")
        cursor.fetchall()


def test_an_empty_poll_touches_next_to_nothing_however_long_the_table(db: Database, history: None) -> None:
    db.fetch("jobs.glance")  # the statistics of the first look are those of opening the table
    assert _reads(db, "jobs.glance") <= 20, "a few for each of the three priorities"
    with db.transaction():
        assert _reads(db, "jobs.claimable", names=["mail"], limit=10) <= 5


def test_the_claim_reads_its_index_in_order_without_sorting(db: Database, history: None) -> None:
    jobs.enqueue_many(db, [NewJob("mail", priority=n % 3) for n in range(50)])
    plan = _plan(db, "jobs.claimable", names=["mail"], limit=10)
    assert plan["key"] == "JobRun_status_priority_runAt_id_idx"
    assert "filesort" not in (plan["Extra"] or "")


def test_a_completion_finds_its_rows_by_primary_key(db: Database, history: None) -> None:
    ids = jobs.enqueue_many(db, [NewJob("mail") for _ in range(20)])
    plan = _plan(db, "jobs.complete", ids=ids, attempt=1, worker="me")
    assert plan["key"] == "PRIMARY"
    assert int(plan["rows"]) <= 40
