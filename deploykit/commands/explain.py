"""``deploykit explain``: a rule in words, from its declaration."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from deploykit.errors import UsageError
from deploykit.report.explain import Explained
from deploykit.rules import CATALOGUE, Example, Rule


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


_LONG = 14
"""An example of more lines is shown by the part that tells."""


def explained(rule: Rule) -> Explained:
    """A rule as reports speak of it."""
    return Explained(
        rule.code,
        rule.name,
        rule.severity.value,
        rule.title,
        rule.why,
        [example.text() for example in rule.bad],
        list(dict.fromkeys(filter(None, (_telling(example, rule.bad) for example in rule.good)))),
        rule.fixable,
        rule.skipped,
    )


def _telling(good: Example, bad: Sequence[Example]) -> str:
    """What of a good example is worth reading: of a long one, the lines in which it differs from the first bad one."""
    text = good.text()
    if text.count("\n") < _LONG or not bad:
        return text
    texts, others = good.texts(), bad[0].texts()
    shared = [path for path in texts if path in others]
    if not shared:
        return text
    right, wrong = (files[shared[0]].splitlines() for files in (texts, others))
    matcher = difflib.SequenceMatcher(a=wrong, b=right, autojunk=False)
    changed = [
        number for kind, _, _, start, stop in matcher.get_opcodes() if kind != "equal" for number in range(start, stop)
    ]
    return "\n".join(right[number] for number in sorted({*changed, *_parents(right, changed)}))


def _parents(lines: Sequence[str], numbers: Sequence[int]) -> set[int]:
    """The keys that lead to some lines, by their indentation."""
    found = set()
    for number in numbers:
        indent = _indent(lines[number])
        for above in range(number - 1, -1, -1):
            if lines[above].strip() and _indent(lines[above]) < indent:
                found.add(above)
                indent = _indent(lines[above])
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
