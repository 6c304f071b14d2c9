"""One rehearsed system for many tests: broken, looked at, and healed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.verify.stack import Stack, bundled, running


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The pre-launch profile on SQLite. Who breaks it heals it; ``stack`` does."""
    with running(bundled("pre-launch"), tmp_path_factory.mktemp("verify") / "sandbox") as stack:
        yield stack


@pytest.fixture
def stack(shared: Stack) -> Iterator[Stack]:
    """The shared system, healed after the test."""
    yield shared
    shared.heal()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Stack]:
    """A system of the test's own, for what cannot be healed."""
    with running(bundled("pre-launch"), tmp_path / "sandbox") as stack:
        yield stack
