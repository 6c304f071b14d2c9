"""Scenarios 8, 17, 23, 25, 26 and 30: what a database does to those who use it.

24 (100,000 future jobs cost an empty poll nothing) is tests/mysql/test_claim.py.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from runtime import heartbeats, jobs, schedules
from runtime.context import Job
from runtime.daemon import ScheduleDaemon
from runtime.db import Database, Unreachable, connect, server_facts
from runtime.handlers import Registry, ScheduleDefinition
from runtime.jobs import NewJob
from runtime.loop import Stop
from runtime.queue import Claim, Outcome, Queue
from runtime.worker import Worker
from tests.chaos.conftest import on_servers
from tests.chaos.history import Ended, History, complaints, read_executions
from tests.chaos.processes import Fleet
from tests.chaos.test_daemons import due_every_second, runs, wait_for_runs
from tests.mysql.server import Server
from tests.runtime.support import ended, eventually, registry, running, settings


def all_ended(db: Database, ids: list[str]) -> History:
    eventually(lambda: jobs.summary(db).completed == len(ids))
    found = {row.id: Ended(row.status, row.attempt or 0) for id_ in ids if (row := jobs.read(db, id_)) is not None}
    return History(accepted=frozenset(ids), ended=found)


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """As an old primary after a failover, or a new one that is not ready yet."""
    variable = "super_read_only" if server.flavour == "mysql" else "read_only"
    with server.root() as root, root.cursor() as cursor:
        cursor.execute(f"SET GLOBAL {variable} = 1")
        try:
            yield
        finally:
            cursor.execute("SET GLOBAL super_read_only = 0" if server.flavour == "mysql" else "SELECT 1")
            cursor.execute("SET GLOBAL read_only = 0")


@on_servers
def test_8_a_database_that_is_read_only_for_a_while_loses_nobody(db: Database, server: Server, machines: Fleet) -> None:
    due_every_second(db)
    slow = {"HEARTBEAT_INTERVAL_MS": "2000"}
    daemon, worker = machines.daemon(**slow), machines.worker(**slow)
    wait_for_runs(db, 1)
    job = jobs.enqueue(db, "work", {"seconds": 0.5})
    eventually(lambda: job in {each.job for each in read_executions(machines.executions)})
    with read_only(server):
        eventually(lambda: "[worker] database unreachable" in worker.log)
        eventually(lambda: "[daemon] database unreachable" in daemon.log)
    row = ended(db, job)
    assert row.attempt == 1, "its claim was given up"
    wait_for_runs(db, 1)
    assert daemon.alive
    assert worker.alive
    assert len(runs(db)) == len(set(runs(db)))


def test_17_a_worker_that_has_the_job_again_refuses_its_own_older_thread(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread of the first attempt, given up as hopeless, ends while the same worker runs the second."""
    monkeypatch.setattr("runtime.worker.UNWILLING_SECONDS", 0.1)
    go_on, ended_late = threading.Event(), threading.Event()

    def work(job: Job) -> None:
        if job.attempt > 1:
            go_on.set()
            assert ended_late.wait(20)
            return
        job.on_interrupt(None)
        while not go_on.is_set():
            try:
                go_on.wait()
            except BaseException:
                continue  # a job that listens to nobody
        job.log("from the first attempt")
        ended_late.set()

    worker = Worker(settings(url, JOB_WORKER_CONCURRENCY="2"), registry(work=work), Stop())
    job_id = jobs.enqueue(db, "work", timeout_seconds=1)
    with running(worker):
        eventually(lambda: (row := jobs.read(db, job_id)) is not None and row.status == "SCHEDULED")
        db.change("UPDATE JobRun SET runAt = '2020-01-01 00:00:00.000', timeoutSeconds = 60", {})
        row = ended(db, job_id)
    assert row.attempt == 2
    assert jobs.logs(db, job_id) == [], "an attempt that was taken away says nothing more"


