"""The guide's after-deploy checklist and monitoring chapter, as far as a program can run them. Pure.

A check passes only on evidence. Where a source is missing it is inconclusive, and so is the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploykit.errors import Exit
from deploykit.profile.schema import Profile
from deploykit.verification.census import Census
from deploykit.verification.checks import logs, platform, processes, sources, tables
from deploykit.verification.checks.case import SOURCES, Case, Check, Health, Verdict, health
from deploykit.verification.evidence import Evidence

__all__ = ["Case", "Check", "Health", "Verdict", "Verification", "check", "health", "judge"]


@dataclass(frozen=True)
class Verification:
    """What a verification found: the census, the checks, and one verdict."""

    case: Case
    checks: tuple[Check, ...]

    @property
    def profile(self) -> Profile:
        return self.case.profile

    @property
    def evidence(self) -> Evidence:
        return self.case.evidence

    @property
    def census(self) -> Census:
        return self.case.census

    @property
    def health(self) -> Health:
        return health(self.checks)

    @property
    def exit_code(self) -> Exit:
        """0 healthy; 8 unhealthy; else 75 when a source does not answer, 4 when it refuses us, and otherwise 9."""
        if self.health is Health.HEALTHY:
            return Exit.OK
        if self.health is Health.UNHEALTHY:
            return Exit.UNHEALTHY
        reasons = {problem.why for problem in self.evidence.problems if problem.source in SOURCES}
        if "unreachable" in reasons:
            return Exit.UNREACHABLE
        return Exit.AUTHENTICATION if "refused" in reasons else Exit.INCONCLUSIVE


def judge(case: Case) -> Verification:
    """Run every check."""
    return Verification(case, tuple(check(case)))


def check(case: Case) -> list[Check]:
    """Every check, in the order in which a person would look."""
    return [result for function in CHECKS for result in function(case)]


CHECKS: tuple[Callable[[Case], Iterator[Check]], ...] = (
    *sources.CHECKS,
    *platform.CHECKS,
    *processes.CHECKS,
    *tables.CHECKS,
    *logs.CHECKS,
)
