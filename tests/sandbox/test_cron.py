"""Crontab expressions."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from deploykit.sandbox.cron import next_after

NOW = datetime(2026, 2, 27, 23, 58, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("expression", "due"),
    [
        ("* * * * *", "2026-02-27T23:59"),
        ("*/15 * * * *", "2026-02-28T00:00"),
        ("30 4 * * *", "2026-02-28T04:30"),
        ("0 0 1 * *", "2026-03-01T00:00"),
        ("0 9 * * 1-5", "2026-03-02T09:00"),
        ("0 0 * * 7", "2026-03-01T00:00"),
        ("0 0 13 * 5", "2026-03-06T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
    ],
)
def test_the_next_due_minute(expression: str, due: str) -> None:
    assert next_after(expression, NOW) == datetime.fromisoformat(f"{due}:00+00:00")


def test_a_day_that_never_comes() -> None:
    assert next_after("0 0 31 2 *", NOW) is None


@pytest.mark.parametrize("expression", ["", "* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "*/0 * * * *"])
def test_what_is_no_crontab_expression(expression: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        next_after(expression, NOW)
