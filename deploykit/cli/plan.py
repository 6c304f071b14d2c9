"""``deploykit plan``."""

from __future__ import annotations

from pathlib import Path

import click

from deploykit.cli.context import Context, verb
from deploykit.commands import profiles
from deploykit.commands.plan import Planned, as_json, plan, save, secret_values
from deploykit.errors import Exit
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway, connect
from deploykit.report.plan import plan_text


@verb("plan")
@click.argument("profile")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when changes are pending.")
@click.option(
    "--secret-from-env", "secrets", multiple=True, metavar="NAME", help="Take a !secret from your environment."
)
@click.option("--remove", multiple=True, metavar="SERVICE", help="Delete a service the profile does not know.")
@click.option("--no-save", is_flag=True, help="Only show; leave .deploykit/plan.json alone.")
def command(
    context: Context,
    profile: str,
    detailed_exitcode: bool,
    secrets: tuple[str, ...],
    remove: tuple[str, ...],
    no_save: bool,
) -> int:
    """What would change on Railway for PROFILE, in which order, at what cost. Changes nothing."""
    wanted = checked(context, profile)
    railway = connect(environment_name=wanted.environment, report=context.progress)
    path = profiles.find(context.project_dir, profile)
    planned = planned_now(context, railway, wanted, path, secrets=secrets, remove=remove, saves=not no_save)
    if context.json:
        context.result_json(as_json(planned.plan))
    else:
        context.result(plan_text(planned.plan))
    return pending(context, planned, detailed_exitcode=detailed_exitcode, saved=not no_save)


def checked(context: Context, profile: str) -> Profile:
    """The profile of that name or path, its warnings told. Raises ConfigurationError while it breaks a rule."""
    wanted, _, findings = profiles.checked(context.project_dir, profile)
    for finding in findings:
        context.note(f"{finding.severity}: {finding.place}: {finding.code} {finding.message}")
    return wanted


def planned_now(
    context: Context,
    railway: Railway,
    wanted: Profile,
    path: Path,
    *,
    secrets: tuple[str, ...],
    remove: tuple[str, ...],
    saves: bool,
) -> Planned:
    """Plan against what is live now, close the connection, and keep the plan for `apply` when it ``saves``."""
    try:
        secret = secret_values(wanted, secrets)
        planned = plan(wanted, railway, secret=secret, remove=remove, report=context.progress)
    finally:
        railway.close()
    if saves:
        save(context.project_dir / ".deploykit" / "plan.json", planned, profile_path=path.resolve(), remove=remove)
    return planned


def pending(context: Context, planned: Planned, *, detailed_exitcode: bool, saved: bool) -> int:
    """Say what comes next, and the exit status."""
    if planned.plan.empty:
        return Exit.OK
    if saved and not context.json:
        context.result("\nNext: deploykit apply   (exactly this plan; valid for a day, runs once)")
    return Exit.CHANGES_PENDING if detailed_exitcode else Exit.OK
