"""``deploykit doctor``: name the cause of a sick system."""

from __future__ import annotations

import click

from deploykit.cli.context import Context, verb
from deploykit.cli.verify import chosen_profile, database_option, duration, resolved_database_url, status_tables
from deploykit.commands.doctor import doctor
from deploykit.errors import Exit
from deploykit.railway.client import connect
from deploykit.report import doctor as report
from deploykit.verification.diagnosis import Rank


@verb("doctor")
@click.argument("profile", required=False)
@database_option
@click.option("--starting", type=duration, default=60.0, help="How long a new deployment may need before it beats.")
def command(
    context: Context, profile: str | None, database_url: str | None, status_url: str | None, starting: float
) -> int:
    """Name the cause of a sick system, with the fix for each. Reads only.

    Exit status: 0 nothing is wrong, 8 a cause was found, 9 or 75 when too little could be seen to tell.
    """
    wish = chosen_profile(context, profile)
    found, causes = doctor(
        wish,
        lambda: connect(environment_name=wish.environment, report=context.progress),
        resolved_database_url(database_url),
        tables=status_tables(status_url),
        starting_seconds=starting,
        report=context.progress,
    )
    if context.json:
        context.result_json(report.as_json(found, causes))
    else:
        context.result(report.text(found, causes, color=context.colored()))
    if found.exit_code is Exit.OK and any(cause.rank < Rank.REMARK for cause in causes):
        return Exit.UNHEALTHY
    return found.exit_code
