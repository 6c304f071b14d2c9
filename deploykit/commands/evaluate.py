"""Railway's IaC files: which one is meant, and what it says when it is run, as Railway's own command runs it.

The file is a program of the operator's own and runs with their environment (Railway IaC: evaluation).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploykit.errors import ConfigurationError

NAMES = ("railway.ts", "railway.py")
PATIENCE_SECONDS = 120.0
_JAVASCRIPT = (".js", ".mjs", ".cjs")
_TYPESCRIPT = (".ts", ".mts", ".cts")
_STRIP_TYPES = ("--experimental-strip-types", "--disable-warning=ExperimentalWarning")

_PYTHON_LOADER = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("railway_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
first = lambda *names: next((value for name in names if (value := getattr(module, name, None))), None)
project = first("main", "Railway", "default")
project = project() if callable(project) else project
project = project.to_graph() if hasattr(project, "to_graph") else project
print(json.dumps({"partial": first("PARTIAL", "Partial", "partial"), "project": project}, default=str))
"""

_NODE_LOADER = """
import { pathToFileURL } from "node:url";
const module = await import(pathToFileURL(process.argv[1]).href);
let exported = module.default ?? module.main ?? module.Railway ?? module;
while (exported?.default && exported.name == null && exported.resources == null) exported = exported.default;
const made = typeof exported === "function" ? await exported({}) : exported;
const project = made && typeof made === "object" && "to_graph" in made ? made.to_graph() : made;
process.stdout.write(JSON.stringify({ partial: module.partial ?? module.PARTIAL ?? module.Partial, project }));
"""


def find(cwd: Path, named: str | None) -> Path:
    """The IaC file that is meant: ``named``, or the nearest ``.railway/railway.ts`` or ``.py`` at or above ``cwd``.

    Raises ConfigurationError when there is none, or two in one folder.
    """
    if named:
        path = (cwd / named).resolve()
        if not path.is_file():
            raise ConfigurationError("no such file", where=str(path), hint="check --file")
        return path
    for folder in (cwd.resolve(), *cwd.resolve().parents):
        here = [folder / ".railway" / name for name in NAMES if (folder / ".railway" / name).is_file()]
        if len(here) > 1:
            raise ConfigurationError("two IaC files in one folder", where=str(here[0].parent), hint="name one: --file")
        if here:
            return here[0]
    raise ConfigurationError(
        "no .railway/railway.ts or .railway/railway.py here or above", where=str(cwd),
        hint="deploykit render PROFILE --out . writes them",
    )  # fmt: skip


def evaluate(path: Path) -> Mapping[str, Any]:
    """The project that the file returns. Raises ConfigurationError when it cannot be run or owns only a part."""
    if path.suffix == ".py":
        command = ["python3", "-c", _PYTHON_LOADER, str(path)]
    elif path.suffix in (*_JAVASCRIPT, *_TYPESCRIPT):
        options = _STRIP_TYPES if path.suffix in _TYPESCRIPT else ()
        command = ["node", *options, "--input-type=module", "-e", _NODE_LOADER, "--", str(path)]
    else:
        raise ConfigurationError(f"deploykit does not run {path.suffix} files", where=str(path), hint="use .py or .ts")
    try:
        done = subprocess.run(
            command, cwd=path.parent, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_SECONDS,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ConfigurationError(f"{command[0]} is not installed", where=str(path), hint="it runs this file") from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError("the file does not come to an end", where=str(path), hint="run it by hand") from None
    if done.returncode != 0:
        if b"bad option: --experimental-strip-types" in done.stderr:
            raise ConfigurationError("this node cannot run TypeScript", where=str(path), hint="node 22.6 or newer")
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise ConfigurationError(f"the file cannot be run: {' | '.join(last)}", where=str(path), hint="correct it")
    try:
        said = json.loads(done.stdout)
        project = said["project"]
    except (ValueError, KeyError, TypeError):
        project, said = None, {}
    if not isinstance(project, dict):
        raise ConfigurationError(
            "the file prints something, or returns no project", where=str(path), hint="it must return project(…)"
        )
    if said.get("partial"):
        raise ConfigurationError(
            "the file owns only a part of the environment (PARTIAL)", where=str(path),
            hint="use Railway's own engine for it: whoever owns a part cannot see every daemon",
        )  # fmt: skip
    return project
