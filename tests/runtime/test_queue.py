from __future__ import annotations

import time
from typing import Any

import pytest

from runtime import heartbeats, jobs, queue
from runtime.db import Database
from runtime.identity import JOB_WORKER, Identity
from runtime.jobs import JobRow, NewJob
from runtime.queue import Claim, Outcome, Queue
from tests.runtime.support import settings, sql


def _row(db: Database, job_id: str) -> JobRow:
    row = jobs.read(db, job_id)
    assert row is not None
    return row


def _claim(db: Database, worker: str = "me", most: int = 10) -> list[Claim]:
    return Queue(db).turn_over([], ["mail"], most, worker)


def test_jobs_of_many_priorities_become_ready_in_several_goes(db: Database) -> None:
    """Each priority takes a transaction: 20,000 of them in one go took longer than a loop may hang."""
    jobs.enqueue_many(db, [NewJob("mail", delay_seconds=0.001, priority=-number) for number in range(120)])
    time.sleep(0.01)
    assert [Queue(db).promote() for _ in range(3)] == [100, 20, 0]


def test_a_job_is_claimed_once(db: Database, rival: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(5)])
    mine, theirs = _claim(db, "me", 3), _claim(rival, "them", 10)
    assert (len(mine), len(theirs)) == (3, 2)
    assert not {claim.job_id for claim in mine} & {claim.job_id for claim in theirs}


def test_lower_priority_numbers_and_older_jobs_come_first(db: Database) -> None:
    ids = [jobs.enqueue(db, "mail", priority=priority) for priority in (5, 0, -1, 0)]
    assert [claim.job_id for claim in _claim(db)] == [ids[2], ids[1], ids[3], ids[0]]


def test_jobs_without_a_handler_stay_for_a_worker_that_knows_them(db: Database) -> None:
    stranger = jobs.enqueue(db, "unknown", priority=-9)
    known = jobs.enqueue(db, "mail")
    assert [claim.job_id for claim in _claim(db)] == [known]
    assert _row(db, stranger).status == "QUEUED"


def test_a_batch_is_completed_and_the_next_claimed_in_one_go(db: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(5)])
    queue = Queue(db)
    first = queue.turn_over([], ["mail"], 3, "me")
    second = queue.turn_over([Outcome(claim, "done") for claim in first], ["mail"], 3, "me")
    assert len(second) == 2
    assert {_row(db, claim.job_id).status for claim in first} == {"COMPLETED"}
    assert queue.fence_refusals == 0


def test_writing_the_same_completion_again_is_no_loss(db: Database) -> None:
    """After a commit with an unknown outcome the whole transaction runs again."""
    jobs.enqueue(db, "mail")
    [claim] = _claim(db)
    queue = Queue(db)
    for _ in range(2):
        queue.turn_over([Outcome(claim, "done")], [], 0, "me")
    assert queue.fence_refusals == 0


