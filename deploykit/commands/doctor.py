"""Name the cause of a sick system. Reads only, and goes on with whatever source still answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deploykit.commands.observe import NoTables, Report, Tables, observe, open_tables
from deploykit.commands.platform import RailwayPlatform
from deploykit.errors import AuthenticationError, DeploykitError
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway
from deploykit.verification.census import STARTING_SECONDS
from deploykit.verification.checks import Case, Verification, judge
from deploykit.verification.diagnosis import Diagnosis, diagnose
from deploykit.verification.evidence import Evidence, Problem


def doctor(
    profile: Profile,
    connect: Callable[[], Railway],
    database_url: str | None,
    *,
    tables: Tables | None = None,
    starting_seconds: float = STARTING_SECONDS,
    report: Report = lambda text: None,
) -> tuple[Verification, list[Diagnosis]]:
    """What was seen, and every cause, the root first.

    A Railway that refuses or does not answer is a cause like any other, and so is a dead database: raises nothing for
    them.
    """
    problems: list[Problem] = []
    platform: RailwayPlatform | None = None
    url = database_url
    try:
        platform = RailwayPlatform(connect())
        if tables is None and not url:
            url = platform.public_database_url(profile)
    except DeploykitError as error:
        why = "refused" if isinstance(error, AuthenticationError) else "unreachable"
        problems.append(Problem("railway", error.message, error.hint or "", why))
    opened = tables if tables is not None else open_tables(url)
    try:
        evidence = observe(profile, platform, opened, report=report, with_tails=True, tolerant=True)
    finally:
        if tables is None and not isinstance(opened, NoTables):
            opened.close()
    found = judge(Case(profile, _with(evidence, problems), starting_seconds))
    return found, diagnose(found)


def _with(evidence: Evidence, problems: list[Problem]) -> Evidence:
    """The evidence with what went wrong before it: the first reason for a missing source is the true one."""
    return replace(evidence, problems=(*problems, *evidence.problems)) if problems else evidence
