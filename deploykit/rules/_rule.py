"""What a rule is: one declaration from which the check, the explanation, the tests and the manual page come.

    @rule("DK109", Severity.ERROR, of=System, title="…", bad=[…], good=[…])
    def too_many_embedded_workers(system: System) -> Iterator[Report]:
        \"\"\"Why it hurts.\"\"\"

The function's name is the rule's name (it states the offence), its docstring the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from deploykit.findings import Finding, Fix, Place, Related, Severity
from deploykit.sources.pattern import pattern

MARKED = pattern("«(.*?)»", re.DOTALL)
"""In a bad example, the token that the finding points at."""


class Report(NamedTuple):
    """What a check found: where, what, and what to do about it."""

    at: Place
    message: str
    hint: str = ""
    service: str | None = None
    variable: str | None = None
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    severity: Severity | None = None


class Example(NamedTuple):
    """Files that are right, or wrong where they are marked: runnable as they stand.

    ``shown`` are the lines worth printing; None prints every file whole.
    """

    files: tuple[tuple[str, str], ...]
    shown: str | None = None

    def texts(self) -> dict[str, str]:
        """The files without marks."""
        return {path: MARKED.sub(r"\1", text) for path, text in self.files}

    def places(self) -> list[Place]:
        """The marked tokens."""
        found = []
        for path, text in self.files:
            removed = 0
            for match in MARKED.finditer(text):
                start = match.start() - removed
                end = start + len(match[1])
                plain = MARKED.sub(r"\1", text)
                found.append(_place(path, plain, start, end))
                removed += 2
        return found

    def text(self) -> str:
        """What a reader is shown."""
        if self.shown is not None:
            return MARKED.sub(r"\1", self.shown)
        texts = self.texts()
        if len(texts) == 1:
            return next(iter(texts.values())).rstrip("\n")
        return "\n\n".join(f"# {path}\n{text.rstrip()}" for path, text in texts.items())


def _place(path: str, text: str, start: int, end: int) -> Place:
    def position(offset: int) -> tuple[int, int]:
        before = text[:offset]
        return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1

    return Place(path, *position(start), *position(end))


Check = Callable[[Any], Iterable[Report]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing deploykit can find."""

    code: str
    name: str
    severity: Severity
    title: str
    why: str
    of: type | None
    check: Check | None = field(compare=False, default=None)
    good: tuple[Example, ...] = ()
    bad: tuple[Example, ...] = ()
    fixable: str = ""
    """``safe``, ``unsafe``, or nothing."""
    skipped: str = ""
    """Why this rule does not run in ``lint``."""

    def finding(self, report: Report) -> Finding:
        """The finding for a report."""
        return Finding(
            self.code,
            self.name,
            report.severity or self.severity,
            report.message,
            report.at,
            report.hint,
            report.service,
            report.variable,
            report.related,
            report.fix,
        )


CATALOGUE: dict[str, Rule] = {}
F = TypeVar("F", bound=Callable[..., Any])


def rule(
    code: str,
    severity: Severity,
    *,
    of: type | None = None,
    title: str,
    good: Sequence[Example] = (),
    bad: Sequence[Example] = (),
    fix: str = "",
    skipped: str = "",
) -> Callable[[F], F]:
    """Declare a rule. ``of`` is what its check is given; without it the finding is made by a reader or another verb."""

    def decorate(function: F) -> F:
        assert code not in CATALOGUE, f"{code} is declared twice"
        CATALOGUE[code] = Rule(
            code=code,
            name=function.__name__.replace("_", "-"),
            severity=severity,
            title=title,
            why=_unwrapped(function.__doc__ or ""),
            of=of,
            check=function if of else None,
            good=tuple(good),
            bad=tuple(bad),
            fixable=fix,
            skipped=skipped,
        )
        return function

    return decorate


def _unwrapped(text: str) -> str:
    paragraphs = text.strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in paragraph.splitlines()) for paragraph in paragraphs)


def files(texts: dict[str, str]) -> Example:
    """An example of whole files."""
    return Example(tuple(texts.items()))


PROFILE = """\
version: 1
name: example
database: {service: MySQL}
services:
  web-server:
    role: web
    source: {repo: acme/app}
    start: node backend/dist/index.js
    healthcheck: /health
    draining_seconds: 30
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      EMBEDDED_JOB_WORKER: true
      JOB_WORKER_POLL_INTERVAL_MS: 30000
      SCHEDULE_DAEMON_ENABLED: false
  schedule-daemon:
    role: daemon
    guard: lease
    source: {repo: acme/app}
    start: node backend/dist/scheduleDaemon.js
    restart: {policy: always}
    draining_seconds: 30
    limits: {memory_mb: 500, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      SCHEDULE_DAEMON_ENABLED: true
      SCHEDULE_POLL_INTERVAL_MS: 3600000
      EMBEDDED_JOB_WORKER: false
"""
"""The profile that examples vary: right as it stands."""

WORKER = """\
  job-worker:
    role: worker
    source: {repo: acme/app}
    start: node backend/dist/jobWorker.js
    restart: {policy: always}
    draining_seconds: 30
    limits: {memory_mb: 500, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      EMBEDDED_JOB_WORKER: false
      JOB_WORKER_POLL_INTERVAL_MS: 5000
      SCHEDULE_DAEMON_ENABLED: false
"""
"""A dedicated worker to append to PROFILE."""


def profile(*changes: tuple[str, str], worker: bool = False, name: str = "example", **more: str) -> Example:
    """PROFILE with texts replaced; ``web:`` or ``daemon:`` before a text looks in that service only.

    ``more`` are further files, ``__`` standing for ``/`` and ``_dot_`` for a dot.
    """
    text = PROFILE + (WORKER if worker else "")
    if worker:
        text = text.replace("EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: false", 1)
        text = text.replace("      JOB_WORKER_POLL_INTERVAL_MS: 30000\n", "", 1)
    text = text.replace("name: example", f"name: {name}")
    shown: list[str] = []
    for old, new in changes:
        at = 0
        service, colon, rest = old.partition("|")
        if colon:
            at = re.search(f"\n  «?{service}»?:", text).start()  # type: ignore[union-attr]
            old = rest
        at = text.index(old, at)
        text = text[:at] + new + text[at + len(old) :]
        shown.append(_excerpt(text, at, len(new)))
    others = [(path.replace("__", "/").replace("_dot_", "."), content) for path, content in more.items()]
    return Example(
        ((f"profiles/{name}.yaml", text), *others),
        None if others else ("\n…\n".join(dict.fromkeys(shown)) if shown else None),
    )


def _excerpt(text: str, at: int, length: int) -> str:
    """The changed lines below the keys that lead to them."""
    lines = text.split("\n")
    first = text.count("\n", 0, at)
    last = max(text.count("\n", 0, at + length - (1 if text[at : at + length].endswith("\n") else 0)), first)
    kept = lines[first : last + 1]
    indent = len(lines[first]) - len(lines[first].lstrip())
    for number in range(first - 1, -1, -1):
        line = lines[number]
        width = len(line) - len(line.lstrip())
        if line.strip() and width < indent:
            kept.insert(0, line)
            indent = width
    return "\n".join(kept)


def walk_codes() -> Iterator[Rule]:
    """Every rule in the order of the codes."""
    for code in sorted(CATALOGUE):
        yield CATALOGUE[code]