@on_servers
def test_23_sixteen_workers_and_two_producers_are_not_in_each_others_way(
    db: Database, url: str, server: Server
) -> None:
    """The server's default is REPEATABLE READ, under which this very thing deadlocks."""
    with server.root() as root, root.cursor() as cursor:
        cursor.execute(
            "SELECT @@global.transaction_isolation" if server.flavour == "mysql" else "SELECT @@tx_isolation"
        )
        assert cursor.fetchone() == ("REPEATABLE-READ",)
    each, claimed, conflicts = 1500, list[Claim](), list[int]()
    together = threading.Barrier(18)

    def produce() -> None:
        with connect(url) as own:
            together.wait()
            for _ in range(each // 20):
                jobs.enqueue_many(own, [NewJob("work")] * 20)
            conflicts.append(own.conflicts)

    def consume() -> None:
        with connect(url) as own:
            queue, done = Queue(own), list[Outcome]()
            together.wait()
            while len(claimed) < 2 * each or done:
                claims = queue.turn_over(done, ["work"], 10, "w")
                claimed.extend(claims)
                done = [Outcome(claim, "done") for claim in claims]
            conflicts.append(own.conflicts)
            assert queue.fence_refusals == 0

    threads = [threading.Thread(target=work) for work in [produce] * 2 + [consume] * 16]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(conflicts) == 18
    assert sum(conflicts) < 2 * each / 1000
    assert len({claim.job_id for claim in claimed}) == len(claimed) == 2 * each
    assert jobs.summary(db).completed == 2 * each


@contextmanager
def forgotten_transaction(server: Server) -> Iterator[None]:
    """Somebody opens a snapshot, looks at the queue, and goes to lunch."""
    with server.root("runtime") as forgetful, forgetful.cursor() as cursor:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        cursor.execute("SELECT COUNT(*) FROM JobRun")
        before = cursor.fetchone()
        yield
        cursor.execute("SELECT COUNT(*) FROM JobRun")
        assert cursor.fetchone() == before, "the snapshot was not held"


@on_servers
def test_25_somebody_elses_forgotten_transaction_changes_no_result_and_raises_an_alarm(
    db: Database, server: Server, machines: Fleet
) -> None:
    with server.root() as root, root.cursor() as cursor:
        cursor.execute("GRANT PROCESS ON *.* TO chaos@'127.0.0.1'")
        try:
            with forgotten_transaction(server):
                processes = [machines.worker(), machines.worker(), machines.daemon()]
                ids = jobs.enqueue_many(db, [NewJob("work")] * 1000)
                assert complaints(all_ended(db, ids)) == []
                eventually(lambda: all("somebody's transaction has been open" in each.log for each in processes))
                with connect(machines.url) as other:
                    facts = server_facts(other)
                assert facts.oldest_foreign_trx_seconds is not None
                assert facts.oldest_foreign_trx_seconds >= 1
                assert facts.history_list_length is not None
            eventually(lambda: all("the long transaction has ended" in each.log for each in processes))
            assert {each.log.count("somebody's transaction has been open") for each in processes} == {1}
        finally:
            cursor.execute("REVOKE PROCESS ON *.* FROM chaos@'127.0.0.1'")


@on_servers
def test_25_who_may_not_look_at_others_transactions_works_without_the_alarm(
    db: Database, server: Server, machines: Fleet
) -> None:
    with forgotten_transaction(server):
        worker = machines.worker()
        ended(db, jobs.enqueue(db, "work"))
        eventually(lambda: (heartbeats.read(db)[0].beats or 0) > 12)
        assert (server_facts(db).oldest_foreign_trx_seconds, server_facts(db).history_list_length) == (None, None)
        assert "PROCESS" not in worker.log
        assert "open for" not in worker.log


@on_servers
def test_a_row_that_somebody_holds_keeps_no_other_job_waiting(db: Database, url: str) -> None:
    """Somebody's open transaction has locked one job and one schedule; it could stay open for hours."""
    go_on = threading.Event()

    def work(job: Job) -> None:
        if job.payload:
            job.progress(50)
            assert go_on.wait(20)

    schedules.sync(db, [ScheduleDefinition(name, "work", every_seconds=1, enabled=True) for name in ("a", "b")])
    db.change("UPDATE JobSchedule SET source = 'MANUAL'", {})
    worker = Worker(settings(url, JOB_WORKER_CONCURRENCY="2"), registry(work=work), Stop())
    daemon = ScheduleDaemon(settings(url, SCHEDULE_POLL_INTERVAL_MS="500"), Registry(), Stop())
    for pool in (worker._pool, daemon._pool):
        pool._dial = lambda: connect(url, lock_wait_seconds=1)
    with running(worker, daemon), connect(url) as somebody:
        held = jobs.enqueue(db, "work", {"slow": True}, unique_key="held")
        eventually(lambda: jobs.summary(db).running == 1)
        eventually(lambda: (row := jobs.read(db, held)) is not None and row.progress == 50)
        somebody.begin()
        somebody.rows(f"SELECT id FROM JobRun WHERE id = '{held}' FOR UPDATE", {})
        somebody.rows("SELECT id FROM JobSchedule WHERE name = 'a' FOR UPDATE", {})
        go_on.set()
        eventually(lambda: worker._held)
        for _ in range(3):
            ended(db, jobs.enqueue(db, "work"))
        scheduled = "SELECT COUNT(*) AS jobs FROM JobRun r JOIN JobSchedule s ON s.id = r.scheduleId WHERE s.name = 'b'"
        before = db.rows(scheduled, {})[0]["jobs"]
        eventually(lambda: db.rows(scheduled, {})[0]["jobs"] > before)
        row = jobs.read(db, held)
        assert row is not None
        assert row.status == "RUNNING"
        somebody.rollback()
        assert ended(db, held).attempt == 1


@on_servers
def test_a_held_row_of_a_dead_process_keeps_no_job_and_no_schedule_waiting(db: Database, url: str) -> None:
    """It is declared dead once the row is free. Held beside it: an earlier leader's, a schedule yet to be planned."""
    rows = "('gone', 'job_worker', 'RUNNING', '2020-01-01'), ('led', 'schedule_daemon', 'RUNNING', NULL)"
    db.change(f"INSERT INTO WorkerInstance (id, workerType, status, leaseUntil) VALUES {rows}", {})
    columns = "(id, name, jobName, enabled, intervalSeconds)"
    db.change(f"INSERT INTO JobSchedule {columns} VALUES ('a', 'a schedule', 'work', 1, 60)", {})
    known = Registry()
    known.add_schedule(ScheduleDefinition("tick", "work", every_seconds=1, enabled=True))
    worker = Worker(settings(url), registry(work=lambda job: None), Stop())
    with connect(url) as somebody:
        somebody.begin()
        somebody.rows("SELECT id FROM WorkerInstance FOR UPDATE", {})
        somebody.rows("SELECT id FROM JobSchedule FOR UPDATE", {})
        with running(worker, ScheduleDaemon(settings(url), known, Stop())):
            eventually(lambda: jobs.summary(db).completed >= 1)
            status = "SELECT status FROM WorkerInstance WHERE id = 'gone'"
            assert db.rows(status, {})[0]["status"] == "RUNNING"
            somebody.rollback()
            eventually(lambda: db.rows(status, {})[0]["status"] == "DEAD")


@on_servers
def test_held_rows_of_jobs_that_say_how_far_they_are_keep_no_other_job_waiting(db: Database, url: str) -> None:
    """Each of them for five seconds in every turn: with a dozen, the watchdog took the loop for hanging.

    Here a wait for a lock lasts longer than the test has patience.
    """
    go_on = threading.Event()

    def talk(job: Job) -> None:
        while not go_on.wait(0.05):
            job.progress(50)

    workers = Worker(settings(url, JOB_WORKER_CONCURRENCY="4"), registry(talk=talk, work=lambda job: None), Stop())
    workers._pool._dial = lambda: connect(url, lock_wait_seconds=60, read_timeout_seconds=60)
    with running(workers), connect(url) as somebody:
        jobs.enqueue_many(db, [NewJob("talk")] * 3)
        eventually(lambda: jobs.summary(db).running == 3)
        somebody.begin()
        somebody.rows("SELECT id FROM JobRun FOR UPDATE", {})
        ended(db, jobs.enqueue(db, "work"))
        go_on.set()
        somebody.rollback()


@on_servers
def test_a_schedule_that_somebody_holds_keeps_no_new_leader_from_the_others(db: Database, url: str) -> None:
    """Its definition in code has changed: it is written down when the row is free."""
    old = [ScheduleDefinition(name, "work", every_seconds=1, enabled=True) for name in ("a", "b")]
    schedules.sync(db, old)
    new = Registry()
    new.add_schedule(replace(old[0], every_seconds=7))
    new.add_schedule(old[1])
    daemon = ScheduleDaemon(settings(url, SCHEDULE_POLL_INTERVAL_MS="500"), new, Stop())
    with connect(url) as somebody:
        somebody.begin()
        somebody.rows("SELECT id FROM JobSchedule WHERE name = 'a' FOR UPDATE", {})
        with running(daemon):
            eventually(lambda: jobs.summary(db).queued > 0)
            assert [each.interval_seconds for each in schedules.read(db)] == [1, 1]
            somebody.rollback()
            eventually(lambda: [each.interval_seconds for each in schedules.read(db)] == [7, 1])


@on_servers
def test_26_a_server_without_a_free_connection_is_waited_for(db: Database, server: Server, machines: Fleet) -> None:
    with server.root() as root, root.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Threads_connected'")
        (_, used) = cursor.fetchone()  # type: ignore[misc]
        cursor.execute(f"SET GLOBAL max_connections = {max(10, int(used))}")
        taken = []
        try:
            with suppress(Unreachable):
                while True:
                    taken.append(connect(machines.url))
            job = jobs.enqueue(db, "work")
            worker = machines.worker()
            eventually(lambda: "Too many connections" in worker.log)
        finally:
            cursor.execute("SET GLOBAL max_connections = 60")
            for each in taken:
                each.close()
    ended(db, job)
    assert worker.log.count("database unreachable") == 1, "said more than once"


def test_30_a_migration_beside_running_processes_disturbs_nobody(db: Database, machines: Fleet) -> None:
    due_every_second(db)
    daemon, worker = machines.daemon(), machines.worker()
    wait_for_runs(db, 1)
    for table in ("JobRun", "JobSchedule", "WorkerInstance", "SchedulerLease"):
        db.change(f"ALTER TABLE {table} ADD COLUMN fromTomorrow INT NULL", {})
    try:
        ids = jobs.enqueue_many(db, [NewJob("work")] * 20)
        for job in ids:
            ended(db, job)
        wait_for_runs(db, 1)
        for line in (worker.log, daemon.log):
            assert "turn failed" not in line
    finally:
        for process in (daemon, worker):
            process.kill()
        for table in ("JobRun", "JobSchedule", "WorkerInstance", "SchedulerLease"):
            db.change(f"ALTER TABLE {table} DROP COLUMN fromTomorrow", {})
