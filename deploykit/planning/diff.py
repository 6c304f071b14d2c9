"""The profile's graph against what Railway has stored → changes.

Railway leaves defaults out when it is read, so both sides are compared without them; what the profile does not manage
is carried over untouched (Railway IaC: diff rules).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from deploykit.planning.change import AUTODEPLOY_OFF, AUTODEPLOY_ON, DOMAIN_CREATE, DOMAIN_UPDATE, Change
from deploykit.planning.graph import graph
from deploykit.planning.snapshot import LiveService, LiveVolume, Snapshot, regions
from deploykit.profile.schema import Profile, Service

OWN_VARIABLES = frozenset(
    {
        "DATABASE_CONNECTION_LIMIT", "DATABASE_URL", "DEPLOYKIT_PROFILE", "EMBEDDED_JOB_WORKER",
        "HEARTBEAT_INTERVAL_MS", "JOBS_MODULE", "JOB_WORKER_CONCURRENCY", "JOB_WORKER_POLL_INTERVAL_MS", "NODE_ENV",
        "SCHEDULE_DAEMON_ENABLED", "SCHEDULE_POLL_INTERVAL_MS",
    }
)  # fmt: skip
"""Variables whose meaning deploykit knows: dropping one loses nothing that a profile could not bring back."""

DEFAULTS: dict[str, Any] = {
    "healthcheckPath": None,
    "healthcheckTimeout": 300,
    "restartPolicyType": "ON_FAILURE",
    "restartPolicyMaxRetries": 10,
    "overlapSeconds": 0,
    "drainingSeconds": 0,
    "sleepApplication": False,
    "cronSchedule": None,
    "startCommand": None,
    "preDeployCommand": None,
    "limitOverride": None,
    "numReplicas": 1,
    "multiRegionConfig": None,
}
"""What Railway assumes for a deploy setting that is not stored (Railway API: EnvironmentConfig)."""

MANAGED_SOURCE = ("repo", "image", "branch", "rootDirectory", "checkSuites")
MANAGED_LIMITS = ("cpu", "memoryBytes")
"""What of a source and of resource limits a profile can say. The rest is carried over as it is."""

_WRITE_ONLY = frozenset({"registryCredentials"})
"""Read as stars; sent back, the stars would replace what they stand for (Railway IaC: credentials)."""
_TRANSIENT = frozenset({"commitSha"})
_REFERENCE = re.compile(r"\$\{\{\s*([^{}]+?)\s*\}\}")

_SOURCE_DEFAULTS: dict[str, Any] = {"branch": "main", "rootDirectory": "", "checkSuites": False}
Values = Callable[[str, str], str | None]
"""(service, variable) → the value of a secret that the operator gives, or None."""


def diff(profile: Profile, live: Snapshot, secret: Values = lambda service, variable: None) -> list[Change]:
    """Every change that brings the stored configuration to ``profile``, in the order of its graph."""
    changes: list[Change] = []
    for node in graph(profile)["resources"]:
        if node["type"] == "volume":
            changes.extend(_volume(node, live.volumes))
            continue
        known = live.service(node["name"])
        if known is None:
            changes.append(_create(node, secret))
        elif node["type"] == "service":
            changes.extend(_update(node, known, live, secret))
        if node["type"] == "service":
            changes.extend(_domains(profile.services[node["name"]], known))
    return changes


def missing_secrets(profile: Profile, live: Snapshot, secret: Values) -> list[tuple[str, str]]:
    """(service, variable) of every ``!secret`` that neither Railway has nor the operator gives."""
    missing = []
    for service in profile.services.values():
        known = live.service(service.name)
        for name, value in service.env.items():
            if isinstance(value, str) or secret(service.name, name) is not None:
                continue
            if known is None or name not in known.variables:
                missing.append((service.name, name))
    return missing


def ports(service: Service) -> list[tuple[str, int | None]]:
    """The custom domains of a service with their ports; None leaves the choice to Railway."""
    return [(one, None) if isinstance(one, str) else (one.domain, one.port) for one in service.domains]


def custom_domains(known: LiveService | None) -> dict[str, int | None]:
    """The custom domains that a live service has, with their ports."""
    networking = (known.config.get("networking") if known else None) or {}
    domains = networking.get("customDomains") or {}
    return {domain: (options or {}).get("port") for domain, options in domains.items() if options is not None}


def _domains(service: Service, known: LiveService | None) -> Iterator[Change]:
    """Domains go through mutations of their own; one that the profile does not name is left alone."""
    live = custom_domains(known)
    address = f"service.{service.name}"
    for domain, port in ports(service):
        path = f"resources.{address}.domains.{domain}"
        own = {"domain": domain, "targetPort": port}
        if domain not in live:
            yield Change(address, DOMAIN_CREATE, path, f"add domain {domain} to {service.name}", own=own)
        elif port is not None and live[domain] != port:
            summary = f"lead domain {domain} of {service.name} to port {port}"
            yield Change(address, DOMAIN_UPDATE, path, summary, own=own)


def autodeploy(service: Service, enabled: bool) -> Change | None:
    """The change of a service's push-to-deploy, None when it stands as the profile wants it.

    ``after_ci`` leaves the switch as it is: it only says that a push waits for its checks.
    """
    wanted = service.autodeploy
    if wanted == "after_ci" or (wanted == "on_push") == enabled:
        return None
    kind, word = (AUTODEPLOY_ON, "on") if wanted == "on_push" else (AUTODEPLOY_OFF, "off")
    path = f"resources.service.{service.name}.autodeploy"
    summary = f"switch {word} deploys on push of {service.name}"
    return Change(f"service.{service.name}", kind, path, summary, own={"enabled": wanted == "on_push"})


def deletion(name: str, address: str) -> Change:
    """Deleting a service that the profile does not know."""
    path = f"resources.{address}"
    previous = {"address": address, "type": "service", "name": name}
    wire = {
        "kind": "resource.delete", "address": address, "previous": previous, "path": path,
        "summary": f"Delete service {name}", "severity": "destructive", "deployEffect": "deploy",
    }  # fmt: skip
    return Change(address, "resource.delete", path, f"delete service {name}", True, wire)


def _create(node: dict[str, Any], secret: Values) -> Change:
    address = node["address"]
    # Domains follow by mutations of their own: whether a creation may carry them is not known.
    resource = {key: value for key, value in node.items() if key != "networking"}
    if "variables" in resource:
        resource["variables"] = {
            name: wire
            for name, value in resource["variables"].items()
            if (wire := _wire_value(node["name"], name, value, secret)) is not None
        }
    word = "database" if node["type"] == "database" else "service"
    wire = {
        "kind": "resource.create", "address": address, "resource": resource, "path": f"resources.{address}",
        "summary": f"Create {word} {node['name']}", "severity": "safe", "deployEffect": "deploy",
    }  # fmt: skip
    return Change(address, "resource.create", f"resources.{address}", f"create {word} {node['name']}", wire=wire)


def _wire_value(service: str, name: str, value: dict[str, Any], secret: Values) -> dict[str, Any] | None:
    """A variable as the change set carries it; None for a secret that stays where it is."""
    if value["type"] != "preserve":
        return value
    given = secret(service, name)
    return None if given is None else {"type": "literal", "value": given, "isSealed": True}


def _volume(node: dict[str, Any], volumes: tuple[LiveVolume, ...]) -> Iterator[Change]:
    address, wanted = node["address"], node["config"]
    known = next((volume for volume in volumes if volume.name == node["name"]), None)
    path = f"resources.{address}"
    if known is None:
        wire = {
            "kind": "resource.create", "address": address, "resource": node, "path": path,
            "summary": f"Create volume {node['name']}", "severity": "safe", "deployEffect": "none",
        }  # fmt: skip
        yield Change(address, "resource.create", path, f"create volume {node['name']}", wire=wire)
        return
    size = wanted.get("sizeMB")
    if size is not None and size != known.size_mb:
        smaller = known.size_mb is not None and size < known.size_mb
        before = {"sizeMB": known.size_mb, "region": known.region}
        wire = {
            "kind": "resource.update", "address": address, "field": "config", "before": before,
            "after": {**before, "sizeMB": size}, "path": f"{path}.config", "summary": f"Resize volume {node['name']}",
            "severity": "destructive" if smaller else "safe", "deployEffect": "none",
        }  # fmt: skip
        summary = f"resize volume {node['name']} from {known.size_mb} MB to {size} MB"
        yield Change(address, "resource.update", f"{path}.config", summary, smaller, wire)


def _update(node: dict[str, Any], known: LiveService, live: Snapshot, secret: Values) -> Iterator[Change]:
    yield from _variables(node, known, secret)
    yield from _source(node, known)
    yield from _deploy(node, known)
    yield from _attachments(node, known, live)


def _variables(node: dict[str, Any], known: LiveService, secret: Values) -> Iterator[Change]:
    name, address = node["name"], node["address"]
    wanted: dict[str, dict[str, Any]] = node.get("variables", {})
    for variable, value in wanted.items():
        live = known.variables.get(variable)
        if value["type"] == "preserve":
            given = secret(name, variable)
            if given is None or (live is not None and live.value == given):
                continue
            value = {"type": "literal", "value": given, "isSealed": True}
        elif live is not None and _same(live.value, stored(value)):
            continue
        path = f"resources.{address}.variables.{variable}"
        verb = "Set" if live is None else "Update"
        wire: dict[str, Any] = {
            "kind": "variable.set", "address": address, "variable": variable, "after": value, "path": path,
            "summary": f"{verb} variable {name}.{variable}", "severity": "safe", "deployEffect": "deploy",
        }  # fmt: skip
        if live is not None:
            wire["before"] = {"type": "preserve"}
        yield Change(address, "variable.set", path, f"{verb.lower()} variable {variable} of {name}", wire=wire)
    for variable in known.variables:
        if variable in wanted or variable.startswith("RAILWAY_"):
            continue
        path = f"resources.{address}.variables.{variable}"
        wire = {
            "kind": "variable.delete", "address": address, "variable": variable, "previous": {"type": "preserve"},
            "path": path, "summary": f"Delete variable {name}.{variable}", "severity": "destructive",
            "deployEffect": "deploy",
        }  # fmt: skip
        summary = f"delete variable {variable} of {name}"
        yield Change(address, "variable.delete", path, summary, variable not in OWN_VARIABLES, wire)


def stored(value: Mapping[str, Any]) -> str:
    """A desired variable as Railway stores it: references as ``${{Service.VAR}}``."""
    if value["type"] == "reference":
        return f"${{{{{value['resource'].partition('.')[2]}.{value['output']}}}}}"
    return str(value["value"])


def _same(live: str | None, wanted: str) -> bool:
    """Whether two values are one: blanks inside a reference mean nothing (Railway docs: variables)."""
    return live is not None and (live == wanted or _tight(live) == _tight(wanted))


def _tight(value: str) -> str:
    return _REFERENCE.sub(r"${{\1}}", value)


def _source(node: dict[str, Any], known: LiveService) -> Iterator[Change]:
    wanted = node.get("source")
    if wanted is None:
        return
    before = dict(known.config.get("source") or {})
    after = {key: value for key, value in wanted.items() if key != "type"}
    names = {key for key in MANAGED_SOURCE if key in before or key in after}
    changed = [
        key
        for key in sorted(names)
        if (before.get(key) or _SOURCE_DEFAULTS.get(key)) != (after.get(key) or _SOURCE_DEFAULTS.get(key))
    ]
    if changed:
        kept = {key: value for key, value in before.items() if key not in (*MANAGED_SOURCE, *_TRANSIENT)}
        # Said aloud, since a server that merges would keep a repository beside an image.
        reset = {key: _SOURCE_DEFAULTS.get(key) for key in changed if key not in after}
        yield _field(node, "source", before, {**kept, **reset, **wanted}, changed)


def _deploy(node: dict[str, Any], known: LiveService) -> Iterator[Change]:
    before: dict[str, Any] = dict(known.config.get("deploy") or {})
    wanted: dict[str, Any] = dict(node.get("deploy", {}))
    placed = bool(wanted.get("multiRegionConfig"))
    have, want = _comparable(before, placed), _comparable(wanted, placed)
    changed = [key for key in DEFAULTS if have[key] != want[key]]
    if not changed:
        return
    kept = {key: value for key, value in before.items() if key not in _WRITE_ONLY}
    after = {**kept, **{key: wanted.get(key, DEFAULTS[key]) for key in changed}}
    if "multiRegionConfig" in changed or "numReplicas" in changed:
        after.pop("numReplicas", None)
        placement = _placement(before, wanted)
        # Railway itself puts a number under a region; where none is stored yet, the number is all there is to say.
        after |= {"multiRegionConfig": placement} if placement else {"numReplicas": wanted.get("numReplicas", 1)}
    if "limitOverride" in changed:
        after["limitOverride"] = _limits(before, wanted)
    yield _field(node, "deploy", before, after, changed)


def _comparable(deploy: Mapping[str, Any], placed: bool) -> dict[str, Any]:
    """Deploy settings with defaults filled in; replicas as one total, unless they are spread or ``placed`` by region.

    Where a profile gives a mere number, the region that a service has is not the profile's business.
    """
    result = {key: deploy.get(key, default) for key, default in DEFAULTS.items()}
    result = {key: DEFAULTS[key] if value in (None, "") else value for key, value in result.items()}
    command = result["preDeployCommand"]
    result["preDeployCommand"] = [command] if isinstance(command, str) else (command or None)
    limits = (result["limitOverride"] or {}).get("containers") or {}
    result["limitOverride"] = {key: limits[key] for key in MANAGED_LIMITS if limits.get(key) is not None}
    spread = regions(deploy)
    if placed or len(spread) > 1:
        result["multiRegionConfig"], result["numReplicas"] = spread, 1
    else:
        result["multiRegionConfig"] = None
        result["numReplicas"] = next(iter(spread.values()), result["numReplicas"])
    return result


def _limits(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The complete limits: wanted ones, null for those that go, and what no profile can say as it is."""
    live = before.get("limitOverride") or {}
    had = live.get("containers") or {}
    kept = {name: value for name, value in had.items() if name not in MANAGED_LIMITS}
    containers = (wanted.get("limitOverride") or {}).get("containers") or {}
    if not containers and not kept:
        return None
    gone = {name: None for name in MANAGED_LIMITS if name in had and name not in containers}
    return {**live, "containers": {**kept, **gone, **containers}}


