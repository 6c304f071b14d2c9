"""The connections of one process, never more than DATABASE_CONNECTION_LIMIT."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime.db.database import Database
from runtime.db.errors import Unreachable

LENT_IDLE_SECONDS = 3600
"""How long a job may say nothing in the middle of its transaction. The server's own limit is eight hours, for which a
process that vanished would keep the job's row."""


class Exhausted(Unreachable):
    """Every connection that this process may open is in use."""


class Pool:
    """Connections on demand. `reserve` takes one for good (a loop, the heart), `lend` takes one for a moment."""

    def __init__(
        self, dial: Callable[[], Database], limit: int, wait_seconds: float = 30.0, idle_seconds: int | None = None
    ) -> None:
        """`idle_seconds`: longer than any holder of a reserved connection leaves it alone."""
        self._dial = dial
        self._idle_seconds = idle_seconds
        self._free = threading.Semaphore(limit)
        self._limit = limit
        self._wait_seconds = wait_seconds
        self._idle: list[Database] = []
        self._lock = threading.Lock()

    def reserve(self) -> Database:
        """Open a connection that stays with the caller. Raises `Exhausted` when the budget is spent."""
        self._take(0.0)
        try:
            with self._lock:
                if self._idle:
                    self._idle.pop().close()  # an idle one is open too, and counts at the server
            db = self._dial()
            if self._idle_seconds is not None:
                db.limit_idle(self._idle_seconds)
            return db
        except BaseException:
            self._free.release()
            raise

    def release(self, db: Database) -> None:
        """Close a reserved connection and give its place back."""
        db.close()
        self._free.release()

    @contextmanager
    def lend(self) -> Iterator[Database]:
        """A connection for the length of the block; waits for a free one. Raises `Exhausted` when none came in time."""
        self._take(self._wait_seconds)
        try:
            with self._lock:
                db = self._idle.pop() if self._idle else None
            if db is None:
                db = self._dial()
                db.limit_idle(LENT_IDLE_SECONDS)
            try:
                yield db
            except BaseException as error:
                db.close()
                if isinstance(error, Unreachable):
                    self.close()  # the server ended them together: who tries again is not to be lent the next dead one
                raise
            with self._lock:
                self._idle.append(db)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections that nobody has at this moment."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _take(self, wait_seconds: float) -> None:
        if not self._free.acquire(timeout=wait_seconds):
            raise Exhausted(
                f"all {self._limit} connections of this process are in use", "raise DATABASE_CONNECTION_LIMIT"
            )
