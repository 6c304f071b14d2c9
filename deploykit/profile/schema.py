"""What a profile says, validated and frozen. The only module that knows pydantic.

Defaults are Railway's own (Railway docs: deployments reference), so that leaving a key out and writing the default
mean the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

DAEMON_FLAG = "SCHEDULE_DAEMON_ENABLED"
WORKER_FLAG = "EMBEDDED_JOB_WORKER"
DAEMON_POLL = "SCHEDULE_POLL_INTERVAL_MS"
WORKER_POLL = "JOB_WORKER_POLL_INTERVAL_MS"
POOL_SIZE = "DATABASE_CONNECTION_LIMIT"
DEFAULT_POOL_SIZE = 10
"""What Prisma's driver adapters take when nothing is said (guide, scenario 4)."""
DEFAULT_MAX_CONNECTIONS = 151
"""MySQL's server default (MySQL manual: max_connections)."""

Role = Literal["web", "daemon", "worker", "database", "other"]
Guard = Literal["lease", "volume", "recreate", "none"]
Policy = Literal["always", "on_failure", "never"]
Autodeploy = Literal["on_push", "after_ci", "off"]

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}\Z")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_REFERENCE = re.compile(r"\$\{\{\s*(?:([^{}.]+?)\.)?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("should be a number")
    if not math.isfinite(value):
        raise ValueError("should be a finite number")
    return value


Number = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1e9)]
Seconds = Annotated[StrictInt, Field(ge=0, le=2_678_400)]
Count = Annotated[StrictInt, Field(ge=0, le=100_000_000)]
Replicas = Annotated[StrictInt, Field(ge=1, le=50)]
Port = Annotated[StrictInt, Field(ge=1, le=65_535)]
Text = Annotated[StrictStr, Field(min_length=1, max_length=8_000)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=False)


class Secret(_Model):
    """A value that lives in Railway and never in a file; ``operator_variable`` may supply it at apply."""

    operator_variable: StrictStr | None = None


class Source(_Model):
    """Where a service's code or image comes from."""

    repo: Text | None = None
    branch: Text | None = None
    image: Text | None = None
    root: Text | None = None

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if (self.repo is None) == (self.image is None):
            raise ValueError("needs either repo or image")
        if self.image is not None and (self.branch or self.root):
            raise ValueError("an image has neither branch nor root")
        if self.repo is not None and not re.fullmatch(r"[^/\s]+/[^/\s]+", self.repo):
            raise ValueError("repo should be owner/name")
        return self


class Restart(_Model):
    """Restart policy; Railway's default is on failure, ten times (Railway docs: restart policy)."""

    policy: Policy = "on_failure"
    max_retries: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None


class Volume(_Model):
    """A volume: also the only lock Railway itself offers (Railway docs: volumes reference)."""

    mount: Annotated[StrictStr, Field(pattern=r"^/")]
    name: Text | None = None
    """Its name on Railway; SERVICE-data when nothing is said."""
    size_mb: Annotated[StrictInt, Field(ge=1, le=5_000_000)] | None = None


class Resources(_Model):
    """Expected averages, for the cost line: MB of RAM and vCPUs."""

    memory_mb: Number | None = None
    vcpu: Number | None = None


class Domain(_Model):
    """A custom domain and the port it leads to."""

    domain: Text
    port: Port | None = None


