"""What a live service is for, told by what Railway stores of it. Nobody declared it, so every answer says why."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploykit.planning.snapshot import LiveService
from deploykit.profile.schema import DAEMON_FLAG, WORKER_FLAG, WORKER_POLL, Role
from deploykit.sources.commands import meaning_of, parts

_DATABASE = re.compile(
    r"(?P<mysql>mysql|mariadb|percona)(-server|-ssl)?|(postgres|postgis|pgvector|timescaledb|redis|valkey|keydb|"
    r"mongo|mongodb|clickhouse)(-server|-ssl|-ha)?"
)


@dataclass(frozen=True, slots=True)
class Inferred:
    """A role and the fact it was told by. ``sure`` is False for a guess that a person should look at."""

    role: Role
    why: str
    sure: bool = True


def database_engine(service: LiveService) -> str | None:
    """``mysql``, ``other``, or None when the service's image is no database.

    By the last part of the image's name alone: ``prom/mysqld-exporter`` is none.
    """
    image = str((service.config.get("source") or {}).get("image") or "")
    match = _DATABASE.fullmatch(image.split("@")[0].rpartition("/")[2].split(":")[0].lower())
    if match is None:
        return None
    return "mysql" if match["mysql"] else "other"


def infer(service: LiveService) -> Inferred:
    """The role of ``service``: its image first, then what its command is called, then its flags and settings."""
    if database_engine(service):
        return Inferred("database", "its image is a database")
    if service.config.get("deploy", {}).get("cronSchedule"):
        return Inferred("other", "it runs by a timetable and ends")
    command = meaning_of(parts(service.start_command)) if service.start_command else None
    answers = _answers(service)
    if command and command.sure and command.role in ("web", "daemon", "worker"):
        return Inferred(_as_role(command.role), "its start command says so")
    if _on(service, DAEMON_FLAG) and not answers:
        return Inferred("daemon", f"{DAEMON_FLAG} is on, and it answers no requests")
    if answers:
        return Inferred("web", answers)
    if _on(service, WORKER_FLAG):
        return Inferred("web", "it embeds a job worker")
    if WORKER_POLL in service.variables:
        return Inferred("worker", f"it has {WORKER_POLL}, and answers no requests")
    if "PORT" in service.variables or (command and command.role == "web"):
        return Inferred("web", "it has a PORT" if "PORT" in service.variables else "its start command sounds like it")
    return Inferred("other", "nothing tells what it is for", sure=False)


def _answers(service: LiveService) -> str | None:
    """How a service shows that it answers requests from outside."""
    networking = service.config.get("networking") or {}
    if (service.config.get("deploy") or {}).get("healthcheckPath"):
        return "it answers a health check"
    if any((networking.get(key) or {}) for key in ("customDomains", "serviceDomains")):
        return "it has a domain"
    return None


def _on(service: LiveService, flag: str) -> bool:
    variable = service.variables.get(flag)
    return variable is not None and (variable.value or "").strip().lower() == "true"


def _as_role(word: str) -> Role:
    return "daemon" if word == "daemon" else "worker" if word == "worker" else "web"
