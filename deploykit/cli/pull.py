"""``deploykit pull``."""

from __future__ import annotations

from pathlib import Path

import click

from deploykit.cli.context import Context, verb
from deploykit.commands.pull import pull
from deploykit.errors import Exit
from deploykit.railway.client import connect
from deploykit.report import pull as report


@verb("pull")
@click.option("--name", metavar="NAME", help="Name of the profile; the environment's by default.")
@click.option("--out", metavar="PATH", help="File to write, - for stdout; profiles/NAME.yaml by default.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option("--without", multiple=True, metavar="SERVICE", help="Leave a service out; apply leaves it alone then.")
@click.option(
    "--values",
    type=click.Choice(["safe", "known"]),
    default="safe",
    help="Write every value that is evidently plain (safe), or only of variables that deploykit knows (known).",
)
@click.option("--environment", default="production", help="Environment, where the token reaches several.")
def command(
    context: Context,
    name: str | None,
    out: str | None,
    force: bool,
    without: tuple[str, ...],
    values: str,
    environment: str,
) -> int:
    """Write a profile from what is live on Railway. Changes nothing there; never writes a secret.

    Every live setting is written, named as not managed, or an error. `deploykit plan` of the result has nothing to do.
    """
    to_stdout = out == "-"
    railway = connect(environment_name=environment, report=context.progress)
    try:
        result = pull(
            context.project_dir,
            railway,
            name=name,
            out=Path(out) if out and not to_stdout else None,
            write=not to_stdout,
            force=force,
            values="known" if values == "known" else "safe",
            without=without,
            report=context.progress,
        )
    finally:
        railway.close()
    said = report.text(result.pulled, result.environment, result.path, result.findings)
    if context.json:
        context.result_json(report.as_json(result.pulled, result.environment, result.path, result.findings))
    elif to_stdout and not result.pulled.problems:
        context.note(said)
        context.result(result.pulled.text.rstrip("\n"))
    else:
        context.result(said)
    return Exit.FAILED if result.pulled.problems else Exit.OK
