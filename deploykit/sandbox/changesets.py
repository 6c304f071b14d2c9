"""The IaC change-set protocol: intents in, config out; preview without effect, apply with an optimistic lock."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from deploykit.sandbox import database
from deploykit.sandbox.config import PREFERRED_REGION, Config, apply_patch, etag, problems
from deploykit.sandbox.platform import Platform, Refusal
from deploykit.sandbox.state import (
    Bucket,
    ChangeSetApply,
    Deployment,
    Environment,
    Patch,
    Service,
    Volume,
    new_id,
    timestamp,
)

VERSION = 1
STALE = (
    "The environment changed since this plan was computed. Re-run plan and review the changes before applying.",
    "STALE_ENVIRONMENT_BASE",
)
_SERVICE_KEPT = ("build", "deploy", "networking", "configFile", "parentServiceId", "clusterRole", "replicaConfig")
# Keys that the official engine never authors; a replaced field keeps them.
_PLATFORM_OWNED = {
    "deploy": ("requiredMountPath", "registryCredentials"),
    "networking": ("serviceDomains", "customDomains"),
    "source": ("commitSha", "upstreamUrl"),
}
_DATABASE_OWNED = ("startCommand",)

Change = dict[str, Any]


class _Refused(Exception):
    """One change cannot be made; the text becomes its diagnostic."""


@dataclass(slots=True)
class Draft:
    """An environment's config while changes are laid over it, with what the project gains by them."""

    platform: Platform
    environment: Environment
    config: Config
    services: dict[str, Service] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    buckets: dict[str, Bucket] = field(default_factory=dict)
    fragments: Config = field(default_factory=dict)
    results: list[dict[str, Any]] = field(default_factory=list)
    diagnostics: list[dict[str, Any]] = field(default_factory=list)

    def service_id(self, name: str) -> str | None:
        """The id of the service with an instance in this environment."""
        known = {**self.platform.state.services, **self.services}
        here = self.config.get("services") or {}
        return next(
            (key for key, one in known.items() if one.name == name and key in here and not one.deleted_at), None
        )

    def volume_id(self, name: str) -> str | None:
        known = {**self.platform.state.volumes, **self.volumes}
        return next((key for key, volume in known.items() if volume.name == name), None)

    def bucket_id(self, name: str) -> str | None:
        known = {**self.platform.state.buckets, **self.buckets}
        here = self.config.get("buckets") or {}
        return next((key for key, bucket in known.items() if bucket.name == name and key in here), None)

    def group_id(self, name: str) -> str:
        groups = self.config.get("groups") or {}
        return next((key for key, group in groups.items() if group.get("name") == name), name)

    def check(self, section: str, key: str, fragment: Config) -> None:
        """Remember what the strict validator has to see."""
        self.fragments.setdefault(section, {}).setdefault(key, {}).update(fragment)


def preview(platform: Platform, environment: Environment, change_set: Any) -> dict[str, Any]:
    """What an apply would do: the changes that are none are dropped, by comparison with stored values."""
    changes = _changes(change_set)
    draft = compile_changes(platform, environment, changes)
    _validate(draft)
    kept = [change for change, result in zip(changes, draft.results, strict=True) if result["status"] != "noop"]
    affected = platform.affected(environment, environment.config, apply_patch(draft.config, {}))
    names = {**platform.state.services, **draft.services}
    return {
        "changeSet": {**change_set, "changes": kept},
        "diagnostics": draft.diagnostics,
        "effects": [{"kind": "deploy", "service": names[service_id].name} for service_id in affected],
    }


