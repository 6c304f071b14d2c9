"""Scenarios 1 to 7, 9, 10 and 14: daemons that start together, die, freeze, lose their network or their time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from runtime import heartbeats, jobs, lease, schedules, start
from runtime.db import Conflict, Database, connect, instant, stamp
from runtime.handlers import ScheduleDefinition
from runtime.lease import Leadership
from runtime.schedules import HeldSchedule, Schedule, StaleLeadership
from tests.chaos.conftest import on_servers, plain_url
from tests.chaos.history import Fire, History, complaints
from tests.chaos.processes import Fleet, Process
from tests.chaos.proxy import Fate, Proxy
from tests.mysql.server import Server
from tests.runtime.support import eventually, settings

EVERY_SECOND = ScheduleDefinition("tick", "work", every_seconds=1, enabled=True)


def due_every_second(db: Database) -> None:
    schedules.sync(db, [EVERY_SECOND])
    db.change("UPDATE JobSchedule SET source = 'MANUAL'", {})  # the processes' code does not declare it


def runs(db: Database) -> list[datetime]:
    """The due times that became jobs."""
    found = db.rows("SELECT dueAt FROM JobRun WHERE dueAt IS NOT NULL AND status <> 'CANCELLED' ORDER BY dueAt", {})
    return [due for row in found if (due := instant(row["dueAt"])) is not None]


def wait_for_runs(db: Database, more: int) -> None:
    wanted = len(runs(db)) + more
    eventually(lambda: len(runs(db)) >= wanted)


def leaders(db: Database) -> list[str]:
    return [
        beat.worker_id for beat in heartbeats.read(db) if (beat.kind, beat.status) == ("schedule_daemon", "RUNNING")
    ]


def leads(db: Database, daemon: Process) -> bool:
    return daemon.id is not None and leaders(db) == [daemon.id]


def fires(*daemons: Process) -> tuple[Fire, ...]:
    found = (re.findall(r"Schedule (\S+) fired due=(\S+) jobs=\d+ token=(\d+)", daemon.log) for daemon in daemons)
    return tuple(Fire(name, datetime.fromisoformat(due), int(token)) for each in found for name, due, token in each)


def assert_history(db: Database, *daemons: Process) -> None:
    """No due time twice, none left out between the first and the last, tokens in order."""
    due_times = runs(db)
    history = History(
        accepted=frozenset(), ended={}, due_times=tuple(("tick", due) for due in due_times), fires=fires(*daemons)
    )
    assert complaints(history) == []
    assert history.fires
    missed = db.rows("SELECT dueAt FROM JobRun WHERE status = 'CANCELLED'", {})
    passed = {*due_times, *(instant(row["dueAt"]) for row in missed)}
    assert len(passed) == (max(due_times) - min(due_times)).total_seconds() + 1, "a due time has no row"


# --- processes ------------------------------------------------------------------------------------------------------


def test_1_of_two_daemons_that_start_at_once_one_leads_and_one_stands_by(db: Database, machines: Fleet) -> None:
    due_every_second(db)
    pair = [machines.daemon(), machines.daemon()]
    wait_for_runs(db, 2)
    eventually(lambda: sorted(beat.status for beat in heartbeats.read(db)) == ["RUNNING", "STANDBY"])
    eventually(lambda: sum("Standing by" in daemon.log for daemon in pair) == 1)
    assert_history(db, *pair)


@pytest.mark.parametrize("number", [3, 4], ids=["3_killed", "4_told_to_stop"])
def test_a_standby_takes_over_from_a_leader_that_is(db: Database, machines: Fleet, number: int) -> None:
    due_every_second(db)
    first = machines.daemon()
    wait_for_runs(db, 1)
    second = machines.daemon()
    eventually(lambda: "Standing by" in second.log)
    if number == 3:
        first.kill()
    else:
        first.terminate()
        assert first.wait() == 0
    eventually(lambda: leads(db, second))
    wait_for_runs(db, 2)
    assert_history(db, first, second)


def test_5_a_leader_that_was_frozen_past_its_lease_steps_down(db: Database, machines: Fleet) -> None:
    due_every_second(db)
    first = machines.daemon()
    wait_for_runs(db, 1)
    second = machines.daemon()
    eventually(lambda: "Standing by" in second.log)
    machines.freeze(first)
    eventually(lambda: leads(db, second))
    wait_for_runs(db, 1)
    first.thaw()
    eventually(lambda: "lost the lease" in first.log or "declared dead while alive" in first.log)
    wait_for_runs(db, 1)
    assert leads(db, second)
    assert_history(db, first, second)


@on_servers
def test_6_a_leader_behind_a_black_hole_is_replaced_and_comes_back_as_standby(
    db: Database, server: Server, machines: Fleet
) -> None:
    due_every_second(db)
    with Proxy(server.port) as proxy:
        first = machines.daemon(url=plain_url(server, proxy.port))
        wait_for_runs(db, 1)
        second = machines.daemon()
        eventually(lambda: "Standing by" in second.log)
        proxy.black_hole()
        eventually(lambda: leads(db, second))
        wait_for_runs(db, 1)
        proxy.heal()
        eventually(lambda: "lost the lease" in first.log or "declared dead while alive" in first.log)
        wait_for_runs(db, 1)
        assert leads(db, second)
        assert_history(db, first, second)


@on_servers
def test_6_a_leader_that_vanishes_in_the_middle_of_a_fire_does_not_keep_the_lease_locked(
    db: Database, server: Server
) -> None:
    """Its connection stands, as it does behind a dead route, and with it its share lock on the lease."""
    with Proxy(server.port) as proxy:
        connections = start.pool(settings(plain_url(server, proxy.port), HEARTBEAT_INTERVAL_MS="100"))
        vanished = connections.reserve()
        leadership = lease.acquire(vanished, "vanished", 300)
        assert leadership is not None
        vanished.begin()
        assert lease.holds(vanished, leadership)
        proxy.black_hole()
        waited = list[Conflict]()

        def taken_over() -> Leadership | None:
            try:
                return lease.acquire(db, "standby", 60_000)
            except Conflict as error:
                waited.append(error)
                return None

        db.change("SET SESSION innodb_lock_wait_timeout=1", {})
        successor = eventually(taken_over)
        assert successor is not None
        assert successor.token == leadership.token + 1
        assert waited, "it was not locked out, so this shows nothing"


@on_servers
@pytest.mark.parametrize("fate", ["lost on the way", "answer lost"])
def test_7_a_fire_whose_commit_is_unknown_becomes_one_job(
    db: Database, server: Server, machines: Fleet, fate: Fate
) -> None:
    due_every_second(db)
    with Proxy(server.port) as proxy:
        daemon = machines.daemon(url=plain_url(server, proxy.port))
        wait_for_runs(db, 1)
        proxy.spoil_next_commit(fate)
        assert proxy.spoiled.wait(20)
        wait_for_runs(db, 2)
        assert daemon.alive
        assert_history(db, daemon)


def test_9_clocks_ten_minutes_off_change_nothing(db: Database, machines: Fleet) -> None:
    """The database's clock decides about leases and due times; who leads may think it is whenever it likes."""
    due_every_second(db)
    ahead = machines.start("daemon", module="tests.chaos.shifted", CHAOS_SHIFT_SECONDS="600")
    behind = machines.start("daemon", module="tests.chaos.shifted", CHAOS_SHIFT_SECONDS="-600")
    worker = machines.start("worker", module="tests.chaos.shifted", CHAOS_SHIFT_SECONDS="-600")
    wait_for_runs(db, 2)
    first = eventually(lambda: [each for each in (ahead, behind) if leads(db, each)])
    first[0].kill()
    wait_for_runs(db, 2)
    eventually(lambda: jobs.summary(db).completed >= 3)
    early = db.rows("SELECT id FROM JobRun WHERE queuedAt < dueAt", {})
    assert early == []
    assert worker.alive
    assert_history(db, ahead, behind)


