"""Five-field crontab expressions in UTC, as far as Railway's cron services use them."""

from __future__ import annotations

from datetime import datetime, timedelta

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_SEARCH_LIMIT = timedelta(days=366 * 4)


def parse(expression: str) -> tuple[frozenset[int], ...]:
    """The allowed values of minute, hour, day, month and weekday (0 = Sunday). Raises ValueError."""
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"a crontab expression has 5 fields, not {len(fields)}")
    parsed = [_field(text, *bounds) for text, bounds in zip(fields, _RANGES, strict=True)]
    parsed[4] = frozenset(value % 7 for value in parsed[4])
    return tuple(parsed)


def _field(text: str, low: int, high: int) -> frozenset[int]:
    allowed: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = low if span == "*" else int(first)
        end = high if span == "*" or (step and not dash) else int(last or first)
        if not low <= start <= end <= high or (step and int(step) < 1):
            raise ValueError(f"{part!r} is outside {low}-{high}")
        allowed.update(range(start, end + 1, int(step or 1)))
    return frozenset(allowed)


def next_after(expression: str, moment: datetime) -> datetime | None:
    """The first due minute after ``moment`` (an aware UTC time); None when there is none. Raises ValueError."""
    minutes, hours, days, months, weekdays = parse(expression)
    # Classic crontab: with both day fields restricted, either one makes a day due.
    any_day, any_weekday = expression.split()[2] == "*", expression.split()[4] == "*"
    due = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    limit = due + _SEARCH_LIMIT
    while due < limit:
        in_days, in_weekdays = due.day in days, due.isoweekday() % 7 in weekdays
        day_fits = in_days and in_weekdays if any_day or any_weekday else in_days or in_weekdays
        if due.month not in months or not day_fits:
            due = due.replace(hour=0, minute=0) + timedelta(days=1)
        elif due.hour not in hours:
            due = due.replace(minute=0) + timedelta(hours=1)
        elif due.minute not in minutes:
            due += timedelta(minutes=1)
        else:
            return due
    return None
