"""Waiting, in one place: a loop runs a turn, and the turn answers how many seconds may pass before the next."""

from __future__ import annotations

import queue
import random
import time
from collections.abc import Callable

from runtime import log
from runtime.db import Conflict, DatabaseError, Unreachable

OUTAGE_FIRST_SECONDS = 0.5
OUTAGE_LONGEST_SECONDS = 30.0


class Bell:
    """Ends the waiting of one loop. May be rung from other threads and from a signal handler.

    A SimpleQueue, because its `put` is re-entrant; an Event's `set` can deadlock when a signal arrives inside `wait`.
    """

    def __init__(self) -> None:
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()

    def ring(self) -> None:
        self._rings.put(None)

    def wait(self, seconds: float) -> bool:
        """Sleep until rung or until the time is over; True when rung."""
        try:
            self._rings.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return False
        while not self._rings.empty():
            self._rings.get_nowait()
        return True


class Stop:
    """The wish to end, as seen by every loop of the process. Setting it is safe in a signal handler."""

    def __init__(self) -> None:
        self._bells: list[Bell] = []
        self.requested = False

    def bell(self) -> Bell:
        """A bell that also rings when the stop is requested."""
        bell = Bell()
        self._bells.append(bell)
        if self.requested:
            bell.ring()
        return bell

    def request(self) -> None:
        self.requested = True
        for bell in self._bells:
            bell.ring()


class Pulse:
    """When a loop last turned, and when it promised to turn again; read by the watchdog and sent with each beat."""

    def __init__(self) -> None:
        self._last = self._next = time.monotonic()

    def tick(self, next_in_seconds: float) -> None:
        self._last = time.monotonic()
        self._next = self._last + next_in_seconds

    def age_seconds(self) -> float:
        return time.monotonic() - self._last

    def overdue_seconds(self) -> float:
        return time.monotonic() - self._next


class Outage:
    """The story of one loss of the database: said once, retried ever more slowly, and said again when it is over."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._since: float | None = None
        self._failures = 0

    def failed(self, error: DatabaseError) -> float:
        """Note a failure; seconds to wait before the next try."""
        if self._since is None:
            self._since = time.monotonic()
            log.error(f"{self._who} database unreachable, retrying: {error.message}", hint=error.hint)
        delay = min(OUTAGE_LONGEST_SECONDS, OUTAGE_FIRST_SECONDS * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return delay * random.uniform(0.75, 1.25)

    def over(self) -> None:
        if self._since is not None:
            log.info(f"{self._who} database is back after {time.monotonic() - self._since:.1f}s")
        self._since, self._failures = None, 0


def run(who: str, turn: Callable[[], float], stop: Stop, bell: Bell, pulse: Pulse) -> None:
    """Turn until a stop is requested. A turn may fail; the loop goes on and says so once."""
    outage = Outage(who)
    while not stop.requested:
        pulse.tick(0)
        try:
            delay = turn()
            outage.over()
        except Unreachable as error:
            delay = outage.failed(error)
        except Conflict as error:
            log.warning(f"{who} lost a race five times, trying again: {error.message}")
            delay = 1.0
        except DatabaseError as error:
            log.error(f"{who} {error.message}", hint=error.hint or None)
            delay = 5.0
        except Exception as error:
            log.exception(f"{who} turn failed", error)
            delay = 5.0
        pulse.tick(delay)
        bell.wait(delay)
