"""Everything a verification looked at, as values: what Railway said, what the job tables said, what was not read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from deploykit.planning.snapshot import LiveDeployment, LiveService, Possibly, Snapshot
from runtime.db import ServerFacts
from runtime.heartbeats import Heartbeat
from runtime.jobs import QueueSummary
from runtime.lease import LeaseState
from runtime.schedules import Schedule


@dataclass(frozen=True, slots=True)
class Sample:
    """One look into WorkerInstance; ``at`` is the database's clock, UTC."""

    at: datetime
    heartbeats: tuple[Heartbeat, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A source that could not be read: ``railway``, ``database`` or ``logs``. ``why`` is one of the words below."""

    source: str
    message: str
    hint: str = ""
    why: str = "unreachable"
    """unreachable, refused (rights), missing (nobody told us where), schema (tables or columns lack)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that ``--smoke`` did: ``verdict`` as in a check."""

    id: str
    verdict: str
    summary: str
    hint: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The sources of one verification. A source that is None was not read, and its problem is in ``problems``.

    ``before`` and ``after`` bracket the samples, so that a deploy in between is no surprise. ``logs`` maps deployment
    ids to their lines, oldest first. ``elsewhere`` names deployments that Railway places in another environment.
    """

    before: Snapshot | None = None
    after: Snapshot | None = None
    samples: tuple[Sample, ...] = ()
    queue: QueueSummary | None = None
    schedules: tuple[Schedule, ...] | None = None
    lease: LeaseState | None = None
    server: ServerFacts | None = None
    logs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tails: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The last lines of deployments that crashed, failed or ended."""
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    smoke: tuple[Step, ...] = ()
    waiting_for_handler: Mapping[str, int] = field(default_factory=dict)
    stuck_jobs: tuple[tuple[str, str, float], ...] = ()
    """Running jobs: id, name, seconds since their start by the database's clock."""
    clock_skew_seconds: float | None = None
    """The database's clock minus this machine's, as far as the answer's travel time lets us tell."""
    api_requests: int = 0

    @property
    def snapshot(self) -> Snapshot | None:
        """The latest view of Railway."""
        return self.after or self.before

    @property
    def observed_seconds(self) -> float:
        """How long the job tables were watched, by the database's clock."""
        if len(self.samples) < 2:
            return 0.0
        return (self.samples[-1].at - self.samples[0].at).total_seconds()

    def problem(self, source: str) -> Problem | None:
        """The reason why a source is missing, None when it was read."""
        return next((problem for problem in self.problems if problem.source == source), None)


@dataclass(frozen=True, slots=True)
class Home:
    """Where a heartbeat's deployment lives: the service, and the deployment as last seen."""

    service: LiveService
    deployment: LiveDeployment


def homes(snapshot: Snapshot | None) -> Iterator[Home]:
    """Every deployment that a snapshot shows."""
    for service in snapshot.services if snapshot else ():
        for deployment in service.deployments:
            yield Home(service, deployment)


def home(snapshot: Snapshot | None, deployment: str | None) -> Home | None:
    """The home of a deployment id, None when the snapshot does not know it."""
    return next((found for found in homes(snapshot) if found.deployment.id == deployment), None)


def gone(snapshot: Snapshot | None, deployment: str) -> bool:
    """Whether, at that moment, no process of the deployment should have been running."""
    found = home(snapshot, deployment)
    return found is None or found.deployment.possibly is Possibly.GONE or found.deployment.status == "SLEEPING"
