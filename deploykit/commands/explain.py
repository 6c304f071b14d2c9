"""``deploykit explain``: a rule in words, from its declaration."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from deploykit.errors import UsageError
from deploykit.report.explain import Explained
from deploykit.rules import CATALOGUE, Rule


def explain(words: Sequence[str]) -> list[Rule]:
    """The rules that are asked for by code (``DK101``), family (``DK1``) or name. Raises UsageError."""
    found: dict[str, Rule] = {}
    for word in words:
        upper = word.strip().upper()
        rules = [
            rule
            for code, rule in sorted(CATALOGUE.items())
            if code == upper or rule.name == word.strip().lower() or (len(upper) in (3, 4) and code.startswith(upper))
        ]
        if not rules:
            names = [*CATALOGUE, *(rule.name for rule in CATALOGUE.values())]
            near = difflib.get_close_matches(upper, names, n=1, cutoff=0.6) or difflib.get_close_matches(
                word.lower(), names, n=1, cutoff=0.6
            )
            hint = f"did you mean {near[0]}?" if near else "deploykit explain lists them all"
            raise UsageError(f"unknown rule {word!r}", hint=hint)
        found.update((rule.code, rule) for rule in rules)
    return list(found.values())


def everything() -> list[Rule]:
    """Every rule in the order of the codes."""
    return [CATALOGUE[code] for code in sorted(CATALOGUE)]


def explained(rule: Rule) -> Explained:
    """A rule as reports speak of it."""
    return Explained(
        rule.code,
        rule.name,
        rule.severity.value,
        rule.title,
        rule.why,
        [example.text() for example in rule.bad],
        [example.text() for example in rule.good],
        rule.fixable,
        rule.skipped,
    )
