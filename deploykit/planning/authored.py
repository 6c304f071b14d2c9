"""A resource graph that deploykit did not write → the profile that says the same: the way back of `graph`.

What no profile can say is refused by name, unless it is live already and so stays as it is: apply never touches it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deploykit.planning.graph import DEFAULT_DOMAIN_PORT, MYSQL_IMAGE, Graph, edges
from deploykit.planning.roles import infer
from deploykit.planning.snapshot import LiveService, LiveVariable, regions

Node = Mapping[str, Any]

_SERVICE_KEYS = frozenset(
    {"address", "type", "kind", "name", "source", "deploy", "variables", "networking", "volumeAttachments"}
)
_DATABASE_KEYS = frozenset(
    {"address", "type", "kind", "name", "engine", "image", "output", "source", "defaultMountPath"}
)
_SOURCE_KEYS = frozenset({"type", "repo", "image", "branch", "rootDirectory", "checkSuites"})
_DEPLOY_KEYS = {
    "startCommand": "start",
    "healthcheckPath": "healthcheck",
    "healthcheckTimeout": "healthcheck_timeout_seconds",
    "overlapSeconds": "overlap_seconds",
    "drainingSeconds": "draining_seconds",
    "sleepApplication": "sleep",
    "cronSchedule": "cron",
}
"""Deploy settings that are one key of a service in a profile."""

_OTHER_DEPLOY_KEYS = frozenset(
    {"preDeployCommand", "restartPolicyType", "restartPolicyMaxRetries", "limitOverride", "numReplicas",
     "multiRegionConfig"}
)  # fmt: skip
_LITERAL_KEYS = {"type", "value"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something authored that no profile can say. Holds no value."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Authored:
    """The profile as data for `Profile`, and what it leaves out."""

    data: dict[str, Any]
    refusals: tuple[Refusal, ...]


def authored(graph: Graph, current: Graph, *, name: str, environment: str) -> Authored:
    """The profile ``name`` that says what ``graph`` says; ``current`` is the live graph (`current_graph`)."""
    live = {node["address"]: node for node in current["resources"]}
    refusals: list[Refusal] = []
    volumes = {node["address"]: node for node in graph["resources"] if node["type"] == "volume"}
    data: dict[str, Any] = {"version": 1, "name": name, "environment": environment, "services": {}}
    mounted: set[str] = set()
    for node in graph["resources"]:
        known = live.get(node["address"], {})
        if node["type"] == "database":
            refusals.extend(_unsaid(node, known, _DATABASE_KEYS, node["address"]))
            _database(node, known, data, refusals)
        elif node["type"] == "service":
            refusals.extend(_unsaid(node, known, _SERVICE_KEYS, node["address"]))
            data["services"][node["name"]] = _service(node, known, volumes, live, refusals)
            mounted |= {attachment["volume"] for attachment in (node.get("volumeAttachments") or {}).values()}
        elif node["type"] != "volume" and not known:
            refusals.append(Refusal(_path(node["address"]), f"a profile has no {node['type']}s: create it on Railway"))
    for address in volumes.keys() - mounted - live.keys():
        refusals.append(Refusal(_path(address), "nothing mounts this volume: a profile has volumes of services only"))
    if not data["services"] and "database" in data:
        # A profile has at least one service, if only a database.
        data["services"][data.pop("database")["service"]] = {"role": "database", "source": {"image": MYSQL_IMAGE}}
    return Authored(data, tuple(refusals))


def _path(address: str, *more: str) -> str:
    return ".".join(["resources", address, *more])


def _unsaid(node: Node, known: Node, said: frozenset[str], address: str, *way: str) -> Iterator[Refusal]:
    """Keys that no profile says, unless they are empty or live already."""
    for key, value in node.items():
        if key not in said and value not in (None, {}, [], "", False) and value != known.get(key):
            yield Refusal(
                _path(address, *way, key), "a profile cannot say this: set it on Railway, and take it out here"
            )


def _database(node: Node, known: Node, data: dict[str, Any], refusals: list[Refusal]) -> None:
    """A database is created when it is missing, and never changed: only MySQL can be created."""
    if not known and node.get("engine") != "mysql":
        message = f"deploykit creates MySQL only: create this {node.get('engine')} database on Railway first"
        refusals.append(Refusal(_path(node["address"]), message))
    image = node.get("image")
    if node.get("engine") == "mysql" and "database" not in data and (known or image == MYSQL_IMAGE):
        data["database"] = {"service": node["name"]}
    else:
        data["services"][node["name"]] = {"role": "database", "source": {"image": image or MYSQL_IMAGE}}


def _service(
    node: Node, known: Node, volumes: Mapping[str, Node], live: Mapping[str, Node], refusals: list[Refusal]
) -> dict[str, Any]:
    address = node["address"]
    deploy: dict[str, Any] = dict(node.get("deploy") or {})
    source: dict[str, Any] = dict(node.get("source") or {})
    refusals.extend(_unsaid(deploy, known.get("deploy") or {}, _DEPLOY_SAID, address, "deploy"))
    refusals.extend(_unsaid(source, known.get("source") or {}, _SOURCE_KEYS, address, "source"))
    networking = dict(node.get("networking") or {})
    refusals.extend(
        _unsaid(networking, known.get("networking") or {}, frozenset({"customDomains"}), address, "networking")
    )
    env = {name: _variable(value, address, name, refusals) for name, value in (node.get("variables") or {}).items()}
    service: dict[str, Any] = {"role": _role(node, env), **_source(source, address, refusals)}
    service |= {ours: deploy[theirs] for theirs, ours in _DEPLOY_KEYS.items() if deploy.get(theirs) is not None}
    service |= _deploy(deploy, address, refusals)
    service["domains"] = [
        {"domain": domain, "port": (options or {}).get("port") or DEFAULT_DOMAIN_PORT}
        for domain, options in (networking.get("customDomains") or {}).items()
    ]
    service["volume"] = _volume(node, volumes, live, refusals)
    service["env"] = env
    return {key: value for key, value in service.items() if value not in (None, [], {})}


_DEPLOY_SAID = frozenset(_DEPLOY_KEYS) | _OTHER_DEPLOY_KEYS


def _source(source: Node, address: str, refusals: list[Refusal]) -> dict[str, Any]:
    if source.get("type") == "template":
        refusals.append(Refusal(_path(address, "source"), "a profile has no templates: create the service on Railway"))
    if source.get("image"):
        return {"source": {"image": source["image"]}}
    if not source.get("repo"):
        return {}
    origin = {"repo": source["repo"], "branch": source.get("branch"), "root": source.get("rootDirectory") or None}
    result: dict[str, Any] = {"source": {key: value for key, value in origin.items() if value is not None}}
    if source.get("checkSuites"):
        result["autodeploy"] = "after_ci"
    return result


def _deploy(deploy: Node, address: str, refusals: list[Refusal]) -> dict[str, Any]:
    """The deploy settings that are more than one key, or another shape."""
    before = deploy.get("preDeployCommand") or []
    before = [before] if isinstance(before, str) else before
    if len(before) > 1:
        refusals.append(Refusal(_path(address, "deploy", "preDeployCommand"), "a profile has one: join them with &&"))
    restart = {
        "policy": str(deploy["restartPolicyType"]).lower() if deploy.get("restartPolicyType") else None,
        "max_retries": deploy.get("restartPolicyMaxRetries"),
    }
    return {
        "pre_deploy": next(iter(before), None),
        "restart": {key: value for key, value in restart.items() if value is not None},
        "replicas": regions(deploy) or deploy.get("numReplicas"),
        "limits": _limits(deploy, address, refusals),
    }


def _limits(deploy: Node, address: str, refusals: list[Refusal]) -> dict[str, Any]:
    containers = dict((deploy.get("limitOverride") or {}).get("containers") or {})
    cpu, memory = containers.pop("cpu", None), containers.pop("memoryBytes", None)
    for key, value in containers.items():
        if value is not None:
            path = _path(address, "deploy", "limitOverride", "containers", key)
            refusals.append(Refusal(path, "a profile limits cpu and memory only"))
    limits = {"vcpu": cpu, "memory_mb": memory / 1_000_000 if memory is not None else None}
    return {key: value for key, value in limits.items() if value is not None}


def _volume(
    node: Node, volumes: Mapping[str, Node], live: Mapping[str, Node], refusals: list[Refusal]
) -> dict[str, Any] | None:
    attachments = list((node.get("volumeAttachments") or {}).values())
    if len(attachments) > 1:
        refusals.append(Refusal(_path(node["address"], "volumeAttachments"), "a service has one volume on Railway"))
    if not attachments:
        return None
    address = attachments[0]["volume"]
    config = (volumes.get(address) or {}).get("config") or {}
    known = (live.get(address) or {}).get("config") or {}
    refusals.extend(_unsaid(config, known, frozenset({"sizeMB"}), address, "config"))
    volume = {"mount": attachments[0]["mountPath"], "name": address.partition(".")[2], "size_mb": config.get("sizeMB")}
    return {key: value for key, value in volume.items() if value is not None}


def _variable(value: Node, address: str, name: str, refusals: list[Refusal]) -> str | dict[str, Any]:
    match value.get("type"):
        case "preserve":
            return {}
        case "reference":
            return f"${{{{{str(value['resource']).partition('.')[2]}.{value['output']}}}}}"
        case "sharedReference":
            return f"${{{{shared.{value['name']}}}}}"
        case "literal" if not value.keys() - _LITERAL_KEYS and isinstance(value.get("value"), str):
            return str(value["value"])
    path = _path(address, "variables", name)
    refusals.append(Refusal(path, "a profile has plain texts, references and secrets that are on Railway: preserve()"))
    return {}


def _role(node: Node, env: Mapping[str, str | dict[str, Any]]) -> str:
    """What the service is for: nobody declared it, so it is told as for a live one."""
    config = {key: node[key] for key in ("source", "deploy", "networking") if node.get(key)}
    values = {name: LiveVariable(name, value if isinstance(value, str) else None) for name, value in env.items()}
    return infer(LiveService(id="", name=node["name"], config=config, variables=values)).role


# ---- what an IaC file gives, as a graph -----------------------------------------------------------------------------


def graph_of(definition: Mapping[str, Any]) -> Graph:
    """The project that an IaC file returns, as a graph: by the rules of Railway's command (evaluation and compiler).

    Raises KeyError, TypeError, AttributeError or ValueError for what is no project.
    """
    listed = definition.get("resources") or definition.get("Resources") or definition.get("services") or []
    resources = [_completed(one) for entry in listed for one in (entry if isinstance(entry, list) else [entry])]
    known = {node["address"] for node in resources}
    hoisted: dict[str, dict[str, Any]] = {}
    for node in resources:
        for attachment in (node.get("volumeAttachments") or {}).values():
            address, config = attachment["volume"], attachment.pop("volumeConfig", None)
            if address not in known:
                volume = {"address": address, "type": "volume", "name": address.partition(".")[2]}
                hoisted.setdefault(address, {**volume, "config": config or {}})
    resources += hoisted.values()
    if len({node["address"] for node in resources}) < len(resources):
        raise ValueError("two resources have one address")
    graph: Graph = {"version": 1, "project": {"name": str(definition.get("name") or "app")}, "environments": []}
    return {**graph, "resources": resources, "edges": [edge for node in resources for edge in edges(node)]}


def _completed(resource: Mapping[str, Any]) -> dict[str, Any]:
    """A resource with what authors may leave out."""
    node = copy.deepcopy(dict(resource))
    node.setdefault("type", "service")
    node.setdefault("name", "web")
    node.setdefault("address", f"{node['type']}.{node['name']}")
    if node["type"] == "service":
        node.setdefault("kind", "empty")
    if "start" in node:
        start = node.pop("start")
        node["deploy"] = {"startCommand": start, **(node.get("deploy") or {})}
    if isinstance(node.get("build"), str):
        node["build"] = {"buildCommand": node["build"]}
    return node
