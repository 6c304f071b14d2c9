"""Railway's answers → Snapshot: one request for everything, plus one for each deployment never seen before."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from deploykit.errors import AuthenticationError, UnreachableError
from deploykit.planning.snapshot import (
    SHARED_VARIABLES,
    Instance,
    LiveDeployment,
    LiveService,
    LiveVariable,
    LiveVolume,
    Possibly,
    Snapshot,
    StagedPatch,
)
from deploykit.railway.answers import RefusedError, understood
from deploykit.railway.client import Railway

KEPT_GONE = 3
"""How many ended deployments of a service are kept: enough to see a rollback or a crash."""

_APART = frozenset({"services", "volumes", "sharedVariables"})
"""Parts of the config that the snapshot holds in a form of their own."""

Snapshots = dict[str, Mapping[str, str]]
"""Variables by deployment id. A deployment's variables never change, so each is asked for once."""


def read(railway: Railway, known: Snapshots | None = None) -> Snapshot:
    """The environment as it is now. ``known`` carries deployment variables from one reading to the next.

    Variable values are asked for in clear text, because a flag must be known to be judged; where Railway withholds
    them the snapshot says ``masked``. Raises the client's errors, UnreachableError for a list cut short.
    """
    with understood(railway.endpoint):
        return _snapshot(railway, {} if known is None else known)


def _snapshot(railway: Railway, known: Snapshots) -> Snapshot:
    answer, masked = _answer(railway)
    environment = answer["environment"]
    if environment is None:
        raise AuthenticationError(
            "Railway shows no such environment", hint="check the token and RAILWAY_ENVIRONMENT_ID"
        )
    config = environment["config"] or {}
    sealed = {(node["serviceId"], node["name"]) for node in _nodes(environment["variables"]) if node["isSealed"]}
    deployments = _deployments(railway, answer, known)
    instances = {node["serviceId"]: node for node in _nodes(environment["serviceInstances"])}
    names = {node["id"]: node["name"] for node in _nodes(answer["project"]["services"])}
    volume_names = {node["id"]: node["name"] for node in _nodes(answer["project"]["volumes"])}
    settings = config.get("volumes") or {}
    volumes = tuple(
        _volume(node, volume_names, settings.get(node["volumeId"]) or {})
        for node in _nodes(environment["volumeInstances"])
    )
    services = tuple(
        _service(service_id, node, config, sealed, deployments)
        for service_id, node in sorted(instances.items(), key=lambda item: item[1]["serviceName"])
    )
    shared = {
        name: _variable(name, entry or {}, sealed=False)
        for name, entry in (config.get("sharedVariables") or {}).items()
    }
    _remember_secrets(railway, services, shared.values())
    return Snapshot(
        project_id=railway.project_id,
        project_name=answer["project"]["name"],
        environment_id=environment["id"],
        environment_name=environment["name"],
        etag=environment["configEtag"],
        services=services,
        volumes=volumes,
        shared_variables=shared,
        staged=_staged(answer["environmentStagedChanges"], names),
        services_elsewhere=tuple(sorted(name for key, name in names.items() if key not in instances)),
        read_at=railway.now(),
        masked=masked,
        config=_rest(config, {"services": instances, "volumes": {one.id for one in volumes}}),
    )


def _answer(railway: Railway) -> tuple[dict[str, Any], bool]:
    ids = {"projectId": railway.project_id, "environmentId": railway.environment_id}
    try:
        return railway.run("Environment", **ids, decryptVariables=True), False
    except (AuthenticationError, RefusedError):
        # Not every token may read values; names and everything else are still there.
        return railway.run("Environment", **ids, decryptVariables=False), True


def _nodes(connection: Mapping[str, Any]) -> list[dict[str, Any]]:
    if connection.get("pageInfo", {}).get("hasNextPage"):
        raise UnreachableError("Railway cut a list short, and acting on half a list is unsafe", hint="report this")
    return [edge["node"] for edge in connection["edges"]]


def _deployments(railway: Railway, answer: dict[str, Any], known: Snapshots) -> dict[str, list[LiveDeployment]]:
    """Per service, newest first: everything that runs or may still start, and the last few that ended."""
    raw = {edge["node"]["id"]: edge["node"] for edge in answer["deployments"]["edges"]}
    for node in _nodes(answer["environment"]["serviceInstances"]):
        for deployment in node["activeDeployments"]:
            raw.setdefault(deployment["id"], {**deployment, "serviceId": node["serviceId"]})
    by_service: dict[str, list[LiveDeployment]] = {}
    for node in sorted(raw.values(), key=lambda node: str(node["createdAt"]), reverse=True):
        deployment = _deployment(node)
        kept = by_service.setdefault(deployment.service_id, [])
        if deployment.possibly is Possibly.GONE and sum(one.possibly is Possibly.GONE for one in kept) >= KEPT_GONE:
            continue
        kept.append(deployment)
    return {
        service_id: [_with_variables(railway, deployment, known) for deployment in kept]
        for service_id, kept in by_service.items()
    }


