"""What is right stays quiet, however suspicious it looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.configurations import CLEAN
from tests.deploykit.rules.linting import findings_in


@pytest.mark.parametrize("name", CLEAN)
def test_a_right_configuration_stays_without_a_finding(name: str, tmp_path: Path) -> None:
    found = findings_in(tmp_path, CLEAN[name])
    assert [f"{finding.place} {finding.code} {finding.message}" for finding in found] == []


def test_the_corpus_is_large() -> None:
    assert len(CLEAN) >= 40
