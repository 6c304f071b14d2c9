"""A profile as Railway's resource graph: the form that its change sets and its own IaC engine speak.

Source of the shape: Railway IaC engine, graph version 1. Platform defaults are left out, since an authored default
never converges (railwayapp/cli issue 1184).
"""

from __future__ import annotations

import re
from typing import Any

from deploykit.profile.schema import Domain, Profile, Secret, Service

MYSQL_IMAGE = "mysql:9"
_MYSQL_MOUNT = "/var/lib/mysql"
_WHOLE_REFERENCE = re.compile(r"\$\{\{\s*([^{}.]+?)\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}\Z")
DEFAULT_DOMAIN_PORT = 8080

Graph = dict[str, Any]


def graph(profile: Profile) -> Graph:
    """The graph of ``profile``: databases first, then volumes, then services, each in file order."""
    addresses = {name: address(profile, name) for name in profile.services}
    database = profile.database.service if profile.database else None
    resources: list[dict[str, Any]] = []
    if database is not None and database not in profile.services:
        addresses = {database: f"database.{database}", **addresses}
        resources.append(_database(database))
    resources.extend(_database(service.name, service) for service in profile.services.values() if _is_database(service))
    apps = [service for service in profile.services.values() if not _is_database(service)]
    resources.extend(_volume(service) for service in apps if service.volume)
    resources.extend(_service(service, addresses) for service in apps)
    return {
        "version": 1,
        "project": {"name": profile.project or "app"},
        "environments": [],
        "resources": resources,
        "edges": [edge for resource in resources for edge in edges(resource)],
    }


def address(profile: Profile, name: str) -> str:
    """``service.web``, or ``database.MySQL`` for what Railway's engine takes for a database."""
    service = profile.services.get(name)
    is_database = _is_database(service) if service else True
    return f"{'database' if is_database else 'service'}.{name}"


def volume_name(service: Service) -> str:
    """The name of the volume that guards or serves a service."""
    named = service.volume.name if service.volume else None
    return named or f"{service.name}-data"


def _is_database(service: Service) -> bool:
    return service.role == "database"


def _database(name: str, service: Service | None = None) -> dict[str, Any]:
    image = service.source.image if service and service.source and service.source.image else MYSQL_IMAGE
    return {
        "address": f"database.{name}",
        "type": "database",
        "kind": "database",
        "engine": "mysql",
        "name": name,
        "image": image,
        "output": "MYSQL_URL",
        "source": {"type": "image", "image": image},
        "defaultMountPath": _MYSQL_MOUNT,
    }


def _volume(service: Service) -> dict[str, Any]:
    assert service.volume is not None
    config: dict[str, Any] = {}
    if service.volume.size_mb is not None:
        config["sizeMB"] = service.volume.size_mb
    name = volume_name(service)
    return {"address": f"volume.{name}", "type": "volume", "name": name, "config": config}


def _service(service: Service, addresses: dict[str, str]) -> dict[str, Any]:
    node: dict[str, Any] = {
        "address": f"service.{service.name}",
        "type": "service",
        "kind": _kind(service),
        "name": service.name,
        "source": _source(service),
        "deploy": deploy(service),
        "variables": {name: variable(value, addresses) for name, value in service.env.items()},
    }
    if service.volume:
        name = volume_name(service)
        node["volumeAttachments"] = {name: {"volume": f"volume.{name}", "mountPath": service.volume.mount}}
    if service.domains:
        node["networking"] = {"customDomains": dict(_domain(domain) for domain in service.domains)}
    return {key: value for key, value in node.items() if value not in (None, {})}


def _kind(service: Service) -> str:
    if service.source is None:
        return "empty"
    return "github" if service.source.repo else "docker-image"


def _source(service: Service) -> dict[str, Any] | None:
    source = service.source
    if source is None:
        return None
    if source.image:
        return {"type": "image", "image": source.image}
    result: dict[str, Any] = {"type": "github", "repo": source.repo, "branch": source.branch or "main"}
    if source.root:
        result["rootDirectory"] = source.root
    if service.autodeploy == "after_ci":
        result["checkSuites"] = True
    return result


def deploy(service: Service) -> dict[str, Any]:
    """The deploy settings that differ from Railway's defaults."""
    restart = service.restart
    settings: dict[str, Any] = {
        "startCommand": service.start,
        "preDeployCommand": [service.pre_deploy] if service.pre_deploy else None,
        "healthcheckPath": service.healthcheck,
        "healthcheckTimeout": _unless(service.healthcheck_timeout_seconds, 300),
        "restartPolicyType": _unless(restart.policy.upper(), "ON_FAILURE"),
        "restartPolicyMaxRetries": _unless(restart.max_retries, 10),
        "overlapSeconds": _unless(service.overlap_seconds, 0),
        "drainingSeconds": _unless(service.draining_seconds, 0),
        "sleepApplication": service.sleep or None,
        "cronSchedule": service.cron,
        "limitOverride": _limits(service),
    }
    if isinstance(service.replicas, int):
        settings["numReplicas"] = service.replicas if service.replicas > 1 else None
    else:
        settings["multiRegionConfig"] = {
            region: {"numReplicas": count} for region, count in sorted(service.replicas.items())
        }
    return {key: value for key, value in settings.items() if value is not None}


def _unless(value: Any, default: Any) -> Any:
    return None if value == default else value


def _limits(service: Service) -> dict[str, Any] | None:
    containers: dict[str, Any] = {}
    if service.limits.vcpu is not None:
        containers["cpu"] = service.limits.vcpu
    if service.limits.memory_mb is not None:
        containers["memoryBytes"] = round(service.limits.memory_mb * 1_000_000)
    return {"containers": containers} if containers else None


def variable(value: str | Secret, addresses: dict[str, str]) -> dict[str, Any]:
    """A variable in the graph: preserve for a secret, reference for a whole ``${{Service.VAR}}``, else literal."""
    if isinstance(value, Secret):
        return {"type": "preserve"}
    match = _WHOLE_REFERENCE.match(value)
    if match and match.group(1) in addresses:
        return {"type": "reference", "resource": addresses[match.group(1)], "output": match.group(2)}
    return {"type": "literal", "value": value}


def _domain(domain: str | Domain) -> tuple[str, dict[str, Any]]:
    if isinstance(domain, str):
        return domain, {"port": DEFAULT_DOMAIN_PORT}
    return domain.domain, {"port": domain.port or DEFAULT_DOMAIN_PORT}


def edges(resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Which other resources a resource mounts, and which it reads variables of."""
    found = [
        {"from": resource["address"], "to": attachment["volume"], "type": "mount", "key": attachment["mountPath"]}
        for attachment in resource.get("volumeAttachments", {}).values()
    ]
    found.extend(
        {"from": resource["address"], "to": value["resource"], "type": "variable", "key": name}
        for name, value in resource.get("variables", {}).items()
        if value["type"] == "reference"
    )
    return found
