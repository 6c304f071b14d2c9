"""Stay, move up or move down a profile, and why: from how jobs went, what is due how often, and what it costs. Pure.

Up and down are judged by different measures with a wide gap between them, and only by hours since the last apply, so
that the advice does not swing: what calls for more today must have been absent for a whole day before less is enough
(guide: when to adjust settings).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Literal

from deploykit.planning.connections import connections
from deploykit.planning.cost import cost, total
from deploykit.planning.plan import census_after
from deploykit.profile.schema import DAEMON_POLL, WORKER_POLL, Profile, Service
from runtime.handlers import DeclarationError
from runtime.jobs import Hour, QueueSummary
from runtime.schedules import Schedule, due_times
from runtime.variables import VARIABLES

Verdict = Literal["stay", "up", "down", "inconclusive"]

BUSY_SHARE = 0.7
"""Workers that are busier than this have no room for a bad hour."""
QUIET_SHARE = 0.2
"""Down only while the smaller profile's workers would be less busy than this, even in the busiest hour."""
LATE_SHARE = 0.05
POLLS_UNTIL_LATE = 2
"""An idle worker sees a job within one poll; who waited for two waited for a worker."""
LEAST_JOBS = 20
"""Fewer jobs in an hour tell nothing of its waits."""
ILL_HOURS = 2
"""One bad hour of the last day is an accident, two are a habit."""
DAY_HOURS = 24
SCHEDULE_ROOM = 2
"""Down only while the most frequent schedule leaves the smaller profile's poll this much room."""
_CONCURRENCY = "JOB_WORKER_CONCURRENCY"
_DUE_TIMES_LOOKED_AT = 50
_DEFAULTS = {one.name: int(one.default) for one in VARIABLES if isinstance(one.default, int)}


