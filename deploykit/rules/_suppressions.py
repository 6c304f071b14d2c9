"""``# deploykit: ignore[DK203] reason``: what it hides, and what is wrong with it (DK007)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from deploykit.findings import Edit, Finding, Fix, Place
from deploykit.rules._rule import CATALOGUE, Report
from deploykit.sources.pattern import pattern

_MARK = pattern(
    r"(?:(?<=\s)|^)(?:#|//)[ \t]*deploykit:[ \t]*ignore(?![A-Za-z])[ \t]*(?P<list>\[(?P<codes>[^\]\r\n]*)\])?"
    r"[ \t]*(?P<reason>[^\r\n]*)",
    re.MULTILINE,
)
_CODE = pattern(r"[^\s,]+")


@dataclass(slots=True)
class Suppression:
    """One comment: the codes it names with their columns, the line it counts for, and what it has hidden so far."""

    place: Place
    line: int
    alone: bool
    codes: tuple[tuple[str, int], ...]
    reason: str
    removal: Edit
    used: set[str] = field(default_factory=set)


def read(path: str, text: str) -> list[Suppression]:
    """Every suppression in a file; none in JSON, which has no comments."""
    if "deploykit:" not in text or path.endswith(".json"):
        return []
    found = []
    for match in _MARK.finditer(text):
        start = text.rfind("\n", 0, match.start()) + 1
        line = text.count("\n", 0, start) + 1
        before = text[start : match.start()].removeprefix("\ufeff")
        alone = not before.strip()
        column = match.start() - start + 1
        stop = match.start() + len(match.group().rstrip())
        place = Place(path, line, column, line, stop - start + 1)
        codes = tuple(
            (code.group(), match.start("codes") - start + code.start() + 1)
            for code in (_CODE.finditer(match["codes"]) if match["codes"] else ())
        )
        if alone:
            removal = Edit(path, (line, 1), (line + 1, 1), "")
            if "\n" not in text[match.end() :]:
                removal = Edit(path, (line, 1), (line, stop - start + 1), "")
        else:
            removal = Edit(path, (line, len(before.rstrip()) + 1), (line, stop - start + 1), "")
        found.append(Suppression(place, line + 1 if alone else line, alone, codes, match["reason"].strip(), removal))
    return found


def apply(
    findings: Iterable[Finding], texts: Mapping[str, str], ran: Collection[str]
) -> tuple[list[Finding], list[Finding]]:
    """The findings that are left, DK007 among them, and those that were hidden.

    ``ran`` are the codes that were looked for: a suppression of any other code cannot be judged.
    """
    suppressions = {path: read(path, text) for path, text in texts.items()}
    kept, hidden = [], []
    for finding in findings:
        hit = hiding(finding, suppressions.get(finding.place.path, ()))
        if hit is None:
            kept.append(finding)
        else:
            hit.used.add(finding.code)
            hidden.append(finding)
    if "DK007" in ran:
        rule = CATALOGUE["DK007"]
        for each in (suppression for found in suppressions.values() for suppression in found):
            kept.extend(rule.finding(report) for report in _judge(each, ran))
    return kept, hidden


def hiding(finding: Finding, suppressions: Iterable[Suppression]) -> Suppression | None:
    """The suppression that hides ``finding``, None when nothing does."""
    place = finding.place
    whole = place == Place(place.path)  # about the whole file: a comment at its top speaks of it
    for suppression in suppressions:
        near = suppression.line in (place.line, place.end_line) or (whole and suppression.place.line == 1)
        if near and any(code == finding.code for code, _ in suppression.codes):
            return suppression
    return None


def _judge(suppression: Suppression, ran: Collection[str]) -> Iterator[Report]:
    named = [code for code, _ in suppression.codes]
    if not named:
        hint = "write `# deploykit: ignore[DK203] why`"
        yield Report(
            suppression.place, "the suppression names no rule, so it hides nothing", hint, fix=_remove(suppression)
        )
        return
    unknown = [code for code in named if code not in CATALOGUE]
    idle = [code for code in named if code in ran and code not in suppression.used and code not in unknown]
    useless = [*unknown, *idle]
    if useless:
        words = []
        if unknown:
            words.append(f"{', '.join(unknown)}: no such rule")
        if idle:
            words.append(f"{', '.join(idle)}: nothing to hide here")
        whole = set(useless) == set(named)
        fix = _remove(suppression) if whole else _shorten(suppression, useless)
        hint = "delete the comment" if whole else f"take {', '.join(useless)} out of the list"
        yield Report(suppression.place, f"the suppression is of no use ({'; '.join(words)})", hint, fix=fix)
    elif not suppression.reason:
        hint = f"say why: `# deploykit: ignore[{', '.join(named)}] why it is right here`"
        yield Report(suppression.place, "the suppression gives no reason", hint)


def _remove(suppression: Suppression) -> Fix:
    return Fix("delete the comment", (suppression.removal,))


def _shorten(suppression: Suppression, useless: list[str]) -> Fix:
    first, last = suppression.codes[0][1], suppression.codes[-1]
    kept = ", ".join(code for code, _ in suppression.codes if code not in useless)
    line = suppression.place.line
    edit = Edit(suppression.place.path, (line, first), (line, last[1] + len(last[0])), kept)
    return Fix("name only what is hidden", (edit,))
