"""``deploykit watch``: verify, again and again, on one screen."""

from __future__ import annotations

import shutil
import sys

import click

from deploykit.cli.context import Context, verb
from deploykit.cli.verify import chosen_profile, duration
from deploykit.cli.ways import Way, to_the_job_tables
from deploykit.commands.watch import Look, watch
from deploykit.errors import Exit
from deploykit.railway.client import connect
from deploykit.report import verify as verify_report, watch as report


@verb("watch")
@click.argument("profile", required=False)
@to_the_job_tables
@click.option("--every", type=duration, default=30.0, help="Pause between two looks; default 30s.")
@click.option("--count", type=click.IntRange(1), help="How many looks; default until Ctrl-C.")
@click.option("--starting", type=duration, default=60.0, help="How long a new deployment may need before it beats.")
def command(
    context: Context,
    profile: str | None,
    way: Way,
    every: float,
    count: int | None,
    starting: float,
) -> int:
    """Verify, again and again, on one screen. In a pipe: one line whenever something changes.

    Exit status: that of the last look.
    """
    wish = chosen_profile(context, profile)
    # On a screen that is drawn again and again progress would only flicker; a pipe gets the changes alone.
    railway = connect(environment_name=wish.environment)
    status: int = Exit.INCONCLUSIVE
    with way.open(lambda text: None):
        for look in watch(
            wish,
            railway,
            way.database_url,
            every_seconds=every,
            count=count,
            tables=way.tables,
            starting_seconds=starting,
        ):
            status = look.found.exit_code if look.found else Exit.UNREACHABLE
            _show(context, wish.name, look)
            sys.stdout.flush()
    return status


def _show(context: Context, profile: str, look: Look) -> None:
    if context.json:
        if look.found is not None:
            context.result_json(verify_report.as_json(look.found))
        else:  # no verdict, so no object: but not without a word
            click.echo(report.line(None, at=look.at, problem=look.problem), err=True)
    elif sys.stdout.isatty():
        cost, size = look.budget, shutil.get_terminal_size((report.WIDTH, report.HEIGHT))
        drawn = report.screen(
            look.found,
            profile=profile,
            at=look.at,
            problem=look.problem,
            events=look.events,
            api=report.api(cost.requests, cost.an_hour, cost.limit, cost.remaining),
            color=context.colored(),
            width=size.columns,
            height=size.lines - 1,
        )
        context.result(report.CLEAR + drawn)
    elif look.changed:
        context.result(report.line(look.found, at=look.at, problem=look.problem))
