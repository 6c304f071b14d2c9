"""What a handler gets: its job, and the few things it may do with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from runtime import log
from runtime.db import Database, Unreachable
from runtime.queue import Claim, Queue

LOG_LINES_MOST = 10_000
LOG_LINE_CHARACTERS = 8000


class Interrupted(BaseException):
    """Raised inside a handler that should end: cancelled, out of time, or the worker is shutting down.

    Not an Exception, so that a handler's `except Exception` lets it pass.
    """


class LostJob(Exception):
    """The job is no longer ours: the worker was declared dead meanwhile and the job given to another."""


class Job:
    """One attempt of one job, as its handler sees it. `id` and `attempt` together name the attempt."""

    def __init__(self, claim: Claim, connections: Callable[[], Any], write: Callable[..., None]) -> None:
        self.claim = claim
        self._connections = connections
        self._write = write
        self._interrupt: Callable[[], None] | None = None
        self._lock = threading.Lock()
        self.end_reason: str | None = None
        """Why the job should end before it is done: cancelled, timeout, stopping or lost."""
        self.completed_within = False
        self.given_up = False
        """Its thread did not end and was left to itself. The same worker may run the same attempt anew, by hand."""
        self._lines = 0

    @property
    def id(self) -> str:
        return self.claim.job_id

    @property
    def name(self) -> str:
        return self.claim.name

    @property
    def payload(self) -> Any:
        return self.claim.payload

    @property
    def attempt(self) -> int:
        return self.claim.attempt

    @property
    def due_at(self) -> datetime | None:
        """The time a schedule wanted this run at; None for jobs that were enqueued otherwise."""
        return self.claim.due_at

    @property
    def stopping(self) -> bool:
        """True once the job should end. Long loops look here and return early or raise."""
        return self.end_reason is not None

    def log(self, message: str, level: str = "info") -> None:
        """Write a line into JobLog. It appears with the worker's next write, at the latest with the completion.

        8,000 characters of a line are kept and 10,000 lines of an attempt; the last of them says so.
        """
        self._lines += 1
        if self._lines == LOG_LINES_MOST:
            level, message = "warn", f"{LOG_LINES_MOST} lines: what this attempt says from here on is not kept"
        if self._lines <= LOG_LINES_MOST:
            self._say("log", level=level, message=storable(message)[:LOG_LINE_CHARACTERS])

    def progress(self, percent: int) -> None:
        """Show how far the job is: 0 to 100."""
        self._say("progress", progress=max(0, min(100, percent)))

    def _say(self, kind: str, **facts: Any) -> None:
        if not self.given_up:
            self._write(kind, self.claim, **facts)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A transaction of the application that completes the job when it commits, all or nothing.

        Yields a DB-API cursor on the job's database. What is written through it happens exactly once, even if the
        process is killed: either it is committed together with the completion, or neither is. It must be the last
        thing the handler does. Raises `LostJob`, with everything rolled back, when the job is no longer ours.
        """
        with self._connections() as db:
            try:
                with db.transaction():
                    yield db.cursor()
                    if self.given_up or not Queue(db).complete_within(self.claim):
                        raise LostJob(f"job {self.id} attempt {self.attempt} is no longer ours")
            except Unreachable:
                # The connection broke, perhaps at the commit itself: the table knows how it ended.
                if not _was_completed(db, self.claim):
                    raise
        self.completed_within = True

    def on_interrupt(self, action: Callable[[], None] | None) -> None:
        """Called on a thread of its own when the job should end; for handlers that wait for something outside."""
        with self._lock:
            self._interrupt = action
            late = self.end_reason is not None
        if late and action is not None:
            action()

    def interrupt(self, reason: str) -> None:
        """Tell the job to end. The first reason stays."""
        with self._lock:
            self.end_reason = self.end_reason or reason
            action = self._interrupt
        if action is not None:
            # Aside: one that waits, or fails, is not to keep the worker from its other jobs.
            threading.Thread(target=self._carry_out, args=(action,), name="on_interrupt", daemon=True).start()

    def _carry_out(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            log.exception(f"job {self.name}: what it does when it should end failed", error)


def storable(text: str) -> str:
    """The text without half characters (lone surrogates), which Python can hold and no database takes."""
    return text.encode("utf-8", "replace").decode()


def _was_completed(db: Database, claim: Claim) -> bool:
    rows = db.fetch("jobs.read", id=claim.job_id)
    return bool(rows) and (rows[0]["status"], rows[0]["attempt"], rows[0]["workerId"]) == (
        "COMPLETED",
        claim.attempt,
        claim.worker_id,
    )
