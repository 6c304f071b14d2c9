"""What the tests of apply share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.apply.stage import Stage, staged


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One sandbox for the whole module: each test starts from whatever the last one left, as life does."""
    with staged(tmp_path_factory.mktemp("railway")) as stage:
        yield stage
