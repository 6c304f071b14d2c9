"""What a rule is: one declaration that gives the check, the explanation, the examples, their tests and the manual page."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deploykit.findings import Edit, Finding, Fix, Place, Related, Severity

Subject = Literal["service", "system", "env", "repository", "loading", "engine", "render", "live"]
"""What a check looks at: one service, all services of a file, one .env file, all files, or nothing by itself:
``loading``, ``engine``, ``render`` and ``live`` rules are found by reading, by the engine, by render and by verify."""

FAMILIES = {
    "0": "files",
    "1": "ghosts",
    "2": "polling and units",
    "3": "Railway settings",
    "4": "variables and .env",
    "5": "database",
    "6": "commands and build",
    "7": "infrastructure as code",
    "8": "cost",
    "9": "live",
}


@dataclass(frozen=True, slots=True)
class Example:
    """Files that show an offence, or the same put right; ``shown`` is the part worth reading."""

    files: Mapping[str, str]
    shown: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What a reader sees: the telling part, else the whole first file."""
        return self.shown or next(iter(self.files.values()))


@dataclass(frozen=True, slots=True)
class Report:
    """What a check says: where, what is wrong, and what to do. The rule adds code, name and severity."""

    place: Place
    message: str
    hint: str
    service: str | None = None
    variable: str | None = None
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    severity: Severity | None = None


Check = Callable[..., Iterable[Report]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing deploykit knows to be wrong."""

    code: str
    name: str
    severity: Severity
    on: Subject
    check: Check
    why: str
    cure: str
    fix: Literal["safe", "unsafe", "none"]
    good: tuple[Example, ...]
    bad: tuple[Example, ...]
    kinds: frozenset[str]

    @property
    def family(self) -> str:
        """The words of its hundred: ``ghosts``, ``polling and units`` …"""
        return FAMILIES[self.code[2]]

    @property
    def live(self) -> bool:
        """Whether it needs Railway or the database."""
        return self.on == "live"

    def finding(self, report: Report) -> Finding:
        """The report as a finding of this rule."""
        return Finding(
            self.code,
            self.name,
            report.severity or self.severity,
            report.message,
            report.place,
            report.hint,
            report.service,
            report.variable,
            report.related,
            report.fix,
        )

    def run(self, subject: Any) -> Iterator[Finding]:
        """The findings of this rule in ``subject``."""
        for report in self.check(subject):
            yield self.finding(report)


RULES: dict[str, Rule] = {}
"""Every rule by its code."""

ALL_KINDS = frozenset({"profile", "env", "iac", "config"})


def rule(
    code: str,
    severity: Severity,
    *,
    on: Subject,
    cure: str,
    good: Iterable[Example] = (),
    bad: Iterable[Example] = (),
    fix: Literal["safe", "unsafe", "none"] = "none",
    kinds: Iterable[str] = ALL_KINDS,
) -> Callable[[Check], Check]:
    """Declare a rule. The function's name is the rule's name, its docstring the why.

    ``kinds`` are the sorts of system a service or system check looks at: profile, env, iac, config.
    """

    def decorate(check: Check) -> Check:
        if code in RULES:
            raise ValueError(f"{code} is declared twice")
        why = inspect.getdoc(check) or ""
        name = check.__name__.replace("_", "-")
        RULES[code] = Rule(code, name, severity, on, check, why, cure, fix, tuple(good), tuple(bad), frozenset(kinds))
        return check

    return decorate


def replaced(place: Place, text: str) -> Edit:
    """The edit that puts ``text`` in the place of a token."""
    return Edit(place.path, (place.line, place.column), (place.end_line, place.end_column), text)


def replacement(title: str, place: Place, text: str, *, safe: bool = True) -> Fix:
    """The fix that puts ``text`` in the place of a token."""
    return Fix(title, (replaced(place, text),), safe)
