"""How a verb reaches the job tables: options, their environment variables, and a tunnel around the whole."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from deploykit.commands import database_url
from deploykit.commands.status import StatusTables
from deploykit.commands.tunnel import tunnel


@dataclass(frozen=True, slots=True)
class Way:
    """Where heartbeats are read. A flag wins over the environment."""

    database_url: str | None
    tables: StatusTables | None
    tunnel: str | None

    @contextmanager
    def open(self, report: Callable[[str], None]) -> Iterator[None]:
        """Keep the tunnel open, if one was named, for as long as the body reads. Raises what `tunnel` raises."""
        with tunnel(self.tunnel, self.database_url, report):
            yield


def to_the_job_tables(function: Callable[..., int]) -> Callable[..., int]:
    """Give a verb the options that say where the job tables are, and one argument, ``way``."""

    @functools.wraps(function)
    def resolved(*args: Any, **given: Any) -> int:
        names = ("database_url", "status_url", "tunnel")
        url, status_url, command = (given.pop(name) or os.environ.get(f"DEPLOYKIT_{name.upper()}") for name in names)
        # The token comes from the environment alone, never from a command line that others can read.
        token = os.environ.get("DEPLOYKIT_STATUS_TOKEN") or ""
        tables = StatusTables(status_url, token) if status_url else None
        return function(*args, way=Way(database_url.checked(url), tables, command or None), **given)

    for option in (
        click.option(
            "--tunnel", help="A command that opens the way there while we read: 'ssh -N -L 3307:host:3306 …'."
        ),
        click.option(
            "--status-url", help="Read heartbeats from the runtime's /deploykit/status instead of a database."
        ),
        click.option("--database-url", help="Where the job tables are; else DEPLOYKIT_DATABASE_URL."),
    ):
        resolved = option(resolved)
    return resolved
