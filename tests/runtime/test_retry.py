from __future__ import annotations

from hypothesis import given, strategies as st

from runtime.retry import LONGEST_SECONDS, delay_seconds


def test_the_wait_doubles_with_each_attempt() -> None:
    assert [delay_seconds(attempt, 0.5) for attempt in (1, 2, 3, 4)] == [2, 4, 8, 16]


@given(attempt=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_the_wait_stays_within_its_bounds(attempt: int, chance: float) -> None:
    assert 1.5 <= delay_seconds(attempt, chance) <= LONGEST_SECONDS * 1.25
