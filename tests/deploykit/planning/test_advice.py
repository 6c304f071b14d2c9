from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from deploykit.planning.advice import Advice, Load, advise, ladder, smallest_period_seconds
from deploykit.profile.schema import Profile
from runtime.jobs import Hour, QueueSummary
from runtime.schedules import Schedule
from tests.deploykit.rendering.profiles import REPOSITORY, real

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SMALL, MIDDLE, LARGE = STEPS = [
    real(REPOSITORY / "profiles" / f"{name}.yaml") for name in ("pre-launch", "100-users", "1000-users")
]
EMPTY = QueueSummary(0, 0, 0, 0, 0, 0, None)
WEEK = 7 * 24


def load(hours: tuple[Hour, ...] = (), known_hours: float = WEEK, **more: Any) -> Load:
    queue = replace(EMPTY, **more.pop("queue", {}))
    return Load(queue, **{"workers": 1, "hours": hours, "known_hours": known_hours, **more})


def schedule(name: str, **more: Any) -> Schedule:
    plain = Schedule(name, name, "noop", True, None, None, "UTC", "SKIP", 1, 60, "SKIP", None, None, None, None)
    return replace(plain, **more)


def every(seconds: int) -> tuple[Schedule, ...]:
    return (schedule("often", interval_seconds=seconds), schedule("daily", cron="0 3 * * *"))


def hours(count: int, *, jobs: int = 100, busy: float = 0.0, late: int = 0) -> tuple[Hour, ...]:
    return tuple(Hour(ago, jobs, busy * 3600, late) for ago in range(count))


def said(current: Profile, found: Load) -> Advice:
    return advise(current, STEPS, found, NOW)


def test_the_ladder_goes_from_the_slowest_to_the_quickest() -> None:
    assert [one.name for one in ladder([LARGE, SMALL, MIDDLE])] == ["pre-launch", "100-users", "1000-users"]


UP = {
    "an old job in the queue": (
        load(queue={"queued": 3, "oldest_queued_seconds": 95.0}),
        "the oldest of 3 jobs in the queue has waited 95 s; workers look every 30 s",
    ),
    "more queued than allowed": (load(queue={"queued": 51}), "51 jobs in the queue; the profile allows 50"),
    "busy workers": (load(hours(3, busy=0.8)), "in 3 of the last 24 hours, up to 80% of 1 worker"),
    "late jobs": (load(hours(2, late=6)), "waited longer than 61 s (12 of 200)"),
    "schedules that are due more often than looked at": (
        load(schedules=every(900)),
        "schedule often is due every 15 min, and the daemon looks only every 1 h",
    ),
}


@pytest.mark.parametrize("case", UP)
def test_it_advises_more_with_the_figures(case: str) -> None:
    found, words = UP[case]
    advice = said(SMALL, found)
    assert (advice.verdict, advice.to, advice.next) == ("up", "100-users", "deploykit plan 100-users")
    assert any(words in reason for reason in advice.reasons), advice.reasons


def test_it_says_what_a_move_changes() -> None:
    advice = said(MIDDLE, load(hours(3, busy=0.9)))
    assert advice.to == "1000-users"
    assert advice.differences == (
        "schedule daemons 1 → 1",
        "job workers 1 → 1 (in job-worker)",
        "workers look every 10 s → 5 s",
        "the daemon looks every 15 min → 5 min",
        "about $8.80 → $16.92 a month",
        "database connections at the peak 25 → 35 of 151",
    )


STAY = {
    "nothing happens, and there is nothing smaller": load(),
    "one bad hour is an accident": load(hours(1, busy=1.0)),
    "a few jobs tell nothing": load(hours(5, jobs=10, late=10)),
    "a job between two polls": load(queue={"queued": 1, "oldest_queued_seconds": 20.0}),
    "yesterday's rush is over": load(tuple(replace(one, hours_ago=30 + one.hours_ago) for one in hours(5, busy=0.9))),
    "a schedule that is switched off": load(schedules=(schedule("off", enabled=False, interval_seconds=1),)),
    "a schedule that nobody can read": load(schedules=(schedule("odd", cron="often"),)),
}