def apply(
    platform: Platform, environment: Environment, change_set: Any, message: str | None, base_etag: str | None
) -> tuple[ChangeSetApply, list[Deployment]]:
    """Carry a change set out; the record stays ``applying`` until ``finish``.

    The config changes at once, so that of two applies on the same base one is refused.
    Raises Refusal for a stale base and for a patch the validator refuses.
    """
    changes = _changes(change_set)
    if platform.faults.take("stale-etag") or (base_etag is not None and base_etag != etag(environment.config)):
        raise Refusal(*STALE)
    halfway = platform.faults.take("apply-fails-halfway")
    reach = len(changes) if halfway is None else int(halfway.parameters["applied"])
    draft = compile_changes(platform, environment, changes[:reach])
    _validate(draft)
    draft.results += [{**_result(change), "status": "failed", "outputs": None} for change in changes[reach:]]
    if halfway:
        draft.diagnostics.append(_diagnostic("apply", "injected fault apply-fails-halfway"))
    record = ChangeSetApply(new_id(), environment.id, "applying", draft.results, draft.diagnostics)
    _remember(platform, record)
    if platform.faults.take("apply-failed-empty-changes"):
        record.changes, record.diagnostics = [], [_diagnostic("apply", "injected fault apply-failed-empty-changes")]
        return record, []
    if platform.faults.take("apply-fails-after-applied"):
        record.staged_patch_id = _failed_patch(platform, environment, draft, message).id
        return record, []
    if any(result["status"] == "failed" for result in draft.results) and not halfway:
        # One commit: nothing of it happens when a part cannot.
        record.changes = [{**one, "status": "failed" if one["status"] == "failed" else "noop"} for one in draft.results]
        return record, []
    return record, _commit(platform, environment, draft, change_set, message, record)


def finish(record: ChangeSetApply) -> None:
    """The end of an apply: ``failed`` when a change failed or nothing but diagnostics is left, else ``applied``."""
    failed = any(result["status"] == "failed" for result in record.changes) or (
        not record.changes and record.diagnostics
    )
    record.status = "failed" if failed else "applied"


def _commit(
    platform: Platform,
    environment: Environment,
    draft: Draft,
    change_set: dict[str, Any],
    message: str | None,
    record: ChangeSetApply,
) -> list[Deployment]:
    platform.state.services.update(draft.services)
    platform.state.volumes.update(draft.volumes)
    platform.state.buckets.update(draft.buckets)
    after = apply_patch(draft.config, {})
    patch, deployed = platform.commit_config(environment, after, draft.fragments, message)
    record.staged_patch_id = patch.id
    record.deployment_id = deployed[0].id if deployed else None
    owner = change_set.get("partial") or "*"
    environment.partials.update(dict.fromkeys(change_set.get("declared") or [], owner))
    for change in change_set["changes"]:
        if change["kind"] == "resource.delete":
            environment.partials.pop(change["address"], None)
    return deployed


def _failed_patch(platform: Platform, environment: Environment, draft: Draft, message: str | None) -> Patch:
    error = "commit workflow failed (injected fault apply-fails-after-applied)"
    patch = Patch(
        new_id(), environment.id, draft.fragments, "STAGED", timestamp(), timestamp(), message,
        last_error=error, workflow="Error",
    )  # fmt: skip
    platform.state.patches[patch.id] = patch
    return patch


def _remember(platform: Platform, record: ChangeSetApply) -> None:
    platform.state.applies[record.id] = record
    while len(platform.state.applies) > 100:
        del platform.state.applies[next(iter(platform.state.applies))]


def _changes(change_set: Any) -> list[Change]:
    version = change_set.get("version") if isinstance(change_set, dict) else None
    if version != VERSION:
        shown = "undefined" if version is None else version
        raise Refusal(f"Unsupported RailwayChangeSet version: {shown}")
    changes = change_set.get("changes")
    if not isinstance(changes, list) or not all(isinstance(change, dict) for change in changes):
        raise Refusal("Problem processing request", "INTERNAL_SERVER_ERROR")
    return changes


def _validate(draft: Draft) -> None:
    if issues := problems(draft.fragments):
        raise Refusal(f"Invalid RailwayChangeSet patch: {json.dumps(issues)}")


def compile_changes(platform: Platform, environment: Environment, changes: list[Change]) -> Draft:
    """Lay all changes over a copy of the config; each gets a result ``applied``, ``noop`` or ``failed``."""
    draft = Draft(platform, environment, deepcopy(environment.config))
    results: dict[int, dict[str, Any]] = {}
    # A service may mount a volume, or belong to a group, that stands after it in the list.
    order = sorted(range(len(changes)), key=lambda index: not _stands_alone(changes[index]))
    for index in order:
        change = changes[index]
        before = apply_patch(draft.config, {})
        result = {**_result(change), "status": "applied", "outputs": None}
        try:
            result["outputs"] = _KINDS.get(str(change.get("kind")), _unknown_kind)(draft, change)
        except _Refused as refused:
            result["status"] = "failed"
            draft.diagnostics.append(_diagnostic(result["path"], str(refused)))
        else:
            if result["outputs"] is None and apply_patch(draft.config, {}) == before:
                result["status"] = "noop"
        results[index] = result
    draft.results = [results[index] for index in range(len(changes))]
    return draft


