"""Advise: stay, move up or move down a profile. Reads the job tables and Railway's metrics; moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploykit.commands import applied, profiles
from deploykit.commands.observe import JobTables, NoTables, Tables, open_tables
from deploykit.commands.platform import RailwayPlatform
from deploykit.errors import DeploykitError
from deploykit.planning import advice
from deploykit.planning.advice import Advice, Load
from deploykit.planning.cost import CPU_USD_PER_VCPU_MONTH, RAM_USD_PER_GB_MONTH
from deploykit.planning.view import FRESH_SECONDS
from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from deploykit.railway.answers import understood
from deploykit.railway.client import Railway
from runtime.db import DatabaseError, SchemaError
from runtime.heartbeats import Heartbeat
from runtime.jobs import Hour

Report = Callable[[str], None]
WEEK_HOURS = 7 * 24
_USD = {"CPU_USAGE": CPU_USD_PER_VCPU_MONTH, "MEMORY_USAGE_GB": RAM_USD_PER_GB_MONTH}
_SAMPLE_SECONDS = 300


def advise(
    profile: Profile,
    others: Iterable[Profile],
    connect: Callable[[], Railway],
    database_url: str | None,
    *,
    tables: Tables | None = None,
    since: datetime | None = None,
    now: datetime | None = None,
    report: Report = lambda text: None,
) -> Advice:
    """The advice for ``profile`` among ``others``. ``since`` is when it was applied, None when nobody knows.

    A Railway that cannot be asked only leaves out what it measured; an unreadable queue makes the advice inconclusive.
    """
    now = now or datetime.now(UTC)
    railway = _connected(connect, report)
    measured = _measured_monthly_usd(railway, now, report) if railway else None
    url = database_url
    if railway and tables is None and not url:
        url = RailwayPlatform(railway).public_database_url(profile)
    report("reading the queue")
    opened = tables if tables is not None else open_tables(url)
    try:
        found = _load(profile, opened, measured, (now - since) / timedelta(hours=1) if since else None)
    finally:
        if tables is None and not isinstance(opened, NoTables):
            opened.close()
        if railway:
            railway.close()
    return advice.advise(profile, others, found, now)


def _connected(connect: Callable[[], Railway], report: Report) -> Railway | None:
    try:
        return connect()
    except DeploykitError as error:
        report(f"Railway is not asked: {error.message}")
        return None


def _load(profile: Profile, tables: Tables | NoTables, measured: float | None, since_hours: float | None) -> Load:
    if isinstance(tables, NoTables):
        return Load(None, problem=f"{tables.problem.message} ({tables.problem.hint})")
    try:
        sample, facts = tables.sample(), tables.facts()
        hours, known_hours = _history(profile, tables, since_hours)
    except DatabaseError as error:
        return Load(None, problem=error.message)
    return Load(
        facts.queue,
        workers=sum(_works(one) for one in sample.heartbeats),
        hours=hours,
        known_hours=known_hours,
        schedules=facts.schedules or (),
        measured_monthly_usd=measured,
        problem="; ".join(one.message for one in facts.problems),
    )


def _history(profile: Profile, tables: Tables, since_hours: float | None) -> tuple[tuple[Hour, ...], float]:
    """How jobs went since the apply, and how many hours that is; nothing where the tables do not tell."""
    if not isinstance(tables, JobTables):
        return (), 0.0
    asked = WEEK_HOURS if since_hours is None else min(since_hours, WEEK_HOURS)
    try:
        hours = tables.by_hour(asked, advice.patience_seconds(profile))
    except SchemaError:
        return (), 0.0  # an application's own table, without the columns
    oldest = max((hour.hours_ago + 1 for hour in hours), default=0)
    return tuple(hours), oldest if since_hours is None else since_hours


def _works(beat: Heartbeat) -> bool:
    if beat.kind != "job_worker" or beat.status != "RUNNING" or beat.seconds_ago is None:
        return False
    return beat.seconds_ago < max(FRESH_SECONDS, 3 * (beat.heartbeat_interval_ms or 0) / 1000)


def _measured_monthly_usd(railway: Railway, now: datetime, report: Report) -> float | None:
    """What the averages of the last day cost over a month; None when Railway does not tell."""
    report("asking Railway what was used")
    try:
        with understood(railway.endpoint):
            series: list[Mapping[str, object]] = railway.run(
                "Metrics",
                environmentId=railway.environment_id,
                startDate=(now - timedelta(days=1)).isoformat(),
                sampleRateSeconds=_SAMPLE_SECONDS,
            )["metrics"]
            usd = [_USD[str(one["measurement"])] * average for one in series if (average := _average(one)) is not None]
    except DeploykitError as error:
        report(f"Railway does not tell what was used: {error.message}")
        return None
    return round(sum(usd), 2) if usd else None


def _average(series: Mapping[str, object]) -> float | None:
    points = series["values"]
    assert isinstance(points, list)
    values = [float(point["value"]) for point in points]
    return sum(values) / len(values) if values else None


def neighbours(project_dir: Path, profile: Profile) -> list[Profile]:
    """The other profiles of the project for the same environment; the bundled ones where it has none of its own."""
    own = project_dir / "profiles"
    folder = own if (own / f"{profile.name}.yaml").is_file() else profiles.bundled()
    found = (load(path, root=project_dir).profile for path in sorted(folder.glob("*.yaml")))
    return [one for one in found if one and one.name != profile.name and one.environment == profile.environment]


def applied_at(project_dir: Path, profile: Profile) -> datetime | None:
    """When ``profile`` was applied from this folder, None when something else was applied last or nobody knows."""
    last = next(iter(reversed(applied.records(project_dir))), None)
    if last is None or not last.reached or last.profile != profile.name:
        return None
    return datetime.fromisoformat(last.at.replace("Z", "+00:00"))
