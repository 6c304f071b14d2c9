"""``deploykit explain``: what a rule means, why, bad and good example, cure."""

from __future__ import annotations

from typing import Any

import click

from deploykit.cli.context import Context, verb


@verb("explain")
@click.argument("rules", nargs=-1, metavar="[CODE]...")
@click.option("--list", "listed", is_flag=True, help="Name every rule in one line.")
def command(context: Context, rules: tuple[str, ...], listed: bool) -> None:
    """What a rule means: CODE is DK101, a family such as DK1, or a rule's name. Without CODE every rule is listed."""
    from deploykit.commands import explain as verbs
    from deploykit.report import explain as report
    from deploykit.report.diagnostic import Style

    found = [verbs.explained(rule) for rule in (verbs.explain(rules) if rules else verbs.everything())]
    if context.json:
        context.result_json({"schema": "deploykit.explain/1", "rules": [_json(rule) for rule in found]})
    elif listed or not rules:
        context.result(report.table(found))
    else:
        style = Style(context.colored())
        context.result("\n\n\n".join(report.text(rule, style) for rule in found))


def _json(rule: Any) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "title": rule.title,
        "why": rule.why,
        "bad": list(rule.bad),
        "good": list(rule.good),
        "fix": rule.fixable or None,
        "skipped": rule.skipped or None,
    }