def _deployment(node: Mapping[str, Any]) -> LiveDeployment:
    meta = node.get("meta") or {}
    manifest = meta.get("serviceManifest") or {}
    return LiveDeployment(
        id=node["id"],
        service_id=node["serviceId"] or "",
        status=node["status"],
        stopped=bool(node["deploymentStopped"]),
        created_at=_time(node["createdAt"]),
        instances=tuple(Instance(one["id"], one["status"]) for one in node.get("instances") or ()),
        settings=manifest.get("deploy"),
        reason=meta.get("reason"),
    )


def _with_variables(railway: Railway, deployment: LiveDeployment, known: Snapshots) -> LiveDeployment:
    if deployment.possibly is Possibly.GONE:
        return deployment
    if deployment.id not in known:
        try:
            found = railway.run("DeploymentVariables", deploymentId=deployment.id)["deploymentSnapshot"]
        except (RefusedError, AuthenticationError):
            return deployment  # unknown: whoever judges must take the unsafe side
        if found is None:
            return deployment
        known[deployment.id] = {
            name: str(value) for name, value in (found["variables"] or {}).items() if value is not None
        }
    return replace(deployment, variables=known[deployment.id])


def _service(
    service_id: str,
    node: Mapping[str, Any],
    config: Mapping[str, Any],
    sealed: set[tuple[str | None, str]],
    deployments: Mapping[str, list[LiveDeployment]],
) -> LiveService:
    own = dict((config.get("services") or {}).get(service_id) or {})
    variables = {
        name: _variable(name, entry, (service_id, name) in sealed)
        for name, entry in (own.pop("variables", None) or {}).items()
        if entry is not None
    }
    latest = node["latestDeployment"]
    return LiveService(
        id=service_id,
        name=node["serviceName"],
        config=own,
        variables=variables,
        deployments=tuple(deployments.get(service_id, ())),
        active_ids=tuple(one["id"] for one in node["activeDeployments"]),
        latest_id=latest["id"] if latest else None,
    )


def _rest(config: Mapping[str, Any], seen: Mapping[str, Container[str]]) -> dict[str, Any]:
    """What of the config nothing else holds: other keys, and ids that Railway lists nowhere else."""
    unseen = {
        section: {key: True for key, value in (config.get(section) or {}).items() if value and key not in ids}
        for section, ids in seen.items()
    }
    rest = {key: value for key, value in config.items() if key not in _APART}
    return {**rest, **{section: ids for section, ids in unseen.items() if ids}}


def _variable(name: str, entry: Mapping[str, Any], sealed: bool) -> LiveVariable:
    notes = tuple(
        key for key, value in entry.items() if key not in ("value", "isSealed") and value not in (None, False)
    )
    return LiveVariable(name, entry.get("value"), bool(entry.get("isSealed")) or sealed, notes)


def _volume(node: Mapping[str, Any], names: Mapping[str, str], config: Mapping[str, Any]) -> LiveVolume:
    name = (node.get("volume") or {}).get("name") or names.get(node["volumeId"]) or node["volumeId"]
    return LiveVolume(
        node["volumeId"], name, node["serviceId"], node["mountPath"], node.get("sizeMB"), node.get("region"), config
    )


def _staged(patch: Mapping[str, Any] | None, names: Mapping[str, str]) -> StagedPatch | None:
    if patch is None:
        return None
    content = patch.get("patch") or {}
    touched = sorted(names.get(key, key) for key in content.get("services") or {})
    shared = [SHARED_VARIABLES] if content.get("sharedVariables") else []
    return StagedPatch(patch["id"], patch["status"], not content, (*touched, *shared), patch.get("lastAppliedError"))


def commits(answer: Mapping[str, Any], live: Snapshot) -> dict[str, str]:
    """Service → who committed to it last, when, and with which message, from the answer to ``RecentPatches``.

    Shared variables stand under an empty name.
    """
    names = {service.id: service.name for service in live.services}
    nodes = [edge["node"] for edge in answer["environmentPatches"]["edges"]]
    told: dict[str, str] = {}
    for node in sorted((one for one in nodes if one["appliedAt"]), key=lambda one: str(one["appliedAt"])):
        who = node["appliedBy"] or {}
        author = who.get("name") or who.get("username") or who.get("email") or "somebody"
        words = f" by {author} at {_time(node['appliedAt']):%H:%M:%S} UTC"
        words += f": {node['message']!r}" if node["message"] else ""
        content = node["patch"] or {}
        for key in content.get("services") or {}:
            told[names.get(key, key)] = words
        if content.get("sharedVariables"):
            told[""] = words
    return told


def _remember_secrets(railway: Railway, services: Iterable[LiveService], shared: Iterable[LiveVariable]) -> None:
    """Values that look like secrets must not come back out in an error message."""
    values = [variable.value for service in services for variable in service.variables.values()]
    values += [variable.value for variable in shared]
    for value in values:
        if value and len(value) >= 8 and "${{" not in value and value not in railway.secrets:
            railway.secrets.append(value)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
