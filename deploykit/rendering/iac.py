"""The resource graph as what Railway's own SDKs are called with, in Python and in TypeScript. Pure.

The files are written from the graph, not from the profile, so that evaluating them gives the graph back.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploykit.planning.graph import MYSQL_IMAGE, Graph

SDK = (
    "database", "define_railway", "defineRailway", "github", "image", "mysql", "preserve", "project", "ref", "service",
    "volume",
)  # fmt: skip
_TAKEN_PYTHON = {*SDK, *keyword.kwlist, *keyword.softkwlist, "main"}
_RESERVED_IN_TYPESCRIPT = """
    arguments await break case catch class const continue debugger default delete do else enum eval export extends false
    finally for function if implements import in instanceof interface let new null package private protected public
    return static super switch this throw true try typeof undefined var void while with yield
"""
_TAKEN_TYPESCRIPT = {*SDK, *re.findall(r"\w+", _RESERVED_IN_TYPESCRIPT)}
_HAS_KEYWORD = ("startCommand", "preDeployCommand", "healthcheckPath", "healthcheckTimeout")
_REPLICAS = ("numReplicas", "multiRegionConfig")


@dataclass(frozen=True, slots=True)
class Call:
    """One resource as a call of the SDK: ``variable = function(name, **arguments)``."""

    variable: str
    function: str
    name: str
    arguments: dict[str, Any]
    """Plain values, or a ``Code`` that is written as it stands."""


@dataclass(frozen=True, slots=True)
class Code:
    """A call inside an argument: a source, a reference, ``preserve()``."""

    function: str
    positional: tuple[Any, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Name:
    """A variable of the file that holds a resource."""

    variable: str


@dataclass(frozen=True, slots=True)
class Program:
    """A whole IaC file: what it imports, what it calls, and the project."""

    project: str
    imports: tuple[str, ...]
    calls: tuple[Call, ...]


def program(graph: Graph, language: str) -> Program:
    """The calls that give ``graph`` in ``language`` (``python`` or ``typescript``)."""
    snake = language == "python"
    taken = set(_TAKEN_PYTHON if snake else _TAKEN_TYPESCRIPT)
    style = _snake if snake else _camel
    names = {node["address"]: _unique(style(node["address"].partition(".")[2]), taken) for node in graph["resources"]}
    calls: list[Call] = []
    defined: dict[str, Name] = {}
    for node in graph["resources"]:
        calls.append(_call(node, names[node["address"]], defined))
        defined[node["address"]] = Name(names[node["address"]])
    define = "define_railway" if snake else "defineRailway"
    used = {define, "project", *(call.function for call in calls), *_functions(calls)}
    return Program(graph["project"]["name"], tuple(sorted(used)), tuple(calls))


def _call(node: dict[str, Any], variable: str, defined: dict[str, Name]) -> Call:
    if node["type"] == "volume":
        return Call(variable, "volume", node["name"], dict(node["config"]))
    if node["type"] == "database":
        return _database(node, variable)
    return Call(variable, "service", node["name"], _service(node, defined))


def _database(node: dict[str, Any], variable: str) -> Call:
    if node["image"] == MYSQL_IMAGE:
        return Call(variable, "mysql", node["name"], {})
    options = {key: node[key] for key in ("image", "output", "defaultMountPath")}
    return Call(variable, "database", node["name"], {"engine": node["engine"], **options})


def _service(node: dict[str, Any], defined: dict[str, Name]) -> dict[str, Any]:
    deploy = node.get("deploy", {})
    arguments: dict[str, Any] = {
        "source": _source(node.get("source")),
        "start": deploy.get("startCommand"),
        "preDeploy": next(iter(deploy.get("preDeployCommand", ())), None),
        "healthcheck": deploy.get("healthcheckPath"),
        "healthcheckTimeout": deploy.get("healthcheckTimeout"),
        "replicas": _replicas(deploy),
        "deploy": {key: value for key, value in deploy.items() if key not in (*_HAS_KEYWORD, *_REPLICAS)},
        "domains": _domains(node),
        "volumeMounts": {
            attachment["mountPath"]: defined[attachment["volume"]]
            for attachment in node.get("volumeAttachments", {}).values()
        },
        "env": {name: _variable(value, defined) for name, value in node.get("variables", {}).items()},
    }
    return {key: value for key, value in arguments.items() if value not in (None, {}, [])}


def _source(source: dict[str, Any] | None) -> Code | None:
    if source is None:
        return None
    rest = {key: value for key, value in source.items() if key not in ("type", "repo", "image")}
    origin = source["repo"] if source["type"] == "github" else source["image"]
    return Code(source["type"], (origin,), tuple(rest.items()))


def _replicas(deploy: dict[str, Any]) -> int | dict[str, int] | None:
    if "multiRegionConfig" in deploy:
        return {region: value["numReplicas"] for region, value in deploy["multiRegionConfig"].items()}
    count: int | None = deploy.get("numReplicas")
    return count


def _domains(node: dict[str, Any]) -> list[dict[str, Any]]:
    domains = node.get("networking", {}).get("customDomains", {})
    return [{"domain": domain, "port": value["port"]} for domain, value in domains.items()]


def _variable(value: dict[str, Any], defined: dict[str, Name]) -> Any:
    if value["type"] == "literal":
        return value["value"]
    if value["type"] == "preserve":
        return Code("preserve")
    # A service may read from itself or from one further down, which has no variable yet: its address says the same.
    owner = defined.get(value["resource"]) or {"address": value["resource"]}
    return Code("ref", (owner, value["output"]))


def _functions(calls: Iterable[Call]) -> set[str]:
    codes = [value for call in calls for value in (call.arguments.get("source"), *_values(call.arguments.get("env")))]
    return {value.function for value in codes if isinstance(value, Code)}


def _values(arguments: Any) -> list[Any]:
    return list(arguments.values()) if isinstance(arguments, dict) else []


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name) or ["resource"]


def _snake(name: str) -> str:
    return _leading_letter("_".join(word.lower() for word in _words(name)))


def _camel(name: str) -> str:
    first, *rest = _words(name)
    return _leading_letter(first.lower() + "".join(word.capitalize() for word in rest))


def _leading_letter(name: str) -> str:
    return f"s{name}" if name[0].isdigit() else name


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}{number}", number + 1
    taken.add(candidate)
    return candidate