class Service(_Model):
    """One Railway service as the profile wants it."""

    name: StrictStr = ""
    role: Role
    source: Source | None = None
    start: Text | None = None
    pre_deploy: Text | None = None
    healthcheck: Annotated[StrictStr, Field(pattern=r"^/")] | None = None
    healthcheck_timeout_seconds: Annotated[StrictInt, Field(ge=1, le=86_400)] | None = None
    replicas: Replicas | Annotated[dict[StrictStr, Replicas], Field(min_length=1)] = 1
    restart: Restart = Restart()
    overlap_seconds: Seconds | None = None
    draining_seconds: Seconds | None = None
    max_job_seconds: Seconds | None = None
    sleep: StrictBool = False
    cron: Text | None = None
    volume: Volume | None = None
    guard: Guard | None = None
    resources: Resources = Resources()
    limits: Resources = Resources()
    domains: tuple[Text | Domain, ...] = ()
    autodeploy: Autodeploy = "on_push"
    env: dict[StrictStr, StrictStr | Secret] = {}

    @field_validator("env")
    @classmethod
    def _names(cls, env: dict[str, str | Secret]) -> dict[str, str | Secret]:
        for name in env:
            if not _VARIABLE_NAME.match(name):
                raise ValueError(f"{name!r} is no variable name: letters, digits and _ only")
        return env

    def value(self, variable: str) -> str | None:
        """The literal value of a variable, None when it is absent or a secret."""
        value = self.env.get(variable)
        return value if isinstance(value, str) else None

    @property
    def total_replicas(self) -> int:
        """Replicas over all regions."""
        return self.replicas if isinstance(self.replicas, int) else sum(self.replicas.values())

    @property
    def runs_daemon(self) -> bool:
        """Whether a process of this service schedules: by its flag, or by its role while the flag is unset."""
        flag = self.value(DAEMON_FLAG)
        return flag == "true" or (flag is None and self.role == "daemon")

    @property
    def runs_worker(self) -> bool:
        """Whether a process of this service works on jobs, embedded or dedicated."""
        return self.role == "worker" or self.value(WORKER_FLAG) == "true"

    @property
    def is_app(self) -> bool:
        """Whether this service runs our code and so owes the flags."""
        return self.role in ("web", "daemon", "worker")

    @property
    def references(self) -> tuple[tuple[str, str | None, str], ...]:
        """Every ``${{Service.VAR}}``: (variable it stands in, service or None for its own, variable it reads)."""
        return tuple(
            (name, match.group(1), match.group(2))
            for name, value in self.env.items()
            if isinstance(value, str)
            for match in _REFERENCE.finditer(value)
        )


class Database(_Model):
    """The Railway service that holds the job tables."""

    service: Text
    max_connections: Annotated[StrictInt, Field(ge=1, le=100_000)] = DEFAULT_MAX_CONNECTIONS


class Budget(_Model):
    """What the whole may cost, US dollars a month."""

    monthly_usd: Number


class Expect(_Model):
    """What verify holds the live system to."""

    schedule_daemon: Annotated[StrictInt, Field(ge=0, le=1)] = 1
    job_worker: Annotated[StrictInt, Field(ge=0, le=10_000)] | None = None
    max_queued_jobs: Count | None = None
    max_oldest_queued_seconds: Count | None = None


class Profile(_Model):
    """One profile after ``extends`` is resolved."""

    version: Literal[1]
    name: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    description: StrictStr | None = None
    extends: StrictStr | None = None
    environment: Text = "production"
    project: Text | None = None
    budget: Budget | None = None
    database: Database | None = None
    services: Annotated[dict[StrictStr, Service], Field(min_length=1)]
    expect: Expect = Expect()

    @field_validator("services", mode="before")
    @classmethod
    def _named(cls, services: object) -> object:
        if not isinstance(services, Mapping):
            return services
        return {name: {"name": name, **body} if isinstance(body, Mapping) else body for name, body in services.items()}

    @field_validator("services")
    @classmethod
    def _service_names(cls, services: dict[str, Service]) -> dict[str, Service]:
        for name in services:
            if not _SERVICE_NAME.match(name):
                raise ValueError(f"{name!r} is no Railway service name: at most 32 letters, digits, spaces or ._-")
        return services

    @property
    def daemons(self) -> tuple[Service, ...]:
        """The services that schedule, in file order."""
        return tuple(service for service in self.services.values() if service.runs_daemon)

    @property
    def workers(self) -> tuple[Service, ...]:
        """The services that work on jobs, in file order."""
        return tuple(service for service in self.services.values() if service.runs_worker)

    @property
    def expected_workers(self) -> int:
        """How many job workers should live: what ``expect`` says, else the sum of the replicas that run one."""
        if self.expect.job_worker is not None:
            return self.expect.job_worker
        return sum(service.total_replicas for service in self.workers)
