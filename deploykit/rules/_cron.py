"""Five-field crontabs as Railway reads them: in UTC, at least five minutes apart (Railway docs: cron jobs)."""

from __future__ import annotations

from itertools import pairwise

from deploykit.sources.pattern import pattern

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of the week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)
_ITEM = pattern(r"(\*|[0-9]{1,4}|[A-Za-z]{3})(?:-([0-9]{1,4}|[A-Za-z]{3}))?(?:/([0-9]{1,4}))?\Z")
SPACING_MINUTES = 5


def problem(text: str) -> tuple[str, str] | None:
    """What is wrong with a schedule, and the cure; None when Railway accepts it."""
    nickname = NICKNAMES.get(text.strip().lower())
    if nickname:
        return f"Railway does not know the nickname {text.strip()}", f"write `{nickname}`"
    if text.strip().startswith("@"):
        return "Railway does not know nicknames", "write five fields: minute hour day month weekday"
    fields = text.split()
    if len(fields) != 5:
        return f"a schedule has five fields, this has {len(fields)}", "write minute hour day month weekday; no seconds"
    values = []
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        found = _field(field, low, high, list(words))
        if found is None:
            return f"{field!r} is no {name}", f"write {low} to {high}, lists, ranges or steps"
        values.append(found)
    gap = _spacing(values[0], values[1])
    if gap < SPACING_MINUTES:
        return f"runs {gap} min apart", f"Railway starts a cron service at most every {SPACING_MINUTES} minutes"
    return None


def _field(text: str, low: int, high: int, words: list[str]) -> set[int] | None:
    values: set[int] = set()
    for item in text.split(","):
        match = _ITEM.match(item)
        if not match:
            return None
        first, last, step = match.groups()
        start, end = _number(first, low, words), _number(last, low, words) if last else None
        if first == "*":
            start, end = low, high
            if last:
                return None
        elif last is None:
            end = high if step else start
        if start is None or end is None or not low <= start <= end <= high:
            return None
        stride = int(step) if step else 1
        if stride < 1 or stride > high:
            return None
        values.update(range(start, end + 1, stride))
    return values


def _number(text: str, low: int, words: list[str]) -> int | None:
    if text.isdigit():
        return int(text)
    return words.index(text.lower()) + (low if low else 0) if text.lower() in words else None


def _spacing(minutes: set[int], hours: set[int]) -> int:
    """The smallest number of minutes between two runs."""
    ordered = sorted(minutes)
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    neighbours = any((hour + 1) % 24 in hours for hour in hours)
    if neighbours:
        gaps.append(ordered[0] + 60 - ordered[-1])
    return min(gaps, default=60)
