"""Rate limits as Railway shows them: a budget per hour with headers on every answer, and one per second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Window:
    length_seconds: int
    budget: int
    opened: float
    used: int = 0

    def take(self, now: float) -> bool:
        if now - self.opened >= self.length_seconds:
            self.opened, self.used = now, 0
        self.used += 1
        return self.used <= self.budget

    def rest_seconds(self, now: float) -> int:
        return max(1, int(self.opened + self.length_seconds - now + 0.999))


@dataclass(slots=True)
class RateLimit:
    """Fixed windows; Railway's own: Hobby 1000 an hour and 10 a second, Pro 10000 and 50."""

    per_hour: int
    per_second: int
    clock: Callable[[], float] = time.time
    _hour: _Window = field(init=False)
    _second: _Window = field(init=False)

    def __post_init__(self) -> None:
        self.set_budget(self.per_hour, self.per_second)

    def set_budget(self, per_hour: int, per_second: int) -> None:
        """Begin both windows anew."""
        self.per_hour, self.per_second = per_hour, per_second
        now = self.clock()
        self._hour, self._second = _Window(3600, per_hour, now), _Window(1, per_second, now)

    def take(self) -> int | None:
        """Count one request; None when it may pass, else the seconds to wait."""
        now = self.clock()
        passes_second, passes_hour = self._second.take(now), self._hour.take(now)
        if not passes_hour:
            return self._hour.rest_seconds(now)
        return None if passes_second else self._second.rest_seconds(now)

    def headers(self) -> dict[str, str]:
        """``X-RateLimit-Reset`` is the Unix time at which the hour's window opens again."""
        return {
            "X-RateLimit-Limit": str(self._hour.budget),
            "X-RateLimit-Remaining": str(max(self._hour.budget - self._hour.used, 0)),
            "X-RateLimit-Reset": str(int(self._hour.opened) + 3600),
        }