def _placement(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The complete region map: wanted regions, and null for regions that go."""
    live = before.get("multiRegionConfig") or {}
    placed = wanted.get("multiRegionConfig")
    if placed is None:
        region = next(iter(live), None)
        count = wanted.get("numReplicas", 1)
        placed = {region: {"numReplicas": count}} if region else None
    if placed is None:
        return None
    complete = {region: {**(live.get(region) or {}), **settings} for region, settings in placed.items()}
    return {**{region: None for region in live if region not in placed}, **complete}


def _attachments(node: dict[str, Any], known: LiveService, live: Snapshot) -> Iterator[Change]:
    wanted = node.get("volumeAttachments") or {}
    names = live.volume_names
    before = {
        names.get(key, key): {"volume": f"volume.{names.get(key, key)}", "mountPath": entry["mountPath"]}
        for key, entry in (known.config.get("volumeMounts") or {}).items()
        if entry
    }
    if before != wanted:
        backups = {
            names.get(key, key): {"backupSchedules": entry["backupSchedules"]}
            for key, entry in (known.config.get("volumeMounts") or {}).items()
            if entry and entry.get("backupSchedules")
        }
        after = {name: {**backups.get(name, {}), **entry} for name, entry in wanted.items()}
        detached = [name for name in before if name not in wanted]
        changed = sorted({*before, *wanted} - {name for name in before if before[name] == wanted.get(name)})
        yield _field(node, "volumeAttachments", before or None, after, changed, destructive=bool(detached))


def _field(
    node: dict[str, Any], name: str, before: Any, after: Any, changed: list[str], *, destructive: bool = False
) -> Change:
    service, address = node["name"], node["address"]
    what = ", ".join(f"{name}.{key}" for key in changed)
    path = f"resources.{address}.{name}"
    wire = {
        "kind": "resource.update", "address": address, "field": name, "before": before, "after": after, "path": path,
        "summary": f"Update {service} {what}", "severity": "destructive" if destructive else "safe",
        "deployEffect": "deploy",
    }  # fmt: skip
    return Change(address, "resource.update", path, f"update {what} of {service}", destructive, wire)
