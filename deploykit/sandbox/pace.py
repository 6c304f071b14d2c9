"""How long the platform's own steps take in the sandbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations of the platform's steps, in seconds.

    ``factor`` scales everything a user configures in seconds (overlap, draining, health check timeout) and the
    restart back-off: with 0.1 a draining of 30 s lasts 3 s. The values a process sees are never scaled.
    """

    queued_seconds: float = 0.01
    initializing_seconds: float = 0.02
    building_seconds: float = 0.05
    deploying_seconds: float = 0.02
    apply_seconds: float = 0.05
    health_poll_seconds: float = 0.05
    restart_backoff_seconds: float = 0.05
    restart_backoff_limit_seconds: float = 1.0
    factor: float = 1.0

    def scaled(self, seconds: float) -> float:
        """A configured duration as it lasts here."""
        return seconds * self.factor

    def backoff(self, restarts: int) -> float:
        """Seconds before restart number ``restarts`` + 1; doubles up to the limit (Railway documents no schedule)."""
        doubled = self.restart_backoff_seconds * 2.0 ** min(restarts, 16)
        return self.scaled(min(doubled, self.restart_backoff_limit_seconds))

    @staticmethod
    async def rest(seconds: float) -> None:
        """Wait, yielding to everything else at least once."""
        await asyncio.sleep(max(seconds, 0))
