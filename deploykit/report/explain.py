"""A rule in words: on the terminal, and as a section of docs/rules.md."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from deploykit.report.diagnostic import Style

FAMILIES = {
    "DK0": "Files",
    "DK1": "Ghosts: which processes start, and how often",
    "DK2": "Polling and units",
    "DK3": "Railway settings",
    "DK4": "Variables and .env files",
    "DK5": "Database",
    "DK6": "Commands and builds",
    "DK7": "Infrastructure as code, config as code",
    "DK8": "Cost",
    "DK9": "Live: needs Railway or the database",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """What there is to say about a rule."""

    code: str
    name: str
    severity: str
    title: str
    why: str
    bad: Sequence[str] = ()
    good: Sequence[str] = ()
    fixable: str = ""
    skipped: str = ""


def text(rule: Explained, style: Style) -> str:
    """The rule on a terminal, 80 columns wide."""
    lines = [
        f"{style.paint(rule.code, '1')} {rule.name} ({rule.severity}{_fix(rule)})",
        "",
        *_wrapped(rule.title + "."),
    ]
    for paragraph in rule.why.split("\n\n"):
        lines += ["", *_wrapped(paragraph)]
    for label, colour, examples in (("Wrong", "31", rule.bad), ("Right", "32", rule.good)):
        for example in examples[:2]:
            lines += ["", style.paint(f"{label}:", colour), *(f"    {line}" for line in example.splitlines())]
    if rule.skipped:
        lines += ["", *_wrapped(f"Not part of lint: {rule.skipped}.")]
    elif not rule.code.startswith("DK9"):
        lines += [
            "",
            *_wrapped(f"When it is right here after all: `# deploykit: ignore[{rule.code}] why` on that line."),
        ]
    return "\n".join(lines)


def _wrapped(paragraph: str) -> list[str]:
    return textwrap.wrap(" ".join(paragraph.split()), 80, break_on_hyphens=False)


def _fix(rule: Explained) -> str:
    return f", {rule.fixable} fix" if rule.fixable else ""


def table(rules: Sequence[Explained]) -> str:
    """Every rule in one line."""
    width = max((len(rule.name) for rule in rules), default=0)
    return "\n".join(f"{rule.code}  {rule.severity:<7}  {rule.name:<{width}}  {rule.title}" for rule in rules)


def markdown(rules: Sequence[Explained]) -> str:
    """The page of all rules."""
    parts = [
        "# Rules",
        "",
        "<!-- Written by `python -m deploykit.commands.docs` from deploykit/rules; do not edit. -->",
        "",
        "Everything deploykit can tell you has a code. Codes are never reused. A rule with a *safe* fix is mended by",
        "`deploykit lint --fix`, one with an *unsafe* fix by `--fix --unsafe-fixes`: read the diff first (`--diff`).",
        "Rules of DK9 need Railway or the database: `verify`, `doctor` and `ghosts` report them.",
        "How to select, ignore and suppress rules: [lint.md](lint.md).",
        "",
    ]
    family = ""
    for rule in rules:
        if rule.code[:3] != family:
            family = rule.code[:3]
            mine = [each for each in rules if each.code[:3] == family]
            parts += [
                f"## {FAMILIES[family]}",
                "",
                "| code | severity | fix | what it finds |",
                "| --- | --- | --- | --- |",
            ]
            parts += [
                f"| [{each.code}](#{anchor(each)}) | {each.severity} | {each.fixable or '-'} | {each.title} |"
                for each in mine
            ]
            parts.append("")
        parts += _section(rule)
    return "\n".join(parts).rstrip() + "\n"


def anchor(rule: Explained) -> str:
    """The address of a rule's section."""
    return f"{rule.code} {rule.name}".lower().replace(" ", "-")


def _section(rule: Explained) -> list[str]:
    lines = [f"### {rule.code} {rule.name}", "", f"*{rule.severity}{_fix(rule)}*: {rule.title}.", "", rule.why, ""]
    for label, examples in (("Wrong", rule.bad), ("Right", rule.good)):
        for example in examples[:2]:
            lines += [f"{label}:", "", "```", *example.rstrip().splitlines(), "```", ""]
    if rule.skipped:
        lines += [f"Not part of lint: {rule.skipped}.", ""]
    return lines
