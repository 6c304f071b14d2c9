"""When to enqueue what: due times (pure), definitions, and firing a due time exactly once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from typing import Any

from runtime import lease
from runtime.db import Database, DatabaseError, Duplicate, Row, instant, stamp
from runtime.handlers import LONGEST_INTERVAL_SECONDS, DeclarationError, ScheduleDefinition
from runtime.identity import new_id
from runtime.lease import Leadership

MISSED_ROWS_MOST = 1000
FIRST_LOOK_BACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of JobSchedule."""

    id: str
    name: str
    job_name: str
    enabled: bool
    cron: str | None
    interval_seconds: int | None
    timezone: str
    misfire_policy: str
    misfire_max: int
    grace_seconds: int
    overlap_policy: str
    paused_until: datetime | None
    next_run_at: datetime | None
    last_due_at: datetime | None
    last_run_at: datetime | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about the due times that have passed: which to run, which to note as missed, and when is next."""

    run: tuple[datetime, ...]
    missed: tuple[datetime, ...]
    next_run_at: datetime


class UnknownSchedule(DatabaseError):
    """No schedule has that name."""


class StaleLeadership(Exception):
    """Another daemon has the lease now: nothing was written."""


class HeldSchedule(Exception):
    """Somebody else's open transaction has locked a schedule's row: nothing was written there."""


# --- due times, pure ------------------------------------------------------------------------------------------------


def next_due(schedule: Schedule, after: datetime) -> datetime:
    """The first due time after `after`, in UTC. Raises `DeclarationError` for a schedule that cannot be understood.

    Daylight saving as in Vixie cron: a fixed time inside the spring gap runs once right after it, one inside the autumn
    fold runs once; `*` and `*/n` follow elapsed time. Intervals count on from their own due times, never from a delay.
    """
    return next(due_times(schedule, after))


def due_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    if schedule.interval_seconds is not None:
        return _by_interval(after, _step(schedule.name, schedule.interval_seconds))
    return _by_cron(schedule.name, schedule.cron or "", schedule.timezone, after)


def _step(name: str, seconds: int) -> timedelta:
    """An interval as a length of time. Raises `DeclarationError` for one that leads to no later time."""
    if not 1 <= seconds <= LONGEST_INTERVAL_SECONDS:
        raise DeclarationError(
            f"schedule {name!r}: an interval is 1 to {LONGEST_INTERVAL_SECONDS} seconds, not {seconds}"
        )
    return timedelta(seconds=seconds)


def _by_interval(after: datetime, step: timedelta) -> Iterator[datetime]:
    while True:
        after += step
        yield after


def _by_cron(name: str, cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    from cronsim import CronSim, CronSimError

    try:
        for due in CronSim(cron, after.astimezone(_zone(timezone))):
            yield due.astimezone(UTC)
    except CronSimError as error:
        raise DeclarationError(f"schedule {name!r}: cron {cron!r}: {error}") from None
    except (KeyError, ValueError, OSError):
        raise DeclarationError(f"schedule {name!r}: time zone {timezone!r} is not known") from None
    raise DeclarationError(f"schedule {name!r}: cron {cron!r} never comes due")


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # without zoneinfo, which a daemon whose schedules all say UTC need not carry
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def decide(schedule: Schedule, now: datetime, watched_since: datetime | None) -> Decision:
    """What a daemon that leads since `watched_since` does about everything due up to `now`.

    A due time is on time while it is within the grace, or when it came while this daemon was leading and merely not
    looking (an hourly poll is not an outage, but a pause is one); `watched_since` None says that nobody else ever
    looks. Of several on-time ones the latest runs. The others came while no daemon was alive: SKIP runs none of them,
    ONCE the latest, ALL the latest `misfire_max`. Whatever does not run is missed, and is written down.
    """
    assert schedule.next_run_at is not None
    passed, following = _passed(schedule, schedule.next_run_at, now)
    grace = timedelta(seconds=schedule.grace_seconds)
    on_time = [due for due in passed if watched_since is None or due >= watched_since or now - due <= grace]
    if schedule.misfire_policy == "ALL":
        run = passed[-max(1, schedule.misfire_max) :]
    elif schedule.misfire_policy == "ONCE":
        run = passed[-1:]
    else:
        run = on_time[-1:]
    missed = [due for due in passed if due not in set(run)]
    return Decision(tuple(run), tuple(missed), following)


def _passed(schedule: Schedule, first: datetime, now: datetime) -> tuple[list[datetime], datetime]:
    """The due times from `first` up to now, the latest 1000 of them, and the one after."""
    if schedule.interval_seconds is not None:
        # By arithmetic: a short interval and a long absence make millions.
        step = _step(schedule.name, schedule.interval_seconds)
        count = (now - first) // step + 1
        start = max(0, count - MISSED_ROWS_MOST)
        return [first + step * number for number in range(start, count)], first + step * count
    # Backwards in ever longer steps: an application that writes 1970 for "at once" would have us count for minutes.
    back = FIRST_LOOK_BACK
    while True:
        since = max(first, now - back)
        passed = [first] if since == first else []
        for due in due_times(schedule, since):
            if due > now:
                break
            passed.append(due)
        if since == first or len(passed) >= MISSED_ROWS_MOST:
            return passed[-MISSED_ROWS_MOST:], due
        back *= 10


# --- definitions and switches ---------------------------------------------------------------------------------------


def read(db: Database) -> list[Schedule]:
    """All schedules by name. Needs SELECT only; raises `DatabaseError`."""
    return [_schedule(row) for row in db.fetch("schedules.read")]


def _schedule(row: Row) -> Schedule:
    # A table of a Node application may lack columns, and a row of it values: then the defaults of our own tables hold.
    known = {name: value for name, value in row.items() if value is not None}
    return Schedule(
        id=row["id"],
        name=row["name"],
        job_name=str(known.get("jobName", row["name"])),
        enabled=bool(row["enabled"]),
        cron=known.get("cron"),
        interval_seconds=known.get("intervalSeconds"),
        timezone=known.get("timezone", "UTC"),
        misfire_policy=known.get("misfirePolicy", "SKIP"),
        misfire_max=known.get("misfireMax", 10),
        grace_seconds=known.get("graceSeconds", 60),
        overlap_policy=known.get("overlapPolicy", "ALLOW"),
        paused_until=instant(known.get("pausedUntil")),
        next_run_at=instant(known.get("nextRunAt")),
        last_due_at=instant(known.get("lastDueAt")),
        last_run_at=instant(known.get("lastRunAt")),
    )


def sync(db: Database, definitions: Iterable[ScheduleDefinition]) -> int:
    """Bring the rows in line with code, by name; how many definitions there are.

    New ones start as declared (disabled unless they say otherwise); whether a known one is enabled is the operator's
    choice. A schedule that code no longer declares is switched off. Raises `DeclarationError` before it writes
    anything, and `HeldSchedule` after everything else is written when somebody else has rows locked.
    """
    wanted = {definition.name: definition for definition in definitions}
    check(wanted.values())
    known = {row["name"]: row for row in db.fetch("schedules.read")}
    changes: list[tuple[str, Callable[[], None]]] = []
    for name, definition in wanted.items():
        if name not in known:
            _add(db, definition)
        elif _differs(known[name], definition):
            changes.append((name, partial(_redefine, db, known[name], definition)))
    for name, row in known.items():
        if row["source"] == "CODE" and row["enabled"] and name not in wanted:
            changes.append((name, partial(_retire, db, row)))
    held = []
    for name, change in changes:
        try:
            db.transact(change)
        except HeldSchedule:
            held.append(name)
    if held:
        raise HeldSchedule(", ".join(held))
    return len(wanted)


def check(definitions: Iterable[ScheduleDefinition]) -> None:
    """Raises `DeclarationError` for the first one whose rule nobody can understand."""
    for definition in definitions:
        columns = {_COLUMN_OF[name]: value for name, value in _columns(definition).items() if name in _COLUMN_OF}
        next_due(_schedule({"id": "", "name": definition.name, "enabled": False} | columns), datetime.now(UTC))


def _columns(definition: ScheduleDefinition) -> Row:
    return {
        "name": definition.name,
        "job_name": definition.job_name,
        "payload": None if definition.payload is None else json.dumps(definition.payload, ensure_ascii=False),
        "cron": definition.cron,
        "interval_seconds": definition.every_seconds,
        "timezone": definition.timezone,
        "misfire": definition.misfire,
        "misfire_max": definition.misfire_max,
        "grace_seconds": definition.grace_seconds,
        "overlap": definition.overlap,
        "priority": definition.priority,
        "max_attempts": definition.max_attempts,
        "timeout_seconds": definition.timeout_seconds,
    }


_COLUMN_OF = {
    "job_name": "jobName",
    "cron": "cron",
    "interval_seconds": "intervalSeconds",
    "timezone": "timezone",
    "misfire": "misfirePolicy",
    "misfire_max": "misfireMax",
    "grace_seconds": "graceSeconds",
    "overlap": "overlapPolicy",
    "priority": "priority",
    "max_attempts": "maxAttempts",
    "timeout_seconds": "timeoutSeconds",
}


def _differs(row: Row, definition: ScheduleDefinition) -> bool:
    wanted = _columns(definition)
    payload: Any = None if row["payload"] is None else json.loads(row["payload"])
    return payload != definition.payload or any(row[column] != wanted[name] for name, column in _COLUMN_OF.items())


def _add(db: Database, definition: ScheduleDefinition) -> None:
    with suppress(Duplicate):  # another daemon may have been as fast
        db.execute("schedules.add", id=new_id(), enabled=definition.enabled, **_columns(definition))


def _redefine(db: Database, row: Row, definition: ScheduleDefinition) -> None:
    _refuse_held(db, row["id"])
    wanted = _columns(definition)
    db.execute("schedules.redefine", **wanted)
    if any(row[_COLUMN_OF[name]] != wanted[name] for name in ("cron", "interval_seconds", "timezone")):
        db.execute("schedules.forget_next", name=definition.name)  # counted anew by the new rule


def _retire(db: Database, row: Row) -> None:
    _refuse_held(db, row["id"])
    db.execute("schedules.retire", name=row["name"])


def enable(db: Database, name: str) -> None:
    """Switch a schedule on; it first runs at its next due time from now. Raises `UnknownSchedule`."""
    row = _find(db, name)
    if not row["enabled"]:
        due = next_due(_schedule(row), _now(row))
        db.execute("schedules.enable", name=name, next=stamp(due))


def disable(db: Database, name: str) -> None:
    """Switch a schedule off; due times that pass meanwhile are not missed, they never existed."""
    _find(db, name)
    db.execute("schedules.disable", name=name)


def pause(db: Database, name: str, seconds: int) -> None:
    """Hold a schedule for a while; afterwards its missed-run policy decides about what passed."""
    _find(db, name)
    db.execute("schedules.pause", name=name, seconds=seconds)


def resume(db: Database, name: str) -> None:
    """End a pause now."""
    _find(db, name)
    db.execute("schedules.resume", name=name)


def run_now(db: Database, name: str, run_id: str | None = None) -> str:
    """Enqueue the schedule's job once, outside its due times, enabled or not; the job's id.

    With a `run_id` the job gets that id. Raises `Duplicate` when a job has it already: so a button pressed twice
    starts one job.
    """
    _find(db, name)
    run_id = run_id or new_id()

    def work() -> None:
        db.execute("schedules.run_now", name=name, run_id=run_id)
        db.execute("schedules.ran_now", name=name)

    db.transact(work)
    return run_id


def _find(db: Database, name: str) -> Row:
    rows = db.fetch("schedules.find", name=name)
    if not rows:
        known = ", ".join(schedule.name for schedule in read(db)) or "none"
        raise UnknownSchedule(f"no schedule is called {name!r}", f"known: {known}")
    return rows[0]


def _now(row: Row) -> datetime:
    now = instant(row["now"])
    assert now is not None
    return now


# --- firing ---------------------------------------------------------------------------------------------------------


def board(db: Database) -> tuple[list[Schedule], datetime | None]:
    """All schedules, and what the database's clock says; None when there is no schedule to be late for."""
    rows = db.fetch("schedules.read")
    return [_schedule(row) for row in rows], _now(rows[0]) if rows else None


