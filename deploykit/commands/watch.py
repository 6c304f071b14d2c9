"""Verify again and again, within the API budget of the plan. Reads only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from deploykit.commands.observe import Report, Tables
from deploykit.commands.platform import RailwayPlatform
from deploykit.commands.verify import look_twice, source
from deploykit.errors import UnreachableError
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway
from deploykit.verification.census import STARTING_SECONDS
from deploykit.verification.checks import Verification
from deploykit.verification.events import events

HOBBY_REQUESTS_AN_HOUR = 1000
"""Railway docs: public API, rate limits by plan."""
EVENTS_KEPT = 100
DEFAULT_EVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What watching costs: requests of the last look, and of an hour of such looks, against what Railway allows."""

    requests: int
    an_hour: int
    limit: int
    remaining: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """One look: ``found`` is None when Railway did not answer, and ``problem`` says why."""

    at: datetime
    found: Verification | None
    problem: str | None
    events: tuple[str, ...]
    budget: Budget
    changed: bool


def watch(
    profile: Profile,
    railway: Railway,
    database_url: str | None,
    *,
    every_seconds: float = DEFAULT_EVERY_SECONDS,
    count: int | None = None,
    tables: Tables | None = None,
    starting_seconds: float = STARTING_SECONDS,
    report: Report = lambda text: None,
) -> Iterator[Look]:
    """Look every ``every_seconds``, for ever or ``count`` times. An outage of Railway is shown and outlived."""
    platform = RailwayPlatform(railway, keep_logs=True)
    told: list[str] = []
    before: Verification | None = None
    with source(profile, platform, database_url, tables) as (_, opened):
        while count is None or count > 0:
            began, sent = time.monotonic(), railway.requests
            found, problem = None, None
            try:
                found = look_twice(profile, platform, opened, report=report, starting_seconds=starting_seconds)
            except UnreachableError as error:
                problem = error.message
            now = datetime.now(UTC)
            fresh = events(before, found) if found else [f"Railway did not answer: {problem}"]
            told = [*told, *(f"{now:%H:%M:%S} {event}" for event in fresh)][-EVENTS_KEPT:]
            budget = _budget(railway, railway.requests - sent, max(every_seconds, time.monotonic() - began))
            yield Look(now, found, problem, tuple(told), budget, bool(fresh))
            before = found or before
            count = None if count is None else count - 1
            if count is None or count > 0:
                time.sleep(max(0.0, every_seconds - (time.monotonic() - began)))


def _budget(railway: Railway, requests: int, seconds: float) -> Budget:
    limit = railway.budget.limit or HOBBY_REQUESTS_AN_HOUR
    return Budget(requests, round(requests * 3600 / seconds), limit, railway.budget.remaining)
