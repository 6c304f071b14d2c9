"""A profile as services of a compose file: the same processes on one machine. Pure.

What Railway fills in is filled in here: references become names on compose's network, secrets become variables that
compose asks for. A ``$`` of the profile is doubled, since compose would read it as its own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploykit.planning.graph import MYSQL_IMAGE
from deploykit.profile.schema import Domain, Profile, Secret, Service
from deploykit.verification.processes import databases

PASSWORD = "${MYSQL_ROOT_PASSWORD:?put it into .env}"
DATABASE = "railway"
DEFAULT_PORT = 8080
"""The port Railway leads a domain to when nothing else is said (Railway docs: public networking)."""
_REFERENCE = re.compile(r"\$\{\{\s*(?:([^{}.]+?)\.)?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_RESTART = {"always": "always", "never": "no"}


@dataclass(frozen=True, slots=True)
class Container:
    """One service of the compose file; ``settings`` in the order in which they are written."""

    name: str
    title: str
    settings: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compose:
    """The whole file."""

    project: str
    containers: tuple[Container, ...]
    volumes: tuple[str, ...]
    asks_for: tuple[str, ...]
    """The variables that compose needs in .env."""


def compose(profile: Profile) -> Compose:
    """The compose file of ``profile``."""
    return _Writer(profile).compose()


class _Writer:
    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.databases = databases(profile)
        self.apps = [service for service in profile.services.values() if service.role != "database"]
        before = [_pre_deploy(service) for service in self.apps if service.pre_deploy]
        self.names = _names([*self.databases, *(service.name for service in self.apps), *before])
        self.asks_for: list[str] = []

    def compose(self) -> Compose:
        containers = [self.database(name) for name in self.databases]
        volumes = [f"{self.names[name]}-data" for name in self.databases]
        for service in self.apps:
            containers.extend(self.containers(service))
            if service.volume:
                volumes.append(self.volume(service))
        if self.databases:
            self.ask("MYSQL_ROOT_PASSWORD")
        project = _slug(self.profile.name).strip("_-") or "profile"
        return Compose(project, tuple(containers), tuple(dict.fromkeys(volumes)), tuple(self.asks_for))

    def database(self, name: str) -> Container:
        service = self.profile.services.get(name)
        image = service.source.image if service and service.source and service.source.image else MYSQL_IMAGE
        settings: dict[str, Any] = {
            "image": _literal(image),
            "volumes": [_mount(f"{self.names[name]}-data", "/var/lib/mysql")],
            # Over TCP, since MySQL answers on its socket while it is still being set up.
            "healthcheck": {
                "test": ["CMD-SHELL", 'mysqladmin ping -h 127.0.0.1 -u root -p"$$MYSQL_ROOT_PASSWORD" --silent'],
                "interval": "2s",
                "timeout": "5s",
                "retries": 60,
            },
        }
        environment = {"MYSQL_ROOT_PASSWORD": PASSWORD, "MYSQL_DATABASE": DATABASE}
        return Container(self.names[name], "database", settings, environment)

    def containers(self, service: Service) -> list[Container]:
        name = self.names[service.name]
        environment = self.environment(service)
        origin = _origin(service)
        waits: dict[str, Any] = {self.names[other]: {"condition": "service_healthy"} for other in self.databases}
        before = []
        if service.pre_deploy:
            first = self.names[_pre_deploy(service)]
            settings = {**origin, **_command(service, service.pre_deploy), "depends_on": dict(waits), "restart": "no"}
            before.append(Container(first, f"{service.name}: before the deploy", _pruned(settings), environment))
            waits[first] = {"condition": "service_completed_successfully"}
        settings = {
            **origin,
            **_command(service, service.start),
            "depends_on": waits,
            "restart": _restart(service),
            "stop_grace_period": f"{service.draining_seconds or 0}s",
            "ports": _ports(service),
            "volumes": [_mount(self.volume(service), service.volume.mount)] if service.volume else None,
            "deploy": _deploy(service),
            # Compose knows no timetable: `docker compose run` starts it by hand.
            "profiles": ["cron"] if service.cron else None,
        }
        return [*before, Container(name, service.role, _pruned(settings), environment)]

    def volume(self, service: Service) -> str:
        return f"{self.names[service.name]}-data"

    def environment(self, service: Service) -> dict[str, str]:
        port = {} if "PORT" in service.env or service.role != "web" else {"PORT": str(DEFAULT_PORT)}
        return {name: self.value(service, name, frozenset()) for name in service.env} | port

    def value(self, service: Service, name: str, seen: frozenset[tuple[str, str]]) -> str:
        value = service.env[name]
        if isinstance(value, Secret):
            return self.ask(value.operator_variable or name)
        here = (service.name, name)
        result, end = [], 0
        for match in _REFERENCE.finditer(value):
            result.append(_literal(value[end : match.start()]))
            result.append(self.reference(match.group(1) or service.name, match.group(2), seen | {here}))
            end = match.end()
        return "".join(result) + _literal(value[end:])

    def reference(self, owner: str, output: str, seen: frozenset[tuple[str, str]]) -> str:
        """What ``${{owner.output}}`` is on this machine."""
        if owner in self.databases:
            known = _mysql(self.names[owner])
            return known.get(output) or self.ask(output)
        service = self.profile.services.get(owner)
        if service is not None and output in service.env and (owner, output) not in seen:
            return self.value(service, output, seen)
        if service is not None and output == "RAILWAY_PRIVATE_DOMAIN":
            return self.names[owner]
        if service is not None and output == "PORT":
            return str(DEFAULT_PORT)
        return self.ask(output)

    def ask(self, name: str) -> str:
        """A variable that compose takes from .env, and refuses to start without."""
        asked = name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else _slug(name).replace("-", "_").upper()
        if asked not in self.asks_for:
            self.asks_for.append(asked)
        return f"${{{asked}:?put it into .env}}"


def _pre_deploy(service: Service) -> str:
    return f"{service.name}-pre-deploy"


def _mysql(host: str) -> Mapping[str, str]:
    """The variables of Railway's MySQL template (Railway docs: MySQL)."""
    url = f"mysql://root:{PASSWORD}@{host}:3306/{DATABASE}"
    return {
        "MYSQL_URL": url,
        "MYSQL_PUBLIC_URL": url,
        "MYSQLHOST": host,
        "MYSQLPORT": "3306",
        "MYSQLUSER": "root",
        "MYSQLPASSWORD": PASSWORD,
        "MYSQLDATABASE": DATABASE,
        "MYSQL_DATABASE": DATABASE,
        "MYSQL_ROOT_PASSWORD": PASSWORD,
        "RAILWAY_PRIVATE_DOMAIN": host,
    }