@pytest.mark.parametrize(("policy", "expected"), [("SKIP", 0), ("ONCE", 1), ("ALL", 3)])
def test_10_after_five_hours_without_a_daemon_the_policy_decides(
    db: Database, machines: Fleet, policy: str, expected: int
) -> None:
    hourly = ScheduleDefinition("hourly", "work", every_seconds=3600, enabled=True, misfire=policy, misfire_max=3)
    schedules.sync(db, [hourly])
    now = instant(db.fetch("server.now")[0]["now"])
    assert now is not None
    planned = stamp(now - timedelta(hours=4, minutes=30))
    db.change(f"UPDATE JobSchedule SET source = 'MANUAL', nextRunAt = '{planned}'", {})
    machines.daemon()
    eventually(lambda: jobs.recent(db))
    assert len(runs(db)) == expected
    missed = jobs.recent(db, "CANCELLED")
    assert len(missed) == 5 - expected
    assert all(row.due_at is not None and "missed run" in (row.last_error or "") for row in missed)


# --- one exact interleaving -----------------------------------------------------------------------------------------


def test_2_six_daemons_without_a_lease_still_fire_each_due_time_once(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the watermark and the unique key are left."""
    monkeypatch.setattr(lease, "holds", lambda *_: True)
    count, first = 400 if db.dialect == "mysql" else 100, datetime(2026, 3, 1, tzinfo=UTC)
    due_every_second(db)
    db.change(f"UPDATE JobSchedule SET nextRunAt = '{stamp(first)}', misfirePolicy = 'ALL'", {})
    refused, failures = [0] * 6, list[BaseException]()
    together = threading.Barrier(6)

    def attend(own: Database, number: int, due: datetime) -> int:
        """How often another was faster."""
        leadership, held = Leadership(f"daemon {number}", number, first), 0
        while True:
            [schedule] = schedules.read(own)
            try:
                _, decision = schedules.attend(own, leadership, schedule, due, first)
                return held + (decision is None)
            except HeldSchedule:
                held += 1

    def daemon(number: int) -> None:
        try:
            with connect(url) as own:
                together.wait()
                for tick in range(count):
                    refused[number] += attend(own, number, first + timedelta(seconds=tick))
        except BaseException as failure:
            failures.append(failure)
            together.abort()

    threads = [threading.Thread(target=daemon, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert runs(db) == [first + timedelta(seconds=tick) for tick in range(count)]
    assert sum(refused) > 0, "nobody was in anybody's way"


def _taken_over(db: Database) -> None:
    db.change("UPDATE SchedulerLease SET expiresAt = '1970-01-02 00:00:00.000'", {})
    assert lease.acquire(db, "the other", 60_000) is not None


def _switched_off(db: Database) -> None:
    schedules.disable(db, "tick")


def _redefined(db: Database) -> None:
    schedules.sync(db, [ScheduleDefinition("tick", "work", every_seconds=7200, enabled=True)])


def _deleted(db: Database) -> None:
    db.change("DELETE FROM JobSchedule", {})


@pytest.mark.parametrize(
    "meanwhile",
    [
        pytest.param(_taken_over, id="5_taken_over"),
        pytest.param(_switched_off, id="14_switched_off"),
        pytest.param(_redefined, id="14_redefined"),
        pytest.param(_deleted, id="14_deleted"),
    ],
)
def test_what_happened_while_a_leader_was_paused_before_its_write_wins(
    db: Database, url: str, meanwhile: Callable[[Database], None]
) -> None:
    due_every_second(db)
    leadership = lease.acquire(db, "me", 60_000)
    assert leadership is not None
    schedule, now = _due_now(db)
    with connect(url) as rival:
        meanwhile(rival)
    if meanwhile is _taken_over:
        with pytest.raises(StaleLeadership):
            schedules.attend(db, leadership, schedule, now, leadership.since)
    else:
        _, decision = schedules.attend(db, leadership, schedule, now, leadership.since)
        assert decision is None
    assert runs(db) == []


def _due_now(db: Database) -> tuple[Schedule, datetime]:
    now = instant(db.fetch("server.now")[0]["now"])
    assert now is not None
    db.change(f"UPDATE JobSchedule SET nextRunAt = '{stamp(now)}'", {})
    [schedule] = schedules.read(db)
    return schedule, now