def attend(
    db: Database, leadership: Leadership, schedule: Schedule, now: datetime, watched_since: datetime | None
) -> tuple[datetime, Decision | None]:
    """Fire an enabled schedule if it is due: when to look at it next, and what was done if something was.

    Raises `StaleLeadership` when another daemon has taken over, `HeldSchedule` when somebody else has its row,
    `DeclarationError` for a rule nobody can understand.
    """
    if schedule.next_run_at is None:
        first = next_due(schedule, now)
        db.transact(lambda: _plan(db, schedule, first))
        return first, None
    first = _first_unsettled(schedule, schedule.next_run_at)
    wanted = max(first, schedule.paused_until or first)
    if wanted > now:
        return wanted, None
    if schedule.paused_until is not None:
        watched_since = max(watched_since or schedule.paused_until, schedule.paused_until)
    decision = decide(replace(schedule, next_run_at=first), now, watched_since)
    fired = db.transact(lambda: _fire(db, leadership, schedule, decision))
    return decision.next_run_at, decision if fired else None


def _plan(db: Database, schedule: Schedule, first: datetime) -> None:
    _refuse_held(db, schedule.id)
    db.execute("schedules.plan", id=schedule.id, next=stamp(first))


def _refuse_held(db: Database, schedule_id: str) -> None:
    if not db.fetch("schedules.free", id=schedule_id) and db.fetch("schedules.there", id=schedule_id):
        raise HeldSchedule


