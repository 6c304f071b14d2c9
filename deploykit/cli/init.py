"""``deploykit init``: set deploykit up in a repository."""

from __future__ import annotations

from deploykit.cli.context import Context, verb
from deploykit.commands.init import init
from deploykit.report import init as report


@verb("init")
def command(context: Context) -> None:
    """Write profiles/, .env.example, a CI workflow and a pre-commit hook into this repository; overwrite nothing.

    Start commands are taken from package.json, Procfile and Dockerfile where they name them.
    """
    setup = init(context.project_dir)
    found = setup.found
    starts = [
        (role, start.command, start.why)
        for role, start in (("web", found.web), ("daemon", found.daemon), ("worker", found.worker))
    ]
    files = [(done.path, done.action.value, done.note) for done in setup.files]
    if context.json:
        context.result_json(report.as_json(starts, files, setup.next_steps))
    else:
        context.result(report.text(starts, files, setup.next_steps))
