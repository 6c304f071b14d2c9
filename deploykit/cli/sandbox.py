"""``deploykit sandbox``: a local Railway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from deploykit.cli.context import Context, Verb
from deploykit.commands import sandbox as verbs


def _state(context: Context, state: Path | None) -> Path:
    return state or context.project_dir / ".deploykit" / "sandbox"


_STATE = click.option("--state", type=click.Path(path_type=Path), help="Its folder; default .deploykit/sandbox.")


@click.group("sandbox")
def command() -> None:
    """A local Railway: the real schema over real HTTP, each deployment as real processes."""


@command.command("start", cls=Verb)
@_STATE
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; default a free one.")
@click.option("--source-dir", type=click.Path(path_type=Path), help="Where start commands run; default this folder.")
@click.option("--database", type=click.Choice(["auto", "mysql", "sqlite"]), default="auto", show_default=True)
@click.option("--empty", is_flag=True, help="Without the MySQL service a Railway user has.")
def start(context: Context, state: Path | None, port: int, source_dir: Path | None, database: str, empty: bool) -> None:
    """Start it and leave it running; prints what to export."""
    context.progress("starting the sandbox")
    info = verbs.start(
        _state(context, state),
        port=port,
        source_dir=source_dir or context.project_dir,
        database=database,
        empty=empty,
    )
    if context.json:
        context.result_json(info)
    else:
        context.result(verbs.exports(info))


@command.command("stop", cls=Verb)
@_STATE
def stop(context: Context, state: Path | None) -> None:
    """Stop it, every process with it, and remove its folder."""
    stopped = verbs.stop(_state(context, state))
    if context.json:
        context.result_json({"schema": "deploykit.sandbox/1", "stopped": stopped})
    else:
        context.result("sandbox stopped" if stopped else "no sandbox was running")


@command.command("status", cls=Verb)
@_STATE
def status(context: Context, state: Path | None) -> None:
    """What runs in it: services, deployments, processes."""
    value = verbs.status(_state(context, state))
    if context.json:
        context.result_json(value)
    else:
        context.result(verbs.status_text(value))


@command.command("logs", cls=Verb)
@_STATE
@click.argument("service", required=False)
@click.option("--lines", type=click.IntRange(1, 5000), default=100, show_default=True)
def logs(context: Context, state: Path | None, service: str | None, lines: int) -> None:
    """The last log lines of a service, or of all."""
    rows = verbs.logs(_state(context, state), service, lines)
    if context.json:
        context.result_json({"schema": "deploykit.sandbox/1", "logs": rows})
    else:
        for row in rows:
            context.result(f"{row['timestamp']} {row['service']:<18} {row['message']}")


@command.command("fault", cls=Verb)
@_STATE
@click.argument("name", required=False)
@click.argument("parameters", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--clear", is_flag=True, help="End all faults that are active.")
def fault(context: Context, state: Path | None, name: str | None, parameters: tuple[str, ...], clear: bool) -> None:
    """Inject a fault; without a name, list the faults there are."""
    value: Any = verbs.fault(_state(context, state), name, parameters, clear=clear)
    if context.json:
        context.result_json({"schema": "deploykit.sandbox/1", "fault": value})
    else:
        context.result(value if isinstance(value, str) else json.dumps(value, indent=2))
