"""Every process start and end, in order: what tests hold "exactly one" against."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

# Settings worth seeing beside a process; a name that could carry a secret never belongs here.
FLAGS = (
    "SCHEDULE_DAEMON_ENABLED",
    "EMBEDDED_JOB_WORKER",
    "SCHEDULE_POLL_INTERVAL_MS",
    "JOB_WORKER_POLL_INTERVAL_MS",
    "JOB_WORKER_CONCURRENCY",
    "DATABASE_CONNECTION_LIMIT",
    "DEPLOYKIT_PROFILE",
    "NODE_ENV",
    "PORT",
)


def flags(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of a process that the timeline shows."""
    return {name: environment[name] for name in FLAGS if name in environment}


class Timeline:
    """The last ``limit`` events, oldest first.

    A ``start`` is written before the command's first instruction and an ``exit`` after the last process of the
    container is gone, so two lives that do not overlap here did not overlap.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._events: deque[dict[str, Any]] = deque(maxlen=limit)
        self._last_ms = 0

    def record(self, event: str, **facts: Any) -> None:
        """Add ``start``, ``ready``, ``sigterm`` or ``exit`` with the facts of its process."""
        # Wall time may step back; the order of the list never does.
        self._last_ms = max(self._last_ms, int(time.time() * 1000))
        self._events.append({"at_ms": self._last_ms, "event": event, **facts})

    def events(self, since_ms: int = 0) -> list[dict[str, Any]]:
        """All events at or after ``since_ms`` (Unix time)."""
        return [event for event in self._events if event["at_ms"] >= since_ms]
