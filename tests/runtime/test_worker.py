from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from runtime import heartbeats, jobs
from runtime.context import LOG_LINES_MOST, Interrupted, Job, LostJob
from runtime.db import Database, DatabaseError, Unreachable
from runtime.handlers import Handler, Registry
from runtime.jobs import NewJob
from runtime.loop import Stop
from runtime.queue import Claim, Glance, Outcome, Queue
from runtime.slots import Slots
from runtime.worker import Worker
from tests.runtime.support import LONGEST_SECONDS, ended, eventually, registry, running, settings, sql


def worker(url: str, known: Registry, **variables: str) -> Worker:
    return Worker(settings(url, **variables), known, Stop())


def test_a_job_runs_to_completion(db: Database, url: str) -> None:
    seen: list[Any] = []
    job_id = jobs.enqueue(db, "mail", {"to": "me"})
    with running(worker(url, registry(mail=lambda job: seen.append((job.id, job.payload, job.attempt))))):
        row = ended(db, job_id)
    assert seen == [(job_id, {"to": "me"}, 1)]
    assert row.finished_at is not None


def test_a_worker_is_seen_while_it_works_and_after_it_stopped(db: Database, url: str) -> None:
    me = worker(url, registry(mail=lambda job: None), JOB_WORKER_POLL_INTERVAL_MS="30000", DEPLOYKIT_PROFILE="p")
    with running(me):
        [seen] = eventually(lambda: heartbeats.read(db))
        assert (seen.kind, seen.status, seen.poll_interval_ms, seen.profile) == ("job_worker", "RUNNING", 30_000, "p")
        eventually(lambda: (heartbeats.read(db)[0].beats or 0) > 0)
    assert heartbeats.read(db)[0].status == "STOPPED"


def test_two_workers_share_the_work_and_run_each_job_once(db: Database, url: str) -> None:
    seen: list[str] = []
    ids = jobs.enqueue_many(db, [NewJob("mail") for _ in range(300)])
    known = registry(mail=lambda job: seen.append(job.id))
    with running(worker(url, known), worker(url, known, JOB_WORKER_CONCURRENCY="4")):
        eventually(lambda: jobs.summary(db).completed == 300)
    assert sorted(seen) == sorted(ids)


def test_a_failed_job_is_tried_again_when_its_time_comes(db: Database, url: str) -> None:
    attempts: list[int] = []

    def flaky(job: Job) -> None:
        attempts.append(job.attempt)
        if job.attempt == 1:
            raise RuntimeError("not yet")

    job_id = jobs.enqueue(db, "flaky")
    with running(worker(url, registry(flaky=flaky), JOB_WORKER_POLL_INTERVAL_MS="60000")):
        row = ended(db, job_id)
    assert attempts == [1, 2]
    assert row.last_error is None


def test_an_error_is_kept_on_the_row(db: Database, url: str) -> None:
    def broken(job: Job) -> None:
        raise RuntimeError("no such customer")

    job_id = jobs.enqueue(db, "broken", max_attempts=1)
    with running(worker(url, registry(broken=broken))):
        row = ended(db, job_id, "FAILED")
    assert row.last_error == "RuntimeError: no such customer"


def test_a_job_past_its_timeout_is_ended(db: Database, url: str) -> None:
    def endless(job: Job) -> None:
        while True:
            time.sleep(0.01)

    job_id = jobs.enqueue(db, "endless", timeout_seconds=1, max_attempts=1)
    with running(worker(url, registry(endless=endless))):
        row = ended(db, job_id, "FAILED")
    assert "timeout" in (row.last_error or "")


def test_a_running_job_can_be_cancelled(db: Database, url: str) -> None:
    started = threading.Event()

    def endless(job: Job) -> None:
        started.set()
        while not job.stopping:
            time.sleep(0.01)
        raise RuntimeError("told to end")

    job_id = jobs.enqueue(db, "endless")
    with running(worker(url, registry(endless=endless))):
        assert started.wait(LONGEST_SECONDS)
        assert jobs.cancel(db, job_id) == "requested"
        row = ended(db, job_id, "CANCELLED")
    assert row.finished_at is not None


