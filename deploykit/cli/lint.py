"""``deploykit lint``: check profiles, .env files, Railway's config files, Dockerfile, Procfile, package.json."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import click

from deploykit.cli.context import Context, verb
from deploykit.errors import Exit, UsageError

FORMATS = ("text", "json", "concise", "github", "gitlab", "sarif", "junit")


@verb("lint", formats=FORMATS)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--fix", is_flag=True, help="Make the safe fixes.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also fixes that may change what is meant.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
@click.option("--select", multiple=True, metavar="CODES", help="Only these rules: DK101, DK1, a name, or ALL.")
@click.option("--ignore", multiple=True, metavar="CODES", help="All but these rules.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Hide the findings that this file lists.")
@click.option("--update-baseline", is_flag=True, help="Write what is found now into the baseline.")
@click.option("--source", "sources", multiple=True, metavar="DIR", help="Source code that reads the variables.")
@click.option("--stdin-filename", metavar="NAME", help="With PATH `-`: the name of what comes from standard input.")
@click.option("--exit-zero", is_flag=True, help="Exit 0 whatever is found.")
@click.option("--statistics", is_flag=True, help="Count findings by rule instead of listing them.")
@click.option("--output-file", type=click.Path(path_type=Path), help="Write the result here instead of stdout.")
def command(
    context: Context,
    paths: tuple[str, ...],
    fix: bool,
    unsafe_fixes: bool,
    diff: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    baseline: Path | None,
    update_baseline: bool,
    sources: tuple[str, ...],
    stdin_filename: str | None,
    exit_zero: bool,
    statistics: bool,
    output_file: Path | None,
) -> int:
    """Check what decides which processes run: profiles, .env files, Railway's files, Dockerfile, scripts.

    PATH is a folder or files; `-` reads standard input. Without PATH the project is checked. Exits 1 when an error is
    found, 0 otherwise.
    """
    from deploykit.commands import lint as verbs

    if update_baseline and not baseline:
        raise UsageError("--update-baseline needs --baseline FILE")
    stdin, paths = _stdin(paths, stdin_filename)
    linted = verbs.lint(
        context.project_dir,
        paths,
        verbs.Options(
            select=select,
            ignore=ignore,
            sources=sources,
            fix=fix or diff,
            unsafe_fixes=unsafe_fixes,
            baseline=baseline,
            update_baseline=update_baseline,
            stdin=stdin,
        ),
        write=not diff,
        progress=context.progress,
    )
    if stdin and fix and not diff:
        # As other formatters do: the mended text is the result, what is left is said on stderr.
        sys.stdout.write(linted.after[stdin[0]])
    elif diff:
        _emit(context, _masked_diff(linted.diff()), output_file)
    else:
        _emit(context, _rendered(context, linted, statistics), output_file)
    if context.format == "github":
        _step_summary(linted)
    failed = linted.failed or (diff and bool(linted.changed))
    return Exit.FAILED if failed and not exit_zero else Exit.OK


def _stdin(paths: tuple[str, ...], name: str | None) -> tuple[tuple[str, str] | None, tuple[str, ...]]:
    if "-" not in paths:
        if name:
            raise UsageError("--stdin-filename needs the path `-`", hint="deploykit lint - --stdin-filename NAME")
        return None, paths
    if len(paths) > 1:
        raise UsageError("`-` stands alone", hint="deploykit lint - --stdin-filename NAME < FILE")
    data = sys.stdin.buffer.read(4_000_001)
    if len(data) > 4_000_000:
        raise UsageError("more than 4 MB on standard input")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("standard input is not UTF-8 text") from None
    if name is None:
        # A profile is named like its file, so without a name it is taken at its word.
        said = re.search(r"^name[ \t]*:[ \t]*[\"']?([A-Za-z0-9][\w.-]*)", text, re.MULTILINE)
        name = f"profiles/{said[1] if said else 'stdin'}.yaml"
    return (name.removeprefix("./"), text), ()


def _rendered(context: Context, linted, statistics: bool) -> str:  # type: ignore[no-untyped-def]
    """The result in the format that was asked for."""
    from deploykit.report import lint as report
    from deploykit.report.diagnostic import WIDTH, Style

    outcome = linted.outcome
    value = report.LintReport(
        findings=outcome.findings,
        skipped=outcome.skipped,
        hidden=len(outcome.hidden),
        files=outcome.files,
        fixed=linted.fixed,
        texts=linted.after,
    )
    if statistics and context.format in ("text", "concise"):
        return report.statistics(outcome.findings)
    if context.format == "json":
        return _json(report.as_json(value))
    if context.format == "concise":
        return report.concise(value)
    if context.format == "github":
        from deploykit.report.github import github

        return github(outcome.findings)
    if context.format == "gitlab":
        from deploykit.report.gitlab import gitlab

        return _json(gitlab(outcome.findings))
    if context.format == "sarif":
        from deploykit import __version__
        from deploykit.commands.lint import describe
        from deploykit.report.sarif import RuleText, sarif

        rules = [RuleText(*rule) for rule in describe()]
        return _json(sarif(outcome.findings, rules, __version__))
    if context.format == "junit":
        from deploykit.report.junit import junit

        return junit(outcome.findings, linted.before)
    return report.text(value, Style(context.colored()), _width() if outcome.findings else WIDTH)


def _json(value: Any) -> str:
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)


def _width() -> int:
    import shutil  # and with it every kind of compression: only when there is text to wrap

    return min(shutil.get_terminal_size((80, 24)).columns, 120)


def _masked_diff(text: str) -> str:
    from deploykit.report.diagnostic import masked

    return "\n".join(masked(line) for line in text.split("\n")).rstrip("\n")


def _emit(context: Context, text: str, output_file: Path | None) -> None:
    if output_file:
        output_file.write_text(f"{text}\n", "utf-8")
        context.note(f"wrote {output_file}")
    elif text:
        context.result(text)


def _step_summary(linted) -> None:  # type: ignore[no-untyped-def]
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    from deploykit.report.github import step_summary
    from deploykit.report.lint import LintReport

    outcome = linted.outcome
    with open(path, "a", encoding="utf-8") as file:
        file.write(step_summary(LintReport(outcome.findings, files=outcome.files)))
