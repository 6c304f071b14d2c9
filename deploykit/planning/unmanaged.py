"""Every stored setting that no profile can say, by name: what is not listed in ``MAPPED`` is never passed over.

Source of the keys: Railway API, EnvironmentConfig. A key that nobody here has heard of is named all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploykit.planning.diff import MANAGED_LIMITS, MANAGED_SOURCE
from deploykit.planning.snapshot import LiveService, LiveVariable, LiveVolume, Snapshot
from deploykit.sources.secrets import is_evidently_plain

MAPPED = {
    "source": frozenset(MANAGED_SOURCE),
    "deploy": frozenset(
        {
            "cronSchedule", "drainingSeconds", "healthcheckPath", "healthcheckTimeout", "limitOverride",
            "multiRegionConfig", "numReplicas", "overlapSeconds", "preDeployCommand", "restartPolicyMaxRetries",
            "restartPolicyType", "sleepApplication", "startCommand",
        }
    ),
    "networking": frozenset({"customDomains"}),
}  # fmt: skip
"""The settings that a profile says, by section."""

_STAYS = "apply leaves it as it is"
_BUILD = f"how the image is built; {_STAYS}, a new environment would need it set by hand"
_CLUSTER = f"part of a cluster that Railway runs; {_STAYS}"
_UNKNOWN = f"deploykit does not know this setting; {_STAYS}"

WHY = {
    "build": _BUILD,
    "source": f"a source without repository and image; {_STAYS}",
    "source.autoUpdates": f"how Railway renews the image; {_STAYS}",
    "source.commitSha": "the commit of the last deploy; Railway keeps it",
    "source.upstreamUrl": f"where the repository came from; {_STAYS}",
    "deploy.region": "an older word for multiRegionConfig; Railway keeps it",
    "deploy.multiRegionConfig": f"where the replicas run; {_STAYS} while the profile names no region",
    "deploy.limitOverride": f"a limit that no profile can say; {_STAYS}",
    "deploy.requiredMountPath": "set by the template; Railway keeps it",
    "deploy.registryCredentials": f"a login that is never read back; {_STAYS}",
    "deploy.ipv6EgressEnabled": f"whether it reaches IPv6 addresses; {_STAYS}",
    "deploy.runtime": "Railway's own choice; Railway keeps it",
    "deploy.useLegacyStacker": "Railway's own choice; Railway keeps it",
    "networking.customDomains": f"a setting of its domain; {_STAYS}",
    "networking.serviceDomains": f"a domain that Railway gave; {_STAYS}",
    "networking.tcpProxies": f"a port that is open to the world; {_STAYS}",
    "networking.privateNetworkEndpoint": f"its name on the private network; {_STAYS}",
    "configFile": "a file in the repository whose settings win at every deploy; take it away when the profile rules",
    "tracing": f"Railway's tracing; {_STAYS}",
    "cdn": f"Railway's CDN; {_STAYS}",
    "parentServiceId": _CLUSTER,
    "clusterRole": _CLUSTER,
    "clusterWiring": _CLUSTER,
    "clusterDisplay": _CLUSTER,
    "replicaConfig": _CLUSTER,
    "groupId": "its place on the canvas; apply never touches it",
    "isCreated": "a marker of Railway's own",
    "isDeleted": "a marker of Railway's own",
    "volumeMounts": f"how the volume is backed up; {_STAYS}",
    "buckets": "an object store; apply never touches it",
    "groups": "an arrangement on the canvas; apply never touches it",
    "privateNetworkDisabled": f"whether the private network is off; {_STAYS}",
    "services": "Railway names it in its configuration, and shows no service",
    "volumes": "Railway names it in its configuration, and shows no volume",
    "degraded": "Railway's own",
    "stopServices": "Railway's own",
}
"""What happens to a setting, by the longest path that is its beginning."""


@dataclass(frozen=True, slots=True)
class Unmanaged:
    """One setting that is live and in no profile. ``value`` is empty where it could be a secret, or is not one word."""

    service: str | None
    path: str
    value: str
    why: str


def of_service(service: LiveService, volumes: tuple[LiveVolume, ...]) -> Iterator[Unmanaged]:
    """What of an application's service the profile does not say."""
    for path, value in _settings(service.config, has_origin(service)):
        yield _named(service.name, path, value)
    yield from _volumes(service.name, [one for one in volumes if one.id in (service.config.get("volumeMounts") or {})])
    for variable in service.variables.values():
        yield from _notes(service.name, "variables", variable)


def of_database(service: LiveService, volumes: tuple[LiveVolume, ...]) -> Iterator[Unmanaged]:
    """Everything of a database: apply creates one that is missing, and never changes one that is there."""
    why = "apply never changes a database that is there"
    for path, value in _leaves(service.config):
        if path != "source.image":
            yield Unmanaged(service.name, path, shown(path, value), why)
    for one in volumes:
        if one.id in (service.config.get("volumeMounts") or {}):
            yield Unmanaged(service.name, f"volumes.{one.name}", f"{one.size_mb} MB" if one.size_mb else "", why)
    if service.variables:
        yield Unmanaged(service.name, "variables", ", ".join(service.variables), why)


