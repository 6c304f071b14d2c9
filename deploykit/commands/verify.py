"""Prove what is alive: look at Railway and at the job tables, join both, and give one verdict with its evidence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from deploykit.commands.observe import NoTables, Platform, Report, Tables, observe, open_tables
from deploykit.commands.platform import RailwayPlatform
from deploykit.commands.smoke import JOB, smoke as run_smoke
from deploykit.planning.snapshot import Snapshot
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway
from deploykit.verification.census import STARTING_SECONDS, Class
from deploykit.verification.checks import Case, Health, Verification, judge
from deploykit.verification.evidence import Evidence

WAIT_EVERY_SECONDS = 3.0


def verify(
    profile: Profile,
    railway: Railway,
    database_url: str | None,
    *,
    smoke: bool = False,
    smoke_job: str = JOB,
    smoke_schedule: str | None = None,
    wait_seconds: float = 0.0,
    for_seconds: float = 0.0,
    starting_seconds: float = STARTING_SECONDS,
    tables: Tables | None = None,
    report: Report = lambda text: None,
) -> Verification:
    """Verify ``profile``. Reads only, unless ``smoke``.

    ``wait_seconds`` looks again until the system is healthy or that time has passed; ``for_seconds`` goes on looking
    that long and ends at the first look that is unhealthy. Without ``database_url`` the profile's database is asked for
    its public address. ``tables`` is another source of heartbeats than a database. Raises UnreachableError and
    AuthenticationError when Railway cannot be asked; a database that cannot be read makes the verdict inconclusive.
    """
    platform = RailwayPlatform(railway)
    with source(profile, platform, database_url, tables) as (url, opened):

        def look() -> Verification:
            return look_twice(profile, platform, opened, report=report, starting_seconds=starting_seconds)

        found = until_healthy(look, wait_seconds, report)
        if smoke and url and not isinstance(opened, NoTables):
            steps = run_smoke(url, profile, report, job=smoke_job, schedule=smoke_schedule)
            found = judge(replace(found.case, evidence=replace(found.evidence, smoke=steps)))
        return while_healthy(found, look, for_seconds, report)


@contextmanager
def source(
    profile: Profile, platform: Platform, database_url: str | None, tables: Tables | None
) -> Iterator[tuple[str | None, Tables | NoTables]]:
    """The job tables: given ones, at a URL, or at the public address of the profile's database; closed at the end."""
    url = database_url
    if tables is None and not url:
        url = platform.public_database_url(profile)
    opened = tables if tables is not None else open_tables(url)
    try:
        yield url, opened
    finally:
        if not isinstance(opened, NoTables) and tables is None:
            opened.close()


def look_twice(
    profile: Profile,
    platform: Platform,
    tables: Tables | NoTables,
    *,
    report: Report,
    starting_seconds: float = STARTING_SECONDS,
) -> Verification:
    """Look once; look again when something was changing meanwhile, so that a deploy is not taken for a fault."""
    found = Verification(Case(profile, Evidence()), ())
    for _ in range(2):
        evidence = observe(profile, platform, tables, report=report)
        found = judge(Case(profile, evidence, starting_seconds))
        if found.health is not Health.UNHEALTHY or not changing(found):
            return found
        report("something was changing meanwhile: looking again")
    return found


def changing(found: Verification) -> bool:
    """Whether deployments came or went while we looked, or somebody is on the way out."""
    before, after = found.evidence.before, found.evidence.after
    leaving = any(row.class_ is Class.DRAINING for row in found.census.rows)
    return leaving or _deployments(before) != _deployments(after)


def _deployments(snapshot: Snapshot | None) -> set[tuple[str, str, str]]:
    return {
        (deployment.id, deployment.status, ",".join(sorted(f"{i.id}{i.status}" for i in deployment.instances)))
        for service in (snapshot.services if snapshot else ())
        for deployment in service.deployments
    }


def until_healthy(look: Callable[[], Verification], seconds: float, report: Report) -> Verification:
    """Look until the system is healthy or the time has passed; the last look."""
    deadline = time.monotonic() + seconds
    found = look()
    while found.health is not Health.HEALTHY and time.monotonic() + WAIT_EVERY_SECONDS < deadline:
        report(f"{found.health}; looking again")
        time.sleep(WAIT_EVERY_SECONDS)
        found = look()
    return found


def while_healthy(
    found: Verification, look: Callable[[], Verification], seconds: float, report: Report
) -> Verification:
    """Go on looking until the system is unhealthy or the time has passed; a look without evidence counts against it."""
    deadline = time.monotonic() + seconds
    worst = found
    while worst.health is not Health.UNHEALTHY and time.monotonic() + WAIT_EVERY_SECONDS < deadline:
        report(f"{worst.health}; watching for another {deadline - time.monotonic():.0f} s")
        time.sleep(WAIT_EVERY_SECONDS)
        now = look()
        if now.health is not Health.HEALTHY or worst.health is Health.HEALTHY:
            worst = now if not found.evidence.smoke else judge(with_smoke(now, found))
    return worst


def with_smoke(now: Verification, before: Verification) -> Case:
    """A later look, with what the smoke test found before."""
    return replace(now.case, evidence=replace(now.evidence, smoke=before.evidence.smoke))
