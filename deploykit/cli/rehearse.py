"""``deploykit rehearse``: the whole main job on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from deploykit.cli.context import Context, verb
from deploykit.commands import profiles
from deploykit.commands.rehearse import rehearse
from deploykit.errors import Exit


@verb("rehearse")
@click.argument("profile", default="pre-launch")
@click.option("--database", type=click.Choice(["auto", "mysql", "sqlite"]), default="auto", show_default=True)
@click.option(
    "--source-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where start commands run."
)
@click.option("--keep", is_flag=True, help="Leave the sandbox running afterwards, for a closer look.")
def command(context: Context, profile: str, database: str, source_dir: Path | None, keep: bool) -> int:
    """Plan, apply and verify PROFILE against a local Railway, with real processes, then clean up."""
    wanted, _, _ = profiles.checked(context.project_dir, profile)
    outcome = rehearse(
        wanted,
        source_dir=source_dir or context.project_dir,
        database=database,
        keep=keep,
        report=context.progress,
        show=(lambda _: None) if context.json else context.result,
    )
    if context.json:
        context.result_json(outcome.as_json())
    return Exit.OK if outcome.healthy else Exit.UNHEALTHY