def _first_unsettled(schedule: Schedule, planned: datetime) -> datetime:
    """The planned due time, or the first after the watermark.

    After a failover the new primary's clock may be behind: a schedule that is switched on then is planned for a due
    time that has run already, and whose row retention may have deleted.
    """
    settled = schedule.last_due_at
    return planned if settled is None or planned > settled else next_due(schedule, settled)


def _fire(db: Database, leadership: Leadership, schedule: Schedule, decision: Decision) -> bool:
    """One schedule's due times in one transaction; True when they were ours to handle.

    Three guards: the token (a daemon that was paused past its lease), the watermark in JobSchedule (it outlives
    finished jobs), the unique key (scheduleId, dueAt) (everything else).
    """
    if not lease.holds(db, leadership):
        raise StaleLeadership
    _refuse_held(db, schedule.id)  # at once: as long as we wait, nobody can renew the lease
    assert schedule.next_run_at is not None
    latest = max((*decision.run, *decision.missed))
    advanced = db.execute(
        "schedules.advance",
        id=schedule.id,
        expected=stamp(schedule.next_run_at),
        due=stamp(latest),
        next=stamp(decision.next_run_at),
        ran=bool(decision.run),
    )
    if not advanced:
        return False  # fired, edited or switched off by somebody else meanwhile
    for due in decision.missed:
        _record_missed(db, schedule, due, f"missed run, policy {schedule.misfire_policy}")
    for due in decision.run:
        _enqueue(db, schedule, due)
    return True


def _enqueue(db: Database, schedule: Schedule, due: datetime) -> None:
    key = f"schedule:{schedule.name}" if schedule.overlap_policy == "SKIP" else None
    if key is not None and db.fetch("jobs.holder_of_key", active_key=key):
        _record_missed(db, schedule, due, "skipped: the run before is not finished (overlap policy SKIP)")
        return
    try:
        db.execute("schedules.fire", id=schedule.id, run_id=new_id(), due=stamp(due), active_key=key)
    except Duplicate:
        # Fired already (then this due time has its row and nothing is added), or the key was taken a moment ago.
        _record_missed(db, schedule, due, "skipped: the run before is not finished (overlap policy SKIP)")


def _record_missed(db: Database, schedule: Schedule, due: datetime, reason: str) -> None:
    with suppress(Duplicate):  # this due time has its row
        db.execute("schedules.record_missed", id=schedule.id, run_id=new_id(), due=stamp(due), reason=reason)
