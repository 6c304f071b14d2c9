"""Looking at a live system: the only I/O of verify, doctor, ghosts and watch. It reads, and changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import runtime.db
from deploykit.errors import AuthenticationError, DeploykitError
from deploykit.planning.snapshot import Snapshot
from deploykit.profile.schema import Profile
from deploykit.verification import log_lines
from deploykit.verification.evidence import Evidence, Problem, Sample, home
from deploykit.verification.liveness import seconds_to_watch
from runtime import heartbeats, jobs, lease, schedules
from runtime.db import Database, DatabaseError, SchemaError, ServerFacts

SAMPLE_EVERY_SECONDS = 1.0
WATCH_AT_MOST_SECONDS = 150.0
"""Longest look at the job tables in one observation: enough for three beats of 45 s."""
CLOCK_SET_SECONDS = 10.0
"""By how much the database's clock may run off ours between two looks: a slow answer is no clock that was set."""
Report = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the job tables say beside the heartbeats; ``problems`` name what could not be read."""

    queue: jobs.QueueSummary | None = None
    schedules: tuple[schedules.Schedule, ...] | None = None
    lease: lease.LeaseState | None = None
    server: ServerFacts | None = None
    waiting: Mapping[str, int] = field(default_factory=dict)
    running: tuple[tuple[str, str, float], ...] = ()
    problems: tuple[Problem, ...] = ()


class Tables(Protocol):
    """A source of heartbeats. Both raise `DatabaseError`."""

    def sample(self) -> Sample: ...

    def facts(self) -> Facts: ...

    def close(self) -> None: ...


class Platform(Protocol):
    """A source of instances and logs. Every method raises `DeploykitError`."""

    @property
    def requests(self) -> int: ...

    def snapshot(self) -> Snapshot: ...

    def logs(self, deployment: str, phrases: tuple[str, ...]) -> tuple[str, ...]: ...

    def tail(self, deployment: str) -> tuple[str, ...]: ...

    def elsewhere(self, deployment: str) -> str | None: ...

    def public_database_url(self, profile: Profile) -> str | None: ...


class JobTables:
    """The job tables of a database. Needs SELECT only."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @classmethod
    def at(cls, url: str, *, connect_timeout_seconds: float = 5.0) -> JobTables:
        """Connect. Raises `DatabaseError`."""
        return cls(runtime.db.connect(url, connect_timeout_seconds=connect_timeout_seconds))

    def sample(self) -> Sample:
        now = runtime.db.instant(self._db.fetch("server.now")[0]["now"])
        assert now is not None
        return Sample(now, tuple(heartbeats.read(self._db)))

    def facts(self) -> Facts:
        problems: list[Problem] = []

        def read(source: str, what: Callable[[Database], T]) -> T | None:
            try:
                return what(self._db)
            except SchemaError as error:
                problems.append(Problem(source, error.message, error.hint, "schema"))
                return None

        server = read("server", runtime.db.server_facts)
        running = read("jobs", lambda db: jobs.recent(db, status="RUNNING", limit=50)) or []
        planned = read("schedules", schedules.read)
        now = server.now if server else None
        return Facts(
            queue=read("queue", jobs.summary),
            schedules=None if planned is None else tuple(planned),
            lease=read("lease", lease.read),
            server=server,
            waiting=read("jobs", lambda db: jobs.waiting_without_handler(db, ())) or {},
            running=tuple(
                (job.id, job.job_name, (now - job.started_at).total_seconds())
                for job in running
                if now is not None and job.started_at is not None
            ),
            problems=tuple(problems),
        )

    def by_hour(self, hours: float, patience_seconds: float) -> list[jobs.Hour]:
        """How jobs went in the last ``hours``. Raises `DatabaseError`."""
        return jobs.by_hour(self._db, seconds=round(hours * 3600), patience_seconds=patience_seconds)

    def close(self) -> None:
        self._db.close()


