"""Railway's official IaC engine (npm ``railway`` 3.10.0), run against an endpoint of our choice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploykit.sandbox import Sandbox

VERSION = "3.10.0"


def installed() -> Path:
    """The folder whose ``node_modules`` holds the engine; installed on first use, then kept in the user's cache."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this machine")
    cache = Path(os.environ.get("DEPLOYKIT_CACHE") or Path.home() / ".cache" / "deploykit")
    folder = cache / f"npm-railway-{VERSION}"
    if not _program(folder).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"type": "module", "private": true}', "utf-8")
        command = ["npm", "install", f"railway@{VERSION}", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=180)
        except (OSError, subprocess.SubprocessError):
            pytest.skip(f"npm cannot install railway@{VERSION} here")
    return folder


def _program(folder: Path) -> Path:
    return folder / "node_modules" / "railway" / "dist" / "iac" / "bin.js"


def run(sandbox: Sandbox, command: str, file: Path, *, decrypt: bool = False) -> dict[str, Any]:
    """One ``plan``, ``apply`` or ``current``; the engine's whole answer.

    ``file`` is an ES module next to which ``railway/iac`` can be found (see ``authored``).
    """
    ids = {"projectId": sandbox.project_id, "environmentId": sandbox.environment_id}
    backboard = {"endpoint": sandbox.endpoint, "token": sandbox.token, "authType": "project-token", **ids}
    request = {
        "command": command,
        "cwd": str(file.parent),
        "file": str(file),
        "context": ids,
        "backboard": {**backboard, "decryptVariables": decrypt, "merge": True},
    }
    done = subprocess.run(
        ["node", str(_program(installed()))],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def authored(folder: Path, text: str) -> Path:
    """The text as a module in ``folder`` that can import ``railway/iac``."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "node_modules"
    if not link.exists():
        link.symlink_to(installed() / "node_modules")
    file = folder / "railway.mjs"
    file.write_text(text, "utf-8")
    return file