def of_environment(live: Snapshot) -> Iterator[Unmanaged]:
    """What belongs to no service: shared variables, volumes nobody mounts, buckets, groups and the rest."""
    for variable in live.shared_variables.values():
        yield Unmanaged(None, f"sharedVariables.{variable.name}", "", f"shared by all services; {_STAYS}")
        yield from _notes(None, "sharedVariables", variable)
    mounted = {key for service in live.services for key in service.config.get("volumeMounts") or {}}
    for volume in live.volumes:
        if volume.id not in mounted:
            yield Unmanaged(None, f"volumes.{volume.name}", "", f"a volume that nobody mounts; {_STAYS}")
    for path, value in _leaves(live.config):
        yield _named(None, path, value)


def shown(path: str, value: Any) -> str:
    """A setting for a comment: nothing when it is long, or not evidently plain words and numbers."""
    parts = [
        one if isinstance(one, str) else json.dumps(one) for one in (value if isinstance(value, list) else [value])
    ]
    text = ", ".join(parts)
    return text if len(text) <= 60 and is_evidently_plain(path.rpartition(".")[2], text) else ""


def _named(service: str | None, path: str, value: Any) -> Unmanaged:
    known = path
    while known and known not in WHY:
        known = known.rpartition(".")[0]
    return Unmanaged(service, path, shown(path, value), WHY.get(known, _UNKNOWN))


def has_origin(service: LiveService) -> bool:
    """Whether its source names a repository or an image; without one a profile says nothing of its source."""
    return any((service.config.get("source") or {}).get(key) for key in ("repo", "image"))


def _settings(config: Mapping[str, Any], origin: bool) -> Iterator[tuple[str, Any]]:
    """Path and value of every stored setting that no profile says."""
    for section, content in config.items():
        if section == "volumeMounts":
            yield from _mounts(content or {})
        elif section not in MAPPED or not isinstance(content, Mapping) or (section == "source" and not origin):
            yield from _leaves({section: content})
        else:
            for key, value in content.items():
                if key not in MAPPED[section]:
                    yield from _leaves({key: value}, f"{section}.")
            if section == "deploy":
                yield from _beside_what_is_mapped(content)
            if section == "networking":
                yield from _beside_ports(content.get("customDomains") or {})


def _beside_what_is_mapped(deploy: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """A mapped setting may have neighbours inside: where a single region is, limits of other kinds."""
    regions = {name: entry for name, entry in (deploy.get("multiRegionConfig") or {}).items() if entry}
    for name, entry in regions.items():
        rest = {key: value for key, value in entry.items() if key != "numReplicas"}
        yield from _leaves(rest, f"deploy.multiRegionConfig.{name}.")
        if len(regions) == 1 and not rest:
            yield f"deploy.multiRegionConfig.{name}", entry.get("numReplicas")
    limits = deploy.get("limitOverride") or {}
    containers = limits.get("containers") or {}
    others = {key: value for key, value in containers.items() if key not in MANAGED_LIMITS}
    yield from _leaves(others, "deploy.limitOverride.containers.")
    yield from _leaves({key: value for key, value in limits.items() if key != "containers"}, "deploy.limitOverride.")


def _beside_ports(domains: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for domain, entry in domains.items():
        rest = {key: value for key, value in (entry or {}).items() if key != "port"}
        yield from _leaves(rest, f"networking.customDomains.{domain}.")


def _mounts(mounts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for entry in mounts.values():
        rest = {key: value for key, value in (entry or {}).items() if key != "mountPath"}
        yield from _leaves(rest, "volumeMounts.")


def _volumes(service: str, volumes: list[LiveVolume]) -> Iterator[Unmanaged]:
    for volume in volumes:
        rest = {"region": volume.region, **{key: value for key, value in volume.config.items() if key != "sizeMB"}}
        for path, value in _leaves(rest, f"volumes.{volume.name}."):
            yield Unmanaged(service, path, shown(path, value), f"a setting of its volume; {_STAYS}")


def _notes(service: str | None, section: str, variable: LiveVariable) -> Iterator[Unmanaged]:
    for note in variable.notes:
        path = f"{section}.{variable.name}.{note}"
        yield Unmanaged(service, path, "", f"stored beside the value; {_STAYS}")


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything that says something: a null or an empty map says nothing."""
    for key, item in value.items():
        if isinstance(item, Mapping) and any(inner is not None for inner in item.values()):
            yield from _leaves(item, f"{prefix}{key}.")
        elif item is not None and not (isinstance(item, Mapping) and prefix == ""):
            yield f"{prefix}{key}", item
