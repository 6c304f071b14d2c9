"""What a rule or a verification found, and where: values only.

Lines and columns start at 1. A place points at the offending token, its end is exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs: only errors stop a deploy."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A stretch of a file: ``path`` relative to the linted folder, with forward slashes."""

    path: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that belongs to a finding, with what it has to do with it."""

    place: Place
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the text between ``start`` and ``end`` (line, column; end exclusive) of ``path`` by ``text``."""

    path: str
    start: tuple[int, int]
    end: tuple[int, int]
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """Text edits that cure a finding; ``safe`` when the meaning of what works cannot change."""

    title: str
    edits: tuple[Edit, ...]
    safe: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """One offence: what is wrong (``message``), what to do (``hint``), and exactly where."""

    code: str
    name: str
    severity: Severity
    message: str
    place: Place
    hint: str = ""
    service: str | None = None
    variable: str | None = None
    related: tuple[Related, ...] = field(default=())
    fix: Fix | None = None

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        """Sort key: the same findings always come in the same order."""
        return (self.place.path, self.place.line, self.place.column, self.code, self.message)

    def at_severity(self, severity: Severity) -> Finding:
        """The same finding with another weight (project settings may override it)."""
        return replace(self, severity=severity)
