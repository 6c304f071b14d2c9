"""``deploykit render``: every artefact of a profile as files."""

from __future__ import annotations

from pathlib import Path

import click

from deploykit.cli.context import Context, verb
from deploykit.commands import profiles, render
from deploykit.errors import Exit
from deploykit.report import render as report


@verb("render")
@click.argument("profile")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder; default out/PROFILE.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 and name the files that differ.")
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Only these artefacts, such as '.railway/*'. Repeatable."
)
@click.option(
    "--templates",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with templates of your own; each replaces the bundled one of the same name.",
)
@click.option("--force", is_flag=True, help="Overwrite files that deploykit did not render.")
def command(
    context: Context,
    profile: str,
    out: Path | None,
    check: bool,
    only: tuple[str, ...],
    templates: Path | None,
    force: bool,
) -> int:
    """Write every artefact of PROFILE: Railway's IaC, config as code, variables, compose file, runbook, process map."""
    wanted, _, _ = profiles.checked(context.project_dir, profile)
    folder = render.folder(context.project_dir, wanted, out)
    if check:
        artefacts = render.check(wanted, folder, only=only, templates=templates)
    else:
        artefacts = render.write(wanted, folder, only=only, templates=templates, force=force)
    rows = [(artefact.path, artefact.state.value, artefact.edited) for artefact in artefacts]
    if context.json:
        context.result_json(report.as_json(wanted.name, str(folder), rows))
    else:
        context.result(report.text(rows, str(folder), checked=check))
    return Exit.FAILED if check and any(state != "unchanged" for _, state, _ in rows) else Exit.OK