class NoTables:
    """There is no way to the job tables: says why at every look."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def open_tables(url: str | None) -> Tables | NoTables:
    """The job tables at a URL, or the reason why they cannot be read."""
    if not url:
        hint = "pass --database-url or set DEPLOYKIT_DATABASE_URL; docs/verify.md lists the ways to a private database"
        return NoTables(Problem("database", "nobody told where the job tables are", hint, "missing"))
    try:
        return JobTables.at(url)
    except DatabaseError as error:
        return NoTables(_problem(error))


def observe(
    profile: Profile,
    platform: Platform | None,
    tables: Tables | NoTables,
    *,
    report: Report,
    with_logs: bool = True,
    with_tails: bool = False,
    watch_at_most_seconds: float = WATCH_AT_MOST_SECONDS,
    tolerant: bool = False,
) -> Evidence:
    """Look once at everything. Raises DeploykitError when Railway fails, unless ``tolerant``.

    Railway is asked before and after the job tables are sampled, so that a deploy in between is seen as one.
    """
    problems: list[Problem] = []
    if platform is None:
        problems.append(Problem("railway", "no access to Railway was given", "set RAILWAY_TOKEN", "missing"))
    report("asking Railway what runs")
    before = _snapshot(platform, problems, tolerant)
    samples, facts, skew = _look_at_tables(tables, problems, report, watch_at_most_seconds)
    after = _snapshot(platform, problems, tolerant) if before is not None else None
    logs = _logs(profile, platform, after or before, problems, report) if with_logs else {}
    return Evidence(
        before=before,
        after=after,
        samples=samples,
        queue=facts.queue,
        schedules=facts.schedules,
        lease=facts.lease,
        server=facts.server,
        logs=logs,
        tails=_tails(profile, platform, after or before) if with_tails else {},
        elsewhere=_elsewhere(platform, (before, after), samples),
        problems=(*problems, *facts.problems),
        waiting_for_handler=facts.waiting,
        stuck_jobs=facts.running,
        clock_skew_seconds=skew,
        api_requests=platform.requests if platform else 0,
    )


def _snapshot(platform: Platform | None, problems: list[Problem], tolerant: bool) -> Snapshot | None:
    if platform is None:
        return None
    try:
        return platform.snapshot()
    except DeploykitError as error:
        if not tolerant:
            raise
        why = "refused" if isinstance(error, AuthenticationError) else "unreachable"
        problems.append(Problem("railway", error.message, error.hint or "", why))
        return None


def _look_at_tables(
    tables: Tables | NoTables, problems: list[Problem], report: Report, at_most_seconds: float
) -> tuple[tuple[Sample, ...], Facts, float | None]:
    if isinstance(tables, NoTables):
        problems.append(tables.problem)
        return (), Facts(), None
    samples: list[Sample] = []
    try:
        samples, skew = _samples(tables, report, at_most_seconds)
        return tuple(samples), tables.facts(), skew
    except DatabaseError as error:
        # Lost in the middle: what was seen before is no evidence for now.
        problems.append(_problem(error))
        return (), Facts(), None


def _samples(tables: Tables, report: Report, at_most_seconds: float) -> tuple[list[Sample], float]:
    """Look again and again until every row has advanced or had its chance to."""
    began = read_at = time.monotonic()
    samples = [tables.sample()]
    skew = (samples[0].at - datetime.now(UTC)).total_seconds()
    told = False
    while (missing := seconds_to_watch(samples)) > 0:
        left = at_most_seconds - (time.monotonic() - began)
        if left <= 0:
            break
        if not told:
            report(f"watching {len(samples[0].heartbeats)} heartbeats until each has advanced or had its chance")
            told = True
        time.sleep(max(0.05, min(SAMPLE_EVERY_SECONDS, missing, left)))
        before, read_at = read_at, time.monotonic()
        samples.append(tables.sample())
        moved = (samples[-1].at - samples[-2].at).total_seconds()
        if abs(moved - (read_at - before)) > CLOCK_SET_SECONDS:
            # Ages by two different clocks say nothing about who was silent for how long.
            report("the database's clock was set: watching anew")
            samples = samples[-1:]
    return samples, skew


def _logs(
    profile: Profile, platform: Platform | None, snapshot: Snapshot | None, problems: list[Problem], report: Report
) -> dict[str, tuple[str, ...]]:
    lines: dict[str, tuple[str, ...]] = {}
    if platform is None or snapshot is None:
        return lines
    report("searching the logs for the promised lines")
    for service in log_lines.services(profile):
        live = snapshot.service(service.name)
        newest = max(live.active, key=lambda d: d.created_at, default=None) if live else None
        if newest is None:
            continue
        try:
            lines[newest.id] = platform.logs(newest.id, log_lines.SEARCHED)
        except DeploykitError as error:
            problems.append(Problem("logs", error.message, error.hint or ""))
            return lines
    return lines


def _tails(profile: Profile, platform: Platform | None, snapshot: Snapshot | None) -> dict[str, tuple[str, ...]]:
    """The last words of what crashed, failed or ended."""
    found: dict[str, tuple[str, ...]] = {}
    for service in snapshot.services if snapshot and platform else ():
        for deployment in service.deployments[:1] if service.name in profile.services else ():
            ill = deployment.stopped or deployment.status in ("CRASHED", "FAILED")
            if ill or any(instance.status in ("CRASHED", "RESTARTING") for instance in deployment.instances):
                with suppress(DeploykitError):
                    assert platform is not None
                    found[deployment.id] = platform.tail(deployment.id)
    return found


def _elsewhere(
    platform: Platform | None, snapshots: tuple[Snapshot | None, Snapshot | None], samples: tuple[Sample, ...]
) -> dict[str, str]:
    """Where deployments live that this environment does not show: a copy of it on the same database, for instance."""
    found: dict[str, str] = {}
    if platform is None or snapshots[0] is None or not samples:
        return found
    claimed = {beat.deployment for beat in samples[-1].heartbeats if beat.deployment and beat.status not in _ENDED}
    for deployment in sorted(claimed):
        if any(home(snapshot, deployment) for snapshot in snapshots):
            continue
        # Not every token may ask; then the deployment stays unknown, which is evidence enough for a ghost.
        with suppress(DeploykitError):
            where = platform.elsewhere(deployment)
            if where is not None:
                found[deployment] = where
    return found


_ENDED = frozenset({"STOPPED", "DEAD"})


def _problem(error: DatabaseError) -> Problem:
    if isinstance(error, SchemaError):
        return Problem("database", error.message, error.hint, "schema")
    return Problem("database", error.message, error.hint, "unreachable")
