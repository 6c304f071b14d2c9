"""A project as Railway would have stored it after a profile was applied."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from deploykit.planning.diff import stored
from deploykit.planning.graph import graph
from deploykit.planning.snapshot import Instance, LiveDeployment, LiveService, LiveVariable, LiveVolume, Snapshot
from deploykit.profile.schema import Profile
from deploykit.sandbox.config import sparse

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
REGION = "us-west2"


def profile(*, database: bool = True, **services: dict[str, Any]) -> Profile:
    """A profile of these services; ``role`` and ``source`` have a default."""
    complete = {
        name.replace("_", "-"): {"role": "web", "source": {"repo": "owner/app"}, "start": "run", **service}
        for name, service in services.items()
    }
    content: dict[str, Any] = {"version": 1, "name": "some", "services": complete}
    if database:
        content["database"] = {"service": "MySQL"}
    return Profile.model_validate(content)


def two_services(**daemon: Any) -> Profile:
    """The guide's shape: web server with worker, daemon beside it."""
    return profile(
        web={"env": {"SCHEDULE_DAEMON_ENABLED": "false", "EMBEDDED_JOB_WORKER": "true"}},
        daemon={
            "role": "daemon",
            "start": "run daemon",
            "guard": "lease",
            "env": {"SCHEDULE_DAEMON_ENABLED": "true", "EMBEDDED_JOB_WORKER": "false"},
            **daemon,
        },
    )


def live(wanted: Profile, *, etag: str = "etag") -> Snapshot:
    """Everything as ``wanted`` says, with Railway's habits: defaults left out, replicas under their region."""
    services, volumes = [], []
    for node in graph(wanted)["resources"]:
        if node["type"] == "volume":
            volumes.append(LiveVolume(node["name"], node["name"], None, None, node["config"].get("sizeMB"), REGION))
            continue
        services.append(running(stored_service(node)))
    return Snapshot("p", "app", "e", wanted.environment, etag, tuple(services), tuple(volumes))


def stored_service(node: dict[str, Any]) -> LiveService:
    """One resource of the graph as its service is stored."""
    deploy = dict(node.get("deploy", {}))
    deploy.setdefault("multiRegionConfig", {REGION: {"numReplicas": deploy.pop("numReplicas", 1)}})
    mounts = {volume: {"mountPath": entry["mountPath"]} for volume, entry in node.get("volumeAttachments", {}).items()}
    source = {key: value for key, value in node.get("source", {}).items() if key != "type"}
    config = sparse({"source": source, "deploy": deploy, "volumeMounts": mounts})
    variables = {
        name: LiveVariable(name, None if value["type"] == "preserve" else stored(value), value["type"] == "preserve")
        for name, value in node.get("variables", {}).items()
    }
    return LiveService(node["name"], node["name"], config, variables)


def running(service: LiveService, status: str = "SUCCESS", instance: str = "RUNNING") -> LiveService:
    """The service with one deployment of exactly its stored configuration."""
    deployment = LiveDeployment(
        f"{service.name}-1",
        service.id,
        status,
        False,
        WHEN,
        (Instance("i", instance),),
        {name: variable.value or "" for name, variable in service.variables.items() if not variable.sealed},
        service.config.get("deploy"),
    )
    return replace(service, deployments=(deployment,), active_ids=(deployment.id,), latest_id=deployment.id)


def with_service(snapshot: Snapshot, service: LiveService) -> Snapshot:
    """The snapshot with this service in place of the one of its name, or added."""
    kept = tuple(one for one in snapshot.services if one.name != service.name)
    return replace(snapshot, services=(*kept, service))


def service(snapshot: Snapshot, name: str) -> LiveService:
    found = snapshot.service(name)
    assert found is not None
    return found


def changed(snapshot: Snapshot, name: str, **variables: str | None) -> Snapshot:
    """The snapshot with stored variables of a service changed, and nothing deployed; None takes one away."""
    old = service(snapshot, name)
    kept = {key: value for key, value in old.variables.items() if key not in variables}
    given = {key: LiveVariable(key, value) for key, value in variables.items() if value is not None}
    return with_service(snapshot, replace(old, variables={**kept, **given}))
