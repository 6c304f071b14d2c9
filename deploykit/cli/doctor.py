"""``deploykit doctor``: name the cause of a sick system."""

from __future__ import annotations

import click

from deploykit.cli.context import Context, verb
from deploykit.cli.verify import chosen_profile, duration
from deploykit.cli.ways import Way, to_the_job_tables
from deploykit.commands.doctor import doctor
from deploykit.errors import Exit
from deploykit.railway.client import connect
from deploykit.report import doctor as report
from deploykit.verification.diagnosis import Rank


@verb("doctor")
@click.argument("profile", required=False)
@to_the_job_tables
@click.option("--starting", type=duration, default=60.0, help="How long a new deployment may need before it beats.")
def command(context: Context, profile: str | None, way: Way, starting: float) -> int:
    """Name the cause of a sick system, with the fix for each. Reads only.

    Exit status: 0 nothing is wrong, 8 a cause was found, 9 or 75 when too little could be seen to tell.
    """
    wish = chosen_profile(context, profile)
    with way.open(context.progress):
        found, causes = doctor(
            wish,
            lambda: connect(environment_name=wish.environment, report=context.progress),
            way.database_url,
            tables=way.tables,
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
