"""How long to wait before a job that failed runs again. Pure."""

from __future__ import annotations

FIRST_SECONDS = 2.0
LONGEST_SECONDS = 3600.0


def delay_seconds(attempt: int, chance: float) -> float:
    """Seconds after a failed attempt (the first is 1): 2, 4, 8 … up to an hour.

    `chance` (0 to 1) spreads each by a quarter to both sides, so that jobs that failed together, because one service
    was down, do not come back together.
    """
    backoff = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (min(attempt, 32) - 1))
    return backoff * (0.75 + chance / 2)