@dataclass(frozen=True, slots=True)
class Load:
    """How the live system does. ``queue`` is None when nobody could read it, and ``problem`` says why.

    ``workers`` are the job workers whose hearts beat. ``hours`` count only what ended since the last apply, at most a
    week; ``known_hours`` is how long that is. ``measured_monthly_usd`` is Railway's reading of processor and memory,
    extended over a month, None where it does not tell.
    """

    queue: QueueSummary | None
    workers: int = 0
    hours: tuple[Hour, ...] = ()
    known_hours: float = 0.0
    schedules: tuple[Schedule, ...] = ()
    measured_monthly_usd: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do: ``reasons`` with their figures, ``differences`` that the move would make, the ``next`` command."""

    verdict: Verdict
    profile: str
    to: str | None
    reasons: tuple[str, ...]
    differences: tuple[str, ...] = ()
    next: str | None = None


def advise(current: Profile, profiles: Iterable[Profile], load: Load, now: datetime) -> Advice:
    """The advice for ``current`` among ``profiles``; one step at a time."""
    if load.queue is None:
        return Advice("inconclusive", current.name, None, (f"the queue cannot be read: {load.problem}",))
    expected = census_after(current).job_worker
    if not expected:
        return Advice("stay", current.name, None, (f"{current.name} runs no job worker: there is nothing to judge",))
    if load.workers < expected:
        why = f"{load.workers} of {_count(expected, 'job worker')} alive: what is slow now may be what is missing"
        return Advice("inconclusive", current.name, None, (why,), next=f"deploykit doctor {current.name}")
    steps = ladder([*(one for one in profiles if one.name != current.name), current])
    place = [one.name for one in steps].index(current.name)
    smaller = steps[place - 1] if place else None
    larger = steps[place + 1] if place + 1 < len(steps) else None
    needs = [*_strain(current, load), *_too_rare(current, load, now)]
    money = [*_money(current, load)]
    if needs and larger:
        return _move("up", current, larger, [*needs, *money])
    if needs:
        rest = "no larger profile is there: raise replicas or JOB_WORKER_CONCURRENCY, or shorten the poll interval"
        return Advice("stay", current.name, None, (*needs, rest, *money))
    if smaller is None:
        return Advice("stay", current.name, None, (_calm(current, load), "there is no smaller profile", *money))
    against = list(_against(current, smaller, load, now))
    if against:
        return Advice("stay", current.name, None, (_calm(current, load), *against, *money))
    return _move("down", current, smaller, [_calm(current, load), *money])


def ladder(profiles: Iterable[Profile]) -> list[Profile]:
    """The profiles that run workers, the smallest first: by how often they look, then by workers, then by cost."""
    working = [one for one in profiles if one.workers]
    return sorted(working, key=lambda one: (-_worker_poll(one), -_daemon_poll(one), _slots(one), total(cost(one))))


def smallest_period_seconds(schedule: Schedule, now: datetime) -> float | None:
    """The shortest time between two due times that are near, None for what is off or cannot be understood."""
    if not schedule.enabled:
        return None
    if schedule.interval_seconds is not None:
        return float(schedule.interval_seconds)
    try:
        due = list(islice(due_times(schedule, now), _DUE_TIMES_LOOKED_AT))
    except DeclarationError:
        return None
    return min(((after - before) / timedelta(seconds=1) for before, after in pairwise(due)), default=None)


# ---- what calls for more --------------------------------------------------------------------------------------------


def _strain(profile: Profile, load: Load) -> Iterator[str]:
    queue, poll, slots = load.queue, _worker_poll(profile), _slots(profile)
    assert queue is not None
    oldest = queue.oldest_queued_seconds or 0.0
    allowed = profile.expect.max_oldest_queued_seconds
    if queue.queued and oldest > max(3 * poll, 60.0):
        jobs = _count(queue.queued, "job")
        yield f"the oldest of {jobs} in the queue has waited {_time(oldest)}; workers look every {_time(poll)}"
    elif queue.queued and allowed is not None and oldest > allowed:
        yield f"the oldest queued job has waited {_time(oldest)}; the profile allows {_time(allowed)}"
    most = profile.expect.max_queued_jobs
    if most is not None and queue.queued > most:
        yield f"{_count(queue.queued, 'job')} in the queue; the profile allows {most}"
    lately = [hour for hour in load.hours if hour.hours_ago < DAY_HOURS]
    busy = [hour for hour in lately if _share(hour, slots) > BUSY_SHARE]
    if len(busy) >= ILL_HOURS:
        top = max(_share(hour, slots) for hour in busy)
        yield (
            f"workers were more than {BUSY_SHARE:.0%} busy in {len(busy)} of the last {DAY_HOURS} hours, "
            f"up to {top:.0%} of {_count(slots, 'worker')}"
        )
    late = [hour for hour in lately if hour.jobs >= LEAST_JOBS and hour.late / hour.jobs > LATE_SHARE]
    if len(late) >= ILL_HOURS:
        yield (
            f"in {len(late)} of the last {DAY_HOURS} hours more than {LATE_SHARE:.0%} of the jobs waited longer than "
            f"{_time(patience_seconds(profile))} ({sum(one.late for one in late)} of {sum(one.jobs for one in late)})"
        )


def _too_rare(profile: Profile, load: Load, now: datetime) -> Iterator[str]:
    poll = _daemon_poll(profile)
    period = _most_frequent(load.schedules, now)
    if profile.daemons and period and period[0] < poll:
        yield (
            f"schedule {period[1]} is due every {_time(period[0])}, and the daemon looks only every {_time(poll)}: "
            "of several due times between two looks one runs"
        )


def _most_frequent(schedules: Sequence[Schedule], now: datetime) -> tuple[float, str] | None:
    periods = [(period, one.name) for one in schedules if (period := smallest_period_seconds(one, now)) is not None]
    return min(periods, default=None)


# ---- what allows less -----------------------------------------------------------------------------------------------


def _against(current: Profile, smaller: Profile, load: Load, now: datetime) -> Iterator[str]:
    """Everything that speaks against the smaller profile."""
    queue, slots = load.queue, _slots(smaller)
    assert queue is not None
    if load.known_hours < DAY_HOURS:
        yield f"only {load.known_hours:.0f} h of work are known since the last apply; less is advised after a whole day"
    busiest = max(load.hours, key=lambda hour: hour.busy_seconds, default=None)
    if busiest and _share(busiest, slots) > QUIET_SHARE:
        share = f"{_share(busiest, slots):.0%} of {_count(slots, 'worker')}"
        yield f"the busiest hour would take {share} of {smaller.name}; less than {QUIET_SHARE:.0%} is quiet"
    if queue.queued and (queue.oldest_queued_seconds or 0.0) > _worker_poll(current):
        yield f"{_count(queue.queued, 'job')} in the queue, waiting up to {_time(queue.oldest_queued_seconds or 0.0)}"
    late = sum(hour.late for hour in load.hours)
    if late > LATE_SHARE * sum(hour.jobs for hour in load.hours):
        yield f"{late} jobs waited longer than {_time(patience_seconds(current))}"
    period, poll = _most_frequent(load.schedules, now), _daemon_poll(smaller)
    if smaller.daemons and period and period[0] < SCHEDULE_ROOM * poll:
        yield f"schedule {period[1]} is due every {_time(period[0])}; {smaller.name} looks only every {_time(poll)}"
    if total(cost(smaller)) >= total(cost(current)):
        yield f"{smaller.name} would not be cheaper"


# ---- words and figures ----------------------------------------------------------------------------------------------


def _move(verdict: Verdict, current: Profile, to: Profile, reasons: Sequence[str]) -> Advice:
    return Advice(
        verdict, current.name, to.name, tuple(reasons), tuple(_differences(current, to)), f"deploykit plan {to.name}"
    )


def _differences(before: Profile, after: Profile) -> Iterator[str]:
    was, becomes = census_after(before), census_after(after)
    yield f"schedule daemons {was.schedule_daemon} → {becomes.schedule_daemon}"
    yield f"job workers {was.job_worker} → {becomes.job_worker}{_where(before, after)}"
    yield f"workers look every {_time(_worker_poll(before))} → {_time(_worker_poll(after))}"
    yield f"the daemon looks every {_time(_daemon_poll(before))} → {_time(_daemon_poll(after))}"
    yield f"about ${total(cost(before)):.2f} → ${total(cost(after)):.2f} a month"
    peak, limit = connections(after).peak, connections(after).limit
    yield f"database connections at the peak {connections(before).peak} → {peak} of {limit}"


def _where(before: Profile, after: Profile) -> str:
    names = ", ".join(one.name for one in after.workers)
    return "" if names == ", ".join(one.name for one in before.workers) else f" (in {names})"


def _calm(profile: Profile, load: Load) -> str:
    queue = load.queue
    assert queue is not None
    queued, ended = _count(queue.queued, "job"), _count(sum(hour.jobs for hour in load.hours), "job")
    top = max((_share(hour, _slots(profile)) for hour in load.hours), default=0.0)
    return f"{queued} in the queue; {ended} ended lately, workers at most {top:.0%} busy"


def _money(profile: Profile, load: Load) -> Iterator[str]:
    if load.measured_monthly_usd is None:
        return
    estimate = total(cost(profile))
    yield f"measured use comes to ${load.measured_monthly_usd:.2f} a month, the profile expects ${estimate:.2f}"
    if profile.budget and load.measured_monthly_usd > profile.budget.monthly_usd:
        yield f"that is above the budget of ${profile.budget.monthly_usd:.2f}"


def patience_seconds(profile: Profile) -> float:
    """How long a job may wait before it waited for a worker, and not merely for the next poll."""
    return POLLS_UNTIL_LATE * _worker_poll(profile) + 1


def _share(hour: Hour, slots: int) -> float:
    return hour.busy_seconds / (3600 * max(slots, 1))


def _slots(profile: Profile) -> int:
    """How many jobs may run at the same time."""
    return sum(one.total_replicas * _number(one, _CONCURRENCY) for one in profile.workers)


def _worker_poll(profile: Profile) -> float:
    """Seconds between two looks of the quickest worker."""
    return min((_number(one, WORKER_POLL) / 1000 for one in profile.workers), default=0.0)


def _daemon_poll(profile: Profile) -> float:
    return min((_number(one, DAEMON_POLL) / 1000 for one in profile.daemons), default=0.0)


def _number(service: Service, variable: str) -> int:
    value = service.value(variable) or ""
    return int(value) if value.isdigit() else _DEFAULTS[variable]


def _time(seconds: float) -> str:
    if seconds >= 180 or seconds % 60 == 0:
        for size, unit in ((3600, "h"), (60, "min")):
            if seconds >= size:
                return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
