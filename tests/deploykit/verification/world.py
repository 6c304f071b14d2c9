"""A small world to verify: pre-launch as Railway and the job tables show it, healthy until a test changes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from deploykit.planning.snapshot import Instance, LiveDeployment, LiveService, LiveVariable, Snapshot, StagedPatch
from deploykit.profile.schema import Profile
from deploykit.verification.checks import Case
from deploykit.verification.evidence import Evidence, Sample
from deploykit.verification.log_lines import expected
from runtime.db import ServerFacts
from runtime.heartbeats import Heartbeat
from runtime.jobs import QueueSummary
from runtime.lease import LeaseState

NOW = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
DAEMON_ENV = {
    "DATABASE_URL": "${{MySQL.MYSQL_URL}}",
    "DATABASE_CONNECTION_LIMIT": "5",
    "SCHEDULE_DAEMON_ENABLED": "true",
    "SCHEDULE_POLL_INTERVAL_MS": "3600000",
    "EMBEDDED_JOB_WORKER": "false",
}
WEB_ENV = {
    "DATABASE_URL": "${{MySQL.MYSQL_URL}}",
    "DATABASE_CONNECTION_LIMIT": "5",
    "SCHEDULE_DAEMON_ENABLED": "false",
    "EMBEDDED_JOB_WORKER": "true",
    "JOB_WORKER_POLL_INTERVAL_MS": "30000",
}


def pre_launch(**changes: Any) -> Profile:
    """The guide's two services; ``changes`` replace top-level keys."""
    body: dict[str, Any] = {
        "version": 1,
        "name": "pre-launch",
        "database": {"service": "MySQL"},
        "services": {
            "web-server": {"role": "web", "start": "python -m runtime web", "env": WEB_ENV},
            "schedule-daemon": {
                "role": "daemon",
                "guard": "lease",
                "start": "python -m runtime daemon",
                "env": DAEMON_ENV,
            },
        },
        "expect": {"schedule_daemon": 1, "job_worker": 1, "max_queued_jobs": 50, "max_oldest_queued_seconds": 3600},
    }
    return Profile.model_validate(body | changes)


def beat(worker_id: str, kind: str, deployment: str | None, **changes: Any) -> Heartbeat:
    """A row of the bundled runtime, five beats old."""
    values: dict[str, Any] = {
        "worker_id": worker_id,
        "kind": kind,
        "status": "RUNNING",
        "beats": 5,
        "started_at": NOW - timedelta(minutes=50),
        "last_heartbeat_at": NOW - timedelta(seconds=4),
        "seconds_ago": 4.0,
        "service": None,
        "deployment": deployment,
        "replica": f"{deployment}-0" if deployment else None,
        "hostname": "host",
        "pid": 7,
        "profile": None,
        "poll_interval_ms": 3_600_000 if kind == "schedule_daemon" else 30_000,
        "heartbeat_interval_ms": 10_000,
        "loops": None,
    }
    return Heartbeat(**values | changes)


def later(heartbeat: Heartbeat, beats: int = 1) -> Heartbeat:
    """The same row after some more beats."""
    assert heartbeat.last_heartbeat_at is not None
    return replace(
        heartbeat,
        beats=None if heartbeat.beats is None else heartbeat.beats + beats,
        last_heartbeat_at=heartbeat.last_heartbeat_at + timedelta(seconds=10 * beats),
    )


def aged(heartbeat: Heartbeat, seconds: float) -> Heartbeat:
    """The same row, seen again after ``seconds`` without a beat."""
    return replace(heartbeat, seconds_ago=(heartbeat.seconds_ago or 0.0) + seconds)


def deployment(identity: str, service: str, **changes: Any) -> LiveDeployment:
    """An active deployment of one running instance, an hour old."""
    values: dict[str, Any] = {
        "id": identity,
        "service_id": f"id-{service}",
        "status": "SUCCESS",
        "stopped": False,
        "created_at": NOW - timedelta(hours=1),
        "instances": (Instance(f"{identity}-0", "RUNNING"),),
        "variables": {},
    }
    return LiveDeployment(**values | changes)


