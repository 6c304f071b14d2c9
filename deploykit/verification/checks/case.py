"""What every check is made of: a profile held against evidence, and what a check says about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from deploykit.planning.snapshot import LiveDeployment, LiveService
from deploykit.profile.schema import Profile, Service
from deploykit.verification.census import DAEMON, STARTING_SECONDS, WORKER, Census, census, leaving, starting
from deploykit.verification.evidence import Evidence

SOURCES = {"railway": "Railway", "database": "the job tables"}


class Verdict(StrEnum):
    """What a check says."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIP = "skip"


class Health(StrEnum):
    """What all checks together say."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Check:
    """One item of the checklist, with what it rests on."""

    id: str
    verdict: Verdict
    summary: str
    hint: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One profile held against one body of evidence."""

    profile: Profile
    evidence: Evidence
    starting_seconds: float = STARTING_SECONDS

    @cached_property
    def census(self) -> Census:
        return census(self.profile, self.evidence, starting_seconds=self.starting_seconds)

    def live(self, service: Service) -> LiveService | None:
        """The service on Railway, None when it is not there."""
        return self.evidence.snapshot.service(service.name) if self.evidence.snapshot else None

    def starting(self, live: LiveService | None) -> bool:
        """Whether a deployment of it is still coming up."""
        return starting(live, self._read_at, self.starting_seconds)

    def leaving(self, live: LiveService | None) -> bool:
        """Whether predecessors of its newest deployment may still be there."""
        return leaving(self.profile, live, self._read_at, self.starting_seconds)

    @property
    def _read_at(self) -> datetime | None:
        return self.evidence.snapshot.read_at if self.evidence.snapshot else None

    def current(self, service: Service) -> LiveDeployment | None:
        """The newest active deployment."""
        live = self.live(service)
        return max(live.active, key=lambda deployment: deployment.created_at, default=None) if live else None


def health(checks: Sequence[Check]) -> Health:
    """One verdict: unhealthy beats inconclusive beats healthy; no evidence at all is inconclusive."""
    verdicts = {result.verdict for result in checks}
    if Verdict.FAIL in verdicts:
        return Health.UNHEALTHY
    if Verdict.INCONCLUSIVE in verdicts or Verdict.PASS not in verdicts:
        return Health.INCONCLUSIVE
    return Health.HEALTHY


# --- words ------------------------------------------------------------------------------------------------------------


def deployed(profile: Profile) -> list[Service]:
    """The services whose deployments must be active all the time: a cron service comes and goes."""
    return [service for service in profile.services.values() if service.cron is None]


def quoted(names: Sequence[str]) -> str:
    """Names in a message."""
    return ", ".join(f"“{name}”" for name in names)


def word(kind: str) -> str:
    """What a person calls a kind of process."""
    return {DAEMON: "schedule daemon", WORKER: "job worker"}.get(kind, kind)
