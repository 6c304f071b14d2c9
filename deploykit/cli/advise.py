"""``deploykit advise``."""

from __future__ import annotations

import click

from deploykit.cli.context import Context, verb
from deploykit.cli.verify import chosen_profile
from deploykit.cli.ways import Way, to_the_job_tables
from deploykit.commands.advise import advise, applied_at, neighbours
from deploykit.errors import Exit
from deploykit.railway.client import connect
from deploykit.report import advise as report


@verb("advise")
@click.argument("profile", required=False)
@to_the_job_tables
def command(context: Context, profile: str | None, way: Way) -> int:
    """Stay, move up or move down a profile, and why: without PROFILE, from the one that was applied last.

    Reads the queue, the schedules and Railway's metrics; moves nothing. Exit status 9 when the queue cannot be read.
    """
    current = chosen_profile(context, profile)
    with way.open(context.progress):
        found = advise(
            current,
            neighbours(context.project_dir, current),
            lambda: connect(environment_name=current.environment, report=context.progress),
            way.database_url,
            tables=way.tables,
            since=applied_at(context.project_dir, current),
            report=context.progress,
        )
    if context.json:
        context.result_json(report.as_json(found))
    else:
        context.result(report.text(found))
    return Exit.INCONCLUSIVE if found.verdict == "inconclusive" else Exit.OK