@pytest.mark.parametrize("case", STAY)
def test_it_advises_to_stay(case: str) -> None:
    advice = said(SMALL, STAY[case])
    assert (advice.verdict, advice.to, advice.next) == ("stay", None, None)
    assert advice.reasons


def test_a_quiet_day_with_room_to_spare_is_enough_for_less() -> None:
    advice = said(MIDDLE, load(hours(WEEK, busy=0.1), schedules=every(2 * 3600)))
    assert (advice.verdict, advice.to, advice.next) == ("down", "pre-launch", "deploykit plan pre-launch")
    assert "0 jobs in the queue; 16800 jobs ended lately, workers at most 10% busy" in advice.reasons


AGAINST_LESS = {
    "too early": (load(hours(5, busy=0.1), known_hours=5), "only 5 h of work are known"),
    "a busy hour": (load(hours(WEEK, busy=0.25)), "25% of 1 worker of pre-launch"),
    "a schedule without room": (load(schedules=every(3600)), "pre-launch looks only every 1 h"),
    "late jobs": (load((*hours(WEEK), Hour(100, 5, 1, 2000))), "waited longer than 21 s"),
    "a job that waits": (
        load(queue={"queued": 1, "oldest_queued_seconds": 15.0}),
        "1 job in the queue, waiting up to 15 s",
    ),
}


@pytest.mark.parametrize("case", AGAINST_LESS)
def test_less_is_not_enough_while_anything_speaks_against_it(case: str) -> None:
    found, words = AGAINST_LESS[case]
    advice = said(MIDDLE, found)
    assert advice.verdict == "stay"
    assert any(words in reason for reason in advice.reasons), advice.reasons


def test_the_largest_cannot_move_up_and_says_what_else_helps() -> None:
    advice = said(LARGE, load(hours(3, busy=0.9)))
    assert advice.verdict == "stay"
    assert any("raise replicas" in reason for reason in advice.reasons)


@given(
    busy=st.floats(0, 1),
    late=st.integers(0, 100),
    queued=st.integers(0, 100),
    oldest=st.floats(0, 10_000),
    period=st.integers(60, 86_400),
    known=st.floats(0, WEEK),
)
@settings(max_examples=300, deadline=None)
def test_no_load_calls_for_more_and_for_less_at_once(
    busy: float, late: int, queued: int, oldest: float, period: int, known: float
) -> None:
    """What moves down from a profile does not move up again from the smaller one, and the other way round."""
    found = load(
        hours(WEEK, busy=busy, late=late),
        known_hours=known,
        queue={"queued": queued, "oldest_queued_seconds": oldest if queued else None},
        schedules=every(period),
    )
    for smaller, larger in ((SMALL, MIDDLE), (MIDDLE, LARGE)):
        assert (said(smaller, found).verdict, said(larger, found).verdict) != ("up", "down")


def test_an_unread_queue_is_inconclusive() -> None:
    advice = said(SMALL, Load(None, problem="nobody told where the job tables are"))
    assert (advice.verdict, advice.to) == ("inconclusive", None)
    assert "nobody told where" in advice.reasons[0]


def test_a_missing_worker_is_no_reason_to_grow() -> None:
    advice = said(SMALL, load(workers=0, queue={"queued": 500, "oldest_queued_seconds": 9000.0}))
    assert (advice.verdict, advice.next) == ("inconclusive", "deploykit doctor pre-launch")


def test_what_was_measured_and_the_budget_are_told() -> None:
    reasons = said(SMALL, load(measured_monthly_usd=20.5)).reasons
    assert "measured use comes to $20.50 a month, the profile expects $6.92" in reasons
    assert "that is above the budget of $15.00" in reasons


@pytest.mark.parametrize(
    ("one", "seconds"),
    [
        (schedule("a", interval_seconds=90), 90),
        (schedule("a", cron="*/5 * * * *"), 300),
        (schedule("a", cron="0,10 3 * * *"), 600),
        (schedule("a", cron="0 3 * * *"), 86_400),
        (schedule("a", cron="0 3 * * *", enabled=False), None),
    ],
)
def test_how_often_a_schedule_is_due_at_most(one: Schedule, seconds: float | None) -> None:
    assert smallest_period_seconds(one, NOW) == seconds