def _stands_alone(change: Change) -> bool:
    creates = change.get("kind") == "resource.create"
    return creates and str(change.get("address")).startswith(("volume.", "bucket.", "group."))


def _result(change: Change) -> dict[str, Any]:
    return {"kind": str(change.get("kind")), "path": change.get("path"), "summary": change.get("summary") or ""}


def _diagnostic(path: Any, message: str) -> dict[str, Any]:
    return {"severity": "error", "path": str(path or ""), "message": message}


def _unknown_kind(draft: Draft, change: Change) -> None:
    raise _Refused(f"Unsupported change kind: {change.get('kind')}")


def _address(change: Change) -> tuple[str, str]:
    kind, dot, name = str(change.get("address") or "").partition(".")
    if not dot or not name:
        raise _Refused("The change has no address")
    return kind, name


def _existing(draft: Draft, change: Change) -> tuple[str, Config]:
    kind, name = _address(change)
    key = draft.service_id(name) if kind in ("service", "database") else None
    if key is None:
        raise _Refused(f"{change['address']} does not exist in this environment")
    service: Config = draft.config["services"][key]
    return key, service


def _create(draft: Draft, change: Change) -> dict[str, Any]:
    kind, name = _address(change)
    node = change.get("resource") or {}
    if kind == "group":
        draft.config.setdefault("groups", {})[new_id()] = {
            "name": name,
            **{key: node[key] for key in ("color", "icon", "isCollapsed") if key in node},
        }
        return {"name": name}
    if kind == "volume":
        volume = Volume(new_id(), name, timestamp())
        if draft.volume_id(name):
            raise _Refused(f'A volume named "{name}" already exists in this project')
        draft.volumes[volume.id] = volume
        settings = {"sizeMB": database.VOLUME_SIZE_MB, "region": PREFERRED_REGION, **(node.get("config") or {})}
        draft.config.setdefault("volumes", {})[volume.id] = settings
        return {"id": volume.id}
    if kind == "bucket":
        bucket = Bucket(new_id(), name, timestamp())
        draft.buckets[bucket.id] = bucket
        draft.config.setdefault("buckets", {})[bucket.id] = dict(node.get("config") or {})
        return {"id": bucket.id}
    if draft.platform.state.service_named(name) or any(one.name == name for one in draft.services.values()):
        raise _Refused(f'A service named "{name}" already exists in this project')
    service = Service(new_id(), name, timestamp())
    config = _database_config(draft, node, name) if kind == "database" else _service_config(draft, node)
    draft.check("services", service.id, config)
    draft.services[service.id] = service
    draft.config.setdefault("services", {})[service.id] = draft.platform.with_database_variables(service, config)
    return {"id": service.id}


def _service_config(draft: Draft, node: Config) -> Config:
    source = {key: value for key, value in (node.get("source") or {}).items() if key != "type" and value is not None}
    config = {key: deepcopy(node[key]) for key in _SERVICE_KEPT if node.get(key) is not None}
    if source:
        config["source"] = source
    if node.get("variables"):
        config["variables"] = {name: _entry(value) for name, value in node["variables"].items()}
    if node.get("volumeAttachments"):
        config["volumeMounts"] = _mounts(draft, node["volumeAttachments"])
    if node.get("groupId"):
        config["groupId"] = draft.group_id(node["groupId"])
    return config


def _database_config(draft: Draft, node: Config, name: str) -> Config:
    """A database as the template workflow makes it: the template's image, whatever the change asks for."""
    engine = node.get("engine") or "mysql"
    regions = (node.get("deploy") or {}).get("multiRegionConfig") or {PREFERRED_REGION: {"numReplicas": 1}}
    mysql = engine == "mysql"
    mount = database.MOUNT_PATH if mysql else node.get("defaultMountPath") or "/data"
    volume = Volume(new_id(), f"{name}-volume".lower(), timestamp())
    if draft.volume_id(volume.name):
        volume.name = f"{volume.name}-{new_id()[:4]}"
    draft.volumes[volume.id] = volume
    region = next(iter(regions))
    draft.config.setdefault("volumes", {})[volume.id] = {"sizeMB": database.VOLUME_SIZE_MB, "region": region}
    deploy: Config = {"requiredMountPath": mount, "multiRegionConfig": regions}
    if mysql:
        deploy["startCommand"] = database.START_COMMAND
    return {
        "source": {"image": database.IMAGE if mysql else str(node.get("image") or engine)},
        "deploy": deploy,
        "volumeMounts": {volume.id: {"mountPath": mount}},
    }


