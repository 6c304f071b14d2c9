"""``deploykit unlock``."""

from __future__ import annotations

import click

from deploykit.cli.context import Context, verb
from deploykit.commands import database_url as urls, lock
from deploykit.errors import UsageError


@verb("unlock")
@click.option("--database-url", envvar="DEPLOYKIT_DATABASE_URL", help="The application's database, where the lock is.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Release it although its holder is alive; that apply then stops.")
def command(context: Context, database_url: str | None, yes: bool, force: bool) -> None:
    """Show who holds the apply lock, since when and until when, and release it."""
    database_url = urls.checked(database_url)
    if not database_url:
        raise UsageError("no database to look into", hint="set DEPLOYKIT_DATABASE_URL or pass --database-url")
    state = lock.look(database_url)
    released = False
    if state is not None:
        context.asks_about(f"The lock is held by {state}.", yes=yes)
        if not state.live or force:
            context.confirm("Release it?", yes=yes)
        released = lock.unlock(database_url, state, force=force)
    if context.json:
        context.result_json(
            {
                "schema": "deploykit.unlock/1",
                "holder": state.holder if state else None,
                "token": state.token if state else None,
                "held_seconds": round(state.held_seconds, 1) if state else None,
                "expires_in_seconds": round(state.expires_in_seconds, 1) if state else None,
                "released": released,
            }
        )
    elif state is None:
        context.result("Nobody holds the lock.")
    elif released:
        context.result("Released.")
    else:
        context.result("It changed hands meanwhile; nothing was released.")
