from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from runtime import daemon as daemon_module, heartbeats, jobs, lease, schedules
from runtime.daemon import ScheduleDaemon
from runtime.db import Database, Unreachable, stamp
from runtime.handlers import DeclarationError, Registry, ScheduleDefinition
from runtime.loop import Stop
from tests.runtime.support import eventually, running, settings, sql


@pytest.fixture(autouse=True)
def _quick_standby(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_module, "STANDBY_SECONDS", 0.05)


def daemon(url: str, *definitions: ScheduleDefinition, once: bool = False, **variables: str) -> ScheduleDaemon:
    known = Registry()
    for definition in definitions:
        known.add_schedule(definition)
    return ScheduleDaemon(settings(url, **variables), known, Stop(), once=once)


def hourly(**options: bool) -> ScheduleDefinition:
    return ScheduleDefinition("hourly", "report", cron="0 * * * *", **options)  # type: ignore[arg-type]


def statuses(db: Database) -> dict[str, str]:
    return {seen.worker_id: seen.status for seen in heartbeats.read(db)}


def test_the_log_says_what_the_guide_promises(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    me = daemon(url, hourly(), SCHEDULE_POLL_INTERVAL_MS="3600000")
    with running(me):
        eventually(lambda: me._introduced)
    said = capfd.readouterr().out.splitlines()
    promised = [
        "🚀 Starting schedule daemon (production mode)",
        f"✅ Schedule daemon registered: {me.identity.id}",
        "📋 Synced 1 schedule definitions from code",
        "✅ Schedule daemon started",
        "⚠️  Missed Run Policy: SKIP (if daemon down, wait for next interval)",
        "📋 Loaded 1 schedule definitions from code",
        "⏱️  Polling every 3600s",
    ]
    assert [line for line in said if line in promised] == promised


def test_of_two_daemons_one_leads_and_the_other_stands_by(db: Database, url: str) -> None:
    one, two = daemon(url, hourly()), daemon(url, hourly())
    with running(one):
        eventually(lambda: statuses(db).get(one.identity.id) == "RUNNING")
        with running(two):
            eventually(lambda: two._introduced)
            assert statuses(db)[two.identity.id] == "STANDBY"
            one.stop.request()
            eventually(lambda: statuses(db)[two.identity.id] == "RUNNING")
            state = lease.read(db)
            assert state is not None
            assert (state.holder_id, state.token) == (two.identity.id, 2)
    assert set(statuses(db).values()) == {"STOPPED"}


def test_a_lease_is_kept_by_the_heartbeat(db: Database, url: str) -> None:
    me = daemon(url, hourly(), HEARTBEAT_INTERVAL_MS="100")
    with running(me):
        eventually(lambda: any((seen.beats or 0) > 6 for seen in heartbeats.read(db)))
        state = lease.read(db)
        assert state is not None
        assert (state.holder_id, state.token) == (me.identity.id, 1)
    assert me.counts["takeovers"] == 1


def test_a_due_schedule_becomes_a_job_exactly_once_with_two_daemons(db: Database, url: str) -> None:
    every_second = ScheduleDefinition("tick", "report", every_seconds=1, enabled=True)
    with running(daemon(url, every_second), daemon(url, every_second)):
        eventually(lambda: jobs.summary(db).queued >= 2)
    rows = jobs.recent(db, limit=100)
    assert len({row.due_at for row in rows}) == len(rows)


def test_a_known_due_time_fires_without_an_extra_poll(db: Database, url: str) -> None:
    soon = ScheduleDefinition("tick", "report", every_seconds=1, enabled=True)
    me = daemon(url, soon, SCHEDULE_POLL_INTERVAL_MS="3600000")
    with running(me):
        eventually(lambda: jobs.summary(db).queued >= 2)


def test_a_daemon_that_loses_its_lease_steps_down_and_writes_nothing(db: Database, url: str) -> None:
    me = daemon(url, hourly(), HEARTBEAT_INTERVAL_MS="100")
    with running(me):
        eventually(lambda: me._introduced)
        sql(url, "UPDATE SchedulerLease SET holderId = 'them', token = 99, expiresAt = '2099-01-01 00:00:00.000'")
        eventually(lambda: statuses(db)[me.identity.id] == "STANDBY")
        assert me.counts["stepped_down"] == 1
    state = lease.read(db)
    assert state is not None
    assert (state.holder_id, state.token) == ("them", 99), "what is not ours is not resigned"


def test_a_standby_takes_over_when_the_lease_of_a_killed_leader_ends(db: Database, url: str) -> None:
    assert lease.acquire(db, "killed", 400) is not None
    me = daemon(url, hourly())
    with running(me):
        eventually(lambda: statuses(db).get(me.identity.id) == "RUNNING")
    assert lease.read(db).token == 2  # type: ignore[union-attr]


def test_a_daemon_that_was_declared_dead_comes_back_under_a_new_id(db: Database, url: str) -> None:
    me = daemon(url, hourly(), HEARTBEAT_INTERVAL_MS="100")
    with running(me):
        eventually(lambda: me._introduced)
        before = me.identity.id
        sql(url, "UPDATE WorkerInstance SET status = 'DEAD'")
        eventually(lambda: statuses(db).get(me.identity.id) == "RUNNING" and me.identity.id != before)


def test_a_daemon_that_was_fenced_ends_and_gives_the_lease_back(db: Database, url: str) -> None:
    me = daemon(url, hourly(), HEARTBEAT_INTERVAL_MS="100")
    with running(me):
        eventually(lambda: me._introduced)
        assert heartbeats.fence(db, me.identity.id)
        eventually(lambda: me.stop.requested)
    assert statuses(db) == {me.identity.id: "STOPPED"}
    assert lease.acquire(db, "another", 400) is not None


def test_a_wake_up_makes_the_daemon_read_the_schedules_again(db: Database, url: str) -> None:
    me = daemon(url, hourly(), SCHEDULE_POLL_INTERVAL_MS="3600000")
    with running(me):
        eventually(lambda: me._introduced)
        schedules.enable(db, "hourly")
        _, now = schedules.board(db)
        assert now is not None
        sql(url, f"UPDATE JobSchedule SET nextRunAt = '{stamp(now - timedelta(seconds=1))}'")
        me.wake()
        eventually(lambda: jobs.summary(db).queued == 1)


def test_looking_once_fires_what_is_due_and_ends(db: Database, url: str) -> None:
    schedules.sync(db, [hourly()])
    schedules.enable(db, "hourly")
    _, now = schedules.board(db)
    assert now is not None
    sql(url, f"UPDATE JobSchedule SET nextRunAt = '{stamp(now - timedelta(minutes=30))}'")
    daemon(url, hourly(), once=True).run()
    assert jobs.summary(db).queued == 1
    state = lease.read(db)
    assert state is not None
    assert state.holder_id is None
    assert set(statuses(db).values()) == {"STOPPED"}


def test_looking_once_beside_a_leader_does_nothing(db: Database, url: str) -> None:
    assert lease.acquire(db, "leader", 60_000) is not None
    daemon(url, hourly(), once=True).run()
    assert schedules.read(db) == []


def test_a_schedule_nobody_understands_does_not_stop_the_others(
    db: Database, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sql(url, "INSERT INTO JobSchedule (id, name, jobName, enabled, cron) VALUES ('x', 'bad', 'report', 1, 'soon')")
    with running(daemon(url, ScheduleDefinition("tick", "report", every_seconds=1, enabled=True))):
        eventually(lambda: jobs.summary(db).queued >= 1)
    assert "'bad'" in capfd.readouterr().err


def test_a_daemon_whose_code_declares_nonsense_does_not_take_the_lead_from_another(db: Database, url: str) -> None:
    bad = ScheduleDefinition("bad", "report", cron="61 * * * *")
    with pytest.raises(DeclarationError, match="Bad minute"):
        daemon(url, hourly(), bad).run()
    state = lease.read(db)
    assert state is not None
    assert (state.token, heartbeats.read(db)) == (0, [])


def test_a_row_that_cannot_work_does_not_stop_the_others(
    db: Database, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """An interval of 0, and a name that fits its own column but not the key of overlapPolicy SKIP."""
    values = "1, 'report', '2020-01-01'"
    columns = "id, name, enabled, jobName, nextRunAt, intervalSeconds, overlapPolicy"
    sql(url, f"INSERT INTO JobSchedule ({columns}) VALUES ('x', 'a zero', {values}, 0, 'ALLOW')")
    if db.dialect == "mysql":
        sql(url, f"INSERT INTO JobSchedule ({columns}) VALUES ('y', '{'b' * 190}', {values}, 60, 'SKIP')")
    with running(daemon(url, ScheduleDefinition("tick", "report", every_seconds=1, enabled=True))):
        eventually(lambda: jobs.summary(db).queued >= 1)
    said = capfd.readouterr().err
    assert "'a zero'" in said
    assert "Traceback" not in said


def test_schedules_that_a_failure_left_unseen_do_not_wait_for_the_next_poll(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend, failures = schedules.attend, iter([Unreachable("the connection broke")])

    def attend_after_a_failure(*args: Any) -> Any:
        for failure in failures:
            raise failure
        return attend(*args)

    monkeypatch.setattr(schedules, "attend", attend_after_a_failure)
    tick = ScheduleDefinition("tick", "report", every_seconds=1, enabled=True)
    with running(daemon(url, tick, SCHEDULE_POLL_INTERVAL_MS="3600000")):
        eventually(lambda: jobs.summary(db).queued >= 1)


def test_a_daemon_declares_silent_processes_dead(db: Database, url: str) -> None:
    sql(url, "INSERT INTO WorkerInstance (id, workerType, leaseUntil) VALUES ('gone', 'job_worker', '2020-01-01')")
    with running(daemon(url)):
        eventually(lambda: statuses(db)["gone"] == "DEAD")
