"""Somebody else's forgotten transaction: it changes no result, but while it is open nothing can be cleaned away.

Its snapshot keeps every version of every row that changed since, so each look at the queue reads past more of them:
after 60,000 jobs an empty poll was a hundred times slower.
"""

from __future__ import annotations

import time

from runtime import log
from runtime.db import Database, foreign_transactions
from runtime.metrics import Sample

BEATS = 6
"""A transaction is forgotten, and is looked for, after so many heartbeats: a minute by default."""


class Watch:
    """Looks once a minute, when its loop is at the database anyway, and says once that one was forgotten."""

    def __init__(self, who: str, heartbeat_interval_ms: int) -> None:
        self._who = who
        self._limit_seconds = BEATS * heartbeat_interval_ms / 1000
        self._next = 0.0
        self._alarmed = False
        self.oldest_seconds: float | None = None
        self.history_list_length: int | None = None

    def turn(self, db: Database) -> None:
        if time.monotonic() < self._next:
            return
        self.oldest_seconds, self.history_list_length = foreign_transactions(db)
        self._next = time.monotonic() + self._limit_seconds
        oldest = self.oldest_seconds
        if oldest is None:
            self._next = float("inf")  # it may not be asked, and that does not change while we run
            return
        forgotten = oldest > self._limit_seconds
        if forgotten and not self._alarmed:
            log.warning(
                f"{self._who} ⚠️  somebody's transaction has been open for {oldest:.0f}s and slows the queue down; "
                "find it in information_schema.innodb_trx and end it",
                history_list_length=self.history_list_length,
            )
        elif self._alarmed and not forgotten:
            log.info(f"{self._who} the long transaction has ended")
        self._alarmed = forgotten

    def samples(self) -> list[Sample]:
        """Figures for /metrics; none where the server may not be asked."""
        known: list[Sample] = []
        if self.oldest_seconds is not None:
            meaning = "age of the oldest open transaction of somebody else, at the last look"
            known.append(("runtime_oldest_foreign_trx_seconds", "gauge", meaning, self.oldest_seconds))
        if self.history_list_length is not None:
            meaning = "row versions that wait to be purged, at the last look"
            known.append(("runtime_history_list_length", "gauge", meaning, self.history_list_length))
        return known
