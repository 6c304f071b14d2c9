"""A plan in the words of Railway's runner protocol, which its command line shows (Railway IaC: runner)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from deploykit.planning.change import Change
from deploykit.planning.graph import Graph, volume_name
from deploykit.planning.plan import Plan, Step
from deploykit.profile.schema import Profile

HIDDEN = "«hidden»"
STEP = "deploykit.step"
"""The kind of an entry that changes no setting: a deployment that is started, ended or waited for."""

Entry = dict[str, Any]


def changes(plan: Plan, profile: Profile, *, reveal: bool) -> list[Entry]:
    """The changes in the order of the plan's steps, the steps of each service in the details of its first change."""
    owners = {volume_name(service): name for name, service in profile.services.items() if service.volume}
    steps: dict[str, list[Step]] = {}
    for step in plan.steps:
        steps.setdefault(step.service, []).append(step)
    first = {name: found[0].number for name, found in steps.items()}
    entries: list[tuple[int, Entry]] = []
    told: set[str] = set()
    for change in plan.changes:
        name = owners.get(change.service, change.service)
        entry = _entry(change, reveal)
        if name not in told:
            told.add(name)
            entry["details"] = [*(_words(step) for step in steps.get(name, ())), *entry.get("details", ())]
        entries.append((first.get(name, len(plan.steps)), entry))
    for name in steps.keys() - told:
        entries.extend((step.number, _step(step)) for step in steps[name])
    return [entry for _, entry in sorted(entries, key=lambda numbered: numbered[0])]


def _words(step: Step) -> str:
    return f"step {step.number}: {step.action}, because {step.why}; then {step.gate}"


def _step(step: Step) -> Entry:
    return {
        "kind": STEP, "address": f"service.{step.service}", "path": f"resources.service.{step.service}",
        "summary": f"{step.action.capitalize()} {step.service}", "details": [_words(step)], "severity": "safe",
        "deployEffect": "deploy",
    }  # fmt: skip


def _entry(change: Change, reveal: bool) -> Entry:
    if not change.wire:
        return {
            "kind": change.kind, "address": change.address, "path": change.path, "severity": "safe",
            "summary": change.summary[:1].upper() + change.summary[1:], "deployEffect": "none",
        }  # fmt: skip
    entry = dict(change.wire)
    details = list(_details(entry, reveal))
    if "after" in entry and entry["kind"] == "variable.set":
        entry["after"] = shown(entry["after"], reveal)
    if "resource" in entry:
        entry["resource"] = _node(entry["resource"], reveal)
    return {**entry, "details": details} if details else entry


def _details(entry: Entry, reveal: bool) -> Iterator[str]:
    if entry["kind"] == "variable.set":
        before = "preserve()" if "before" in entry else "unset"
        name = entry["address"].partition(".")[2]
        yield f"{name}.{entry['variable']} ({before} → {_value(entry['after'], reveal)})"
    elif entry["kind"] == "resource.update":
        had, gets = entry["before"] or {}, entry["after"] or {}
        for key in sorted({*had, *gets}):
            if had.get(key) != gets.get(key):
                yield f"{entry['field']}.{key} ({_json(had.get(key))} → {_json(gets.get(key))})"


def _value(value: Mapping[str, Any], reveal: bool) -> str:
    if value["type"] == "reference":
        return f"{str(value['resource']).partition('.')[2]}.{value['output']}"
    return _json(value.get("value")) if reveal else HIDDEN


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def shown(value: Mapping[str, Any], reveal: bool) -> dict[str, Any]:
    """A variable of a graph without its value, unless ``reveal``."""
    return {**value, "value": HIDDEN} if "value" in value and not reveal else dict(value)


def graph(graph: Graph, *, reveal: bool) -> Graph:
    """A graph without the values of variables, unless ``reveal``."""
    return {**graph, "resources": [_node(node, reveal) for node in graph["resources"]]}


def _node(node: Mapping[str, Any], reveal: bool) -> dict[str, Any]:
    if "variables" not in node:
        return dict(node)
    return {**node, "variables": {name: shown(value, reveal) for name, value in node["variables"].items()}}


def diff_text(entries: list[Entry]) -> str:
    """The changes line by line."""
    marks = {"resource.create": "+", "domain.create": "+", "resource.delete": "-"}
    return "\n".join(f"{marks.get(one['kind'], '~')} {one['summary']}" for one in entries) or "No changes."
