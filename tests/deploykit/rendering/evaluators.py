"""Railway's own evaluators: what its SDKs make of a rendered file, as a resource graph."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploykit.planning.graph import Graph
from tests.sandbox import engine

_EVALUATE = """
import { readFileSync } from "node:fs";
import { evaluateRailwayFile, projectDefinitionToGraph } from "railway/iac";
const { files, definitions } = JSON.parse(readFileSync(0, "utf8"));
const graphs = [];
for (const file of files) graphs.push((await evaluateRailwayFile(file)).graph);
for (const definition of definitions) graphs.push(projectDefinitionToGraph(definition));
process.stdout.write(JSON.stringify(graphs));
"""


def python_definition(text: str) -> dict[str, Any]:
    """What ``railway config plan`` reads from railway.py: ``main()`` without arguments, as JSON."""
    module: dict[str, Any] = {"__name__": "railway", "__file__": "railway.py"}
    exec(compile(text, "railway.py", "exec"), module)
    definition: dict[str, Any] = json.loads(json.dumps(module["main"]().to_graph(), default=str))
    return definition


def graph_of(definition: dict[str, Any]) -> Graph:
    """A definition as a graph, by the rules of Railway's command (its compiler adds edges and drops volumeConfig)."""
    edges = []
    for resource in definition["resources"]:
        for attachment in resource.get("volumeAttachments", {}).values():
            attachment.pop("volumeConfig", None)
            edges.append(_edge(resource, attachment["volume"], "mount", attachment["mountPath"]))
        for name, value in resource.get("variables", {}).items():
            if value["type"] == "reference":
                edges.append(_edge(resource, value["resource"], "variable", name))
    graph = {"version": 1, "project": {"name": definition["name"]}, "environments": []}
    return comparable({**graph, "resources": definition["resources"], "edges": edges})


def _edge(resource: dict[str, Any], to: str, kind: str, key: str) -> dict[str, str]:
    return {"from": resource["address"], "to": to, "type": kind, "key": key}


def official(folder: Path, programs: Sequence[str], definitions: Sequence[dict[str, Any]]) -> list[Graph]:
    """The graphs that the npm package makes of TypeScript programs, then of definitions. Skips without node or npm."""
    files = []
    script = engine.authored(folder, _EVALUATE)
    for number, text in enumerate(programs):
        file = folder / f"railway-{number}.ts"
        file.write_text(text, "utf-8")
        files.append(str(file))
    done = subprocess.run(
        ["node", str(script)],
        input=json.dumps({"files": files, "definitions": list(definitions)}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [comparable(graph) for graph in json.loads(done.stdout)]


def comparable(graph: Graph) -> Graph:
    """The graph as plain JSON without the empty maps that the SDKs leave behind."""
    plain: Graph = json.loads(json.dumps(graph))
    for resource in plain["resources"]:
        if resource.get("volumeMounts") == {}:
            del resource["volumeMounts"]
    plain["edges"].sort(key=lambda edge: sorted(edge.items()))
    return plain
