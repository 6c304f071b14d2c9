"""A fix says what was meant, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.commands.lint import Options
from tests.corpus.configurations import python
from tests.deploykit.rules.linting import TODAY, lint_texts


def mended(folder: Path, path: str, text: str, *, unsafe: bool = False) -> str:
    """A file after its fixes."""
    return lint_texts(folder, {path: text}, Options(fix=True, unsafe_fixes=unsafe, today=TODAY)).after[path]


@pytest.mark.parametrize("wrong", ["True", "1", '"True"', '"""true """'])
def test_a_flag_in_python_becomes_a_text(wrong: str, tmp_path: Path) -> None:
    path, text = next(iter(python().items()))
    flagged = text.replace('WORKER": "true"', f'WORKER": {wrong}')
    assert mended(tmp_path, path, flagged) == text


def test_a_stray_blank_in_the_right_word_is_said_once(tmp_path: Path) -> None:
    found = lint_texts(
        tmp_path, {"web.env": 'SCHEDULE_DAEMON_ENABLED=false\nNODE_ENV="production "\n'}
    ).outcome.findings
    assert [finding.code for finding in found] == ["DK402"]
