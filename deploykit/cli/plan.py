"""``deploykit plan``."""

from __future__ import annotations

import click

from deploykit.cli.context import Context, verb
from deploykit.commands import profiles
from deploykit.commands.plan import as_json, plan, save, secret_values
from deploykit.errors import Exit
from deploykit.railway.client import connect
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
    wanted, _, findings = profiles.checked(context.project_dir, profile)
    for finding in findings:
        context.note(f"{finding.severity}: {finding.place}: {finding.code} {finding.message}")
    railway = connect(environment_name=wanted.environment, report=context.progress)
    try:
        secret = secret_values(wanted, secrets)
        planned = plan(wanted, railway, secret=secret, remove=remove, report=context.progress)
    finally:
        railway.close()
    if not no_save:
        path = profiles.find(context.project_dir, profile).resolve()
        save(context.project_dir / ".deploykit" / "plan.json", planned, profile_path=path, remove=remove)
    if context.json:
        context.result_json(as_json(planned.plan))
    else:
        context.result(plan_text(planned.plan))
        if not planned.plan.empty and not no_save:
            context.result("\nNext: deploykit apply   (exactly this plan; valid for a day, runs once)")
    pending = not planned.plan.empty
    return Exit.CHANGES_PENDING if detailed_exitcode and pending else Exit.OK
