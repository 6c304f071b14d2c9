"""What Railway has now, and what the heartbeats say: the values every decision is taken from.

Names follow Railway's API (Railway API: ``ServiceInstance``, ``Deployment``, ``DeploymentDeploymentInstance``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Possibly(StrEnum):
    """Whether processes of a deployment may be running."""

    PENDING = "pending"
    """No process now, but one will start: queued, waiting, building, deploying without an instance, asleep."""
    RUNNING = "running"
    """A process runs or may run."""
    GONE = "gone"
    """Nothing of it runs and nothing of it will start."""


PENDING_STATUSES = frozenset({"QUEUED", "WAITING", "NEEDS_APPROVAL", "INITIALIZING", "BUILDING"})
RUNNING_STATUSES = frozenset({"DEPLOYING", "SUCCESS", "CRASHED", "REMOVING"})
GONE_STATUSES = frozenset({"REMOVED", "FAILED", "SKIPPED"})
LIVE_INSTANCE_STATUSES = frozenset({"CREATED", "INITIALIZING", "RUNNING", "RESTARTING", "REMOVING"})


@dataclass(frozen=True, slots=True)
class Instance:
    """One replica of a deployment."""

    id: str
    status: str

    @property
    def live(self) -> bool:
        """Whether a process of it runs or may run; an unknown status counts as running."""
        return self.status not in {"EXITED", "CRASHED", "STOPPED", "SKIPPED", "REMOVED"}


@dataclass(frozen=True, slots=True)
class LiveDeployment:
    """One deployment: an immutable copy of configuration and variables, and its replicas.

    ``variables`` are the user's variables it was created with, None when not read. ``settings`` is the deploy part of
    its manifest, None when Railway does not tell.
    """

    id: str
    service_id: str
    status: str
    stopped: bool
    created_at: datetime
    instances: tuple[Instance, ...] = ()
    variables: Mapping[str, str] | None = None
    settings: Mapping[str, Any] | None = None
    reason: str | None = None

    @property
    def possibly(self) -> Possibly:
        """Whether anything of it runs or will run. Statuses we do not know count as running."""
        if any(instance.live for instance in self.instances):
            return Possibly.RUNNING
        if self.status in PENDING_STATUSES or self.status in {"DEPLOYING", "SLEEPING"}:
            return Possibly.PENDING
        if self.status in GONE_STATUSES or self.stopped:
            return Possibly.GONE
        if self.status in {"CRASHED", "REMOVING"}:
            return Possibly.GONE if self.instances else Possibly.RUNNING
        return Possibly.RUNNING


@dataclass(frozen=True, slots=True)
class LiveVariable:
    """A variable of a service: ``value`` is unrendered, None when sealed or masked.

    ``notes`` names what else is stored with it: a description, a generator …
    """

    name: str
    value: str | None = None
    sealed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveVolume:
    """A volume as mounted in this environment; ``config`` is its raw entry in Railway's EnvironmentConfig."""

    id: str
    name: str
    service_id: str | None
    mount: str | None
    size_mb: int | None = None
    region: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def regions(deploy: Mapping[str, Any]) -> dict[str, int]:
    """Replicas by region, as deploy settings store them: a region that is null or says no number counts for nothing."""
    return {
        region: entry["numReplicas"]
        for region, entry in (deploy.get("multiRegionConfig") or {}).items()
        if entry and entry.get("numReplicas")
    }


@dataclass(frozen=True, slots=True)
class LiveService:
    """One service in the environment: its stored configuration (not what runs) and its deployments.

    ``config`` is the raw entry of Railway's EnvironmentConfig without variables, defaults omitted.
    ``deployments`` holds every deployment that may matter, newest first: active, pending, draining and the latest.
    """

    id: str
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, LiveVariable] = field(default_factory=dict)
    deployments: tuple[LiveDeployment, ...] = ()
    active_ids: tuple[str, ...] = ()
    latest_id: str | None = None
    autodeploy: bool | None = None

    @property
    def active(self) -> tuple[LiveDeployment, ...]:
        """What Railway lists as active, in its order."""
        return tuple(deployment for deployment in self.deployments if deployment.id in self.active_ids)

    @property
    def latest(self) -> LiveDeployment | None:
        """The newest deployment, or None when there never was one or all were removed."""
        return next((deployment for deployment in self.deployments if deployment.id == self.latest_id), None)

    @property
    def start_command(self) -> str | None:
        """The configured start command."""
        command = self.config.get("deploy", {}).get("startCommand")
        return str(command) if command else None

    @property
    def replicas(self) -> int:
        """How many replicas are configured, over all regions."""
        deploy = self.config.get("deploy") or {}
        regions = [entry for entry in (deploy.get("multiRegionConfig") or {}).values() if entry]
        counts = [int(entry.get("numReplicas") or 1) for entry in regions] or [int(deploy.get("numReplicas") or 1)]
        return sum(counts)


SHARED_VARIABLES = "shared variables"


@dataclass(frozen=True, slots=True)
class StagedPatch:
    """Dashboard edits that wait to be committed; ``touches`` are service names, and ``SHARED_VARIABLES``."""

    id: str
    status: str
    empty: bool
    touches: tuple[str, ...] = ()
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One environment of one project, read at one moment."""

    project_id: str
    project_name: str
    environment_id: str
    environment_name: str
    etag: str
    services: tuple[LiveService, ...] = ()
    volumes: tuple[LiveVolume, ...] = ()
    shared_variables: Mapping[str, LiveVariable] = field(default_factory=dict)
    staged: StagedPatch | None = None
    services_elsewhere: tuple[str, ...] = ()
    """Names taken by services of the project that are not in this environment."""
    read_at: datetime | None = None
    masked: bool = False
    """Whether Railway withheld variable values."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What else Railway's EnvironmentConfig holds: neither services, nor volumes, nor shared variables."""

    @property
    def volume_names(self) -> dict[str, str]:
        """Volume id → name: what is mounted is stored by id."""
        return {volume.id: volume.name for volume in self.volumes}

    def service(self, name: str) -> LiveService | None:
        """The service of that name, or None."""
        return next((service for service in self.services if service.name == name), None)
