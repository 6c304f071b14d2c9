"""Sampling: who is silent for how long is measured by one clock that nobody sets meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from deploykit.commands import observe
from deploykit.commands.observe import Facts
from deploykit.verification.evidence import Sample
from tests.deploykit.verification.world import NOW, aged, beat, later


class Scripted:
    """Job tables that answer with these samples, the last one again and again."""

    def __init__(self, *samples: Sample) -> None:
        self.samples = list(samples)

    def sample(self) -> Sample:
        return self.samples.pop(0) if len(self.samples) > 1 else self.samples[0]

    def facts(self) -> Facts:
        return Facts()

    def close(self) -> None:
        """Nothing is open."""


def test_a_clock_that_is_set_while_we_watch_makes_nobody_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = iter(range(1000))
    monkeypatch.setattr("deploykit.commands.observe.time.monotonic", lambda: float(next(passed)))
    monkeypatch.setattr("deploykit.commands.observe.time.sleep", lambda seconds: None)
    row = beat("d", "schedule_daemon", "day")
    hour = timedelta(hours=1)
    tables = Scripted(
        Sample(NOW, (row,)),
        Sample(NOW + hour, (aged(row, 3600),)),
        Sample(NOW + hour + timedelta(seconds=1), (later(row),)),
    )
    told: list[str] = []
    samples, _ = observe._samples(tables, told.append, 150.0)
    assert [sample.at for sample in samples] == [NOW + hour, NOW + hour + timedelta(seconds=1)]
    assert any("clock was set" in line for line in told)