def service(name: str, *deployments: LiveDeployment, env: dict[str, str] | None = None, **changes: Any) -> LiveService:
    """A service whose deployments ran with the variables that it has now, unless they say otherwise."""
    env = env or {}
    with_variables = tuple(replace(d, variables=env) if d.variables == {} else d for d in deployments)
    newest = max(with_variables, key=lambda d: d.created_at, default=None)
    values: dict[str, Any] = {
        "id": f"id-{name}",
        "name": name,
        "variables": {key: LiveVariable(key, value) for key, value in env.items()},
        "deployments": with_variables,
        "active_ids": tuple(d.id for d in with_variables if d.status in ("SUCCESS", "CRASHED", "SLEEPING")),
        "latest_id": newest.id if newest else None,
    }
    return LiveService(**values | changes)


@dataclass
class World:
    """Everything a verification sees. ``alive`` rows advance between the samples, ``frozen`` ones do not."""

    profile: Profile = field(default_factory=pre_launch)
    services: dict[str, LiveService] = field(default_factory=dict)
    alive: dict[str, Heartbeat] = field(default_factory=dict)
    frozen: dict[str, Heartbeat] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    watched_seconds: float = 36.0
    staged: StagedPatch | None = None

    def __post_init__(self) -> None:
        if not self.services:
            self.services = {
                "MySQL": service("MySQL", deployment("db", "MySQL")),
                "web-server": service("web-server", deployment("web", "web-server"), env=WEB_ENV),
                "schedule-daemon": service("schedule-daemon", deployment("day", "schedule-daemon"), env=DAEMON_ENV),
            }
            self.alive = {
                "daemon": beat("d1", "schedule_daemon", "day", service="schedule-daemon"),
                "worker": beat("w1", "job_worker", "web", service="web-server"),
            }

    @property
    def snapshot(self) -> Snapshot:
        services = tuple(self.services.values())
        return Snapshot("p", "app", "e", "production", "etag", services=services, staged=self.staged, read_at=NOW)

    def samples(self) -> tuple[Sample, ...]:
        first = (*self.alive.values(), *self.frozen.values())
        last = (
            *(later(row) for row in self.alive.values()),
            *(aged(row, self.watched_seconds) for row in self.frozen.values()),
        )
        return Sample(NOW, first), Sample(NOW + timedelta(seconds=self.watched_seconds), last)

    def evidence(self) -> Evidence:
        values: dict[str, Any] = {
            "before": self.snapshot,
            "after": self.snapshot,
            "samples": self.samples(),
            "queue": QueueSummary(0, 0, 0, 0, 3, 0, None),
            "schedules": (),
            "lease": LeaseState("d1", 3, 30.0),
            "server": ServerFacts("9.0.0", NOW, 151, 9, False),
            "logs": self.logs(),
        }
        return Evidence(**values | self.extra)

    def logs(self) -> dict[str, tuple[str, ...]]:
        lines: dict[str, tuple[str, ...]] = {}
        for name, live in self.services.items():
            wish = self.profile.services.get(name)
            if wish is not None:
                lines |= {d.id: tuple(f"🔄 {phrase}" for phrase in expected(wish)) for d in live.deployments}
        return lines

    def case(self) -> Case:
        return Case(self.profile, self.evidence())

    def replace_deployments(self, name: str, *deployments: LiveDeployment, **changes: Any) -> None:
        env = DAEMON_ENV if name == "schedule-daemon" else WEB_ENV if name == "web-server" else {}
        self.services[name] = service(name, *deployments, env=env, **changes)


def instances(identity: str, *statuses: str) -> tuple[Instance, ...]:
    """Instances of a deployment by status."""
    return tuple(Instance(f"{identity}-{number}", status) for number, status in enumerate(statuses))


def classes(case: Case, kind: str | None = None) -> list[str]:
    """The classes of all rows of a kind, sorted."""
    return sorted(str(row.class_) for row in case.census.rows if kind in (None, row.kind))


def verdicts(checks: Iterable[Any]) -> dict[str, str]:
    """Check id → verdict."""
    return {check.id: str(check.verdict) for check in checks}
