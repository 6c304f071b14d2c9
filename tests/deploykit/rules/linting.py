"""Lint texts as if they lay in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

from deploykit.commands.lint import Linted, Options, lint
from deploykit.findings import Finding

TODAY = date(2026, 11, 1)


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Put ``texts`` into ``folder``, byte for byte."""
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode("utf-8", "surrogatepass"))


def lint_texts(folder: Path, texts: Mapping[str, str], options: Options | None = None) -> Linted:
    """Write ``texts`` and lint the folder."""
    write(folder, texts)
    return lint(folder, (), options or Options(today=TODAY))


def findings_in(folder: Path, texts: Mapping[str, str]) -> list[Finding]:
    """What lint finds in ``texts``."""
    return list(lint_texts(folder, texts).outcome.findings)