def _mounts(draft: Draft, attachments: Config) -> Config:
    mounts: Config = {}
    for attachment in attachments.values():
        name = str(attachment.get("volume") or "").partition(".")[2]
        key = draft.volume_id(name)
        if key is None:
            raise _Refused(f"volume.{name} does not exist in this project")
        mounts[key] = {k: attachment[k] for k in ("mountPath", "backupSchedules") if attachment.get(k) is not None}
    return mounts


def _update(draft: Draft, change: Change) -> None:
    kind, name = _address(change)
    what, after = str(change.get("field")), change.get("after")
    if kind in ("volume", "bucket"):
        key = draft.volume_id(name) if kind == "volume" else draft.bucket_id(name)
        if key is None or what != "config":
            raise _Refused(f"{change['address']} has no field {what} to update")
        section = draft.config.setdefault(f"{kind}s", {})
        section[key] = {**section.get(key, {}), **(after or {})}
        return
    key, service = _existing(draft, change)
    if what == "groupId":
        service["groupId"] = draft.group_id(str(after)) if after else None
    elif what == "volumeAttachments":
        service["volumeMounts"] = _mounts(draft, after or {})
    elif what in ("source", "build", "deploy", "networking"):
        value = {k: v for k, v in (after or {}).items() if not (what == "source" and k == "type")}
        draft.check("services", key, {what: value})
        owned = _PLATFORM_OWNED.get(what, ()) + (_DATABASE_OWNED if kind == "database" else ())
        kept = {k: v for k, v in (service.get(what) or {}).items() if k in owned}
        service[what] = _without_nulls({**kept, **value})
    else:
        raise _Refused(f"{change['address']} has no field {what} to update")


def _delete(draft: Draft, change: Change) -> dict[str, Any] | None:
    kind, name = _address(change)
    if kind in ("volume", "bucket"):
        return {}  # accepted and ignored, as the live service does
    if kind == "group":
        draft.config.get("groups", {}).pop(draft.group_id(name), None)
        return None
    key, _ = _existing(draft, change)
    del draft.config["services"][key]
    return None


def _set_variable(draft: Draft, change: Change) -> None:
    key, service = _existing(draft, change)
    name, entry = str(change.get("variable")), _entry(change.get("after"))
    draft.check("services", key, {"variables": {**_checked_variables(draft, key), name: entry}})
    stored = service.setdefault("variables", {})
    stored[name] = {**stored.get(name, {}), **entry} if isinstance(entry, dict) else entry


def _checked_variables(draft: Draft, key: str) -> Config:
    checked: Config = draft.fragments.get("services", {}).get(key, {}).get("variables", {})
    return checked


def _delete_variable(draft: Draft, change: Change) -> None:
    _, service = _existing(draft, change)
    (service.get("variables") or {}).pop(str(change.get("variable")), None)


def _entry(value: Any) -> Any:
    """A change set's variable value as the config holds it."""
    kind = value.get("type") if isinstance(value, dict) else None
    match kind:
        case "reference":
            name = str(value["resource"]).partition(".")[2]
            return {"value": f"${{{{{name}.{value['output']}}}}}"}
        case "sharedReference":
            return {"value": f"${{{{shared.{value['name']}}}}}"}
        case "raw":
            return value.get("value")
        case "literal":
            entry = {key: part for key, part in value.items() if key != "type"}
            if "value" not in entry and (generated := _generate(entry.get("generator"))):
                entry["value"] = generated
            return entry
    return value


def _generate(generator: Any) -> str | None:
    match = re.fullmatch(r"""secret\((\d+)(?:,\s*["']([^"']+)["'])?\)""", str(generator or ""))
    if match is None:
        return None
    alphabet = match[2] or string.ascii_letters + string.digits
    return "".join(secrets.choice(alphabet) for _ in range(int(match[1])))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return value


_KINDS: dict[str, Callable[[Draft, Change], dict[str, Any] | None]] = {
    "resource.create": _create,
    "resource.update": _update,
    "resource.delete": _delete,
    "variable.set": _set_variable,
    "variable.delete": _delete_variable,
}
