"""``deploykit rollback``."""

from __future__ import annotations

import click

from deploykit.cli.context import Context, verb
from deploykit.cli.plan import checked, pending, planned_now
from deploykit.commands.applied import Place, Record, records
from deploykit.commands.plan import as_json
from deploykit.commands.rollback import back_to, brought_since, meant
from deploykit.errors import Exit
from deploykit.railway.client import connect
from deploykit.report.plan import plan_text
from deploykit.report.rollback import BUTTON, heading, list_text


@verb("rollback")
@click.argument("record", required=False, type=click.IntRange(1), metavar="[ID]")
@click.option("--list", "lists", is_flag=True, help="Only list what was applied from this folder.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when changes are pending.")
@click.option(
    "--secret-from-env", "secrets", multiple=True, metavar="NAME", help="Take a !secret from your environment."
)
@click.option("--no-save", is_flag=True, help="Only show; leave .deploykit/plan.json alone.")
def command(
    context: Context,
    record: int | None,
    lists: bool,
    detailed_exitcode: bool,
    secrets: tuple[str, ...],
    no_save: bool,
) -> int:
    """Plan the way back to a profile that was applied before; `deploykit apply` then goes it.

    Without ID: to the profile before the one that was applied last. The recorded profile is planned against what is
    live now, through the same rules and in the same safe order as any other. Changes nothing.
    """
    history = records(context.project_dir)
    if lists:
        _list(context, history)
        return Exit.OK
    railway = connect(environment_name=meant(history, record).environment, report=context.progress)
    chosen = back_to(history, Place(railway.project_id, railway.environment_id), record)
    wanted = checked(context, str(chosen.path))
    remove = tuple(brought_since(history, chosen, wanted))
    planned = planned_now(context, railway, wanted, chosen.path, secrets=secrets, remove=remove, saves=not no_save)
    if context.json:
        context.result_json(
            {"schema": "deploykit.rollback/1", "record": chosen.as_json(), "plan": as_json(planned.plan)}
        )
    else:
        context.result(heading(chosen.as_json()) + "\n")
        context.result(plan_text(planned.plan))
        context.result(f"\n{BUTTON}")
    return pending(context, planned, detailed_exitcode=detailed_exitcode, saved=not no_save)


def _list(context: Context, history: list[Record]) -> None:
    if context.json:
        context.result_json({"schema": "deploykit.rollback/1", "records": [one.as_json() for one in reversed(history)]})
    else:
        context.result(list_text([one.as_json() for one in history]))