def _origin(service: Service) -> dict[str, Any]:
    source = service.source
    if source is not None and source.image:
        return {"image": _literal(source.image)}
    build: dict[str, Any] = {"context": _context(source.root if source else None)}
    if "python -m runtime" in (service.start or ""):
        build["dockerfile_inline"] = _PYTHON
    return {"build": build}


_PYTHON = "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nRUN pip install --no-cache-dir .\n"


def _context(root: str | None) -> str:
    folder = (root or "").strip("/")
    return f"./{_literal(folder)}" if folder else "."


def _command(service: Service, command: str | None) -> dict[str, Any]:
    if command is None:
        return {}
    if service.source is not None and service.source.image:
        # An image's command replaces its entry point and meets no shell (Railway docs: start command).
        return {"entrypoint": [_literal(word) for word in _split(command)], "command": []}
    return {"command": ["/bin/sh", "-c", _literal(command)]}


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command) or [command]
    except ValueError:
        return ["/bin/sh", "-c", command]


def _mount(volume: str, path: str) -> dict[str, str]:
    return {"type": "volume", "source": volume, "target": _literal(path)}


def _restart(service: Service) -> str:
    retries = 10 if service.restart.max_retries is None else service.restart.max_retries
    return _RESTART.get(service.restart.policy, f"on-failure:{retries}")


def _ports(service: Service) -> list[str] | None:
    if service.role != "web":
        return None
    port = service.value("PORT") or ""
    inside = int(port) if port.isdigit() and len(port) < 6 and 0 < int(port) < 65_536 else DEFAULT_PORT
    for domain in service.domains:
        if isinstance(domain, Domain) and domain.port and not port:
            inside = domain.port
    # Several replicas cannot share one port of this machine: compose picks free ones.
    return [f"127.0.0.1:{inside}:{inside}" if service.total_replicas == 1 else f"127.0.0.1::{inside}"]


def _deploy(service: Service) -> dict[str, Any] | None:
    deploy: dict[str, Any] = {}
    if service.total_replicas > 1:
        deploy["replicas"] = service.total_replicas
    limits: dict[str, Any] = {}
    if service.limits.vcpu:
        limits["cpus"] = f"{service.limits.vcpu:g}"
    if service.limits.memory_mb:
        limits["memory"] = str(int(service.limits.memory_mb * 1_000_000))
    if limits:
        deploy["resources"] = {"limits": limits}
    return deploy or None


def _names(names: list[str]) -> dict[str, str]:
    """A name on compose's network for each service: lower case, and never the same twice."""
    result: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        candidate, number = _slug(name), 2
        while candidate in taken:
            candidate, number = f"{_slug(name)}-{number}", number + 1
        taken.add(candidate)
        result[name] = candidate
    return result


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_") or "service"


def _literal(text: str) -> str:
    return text.replace("$", "$$")


def _pruned(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None and value != {}}
