"""What every verb shares: the global options, where output goes, progress and questions."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from deploykit.errors import DeploykitError, UsageError

F = TypeVar("F", bound=Callable[..., Any])
QUIET_SECONDS = 2.0
"""Anything longer than this shows its progress."""


@dataclass(slots=True)
class Context:
    """The global options of one run. stdout carries the result only; everything else goes to stderr."""

    project_dir: Path
    format: str = "text"
    color: str = "auto"
    quiet: bool = False
    verbose: int = 0
    debug: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> bool:
        """Whether the result is wanted as one JSON object."""
        return self.format == "json"

    def colored(self, stream: Any = None) -> bool:
        """Whether to colour ``stream``: ``--color``, then NO_COLOR and FORCE_COLOR, then whether it is a terminal."""
        if self.color != "auto":
            return self.color == "always"
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return bool((stream or sys.stdout).isatty())

    def result(self, text: str) -> None:
        """Write the result to stdout."""
        click.echo(text, color=self.colored() or None)

    def result_json(self, value: Mapping[str, Any]) -> None:
        """Write the result to stdout as one JSON object."""
        import json

        click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))

    def progress(self, text: str) -> None:
        """Tell on stderr what is being done, with the seconds since the start."""
        if not self.quiet:
            click.echo(f"[{time.monotonic() - self.started:5.1f}s] {text}", err=True)

    def note(self, text: str) -> None:
        """Say something on stderr that is neither result nor progress."""
        if not self.quiet:
            click.echo(text, err=True)

    def asks_about(self, text: str, *, yes: bool) -> None:
        """Show on stderr what the next question is about. ``-q`` silences progress, not what somebody agrees to."""
        if not (self.quiet and yes):
            click.echo(text, err=True)

    def confirm(
        self, question: str, *, yes: bool, typed: str = "yes", instead: str = "pass --yes after reading the plan"
    ) -> None:
        """Ask for ``typed`` in full. Raises DeploykitError for any other answer.

        Raises UsageError without a terminal and ``yes``; ``instead`` is its hint.
        """
        if yes:
            return
        if not sys.stdin.isatty():
            raise UsageError(
                f"this would ask a question, and there is no terminal to answer it: {question}", hint=instead
            )
        click.echo(question, err=True)
        answer = click.prompt(f"Type '{typed}' to go on", err=True, default="", show_default=False)
        if answer.strip() != typed:
            # An answer is no interrupt: nothing was begun that the same command would go on from.
            raise DeploykitError("the answer was no; nothing was changed", hint=f"type '{typed}' in full to go on")

    def confirm_deletions(self, services: Iterable[str], *, yes: bool, named: Collection[str]) -> bool:
        """Have the name typed of each service that is deleted, unless ``yes`` and it was ``named`` on the command line.

        Whether anything was asked. Raises UsageError without a terminal.
        """
        untyped = [name for name in services if not (yes and name in named)]
        for name in untyped:
            instead = f"pass --yes --remove {name!r} after reading the plan"
            self.confirm(f"This deletes {name}.", yes=False, typed=name, instead=instead)
        return bool(untyped)


_GLOBALS = (
    click.Option(["--project-dir"], type=click.Path(path_type=Path), help="Folder with profiles/ and .deploykit/."),
    click.Option(["--format", "output_format"], metavar="FORMAT", help="text or json (lint knows more)."),
    click.Option(["--color"], type=click.Choice(["auto", "always", "never"]), help="When to colour the output."),
    click.Option(["-q", "--quiet"], is_flag=True, help="No progress on stderr."),
    click.Option(["-v", "--verbose"], count=True, help="More detail."),
    click.Option(["--debug"], is_flag=True, help="Show tracebacks."),
)


class Verb(click.Command):
    """A command that also takes the global options after its name and hands a Context to its callback."""

    formats: tuple[str, ...] = ("text", "json")

    def __init__(self, *args: Any, formats: tuple[str, ...] = ("text", "json"), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.formats = formats
        self.params.extend(_GLOBALS)

    def invoke(self, ctx: click.Context) -> Any:
        given = {name: ctx.params.pop(name, None) for name in GLOBAL_NAMES}
        ctx.params["context"] = make_context({**_non_empty(ctx.obj or {}), **_non_empty(given)}, self.formats)
        return super().invoke(ctx)


GLOBAL_NAMES = ("project_dir", "output_format", "color", "quiet", "verbose", "debug")


def _non_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def make_context(values: Mapping[str, Any], formats: tuple[str, ...]) -> Context:
    """A Context from global options; a flag wins over the environment. Raises UsageError for an unknown format."""
    chosen = values.get("output_format") or "text"
    if chosen not in formats:
        raise UsageError(f"unknown format {chosen!r}", hint=f"use one of: {', '.join(formats)}")
    directory = values.get("project_dir") or os.environ.get("DEPLOYKIT_PROJECT_DIR") or "."
    path = Path(directory)
    if not path.is_dir():
        raise UsageError(f"no folder {str(directory)!r}", hint="--project-dir names the folder that holds profiles/")
    return Context(
        project_dir=path,
        format=chosen,
        color=values.get("color") or "auto",
        quiet=bool(values.get("quiet")),
        verbose=int(values.get("verbose") or 0),
        debug=bool(values.get("debug")),
    )


def verb(
    name: str, *, formats: tuple[str, ...] = ("text", "json"), **kwargs: Any
) -> Callable[[Callable[..., Any]], Verb]:
    """Declare a verb: ``@verb("plan")`` above click's own options; the callback gets ``context``."""

    def decorate(function: Callable[..., Any]) -> Verb:
        command: Verb = click.command(name, cls=Verb, formats=formats, **kwargs)(function)
        return command

    return decorate
