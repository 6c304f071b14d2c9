from __future__ import annotations

import pytest

from runtime import metrics
from runtime.db import Database
from runtime.transactions import Watch


class Ages:
    """A server on which the oldest transaction has these ages, look by look."""

    def __init__(self, *ages: float | None) -> None:
        self._ages = list(ages)
        self.looks = 0

    def __call__(self, db: Database) -> tuple[float | None, int | None]:
        self.looks += 1
        age = self._ages.pop(0)
        return age, None if age is None else 7


def _looked(watch: Watch, times: int) -> None:
    for _ in range(times):
        watch._next = 0.0
        watch.turn(None)  # type: ignore[arg-type]


def test_a_forgotten_transaction_is_named_once_and_again_when_it_comes_back(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime.transactions.foreign_transactions", Ages(3, 61, 121, 0, 90))
    watch = Watch("[worker]", 10_000)
    _looked(watch, 5)
    said = capfd.readouterr()
    assert (said.out + said.err).count("somebody's transaction has been open") == 2
    assert (said.out + said.err).count("has ended") == 1
    assert "runtime_oldest_foreign_trx_seconds 90\n" in metrics.text(watch.samples())
    assert "runtime_history_list_length 7\n" in metrics.text(watch.samples())


def test_who_may_not_ask_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ages = Ages(None)
    monkeypatch.setattr("runtime.transactions.foreign_transactions", ages)
    watch = Watch("[worker]", 10_000)
    for _ in range(3):
        watch.turn(None)  # type: ignore[arg-type]
    assert ages.looks == 1
    assert watch.samples() == []


def test_it_looks_once_a_minute_and_not_at_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    ages = Ages(0, 0)
    monkeypatch.setattr("runtime.transactions.foreign_transactions", ages)
    watch = Watch("[worker]", 10_000)
    for _ in range(3):
        watch.turn(None)  # type: ignore[arg-type]
    assert ages.looks == 1
