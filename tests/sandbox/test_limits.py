"""Rate limits."""

from __future__ import annotations

from deploykit.sandbox.limits import RateLimit


def test_the_budget_of_an_hour_opens_again() -> None:
    now = [1000.0]
    limit = RateLimit(per_hour=2, per_second=10, clock=lambda: now[0])
    assert [limit.take(), limit.take(), limit.take()] == [None, None, 3600]
    assert limit.headers() == {"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4600"}
    now[0] += 3600
    assert limit.take() is None


def test_the_budget_of_a_second() -> None:
    now = [1000.0]
    limit = RateLimit(per_hour=100, per_second=1, clock=lambda: now[0])
    assert [limit.take(), limit.take()] == [None, 1]
    now[0] += 1
    assert limit.take() is None
