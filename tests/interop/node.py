"""The real Prisma client from npm, and the code of docs/node.md beside it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.mysql.provision import cache_folder

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {"prisma": "^7.0.0", "@prisma/client": "^7.0.0", "@prisma/adapter-mariadb": "^7.0.0", "typescript": "^5.0.0"}
INSTALL_SECONDS = 300
RUN_SECONDS = 60


class NoNode(Exception):
    """Why there can be no Node application here."""


@cache
def application() -> Path:
    """A folder with the client generated from prisma/schema.prisma and the page's code. Raises `NoNode`."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NoNode(f"{program} is not on this machine")
    folder = cache_folder().with_name("node")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module", "dependencies": PACKAGES}))
    if not all((folder / "node_modules" / name / "package.json").is_file() for name in PACKAGES):
        _run(
            folder, INSTALL_SECONDS, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"
        )
    schema = shutil.copy(REPOSITORY / "prisma" / "schema.prisma", folder)
    _run(folder, RUN_SECONDS, "npx", "--no-install", "prisma", "generate", "--schema", str(schema))
    (folder / "jobs.ts").write_text(page_code())
    _run(folder, RUN_SECONDS, "node", "--input-type=module", "--eval", _STRIP_TYPES)
    shutil.copy(Path(__file__).parent / "app.mjs", folder)
    return folder


def page_code() -> str:
    """The TypeScript that docs/node.md tells people to copy."""
    page = (REPOSITORY / "docs" / "node.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```ts\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return next(str(block) for block in blocks if "export async function enqueue" in block)


def call(url: str, *words: str) -> Any:
    """What the application answers."""
    done = _run(application(), RUN_SECONDS, "node", "app.mjs", *words, DATABASE_URL=url)
    return json.loads(done.splitlines()[-1])


_STRIP_TYPES = """
import fs from "node:fs";
import ts from "typescript";
const options = { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } };
fs.writeFileSync("jobs.mjs", ts.transpileModule(fs.readFileSync("jobs.ts", "utf8"), options).outputText);
"""


def _run(folder: Path, seconds: float, *command: str, **variables: str) -> str:
    # Any program will do for the schema engine, which `generate` checks for and does not use: so nothing is downloaded.
    environment = {**os.environ, "PRISMA_SCHEMA_ENGINE_BINARY": shutil.which("true") or "", "CHECKPOINT_DISABLE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise NoNode(f"{' '.join(command[:3])} took more than {seconds:g} s") from None
    if done.returncode == 0:
        return done.stdout
    problem = f"{' '.join(command[:3])} failed: {(done.stderr or done.stdout).strip()[-800:]}"
    if command[0] == "npm":
        raise NoNode(problem)
    raise AssertionError(problem)
