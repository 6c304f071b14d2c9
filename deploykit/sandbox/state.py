"""What the sandbox remembers: projects, environments, deployments, tokens; kept in one JSON file.

Plain data without behaviour. ``EnvironmentConfig`` is kept as Railway stores it: sparse, ids as keys, values
unrendered.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = Any
Config = dict[str, Any]

IN_PROGRESS = frozenset({"QUEUED", "WAITING", "NEEDS_APPROVAL", "INITIALIZING", "BUILDING", "DEPLOYING"})
BUILDING = frozenset({"QUEUED", "WAITING", "INITIALIZING", "BUILDING"})
ENDED_INSTANCE = frozenset({"EXITED", "CRASHED", "STOPPED", "SKIPPED", "REMOVED"})


def new_id() -> str:
    """An opaque identifier, as all of Railway's are."""
    return str(uuid.uuid4())


def timestamp(moment: datetime | None = None) -> str:
    """RFC 3339 in UTC with milliseconds, Railway's DateTime."""
    return (moment or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Service:
    """``deleted_at`` is set when no environment has it any more; ended deployments still carry its name."""

    id: str
    name: str
    created_at: str
    deleted_at: str | None = None
    icon: str | None = None
    template: str | None = None


@dataclass(slots=True)
class Volume:
    id: str
    name: str
    created_at: str


@dataclass(slots=True)
class Bucket:
    id: str
    name: str
    created_at: str
    group_id: str | None = None


@dataclass(slots=True)
class Patch:
    """A staged or committed change of an environment's config; ``workflow`` is what became of its commit."""

    id: str
    environment_id: str
    patch: Config
    status: str
    created_at: str
    updated_at: str
    message: str | None = None
    applied_at: str | None = None
    last_error: str | None = None
    workflow: str = "Complete"


@dataclass(slots=True)
class Environment:
    """``auto_deploy_off`` holds the services whose push-to-deploy is switched off."""

    id: str
    name: str
    project_id: str
    created_at: str
    updated_at: str
    config: Config = field(default_factory=dict)
    staged: Patch | None = None
    partials: dict[str, str] = field(default_factory=dict)
    source_environment_id: str | None = None
    ephemeral: bool = False
    auto_deploy_off: list[str] = field(default_factory=list)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(slots=True)
class Instance:
    """One replica of a deployment; the same id through all restarts of its process."""

    id: str
    region: str
    status: str = "CREATED"
    pid: int | None = None
    port: int | None = None
    restarts: int = 0
    exit_code: int | None = None


@dataclass(slots=True)
class Event:
    id: str
    step: str
    created_at: str
    completed_at: str | None = None
    payload: dict[str, Json] | None = None


@dataclass(slots=True)
class Deployment:
    """``config`` and ``variables`` are the snapshot taken at creation: settings, and the rendered variables."""

    id: str
    service_id: str
    environment_id: str
    snapshot_id: str
    created_at: str
    updated_at: str
    status_updated_at: str
    config: Config
    variables: dict[str, str]
    sealed: list[str]
    meta: dict[str, Json]
    status: str = "QUEUED"
    instances: list[Instance] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    was_active: bool = False

    @property
    def stopped(self) -> bool:
        """Whether all instances have ended (GraphQL: ``deploymentStopped``)."""
        return bool(self.instances) and all(instance.status in ENDED_INSTANCE for instance in self.instances)


@dataclass(slots=True)
class Execution:
    """One run of a cron service."""

    id: str
    deployment_id: str
    status: str
    created_at: str
    updated_at: str
    completed_at: str | None = None


@dataclass(slots=True)
class Trigger:
    id: str
    environment_id: str
    service_id: str
    repository: str
    branch: str
    check_suites: bool = False


@dataclass(slots=True)
class ChangeSetApply:
    id: str
    environment_id: str
    status: str
    changes: list[dict[str, Json]]
    diagnostics: list[dict[str, Json]]
    deployment_id: str | None = None
    staged_patch_id: str | None = None


@dataclass(slots=True)
class Token:
    """``kind`` is ``project`` (one environment), ``account`` or ``workspace``."""

    id: str
    value: str
    kind: str
    name: str
    created_at: str
    environment_id: str | None = None


@dataclass(slots=True)
class Project:
    id: str
    name: str
    created_at: str
    updated_at: str
    description: str | None = None
    pr_deploys: bool = False
    bot_pr_environments: bool = False
    focused_pr_environments: bool = False
    is_public: bool = False
    base_environment_id: str | None = None


@dataclass(slots=True)
class State:
    """Everything; ``workspace_id`` and ``user_id`` belong to the one workspace and the one person there are."""

    project: Project
    workspace_id: str
    user_id: str
    services: dict[str, Service] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    patches: dict[str, Patch] = field(default_factory=dict)
    applies: dict[str, ChangeSetApply] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    triggers: dict[str, Trigger] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)

    def service_named(self, name: str) -> Service | None:
        return next((service for service in self.living_services() if service.name == name), None)

    def living_services(self) -> list[Service]:
        return [service for service in self.services.values() if service.deleted_at is None]

    def volume_named(self, name: str) -> Volume | None:
        return next((volume for volume in self.volumes.values() if volume.name == name), None)

    def deployments_of(self, environment_id: str, service_id: str) -> list[Deployment]:
        """Newest first."""
        found = [
            deployment
            for deployment in self.deployments.values()
            if deployment.environment_id == environment_id and deployment.service_id == service_id
        ]
        return found[::-1]


def fresh(project_name: str) -> State:
    """A project with one empty environment, ``production``, and one token of each kind."""
    moment = timestamp()
    project = Project(new_id(), project_name, moment, moment)
    environment = Environment(new_id(), "production", project.id, moment, moment)
    project.base_environment_id = environment.id
    state = State(project, workspace_id=new_id(), user_id=new_id())
    state.environments[environment.id] = environment
    for kind in ("project", "account", "workspace"):
        token = Token(new_id(), new_id(), kind, f"sandbox {kind}", moment)
        token.environment_id = environment.id if kind == "project" else None
        state.tokens[token.value] = token
    return state


def save(state: State, path: Path) -> None:
    """Write the whole state at once, readable by its owner only: it holds tokens and variable values."""
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, separators=(",", ":"))
    temporary.replace(path)


def load(path: Path) -> State | None:
    """The saved state, or None when there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        return _from_json(json.loads(path.read_text("utf-8")))
    return None


def _from_json(data: dict[str, Json]) -> State:
    state = State(Project(**data["project"]), data["workspace_id"], data["user_id"])
    kinds = {
        "services": Service, "volumes": Volume, "buckets": Bucket, "environments": Environment, "patches": Patch,
        "deployments": Deployment, "applies": ChangeSetApply, "executions": Execution, "triggers": Trigger,
        "tokens": Token,
    }  # fmt: skip
    for name, kind in kinds.items():
        getattr(state, name).update({key: kind(**value) for key, value in data[name].items()})
    for environment in data["environments"].values():
        if environment["staged"]:
            state.environments[environment["id"]].staged = Patch(**environment["staged"])
    for deployment in state.deployments.values():
        deployment.instances = [Instance(**value) for value in data["deployments"][deployment.id]["instances"]]
        deployment.events = [Event(**value) for value in data["deployments"][deployment.id]["events"]]
    return state