def test_an_outcome_of_a_job_that_was_taken_away_is_refused(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail")
    [lost] = _claim(db, "me")
    db.change("UPDATE JobRun SET status = 'QUEUED', workerId = NULL", {})
    [theirs] = _claim(db, "them")
    queue = Queue(db)
    for verdict in ("done", "failed", "cancelled", "released"):
        queue.turn_over([Outcome(lost, verdict, "late")], [], 0, "me")
    assert queue.fence_refusals == 4
    assert _row(db, job_id).worker_id == "them"
    assert (_row(db, job_id).status, _row(db, job_id).attempt) == ("RUNNING", theirs.attempt)


def test_an_earlier_attempt_of_the_same_worker_is_refused_too(db: Database) -> None:
    jobs.enqueue(db, "mail")
    [frozen] = _claim(db, "me")
    db.change("UPDATE JobRun SET status = 'QUEUED', workerId = NULL", {})
    [again] = _claim(db, "me")
    queue = Queue(db)
    queue.turn_over([Outcome(frozen, "done")], [], 0, "me")
    assert queue.fence_refusals == 1
    queue.turn_over([Outcome(again, "done")], [], 0, "me")
    assert queue.fence_refusals == 1


def test_a_failed_attempt_waits_and_runs_again_until_none_is_left(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", max_attempts=2)
    [first] = _claim(db)
    Queue(db).turn_over([Outcome(first, "failed", "RuntimeError: no")], [], 0, "me")
    row = _row(db, job_id)
    assert (row.status, row.attempt, row.last_error, row.worker_id) == ("SCHEDULED", 1, "RuntimeError: no", None)
    glance = Queue(db).glance()
    assert glance.next_due_seconds is not None
    assert 0 < glance.next_due_seconds < 4
    db.change("UPDATE JobRun SET runAt = '2020-01-01 00:00:00.000'", {})
    assert Queue(db).glance().next_due_seconds == 0
    assert Queue(db).promote() == 1
    [second] = _claim(db)
    Queue(db).turn_over([Outcome(second, "failed", "RuntimeError: no")], [], 0, "me")
    assert (_row(db, job_id).status, _row(db, job_id).attempt) == ("FAILED", 2)
    assert _row(db, job_id).finished_at is not None


def test_a_final_failure_uses_up_no_further_attempts(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", max_attempts=9)
    [claim] = _claim(db)
    Queue(db).turn_over([Outcome(claim, "failed", "bad payload", final=True)], [], 0, "me")
    assert _row(db, job_id).status == "FAILED"


def test_a_released_job_gets_its_attempt_back(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", max_attempts=1)
    [claim] = _claim(db)
    Queue(db).turn_over([Outcome(claim, "released")], [], 0, "me")
    assert (_row(db, job_id).status, _row(db, job_id).attempt) == ("QUEUED", 0)


@pytest.mark.parametrize("verdict", ["failed", "released", "worker lost"])
def test_a_job_that_should_be_cancelled_does_not_run_again(db: Database, verdict: str) -> None:
    """Its attempt ended otherwise before its worker heard of the wish."""
    job_id = jobs.enqueue(db, "mail", unique_key="k")
    [claim] = _claim(db, "gone")
    assert jobs.cancel(db, job_id) == "requested"
    if verdict == "worker lost":
        assert Queue(db).rescue_orphans() == 1
    else:
        Queue(db).turn_over([Outcome(claim, verdict, "no")], [], 0, "gone")
    row = _row(db, job_id)
    assert row.status == "CANCELLED"
    assert row.finished_at is not None
    assert jobs.enqueue(db, "mail", unique_key="k") != job_id, "its key is free"


def test_an_error_text_of_any_length_can_be_written(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail", max_attempts=1)
    [claim] = _claim(db)
    Queue(db).turn_over([Outcome(claim, "failed", "✗" * 100_000)], [], 0, "me")
    assert _row(db, job_id).last_error == "✗" * 2000


def test_jobs_of_an_ended_process_get_a_new_attempt_or_fail(db: Database, url: str) -> None:
    worker = Identity.of(JOB_WORKER, settings(url))
    heartbeats.register(db, worker)
    again, poison = jobs.enqueue(db, "mail", max_attempts=2), jobs.enqueue(db, "mail", max_attempts=1)
    _claim(db, worker.id)
    assert Queue(db).rescue_orphans() == 0, "it lives"
    sql(url, "UPDATE WorkerInstance SET status = 'DEAD'")
    assert Queue(db).rescue_orphans() == 2
    assert (_row(db, again).status, _row(db, again).last_error) == ("SCHEDULED", "worker lost")
    assert _row(db, poison).status == "FAILED"
    assert "worker lost" in (_row(db, poison).last_error or "")
    assert Queue(db).rescue_orphans() == 0


def test_a_claim_whose_answer_was_lost_is_given_back(db: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(3)])
    claims = _claim(db)
    queue = Queue(db)
    assert queue.release_strays("me", claims[:1]) == 2
    assert queue.release_strays("me", claims[:1]) == 0
    assert jobs.summary(db).queued == 2


def test_a_job_can_be_completed_inside_another_transaction(db: Database) -> None:
    job_id = jobs.enqueue(db, "mail")
    [claim] = _claim(db)

    def fail_after_completing() -> None:
        with db.transaction():
            assert Queue(db).complete_within(claim)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_completing()
    assert _row(db, job_id).status == "RUNNING"
    with db.transaction():
        assert Queue(db).complete_within(claim)
    assert _row(db, job_id).status == "COMPLETED"


def test_old_finished_jobs_and_their_logs_are_pruned_and_nothing_else(db: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(4)])
    claims = _claim(db)
    for claim in claims:
        db.change(f"INSERT INTO JobLog (id, jobRunId, message) VALUES ('l{claim.job_id}', '{claim.job_id}', 'x')", {})
    Queue(db).turn_over([Outcome(claim, "done") for claim in claims[:3]], [], 0, "me")
    old = "runAt = '2020-01-01 00:00:00.000'"
    db.change(f"UPDATE JobRun SET {old}, finishedAt = '2020-01-02 00:00:00.000' WHERE id = '{claims[0].job_id}'", {})
    db.change(f"UPDATE JobRun SET {old} WHERE id <> '{claims[0].job_id}'", {})
    assert Queue(db).prune(30) == 1
    assert [jobs.read(db, claim.job_id) is None for claim in claims] == [True, False, False, False]
    assert len(jobs.logs(db, claims[0].job_id)) == 0
    assert len(jobs.logs(db, claims[1].job_id)) == 1


def test_a_job_that_wrote_many_lines_is_pruned_in_several_goes(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "LINES_AT_ONCE", 2)
    job_id = jobs.enqueue(db, "mail")
    claims = _claim(db)
    Queue(db).write_lines([_line(claims[0], f"line-{number}") for number in range(3)])
    Queue(db).turn_over([Outcome(claims[0], "done")], [], 0, "me")
    db.change("UPDATE JobRun SET runAt = '2020-01-01 00:00:00.000', finishedAt = '2020-01-02 00:00:00.000'", {})
    assert Queue(db).prune(30) == 2
    assert (jobs.read(db, job_id) is None, len(jobs.logs(db, job_id))) == (False, 1)
    assert Queue(db).prune(30) == 1
    assert (jobs.read(db, job_id) is None, len(jobs.logs(db, job_id))) == (True, 0)
    assert Queue(db).prune(30) == 0


def test_lines_of_a_lost_attempt_are_left_out(db: Database) -> None:
    jobs.enqueue_many(db, [NewJob("mail") for _ in range(3)])
    ours, retried, moved = _claim(db)
    db.change(f"UPDATE JobRun SET attempt = 2 WHERE id = '{retried.job_id}'", {})
    db.change(f"UPDATE JobRun SET workerId = 'somebody' WHERE id = '{moved.job_id}'", {})
    Queue(db).write_lines([_line(claim, f"of-{claim.job_id}") for claim in (moved, ours, retried)])
    assert [len(jobs.logs(db, claim.job_id)) for claim in (ours, retried, moved)] == [1, 0, 0]


def _line(claim: Claim, line_id: str) -> dict[str, Any]:
    fence = {"id": claim.job_id, "attempt": claim.attempt, "worker": claim.worker_id}
    return fence | {"log_id": line_id, "level": "info", "message": "x"}
