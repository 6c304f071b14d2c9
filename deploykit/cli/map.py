"""``deploykit map``: the process map of a profile."""

from __future__ import annotations

from pathlib import Path

import click

from deploykit.cli.context import Context, verb
from deploykit.commands import map as maps, profiles
from deploykit.report import process_map

_FORMATS = {"text": maps.text, "mermaid": maps.mermaid, "svg": maps.svg}


@verb("map", formats=("text", "json", "mermaid", "svg"))
@click.argument("profile", default="pre-launch")
@click.option("-o", "--output-file", type=click.Path(path_type=Path, dir_okay=False), help="Write it there instead.")
def command(context: Context, profile: str, output_file: Path | None) -> None:
    """What runs where in PROFILE (default pre-launch): services, processes, flags, database, flow.

    --format is text, mermaid, svg or json.
    """
    wanted, _, _ = profiles.checked(context.project_dir, profile)
    if context.json:
        context.result_json(process_map.as_json(wanted))
        return
    drawn = _FORMATS[context.format](wanted)
    if output_file is None:
        context.result(drawn.rstrip("\n"))
    else:
        output_file.write_text(drawn if drawn.endswith("\n") else f"{drawn}\n", "utf-8")
