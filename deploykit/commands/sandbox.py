"""A local Railway as a command: start it, look at it, break it, stop it."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploykit.errors import DeploykitError, UsageError
from deploykit.sandbox import Sandbox

SCHEMA = "deploykit.sandbox/1"


def start(state_dir: Path, *, port: int, source_dir: Path, database: str, empty: bool) -> dict[str, Any]:
    """Start a sandbox that outlives this command; what to export. Raises DeploykitError when one runs there already."""
    try:
        Sandbox.attach(state_dir)
    except DeploykitError:
        pass
    else:
        raise DeploykitError(
            "a sandbox runs here already", where=str(state_dir), hint="deploykit sandbox status, or stop it first"
        )
    sandbox = Sandbox.start(state_dir, port=port, source_dir=source_dir, database=database, empty=empty, detach=True)
    return {"schema": SCHEMA, **sandbox.access}


def stop(state_dir: Path) -> bool:
    """Stop the sandbox with every process, and remove its folder; whether one was running."""
    try:
        sandbox = Sandbox.attach(state_dir)
    except DeploykitError:
        return False
    sandbox.stop()
    shutil.rmtree(state_dir, ignore_errors=True)
    return True


def status(state_dir: Path) -> dict[str, Any]:
    """Services, deployments and processes. Raises DeploykitError when no sandbox runs there."""
    return {"schema": SCHEMA, **Sandbox.attach(state_dir).status()}


def logs(state_dir: Path, service: str | None, lines: int) -> list[dict[str, Any]]:
    """The last log lines. Raises DeploykitError when no sandbox runs there."""
    return Sandbox.attach(state_dir).logs(service, lines)


def fault(state_dir: Path, name: str | None, parameters: Sequence[str], *, clear: bool) -> Any:
    """Inject a fault, clear all, or list them. Raises DeploykitError, UsageError for a malformed parameter."""
    sandbox = Sandbox.attach(state_dir)
    if clear:
        sandbox.clear_faults()
        return "all faults cleared"
    if name is None:
        return sandbox.faults()
    return sandbox.fault(name, **dict(_parameter(text) for text in parameters))


def _parameter(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is no KEY=VALUE", hint="for example: service=web-server count=2")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def exports(access: Mapping[str, Any]) -> str:
    """The lines a shell needs to talk to the sandbox."""
    values = {
        "DEPLOYKIT_RAILWAY_URL": access["endpoint"],
        "RAILWAY_TOKEN": access["token"],
        "DEPLOYKIT_DATABASE_URL": access["database_url"],
    }
    lines = [f"export {name}={shlex.quote(str(value))}" for name, value in values.items() if value]
    return "\n".join([*lines, f"# timeline of processes: {access['timeline']}"])


def status_text(value: Mapping[str, Any]) -> str:
    """The status as a table."""
    lines = [f"endpoint {value['endpoint']}", "", f"{'SERVICE':<24}{'LATEST':<14}{'PIDS'}"]
    for service in value["services"]:
        pids = [str(one["pid"]) for one in value["processes"] if one["service"] == service["service"]]
        lines.append(f"{service['service']:<24}{service['latest'] or '-':<14}{' '.join(pids) or '-'}")
    return "\n".join(lines)
