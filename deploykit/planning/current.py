"""What is live as a resource graph, in the words of Railway's own engine (Railway IaC: live config → graph).

Names are mapped as the engine maps them: what looks like a database image is a database without variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deploykit.planning.graph import Graph, edges
from deploykit.planning.snapshot import LiveService, LiveVariable, Snapshot

_ENGINES = ("mysql", "redis", "mongo", "postgres")
_OUTPUTS = {"mysql": "MYSQL_URL", "redis": "REDIS_URL", "mongo": "MONGO_URL", "postgres": "DATABASE_URL"}


def current_graph(live: Snapshot, *, reveal: bool = False) -> Graph:
    """The live graph. Values are ``preserve`` unless ``reveal``, as for a token that may not read them."""
    groups = {key: group.get("name") or key for key, group in (live.config.get("groups") or {}).items() if group}
    resources = [
        *_groups(live, groups),
        *(_resource(service, live, groups, reveal) for service in live.services if not service.config.get("isDeleted")),
        *({"address": f"volume.{one.name}", "type": "volume", "name": one.name, "config": dict(one.config)}
          for one in live.volumes),
        *({"address": f"bucket.{key}", "type": "bucket", "name": key, "config": config}
          for key, config in (live.config.get("buckets") or {}).items() if config and not config.get("isDeleted")),
    ]  # fmt: skip
    return {
        "version": 1,
        "project": {"name": live.project_name},
        "environments": [],
        "resources": resources,
        "edges": [edge for resource in resources for edge in edges(resource)],
    }


def _groups(live: Snapshot, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Groups that have members."""
    used = {service.config.get("groupId") for service in live.services}
    for key, name in names.items():
        if key in used:
            group = live.config["groups"][key]
            rest = {field: group[field] for field in ("color", "icon", "isCollapsed") if group.get(field) is not None}
            yield {"address": f"group.{name}", "type": "group", "name": name, **rest}


def _resource(service: LiveService, live: Snapshot, groups: Mapping[str, str], reveal: bool) -> dict[str, Any]:
    config = service.config
    image = str((config.get("source") or {}).get("image") or "")
    engine = next((one for one in _ENGINES if one in image), None)
    group = {"groupId": groups.get(config["groupId"], config["groupId"])} if config.get("groupId") else {}
    if engine:
        node = {
            "address": f"database.{service.name}", "type": "database", "kind": "database", "engine": engine,
            "name": service.name, "image": image, "output": _OUTPUTS[engine],
            **{key: config[key] for key in ("deploy", "volumeMounts") if config.get(key)}, **group,
        }  # fmt: skip
        mount = (config.get("deploy") or {}).get("requiredMountPath")
        return {**node, "defaultMountPath": mount} if mount and config.get("volumeMounts") else node
    return {
        "address": f"service.{service.name}", "type": "service", "kind": _kind(config), "name": service.name,
        **({"source": {"type": "image" if image else "github", **config["source"]}} if config.get("source") else {}),
        **{key: config[key] for key in ("build", "deploy") if key in config},
        **_variables(service.variables, reveal),
        **{key: config[key] for key in ("networking",) if key in config},
        **_attachments(config, live),
        **{key: config[key] for key in ("configFile",) if config.get(key)}, **group,
    }  # fmt: skip


def _kind(config: Mapping[str, Any]) -> str:
    source = config.get("source") or {}
    if source.get("repo"):
        return "github"
    if source.get("image"):
        return "docker-image"
    return "function" if (config.get("deploy") or {}).get("cronSchedule") else "empty"


def _variables(variables: Mapping[str, LiveVariable], reveal: bool) -> dict[str, Any]:
    if not variables:
        return {}
    shown = {
        name: {"type": "literal", "value": one.value} if reveal and one.value else {"type": "preserve"}
        for name, one in variables.items()
    }
    return {"variables": shown}


def _attachments(config: Mapping[str, Any], live: Snapshot) -> dict[str, Any]:
    names = live.volume_names
    attachments = {
        names.get(key, key): {
            "volume": f"volume.{names.get(key, key)}", "mountPath": mount["mountPath"],
            **({"backupSchedules": mount["backupSchedules"]} if mount.get("backupSchedules") else {}),
        }
        for key, mount in (config.get("volumeMounts") or {}).items()
        if mount and mount.get("mountPath")
    }  # fmt: skip
    return {"volumeAttachments": attachments} if attachments else {}
