from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from runtime import jobs, lease, schedules
from runtime.db import Database, stamp
from runtime.handlers import DeclarationError, ScheduleDefinition
from runtime.lease import Leadership
from runtime.queue import Queue
from runtime.schedules import Schedule, StaleLeadership, UnknownSchedule, decide, due_times, next_due
from tests.runtime.support import sql

HOURLY = ScheduleDefinition("hourly", "report", cron="0 * * * *")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(cron: str | None = "0 * * * *", zone: str = "UTC", first: str | None = None, **rest: object) -> Schedule:
    fields = {
        "id": "s1",
        "name": "s",
        "enabled": True,
        "cron": cron,
        "timezone": zone,
        "nextRunAt": None if first is None else at(first),
    }
    return schedules._schedule(fields | rest)


# --- due times ------------------------------------------------------------------------------------------------------


def times(cron: str, zone: str, after: str, count: int) -> list[str]:
    return [f"{due:%m-%d %H:%M}" for due in islice(due_times(schedule(cron, zone), at(after)), count)]


def test_a_daily_time_in_the_spring_gap_runs_once_right_after_it() -> None:
    # New York, 2026-03-08: 02:00 to 03:00 does not exist; 03:00 EDT is 07:00 UTC.
    found = times("30 2 * * *", "America/New_York", "2026-03-07 12:00", 2)
    assert found == ["03-08 07:00", "03-09 06:30"]


def test_a_daily_time_in_the_autumn_fold_runs_once() -> None:
    # New York, 2026-11-01: 01:30 happens twice.
    found = times("30 1 * * *", "America/New_York", "2026-10-31 12:00", 2)
    assert found == ["11-01 05:30", "11-02 06:30"]


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
    ],
)
def test_every_half_hour_goes_on_through_a_change_of_the_clock(zone: str, change: str) -> None:
    after = at(change) - timedelta(days=1)
    found = list(islice(due_times(schedule("*/30 * * * *", zone), after), 144))
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(minutes=30)}


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(sorted(available_timezones() & {"Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"})),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    day=st.dates(min_value=datetime(2024, 1, 1).date(), max_value=datetime(2030, 1, 1).date()),
)
def test_a_daily_time_runs_once_on_every_local_day(zone: str, hour: int, minute: int, day: datetime) -> None:
    after = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) - timedelta(minutes=1)
    found = list(islice(due_times(schedule(f"{minute} {hour} * * *", zone), after.astimezone(UTC)), 5))
    days = [due.astimezone(ZoneInfo(zone)).date() for due in found]
    assert days == [day + timedelta(days=number) for number in range(5)]


def test_an_interval_counts_on_from_its_own_due_times() -> None:
    every = schedule(None, intervalSeconds=90)
    assert next_due(every, at("2026-01-01 00:00:00")) == at("2026-01-01 00:01:30")


