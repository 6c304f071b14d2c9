"""``deploykit verify``: prove what is alive."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from deploykit.cli.context import Context, verb
from deploykit.cli.ways import Way, to_the_job_tables
from deploykit.commands import applied, profiles
from deploykit.commands.verify import verify
from deploykit.commands.webhook import checked, tell_on_change
from deploykit.errors import Exit, UnreachableError
from deploykit.profile.schema import Profile
from deploykit.railway.client import connect
from deploykit.report import verify as report


def duration(text: str) -> float:
    """Seconds from a number with a unit: 90s, 10m, 2h, or seconds alone."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", str(text))
    if found is None:
        raise click.BadParameter(f"{text!r} is no duration: write 90s, 10m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


def chosen_profile(context: Context, name: str | None) -> Profile:
    """The profile of that name, or the one that was applied last."""
    profile, _, _ = profiles.checked(context.project_dir, name or applied.chosen_profile(context.project_dir))
    return profile


@verb("verify")
@click.argument("profile", required=False)
@to_the_job_tables
@click.option("--smoke", is_flag=True, help="Also run a no-op job and a schedule to their ends (this writes).")
@click.option("--smoke-job", default="noop", show_default=True, help="The job that does nothing.")
@click.option("--smoke-schedule", help="The schedule to switch on and run now; else one that runs the smoke job.")
@click.option("--wait", type=duration, default=0.0, help="Look again until healthy, this long at most: 5m.")
@click.option("--for", "for_", type=duration, default=0.0, help="Keep looking this long, and end when unhealthy: 10m.")
@click.option("--starting", type=duration, default=60.0, help="How long a new deployment may need before it beats.")
@click.option("--webhook", help="POST the result here when the verdict changes (https); else DEPLOYKIT_WEBHOOK.")
def command(
    context: Context,
    profile: str | None,
    way: Way,
    smoke: bool,
    smoke_job: str,
    smoke_schedule: str | None,
    wait: float,
    for_: float,
    starting: float,
    webhook: str | None,
) -> int:
    """Prove what is alive: without PROFILE, the one that was applied last.

    Reads only, unless --smoke. Exit status: 0 healthy, 8 unhealthy or ghost, 9 inconclusive, 75 Railway or the
    database unreachable.
    """
    webhook = webhook or os.environ.get("DEPLOYKIT_WEBHOOK") or None
    if webhook:
        checked(webhook)  # now, not once everything was watched
    wish = chosen_profile(context, profile)
    railway = connect(environment_name=wish.environment, report=context.progress)
    with way.open(context.progress):
        found = verify(
            wish,
            railway,
            way.database_url,
            smoke=smoke,
            smoke_job=smoke_job,
            smoke_schedule=smoke_schedule,
            wait_seconds=wait,
            for_seconds=for_,
            starting_seconds=starting,
            tables=way.tables,
            report=context.progress,
        )
    value = report.as_json(found)
    if context.json:
        context.result_json(value)
    else:
        context.result(report.text(found, color=context.colored(), verbose=bool(context.verbose)))
    try:
        if webhook and tell_on_change(webhook, _memory(context.project_dir), value):
            context.note(f"the verdict changed to {found.health}: told the webhook")
    except UnreachableError as error:
        if not found.exit_code:
            raise
        # Whoever is not told by the webhook is told by the exit status: of the system, not of the messenger.
        click.echo(f"{error.where}: {error.message}; nobody was told that the system is {found.health}", err=True)
    return Exit(found.exit_code)


def _memory(project_dir: Path) -> Path:
    return project_dir / ".deploykit" / "verdicts.json"
