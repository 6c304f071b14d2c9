"""A scripted Railway, a client that talks to it, and no waiting between tries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploykit.railway.client import Railway
from tests.deploykit.railway.door import Door, opened


@pytest.fixture
def door() -> Iterator[Door]:
    with opened() as door:
        yield door


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited, in seconds; it does not wait."""
    waited: list[float] = []
    monkeypatch.setattr("deploykit.railway.client.time.sleep", waited.append)
    return waited


@pytest.fixture
def railway(door: Door, pauses: list[float]) -> Iterator[Railway]:
    railway = Railway(door.endpoint, {"content-type": "application/json"}, "project", "environment")
    yield railway
    railway.close()