@pytest.mark.parametrize(
    ("cron", "zone", "said"),
    [("61 * * * *", "UTC", "Bad minute"), ("* * *", "UTC", "fields"), ("* * * * *", "Mars/Base", "not known")],
)
def test_a_rule_that_makes_no_sense_is_named(cron: str, zone: str, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        next_due(schedule(cron, zone), at("2026-01-01"))


# --- what a daemon does about what has passed -----------------------------------------------------------------------


def test_what_falls_due_while_the_daemon_watches_runs() -> None:
    decision = decide(schedule(first="2026-01-01 10:00"), at("2026-01-01 10:00:01"), at("2026-01-01 09:00"))
    assert decision.run == (at("2026-01-01 10:00"),)
    assert decision.missed == ()
    assert decision.next_run_at == at("2026-01-01 11:00")


def test_a_daemon_that_merely_looked_late_runs_it_all_the_same() -> None:
    # Enabled just after an hourly look: due at 10:00, seen at 10:55, but the daemon was there all the time.
    decision = decide(schedule(first="2026-01-01 10:00"), at("2026-01-01 10:55"), at("2026-01-01 09:00"))
    assert decision.run == (at("2026-01-01 10:00"),)


def test_a_handover_within_the_grace_is_no_outage() -> None:
    decision = decide(schedule(first="2026-01-01 10:00"), at("2026-01-01 10:00:45"), at("2026-01-01 10:00:40"))
    assert decision.run == (at("2026-01-01 10:00"),)


@pytest.mark.parametrize(("policy", "run", "missed"), [("SKIP", 0, 5), ("ONCE", 1, 4), ("ALL", 3, 2)])
def test_five_hours_without_a_daemon_are_treated_as_the_policy_says(policy: str, run: int, missed: int) -> None:
    overdue = schedule(first="2026-01-01 06:00", misfirePolicy=policy, misfireMax=3)
    decision = decide(overdue, at("2026-01-01 10:30"), at("2026-01-01 10:30"))
    assert (len(decision.run), len(decision.missed)) == (run, missed)
    assert set(decision.run) == {at("2026-01-01 10:00") - timedelta(hours=number) for number in range(run)}
    assert decision.next_run_at == at("2026-01-01 11:00")


def test_a_daemon_that_only_looks_now_and_then_runs_the_latest() -> None:
    decision = decide(schedule(first="2026-01-01 06:00"), at("2026-01-01 10:30"), None)
    assert decision.run == (at("2026-01-01 10:00"),)
    assert len(decision.missed) == 4


def test_a_year_of_seconds_is_counted_not_walked_through() -> None:
    every = schedule(None, first="2025-01-01 00:00:00", intervalSeconds=1)
    decision = decide(every, at("2026-01-01 00:00:00.500"), at("2026-01-01 00:00:00"))
    assert decision.run == (at("2026-01-01 00:00:00"),)
    assert len(decision.missed) == schedules.MISSED_ROWS_MOST - 1
    assert decision.next_run_at == at("2026-01-01 00:00:01")


@pytest.mark.parametrize("cron", ["* * * * *", "*/7 3 * * *", "0 0 1 1 *"])
def test_however_long_ago_the_due_times_that_passed_are_the_same(cron: str) -> None:
    """Short enough to be walked through from the beginning, and long enough to be looked back for."""
    minutely = schedule(cron, "Europe/Berlin", first="2024-12-31 23:00")
    now = at("2026-01-01 00:00:30")
    walked = list(takewhile(lambda due: due <= now, due_times(minutely, at("2024-12-31 22:59"))))
    decision = decide(minutely, now, now)
    assert decision.missed == tuple(walked[-schedules.MISSED_ROWS_MOST :])[: len(decision.missed)]
    assert len(decision.missed) + len(decision.run) == min(len(walked), schedules.MISSED_ROWS_MOST)


def test_an_application_may_write_1970_for_at_once() -> None:
    """Thirty million minutes: walking through them takes longer than a loop may hang."""
    began = time.process_time()
    decision = decide(schedule("* * * * *", "Europe/Berlin", first="1970-01-01 00:00"), at("2026-01-01"), None)
    assert time.process_time() - began < 5
    assert decision.run == (at("2026-01-01"),)
    assert len(decision.missed) == schedules.MISSED_ROWS_MOST - 1


@pytest.mark.parametrize("seconds", [0, -60, 2**40])
def test_an_interval_that_leads_nowhere_is_named(seconds: int) -> None:
    every = schedule(None, first="2026-01-01 00:00", intervalSeconds=seconds)
    with pytest.raises(DeclarationError, match="interval"):
        decide(every, at("2026-01-01 01:00"), None)
    with pytest.raises(DeclarationError, match="interval"):
        next_due(every, at("2026-01-01"))


# --- rows -----------------------------------------------------------------------------------------------------------


def test_definitions_from_code_start_disabled_and_are_kept_in_line(db: Database) -> None:
    assert schedules.sync(db, [HOURLY, ScheduleDefinition("on", "report", every_seconds=60, enabled=True)]) == 2
    assert {each.name: each.enabled for each in schedules.read(db)} == {"hourly": False, "on": True}
    schedules.enable(db, "hourly")
    schedules.sync(db, [ScheduleDefinition("hourly", "other", cron="30 * * * *", payload={"a": 1})])
    hourly, on = schedules.read(db)
    assert (hourly.job_name, hourly.cron, hourly.enabled) == ("other", "30 * * * *", True)
    assert hourly.next_run_at is None, "counted anew by the new rule"
    assert not on.enabled, "code does not declare it any more"


def test_syncing_the_same_definitions_again_changes_nothing(db: Database) -> None:
    schedules.sync(db, [HOURLY])
    schedules.enable(db, "hourly")
    before = schedules.read(db)
    schedules.sync(db, [HOURLY])
    assert schedules.read(db) == before


def test_one_bad_definition_keeps_all_from_being_written(db: Database) -> None:
    with pytest.raises(DeclarationError, match="bad"):
        schedules.sync(db, [HOURLY, ScheduleDefinition("bad", "report", cron="nonsense")])
    assert schedules.read(db) == []


def test_an_enabled_schedule_is_next_due_in_the_future(db: Database) -> None:
    schedules.sync(db, [HOURLY])
    schedules.enable(db, "hourly")
    [hourly] = schedules.read(db)
    _, now = schedules.board(db)
    assert now is not None
    assert hourly.next_run_at is not None
    assert timedelta(0) < hourly.next_run_at - now <= timedelta(hours=1)
    schedules.disable(db, "hourly")
    assert schedules.read(db)[0].next_run_at is None


def test_run_now_enqueues_the_job_even_when_disabled(db: Database) -> None:
    schedules.sync(db, [ScheduleDefinition("hourly", "report", cron="0 * * * *", payload={"a": 1})])
    row = jobs.read(db, schedules.run_now(db, "hourly"))
    assert row is not None
    assert (row.job_name, row.payload, row.status, row.due_at) == ("report", {"a": 1}, "QUEUED", None)
    assert schedules.read(db)[0].last_run_at is not None


def test_an_unknown_schedule_is_named_with_the_known_ones(db: Database) -> None:
    schedules.sync(db, [HOURLY])
    for action in (schedules.enable, schedules.disable, schedules.run_now):
        with pytest.raises(UnknownSchedule, match="'nightly'") as caught:
            action(db, "nightly")
        assert "hourly" in caught.value.hint


# --- firing ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def leader(db: Database) -> Leadership:
    leadership = lease.acquire(db, "me", 60_000)
    assert leadership is not None
    return leadership


def due_now(db: Database, url: str, **definition: object) -> tuple[Schedule, datetime]:
    """An enabled hourly schedule whose time has come a second ago."""
    schedules.sync(db, [ScheduleDefinition("hourly", "report", cron="0 * * * *", **definition)])  # type: ignore[arg-type]
    schedules.enable(db, "hourly")
    _, now = schedules.board(db)
    assert now is not None
    sql(url, f"UPDATE JobSchedule SET nextRunAt = '{stamp(now - timedelta(seconds=1))}'")
    [found], now = schedules.board(db)
    assert now is not None
    return found, now


def fired(db: Database) -> list[jobs.JobRow]:
    return jobs.recent(db, "QUEUED")


def test_a_due_schedule_fires_once_and_moves_on(db: Database, url: str, leader: Leadership) -> None:
    due, now = due_now(db, url, payload={"a": 1}, priority=-5, max_attempts=9)
    look_at, decision = schedules.attend(db, leader, due, now, leader.since)
    assert decision is not None
    assert look_at > now
    [row] = fired(db)
    assert (row.payload, row.priority, row.max_attempts) == ({"a": 1}, -5, 9)
    assert (row.schedule_id, row.due_at) == (due.id, due.next_run_at)
    [after] = schedules.read(db)
    assert (after.next_run_at, after.last_due_at) == (look_at, due.next_run_at)
    assert after.last_run_at is not None


def test_firing_the_same_time_again_does_nothing(db: Database, url: str, leader: Leadership) -> None:
    """A commit with an unknown outcome is run again; a second reader has the same due time in hand."""
    due, now = due_now(db, url)
    schedules.attend(db, leader, due, now, leader.since)
    _, decision = schedules.attend(db, leader, due, now, leader.since)
    assert decision is None
    assert len(fired(db)) == 1


def test_the_unique_key_alone_keeps_a_due_time_from_firing_twice(db: Database, url: str, leader: Leadership) -> None:
    due, now = due_now(db, url)
    schedules.attend(db, leader, due, now, leader.since)
    assert due.next_run_at is not None
    sql(url, f"UPDATE JobSchedule SET lastDueAt = NULL, nextRunAt = '{stamp(due.next_run_at)}'")
    schedules.attend(db, leader, due, now, leader.since)
    assert len(fired(db)) == 1


def test_the_watermark_alone_keeps_a_due_time_from_firing_twice(db: Database, url: str, leader: Leadership) -> None:
    due, now = due_now(db, url)
    schedules.attend(db, leader, due, now, leader.since)
    assert due.next_run_at is not None
    sql(url, "DELETE FROM JobRun")
    sql(url, f"UPDATE JobSchedule SET nextRunAt = '{stamp(due.next_run_at)}'")
    schedules.attend(db, leader, due, now, leader.since)
    assert fired(db) == []


def test_a_time_that_has_run_is_passed_over_when_a_clock_behind_plans_it_again(
    db: Database, url: str, leader: Leadership
) -> None:
    due, now = due_now(db, url)
    sql(url, f"UPDATE JobSchedule SET lastDueAt = '{stamp(now - timedelta(seconds=1))}'")
    [again], _ = schedules.board(db)
    look_at, decision = schedules.attend(db, leader, again, now, leader.since)
    assert (look_at > now, decision) == (True, None)
    assert jobs.recent(db) == [], "neither run again nor called missed"
    assert due.id == again.id


def test_a_daemon_that_was_paused_past_its_lease_writes_nothing(db: Database, url: str, leader: Leadership) -> None:
    due, now = due_now(db, url)
    sql(url, "UPDATE SchedulerLease SET expiresAt = '2020-01-01 00:00:00.000'")
    assert lease.acquire(db, "them", 60_000) is not None
    with pytest.raises(StaleLeadership):
        schedules.attend(db, leader, due, now, leader.since)
    assert fired(db) == []
    assert schedules.read(db)[0].last_due_at is None


@pytest.mark.parametrize("change", ["enabled = 0", "nextRunAt = '2099-01-01 00:00:00.000'"])
def test_what_was_changed_between_reading_and_firing_wins(
    db: Database, url: str, leader: Leadership, change: str
) -> None:
    due, now = due_now(db, url)
    sql(url, f"UPDATE JobSchedule SET {change}")
    assert schedules.attend(db, leader, due, now, leader.since)[1] is None
    assert fired(db) == []


@pytest.mark.parametrize("watched", [True, False])
def test_after_a_pause_the_missed_run_policy_decides(db: Database, url: str, leader: Leadership, watched: bool) -> None:
    """Also about what a daemon that was there all the time saw pass, and one that looks now and then."""
    due_now(db, url, grace_seconds=0)
    schedules.pause(db, "hourly", 3600)
    schedules.resume(db, "hourly")
    [resumed], now = schedules.board(db)
    assert now is not None
    _, decision = schedules.attend(db, leader, resumed, now, now - timedelta(hours=9) if watched else None)
    assert decision is not None
    assert (decision.run, len(decision.missed)) == ((), 1)


def test_resuming_what_is_not_paused_changes_nothing(db: Database, url: str) -> None:
    due_now(db, url)
    schedules.pause(db, "hourly", 0)
    [before] = schedules.read(db)
    schedules.resume(db, "hourly")
    assert schedules.read(db) == [before]


def test_a_run_that_was_missed_can_be_started_by_hand(db: Database, url: str, leader: Leadership) -> None:
    due, now = due_now(db, url, payload={"a": 1}, priority=-5, timeout_seconds=7, grace_seconds=0)
    schedules.attend(db, leader, due, now, watched_since=now + timedelta(seconds=1))
    [missed] = jobs.recent(db, "CANCELLED")
    assert jobs.requeue(db, missed.id)
    [claim] = Queue(db).turn_over([], ["report"], 1, "me")
    assert (claim.payload, claim.timeout_seconds, missed.priority) == ({"a": 1}, 7, -5)


def test_a_run_that_was_missed_leaves_a_row(db: Database, url: str, leader: Leadership) -> None:
    due, now = due_now(db, url, grace_seconds=0)
    later = now + timedelta(seconds=1)
    schedules.attend(db, leader, due, now, watched_since=later)
    assert fired(db) == []
    [missed] = jobs.recent(db, "CANCELLED")
    assert (missed.due_at, missed.last_error) == (due.next_run_at, "missed run, policy SKIP")
    assert schedules.read(db)[0].last_run_at is None


def test_a_run_is_skipped_while_the_one_before_is_not_finished(db: Database, url: str, leader: Leadership) -> None:
    due, now = due_now(db, url, overlap="SKIP")
    jobs.enqueue(db, "report", unique_key="schedule:hourly")
    schedules.attend(db, leader, due, now, leader.since)
    assert len(fired(db)) == 1, "only the one that was there"
    [skipped] = jobs.recent(db, "CANCELLED")
    assert "overlap" in (skipped.last_error or "")


def test_a_paused_schedule_waits_for_the_end_of_its_pause(db: Database, url: str, leader: Leadership) -> None:
    due_now(db, url)
    schedules.pause(db, "hourly", 3600)
    [paused], now = schedules.board(db)
    assert now is not None
    look_at, decision = schedules.attend(db, leader, paused, now, leader.since)
    assert decision is None
    assert look_at == paused.paused_until
    schedules.resume(db, "hourly")
    [resumed], now = schedules.board(db)
    assert now is not None
    assert schedules.attend(db, leader, resumed, now, leader.since)[1] is not None


def test_a_schedule_switched_on_by_hand_counts_from_now(db: Database, url: str, leader: Leadership) -> None:
    schedules.sync(db, [HOURLY])
    sql(url, "UPDATE JobSchedule SET enabled = 1")
    [found], now = schedules.board(db)
    assert now is not None
    look_at, decision = schedules.attend(db, leader, found, now, leader.since)
    assert decision is None
    assert now < look_at <= now + timedelta(hours=1)
    assert schedules.read(db)[0].next_run_at == look_at


def test_many_daemons_without_any_lease_still_fire_a_due_time_once(
    db: Database, rival: Database, url: str, leader: Leadership
) -> None:
    """The lease off: both believe to lead, both have read the same row."""
    due, now = due_now(db, url)
    for connection in (db, rival, db, rival):
        schedules.attend(connection, leader, due, now, leader.since)
    assert len(fired(db)) == 1
