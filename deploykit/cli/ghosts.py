"""``deploykit ghosts``: every process that should not be there."""

from __future__ import annotations

import click

from deploykit.cli.context import Context, verb
from deploykit.cli.verify import chosen_profile, duration
from deploykit.cli.ways import Way, to_the_job_tables
from deploykit.commands.ghosts import Haunting, end, ghosts
from deploykit.errors import Exit, UsageError
from deploykit.railway.client import connect
from deploykit.report import ghosts as report
from deploykit.verification.checks import Verdict


@verb("ghosts")
@click.argument("profile", required=False)
@to_the_job_tables
@click.option("--kill", is_flag=True, help="End them, after confirmation, and prove that they are gone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--allow-destructive", is_flag=True, help="Also delete services; --yes does not cover that.")
@click.option("--remove", multiple=True, metavar="SERVICE", help="Name a service that --kill deletes; else typed.")
@click.option("--starting", type=duration, default=60.0, help="How long a new deployment may need before it beats.")
def command(
    context: Context,
    profile: str | None,
    way: Way,
    kill: bool,
    yes: bool,
    allow_destructive: bool,
    remove: tuple[str, ...],
    starting: float,
) -> int:
    """List every process that should not be there, with its evidence; --kill ends each the right way for its class.

    Exit status: 0 no ghosts, 8 ghosts, 9 when it cannot be told.
    """
    wish = chosen_profile(context, profile)
    railway = connect(environment_name=wish.environment, report=context.progress)
    with way.open(context.progress):
        found = ghosts(
            wish,
            railway,
            way.database_url,
            tables=way.tables,
            starting_seconds=starting,
            report=context.progress,
        )
        if not kill or not found.plan:
            _show(context, found, ())
            return _status(found)
        context.asks_about(report.text(found.plan, verdict=str(found.found.health), certain=True), yes=yes)
        if found.destructive and not allow_destructive:
            raise UsageError(
                "ending them deletes a service", hint="pass --allow-destructive after reading what is deleted"
            )
        if not context.confirm_deletions(found.deleted, yes=yes, named=remove):
            context.confirm("This ends what is listed above.", yes=yes, typed="kill", instead="pass --yes")
        after = end(
            wish,
            railway,
            way.database_url,
            found,
            tables=way.tables,
            starting_seconds=starting,
            report=context.progress,
        )
    for told in after.done:
        context.note(f"done: {told}")
    _show(context, after.left, after.done)
    return _status(after.left)


def _show(context: Context, found: Haunting, done: tuple[str, ...]) -> None:
    verdict = str(found.found.health)
    if context.json:
        context.result_json(report.as_json(found.plan, verdict=verdict, done=done))
    else:
        context.result(report.text(found.plan, verdict=verdict, certain=_certain(found), color=context.colored()))


def _status(found: Haunting) -> int:
    if found.plan:
        return Exit.UNHEALTHY
    return Exit.OK if _certain(found) else found.found.exit_code or Exit.INCONCLUSIVE


def _certain(found: Haunting) -> bool:
    """Whether the check that looks for others could do its work."""
    return any(check.id == "others" and check.verdict is Verdict.PASS for check in found.found.checks)