def test_log_lines_and_progress_of_a_job_are_written(db: Database, url: str) -> None:
    def report(job: Job) -> None:
        job.log("half way", level="warn")
        job.progress(50)
        job.log("done")

    job_id = jobs.enqueue(db, "report")
    with running(worker(url, registry(report=report))):
        row = ended(db, job_id)
    assert row.progress == 50
    assert [(line["level"], line["message"]) for line in jobs.logs(db, job_id)] == [
        ("warn", "half way"),
        ("info", "done"),
    ]


def test_a_line_that_is_written_already_costs_none_of_the_others(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a commit whose answer was lost, when more has been said since."""
    names = iter(["line-1", "line-2", "line-3"])
    monkeypatch.setattr("runtime.worker.new_id", lambda: next(names))
    db.change("INSERT INTO JobLog (id, jobRunId, message) VALUES ('line-2', 'another', 'x')", {})

    def report(job: Job) -> None:
        for number in (1, 2, 3):
            job.log(f"said {number}")

    job_id = jobs.enqueue(db, "report")
    with running(worker(url, registry(report=report))):
        ended(db, job_id)
    assert [line["message"] for line in jobs.logs(db, job_id)] == ["said 1", "said 3"]


def test_an_attempt_says_no_more_than_the_table_can_bear() -> None:
    said: list[str] = []
    claim = Claim("1", "talkative", None, 1, 3, None, None, None, "me")
    job = Job(claim, lambda: None, lambda kind, claim, **facts: said.append(facts["message"]))
    for _ in range(LOG_LINES_MOST + 10):
        job.log("and another thing")
    assert len(said) == LOG_LINES_MOST
    assert said[-1] == "10000 lines: what this attempt says from here on is not kept"


def test_a_talkative_job_keeps_no_other_waiting(db: Database, url: str) -> None:
    others_ended = threading.Event()

    def talkative(job: Job) -> None:
        while not others_ended.is_set():
            job.log("and another thing")

    talks = jobs.enqueue(db, "talkative")
    me = worker(url, registry(talkative=talkative, mail=lambda job: None), JOB_WORKER_CONCURRENCY="2")
    try:
        with running(me):
            eventually(lambda: jobs.logs(db, talks))
            ended(db, jobs.enqueue(db, "mail"))
            others_ended.set()
            ended(db, talks)
    finally:
        others_ended.set()


def test_an_unknown_job_waits_and_is_named_once(db: Database, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    stranger = jobs.enqueue(db, "new-thing", priority=-1)
    with running(worker(url, registry(mail=lambda job: None))):
        for _ in range(2):
            ended(db, jobs.enqueue(db, "mail"))
        row = jobs.read(db, stranger)
    assert row is not None
    assert (row.status, row.attempt) == ("QUEUED", 0)
    assert capfd.readouterr().out.count("no handler: new-thing") == 1


def test_a_name_that_is_another_but_for_a_space_is_another_job(db: Database, url: str) -> None:
    """Servers compare texts without the spaces at their end, and in a table that Prisma made without their case."""
    others = [jobs.enqueue(db, "work "), jobs.enqueue(db, "Work")]
    if db.dialect == "mysql":
        sql(url, "ALTER TABLE JobRun MODIFY jobName VARCHAR(191) COLLATE utf8mb4_unicode_ci NOT NULL")
    try:
        with running(worker(url, registry(work=lambda job: None, späť=lambda job: None))):
            ended(db, jobs.enqueue(db, "work"))
            ended(db, jobs.enqueue(db, "späť"))
        assert [(row.status, row.attempt) for job_id in others if (row := jobs.read(db, job_id))] == [("QUEUED", 0)] * 2
    finally:
        if db.dialect == "mysql":
            sql(url, "ALTER TABLE JobRun MODIFY jobName VARCHAR(191) COLLATE utf8mb4_bin NOT NULL")


def test_a_wake_up_in_the_middle_of_a_look_is_not_forgotten(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look did not see the job yet; without another one it would wait for the next poll, an hour away."""
    me = worker(url, registry(work=lambda job: None), JOB_WORKER_POLL_INTERVAL_MS="3600000")
    glance, ids = Queue.glance, list[str]()

    def glance_and_then(self: Queue) -> Glance:
        seen = glance(self)
        if not ids:
            ids.append(jobs.enqueue(db, "work"))
            me.wake()
        return seen

    monkeypatch.setattr(Queue, "glance", glance_and_then)
    with running(me):
        eventually(lambda: ids)
        ended(db, ids[0])


def test_jobs_that_became_due_are_looked_for_again_after_a_failure(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote, failures = Queue.promote, iter([Unreachable("the connection broke")])

    def promote_after_a_failure(self: Queue) -> int:
        for failure in failures:
            raise failure
        return promote(self)

    monkeypatch.setattr(Queue, "promote", promote_after_a_failure)
    job_id = jobs.enqueue(db, "work", delay_seconds=0.001)
    with running(worker(url, registry(work=lambda job: None), JOB_WORKER_POLL_INTERVAL_MS="3600000")):
        ended(db, job_id)


def test_a_job_within_the_drain_window_is_finished(db: Database, url: str) -> None:
    started, gate = threading.Event(), threading.Event()

    def slow(job: Job) -> None:
        started.set()
        assert gate.wait(LONGEST_SECONDS)

    job_id = jobs.enqueue(db, "slow")
    me = worker(url, registry(slow=slow), RAILWAY_DEPLOYMENT_DRAINING_SECONDS="60")
    with running(me):
        assert started.wait(LONGEST_SECONDS)
        me.stop.request()
        eventually(lambda: heartbeats.read(db)[0].status == "DRAINING")
        gate.set()
    row = jobs.read(db, job_id)
    assert row is not None
    assert row.status == "COMPLETED"


def test_a_job_longer_than_the_drain_window_is_given_back_with_its_attempt(db: Database, url: str) -> None:
    started = threading.Event()

    def endless(job: Job) -> None:
        started.set()
        while True:
            time.sleep(0.01)

    ids = [jobs.enqueue(db, "endless") for _ in range(2)]
    me = worker(url, registry(endless=endless), RAILWAY_DEPLOYMENT_DRAINING_SECONDS="0")
    with running(me):
        assert started.wait(LONGEST_SECONDS)
    rows = [jobs.read(db, job_id) for job_id in ids]
    assert [(row.status, row.attempt) for row in rows if row] == [("QUEUED", 0), ("QUEUED", 0)]


def test_a_thread_that_obeys_nobody_does_not_keep_the_worker(db: Database, url: str) -> None:
    started, gate = threading.Event(), threading.Event()

    def deaf(job: Job) -> None:
        started.set()
        gate.wait(LONGEST_SECONDS)

    job_id = jobs.enqueue(db, "deaf")
    with running(worker(url, registry(deaf=deaf), RAILWAY_DEPLOYMENT_DRAINING_SECONDS="0")):
        assert started.wait(LONGEST_SECONDS)
    gate.set()
    row = jobs.read(db, job_id)
    assert row is not None
    assert (row.status, row.attempt) == ("QUEUED", 0)


def test_a_thread_that_was_given_up_does_not_complete_what_was_started_again_by_hand(db: Database, url: str) -> None:
    """The same worker has the same attempt again: the table cannot tell the two apart."""
    attempts, first_goes_on, second_goes_on, first_has_ended = (
        0,
        threading.Event(),
        threading.Event(),
        threading.Event(),
    )
    refused: list[type[BaseException]] = []

    def hopeless() -> None:
        while not first_goes_on.is_set():
            with suppress(Interrupted):
                first_goes_on.wait(0.05)

    def mail(job: Job) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            assert second_goes_on.wait(LONGEST_SECONDS)
            return
        hopeless()
        try:
            job.log("still here")
            with job.transaction():
                pass
        except LostJob as error:
            refused.append(type(error))
        finally:
            first_has_ended.set()

    job_id = jobs.enqueue(db, "mail", timeout_seconds=1, max_attempts=1)
    with running(worker(url, registry(mail=mail))):
        ended(db, job_id, "FAILED")
        sql(url, "UPDATE JobRun SET timeoutSeconds = NULL")
        assert jobs.requeue(db, job_id)
        eventually(lambda: attempts == 2)
        first_goes_on.set()
        assert first_has_ended.wait(LONGEST_SECONDS)
        second_goes_on.set()
        ended(db, job_id)
    assert refused == [LostJob]
    assert jobs.logs(db, job_id) == []


def test_what_a_job_does_when_it_should_end_holds_up_no_other(db: Database, url: str) -> None:
    """One waits, one fails; both jobs obey nobody, and the worker must come back under a new id meanwhile."""
    go_on = threading.Event()

    def stubborn(job: Job) -> None:
        def end() -> None:
            if job.payload == "fails":
                raise RuntimeError("as asked")
            go_on.wait(LONGEST_SECONDS)

        job.on_interrupt(end)
        with suppress(Interrupted):
            go_on.wait(LONGEST_SECONDS)

    jobs.enqueue_many(db, [NewJob("stubborn", "waits"), NewJob("stubborn", "fails")])
    me = worker(url, registry(stubborn=stubborn, mail=lambda job: None), JOB_WORKER_CONCURRENCY="3")
    with running(me):
        eventually(lambda: jobs.summary(db).running == 2)
        first = me.identity.id
        sql(url, f"UPDATE WorkerInstance SET status = 'DEAD' WHERE id = '{first}'")
        eventually(lambda: me.identity.id != first)
        ended(db, jobs.enqueue(db, "mail"))
        go_on.set()


def test_a_worker_that_was_declared_dead_starts_again_and_its_late_result_is_refused(db: Database, url: str) -> None:
    started, gate, attempts = threading.Event(), threading.Event(), []

    def slow(job: Job) -> None:
        attempts.append(job.attempt)
        started.set()
        if job.attempt == 1:
            gate.wait(LONGEST_SECONDS)

    job_id = jobs.enqueue(db, "slow")
    me = worker(url, registry(slow=slow), JOB_WORKER_CONCURRENCY="2")
    with running(me):
        assert started.wait(LONGEST_SECONDS)
        before = me.identity.id
        sql(url, "UPDATE WorkerInstance SET status = 'DEAD'")
        assert Queue(db).rescue_orphans() == 1
        eventually(lambda: me.identity.id != before)
        row = ended(db, job_id)
        gate.set()
        eventually(lambda: me._queue.fence_refusals == 1)
    assert attempts == [1, 2]
    assert row.worker_id == me.identity.id


def test_a_worker_that_was_fenced_ends_and_its_job_is_another_workers(db: Database, url: str) -> None:
    started, told = threading.Event(), threading.Event()

    def slow(job: Job) -> None:
        started.set()
        try:
            while True:
                time.sleep(0.01)
        except Interrupted:
            told.set()
            raise

    job_id = jobs.enqueue(db, "slow")
    me = worker(url, registry(slow=slow))
    with running(me):
        assert started.wait(LONGEST_SECONDS)
        assert heartbeats.fence(db, me.identity.id)
        assert not heartbeats.fence(db, me.identity.id), "it is fenced already"
        eventually(lambda: me.stop.requested)
    assert told.is_set()
    assert [seen.status for seen in heartbeats.read(db)] == ["STOPPED"]
    Queue(db).rescue_orphans()
    row = jobs.read(db, job_id)
    assert row is not None
    assert row.status != "RUNNING"


def test_a_worker_gives_the_jobs_of_a_silent_one_a_new_attempt(db: Database, url: str) -> None:
    """What a kill -9 leaves behind: a RUNNING job, and a worker's row whose lease ends."""
    job_id = jobs.enqueue(db, "mail")
    sql(url, "INSERT INTO WorkerInstance (id, workerType, leaseUntil) VALUES ('gone', 'job_worker', '2020-01-01')")
    Queue(db).turn_over([], ["mail"], 1, "gone")
    with running(worker(url, registry(mail=lambda job: None))):
        row = ended(db, job_id)
    assert row.attempt == 2
    assert {seen.worker_id: seen.status for seen in heartbeats.read(db)}["gone"] == "DEAD"


def test_the_jobs_of_a_dead_worker_are_found_whoever_declared_it_dead(db: Database, url: str) -> None:
    """Who declared it dead may have died before it could look after the jobs, or lost the database."""
    me = worker(url, registry(mail=lambda job: None))
    with running(me):
        ended(db, jobs.enqueue(db, "mail"))
        eventually(lambda: me._reaper.due_in_seconds() > 0)
        job_id = jobs.enqueue(db, "mail", delay_seconds=3600)
        sql(url, "INSERT INTO WorkerInstance (id, workerType, status) VALUES ('gone', 'job_worker', 'DEAD')")
        sql(url, "UPDATE JobRun SET status = 'RUNNING', attempt = 1, workerId = 'gone' WHERE finishedAt IS NULL")
        row = ended(db, job_id)
    assert row.attempt == 2


def test_a_claim_that_is_committed_after_everybody_gave_it_up_is_found(db: Database, url: str) -> None:
    """A COMMIT may take effect long after its connection broke, when the disk or the group was slow."""
    me = worker(url, registry(mail=lambda job: None))
    with running(me):
        ended(db, jobs.enqueue(db, "mail"))
        eventually(lambda: me._reaper.due_in_seconds() > 0)
        job_id = jobs.enqueue(db, "mail", delay_seconds=3600)
        late = f"UPDATE JobRun SET status = 'RUNNING', attempt = 1, workerId = '{me.identity.id}'"
        sql(url, f"{late}, runAt = queuedAt WHERE finishedAt IS NULL")
        row = ended(db, job_id)
    assert row.attempt == 1, "it never ran, so the attempt does not count"


def test_an_error_that_nobody_foresaw_costs_no_outcome(db: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, failures = Queue._claim, [RuntimeError("something new")]

    def failing_once(self: Queue, names: Any, limit: int, worker_id: str) -> Any:
        if ran and failures:
            raise failures.pop()
        return claim(self, names, limit, worker_id)

    monkeypatch.setattr(Queue, "_claim", failing_once)
    ran: list[str] = []
    job_id = jobs.enqueue(db, "mail")
    me = worker(url, registry(mail=lambda job: ran.append(job.id)))
    with running(me):
        eventually(lambda: ran)
        jobs.enqueue(db, "mail")
        me.wake()
        row = ended(db, job_id)
    assert failures == []
    assert row.attempt == 1


def test_past_its_lease_a_worker_starts_nothing(db: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thawed after a long sleep: what it had claimed and not begun is somebody else's by now."""
    ran, frozen = list[str](), threading.Event()
    put = Slots.put

    def put_and_sleep(self: Slots, claims: list[Claim]) -> None:
        if claims:
            frozen.set()
        put(self, claims)

    monkeypatch.setattr(Slots, "put", put_and_sleep)
    monkeypatch.setattr(heartbeats.Heart, "alive_for_seconds", lambda self: -1.0 if frozen.is_set() else 45.0)
    job_id = jobs.enqueue(db, "mail")
    me = worker(url, registry(mail=lambda job: ran.append(job.id)))
    with running(me):
        eventually(lambda: me.counts["released"] == 1)
        row = jobs.read(db, job_id)
    assert ran == []
    assert row is not None
    assert (row.status, row.attempt) == ("QUEUED", 0)


def test_a_worker_may_take_longer_to_drain_than_a_loop_may_hang(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled: list[str] = []
    defaults = heartbeats.Heart.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "stall_limit_seconds", 1.0)
    monkeypatch.setitem(defaults, "on_stall", stalled.append)
    started, gate = threading.Event(), threading.Event()

    def slow(job: Job) -> None:
        started.set()
        assert gate.wait(LONGEST_SECONDS)

    jobs.enqueue(db, "slow")
    me = worker(url, registry(slow=slow), RAILWAY_DEPLOYMENT_DRAINING_SECONDS="600")
    with running(me):
        assert started.wait(LONGEST_SECONDS)
        me.stop.request()
        eventually(lambda: (heartbeats.read(db)[0].beats or 0) >= 4)
        gate.set()
    assert stalled == []


def test_what_a_job_writes_in_its_transaction_happens_with_its_completion(db: Database, url: str) -> None:
    db.change("DROP TABLE IF EXISTS Payment", {})
    db.change("CREATE TABLE Payment (job VARCHAR(191) NOT NULL)", {})
    seen: list[bool] = []

    def pay(job: Job) -> None:
        with job.transaction() as cursor:
            cursor.execute(f"INSERT INTO Payment VALUES ('{job.id}')")
        seen.append(job.completed_within)

    job_id = jobs.enqueue(db, "pay")
    with running(worker(url, registry(pay=pay))):
        ended(db, job_id)
    assert seen == [True]
    assert len(db.rows("SELECT * FROM Payment", {})) == 1


def test_a_transaction_of_a_lost_job_writes_nothing(db: Database, url: str) -> None:
    db.change("DROP TABLE IF EXISTS Payment", {})
    db.change("CREATE TABLE Payment (job VARCHAR(191) NOT NULL)", {})
    caught: list[type[BaseException]] = []

    def pay(job: Job) -> None:
        if job.attempt > 1:
            return
        sql(url, "UPDATE JobRun SET status = 'QUEUED', workerId = NULL")
        try:
            with job.transaction() as cursor:
                cursor.execute("INSERT INTO Payment VALUES ('twice')")
        except LostJob:
            caught.append(LostJob)
            raise

    job_id = jobs.enqueue(db, "pay")
    with running(worker(url, registry(pay=pay), JOB_WORKER_CONCURRENCY="2")):
        ended(db, job_id)
    assert caught == [LostJob]
    assert db.rows("SELECT * FROM Payment", {}) == []


def test_an_outcome_the_database_refuses_fails_that_job_alone(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that can never succeed must not stop the others of its batch."""
    ids = [jobs.enqueue(db, "mail", n) for n in range(3)]
    me = worker(url, registry(mail=lambda job: None))
    write = Queue._settle

    def refusing(self: Queue, outcomes: list[Outcome]) -> int:
        if any(outcome.claim.job_id == ids[1] and outcome.verdict == "done" for outcome in outcomes):
            raise DatabaseError("row too large")
        return write(self, outcomes)

    monkeypatch.setattr(Queue, "_settle", refusing)
    with running(me):
        ended(db, ids[0])
        ended(db, ids[2])
        refused = ended(db, ids[1], "SCHEDULED")
    assert refused.last_error == "its outcome could not be written"


def test_slow_jobs_are_not_hoarded(db: Database, url: str) -> None:
    """After many quick ones a worker takes many at a time; when they turn slow, the rest goes back to the others."""
    gate, slow = threading.Event(), threading.Event()

    def sometimes_slow(job: Job) -> None:
        if job.payload == "slow":
            slow.set()
            gate.wait(LONGEST_SECONDS)

    known = registry(sometimes=sometimes_slow)
    jobs.enqueue_many(db, [NewJob("sometimes") for _ in range(300)])
    jobs.enqueue_many(db, [NewJob("sometimes", "slow", priority=1), *[NewJob("sometimes", priority=2)] * 20])
    with running(worker(url, known)):
        assert slow.wait(LONGEST_SECONDS)
        with running(worker(url, known)):
            eventually(lambda: jobs.summary(db).completed == 320)
        gate.set()
        eventually(lambda: jobs.summary(db).completed == 321)


def test_a_worker_without_enough_connections_fails_the_transaction_with_a_hint(db: Database, url: str) -> None:
    me = worker(url, registry(pay=lambda job: None), DATABASE_CONNECTION_LIMIT="2")
    me._pool._wait_seconds = 0.01

    def pay(job: Job) -> None:
        with job.transaction():
            pass

    me._handlers["pay"] = Handler("pay", pay)
    job_id = jobs.enqueue(db, "pay", max_attempts=1)
    with running(me):
        row = ended(db, job_id, "FAILED")
    hint = "all 2 connections of this process are in use; raise DATABASE_CONNECTION_LIMIT"
    assert row.last_error == f"Exhausted: {hint}"
