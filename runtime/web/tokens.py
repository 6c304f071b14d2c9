"""Telling the right token from a wrong one, without telling anything else."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable

FAILURES_MOST = 10
FAILURES_WINDOW_SECONDS = 60.0
ADDRESSES_MOST = 1000


def matches(given: bytes, tokens: Iterable[str]) -> bool:
    """Whether it is one of these. Compares with each in constant time, so that the time says nothing about a token."""
    found = False
    for token in tokens:
        found |= hmac.compare_digest(given, token.encode("utf-8", "surrogateescape"))
    return found


class Throttle:
    """Slows guessing down: after ten wrong tokens in a minute an address has to wait, whatever it brings next.

    By address, so that a stranger who guesses cannot lock the owner out. Safe to use from several threads: what two
    of them can lose to each other is one count of a failure.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, list[float]] = {}

    def wait_seconds(self, address: str) -> float:
        """How long this address must wait before it may try again; 0 when it may now."""
        recent = self._recent(address)
        if len(recent) < FAILURES_MOST:
            return 0.0
        return recent[-FAILURES_MOST] + FAILURES_WINDOW_SECONDS - self._clock()

    def failed(self, address: str) -> None:
        recent = self._recent(address)
        self._failures.pop(address, None)  # to the end: the first in the dictionary is the one to forget
        self._failures[address] = [*recent, self._clock()][-FAILURES_MOST:]
        while len(self._failures) > ADDRESSES_MOST:
            self._failures.pop(next(iter(self._failures)), None)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - FAILURES_WINDOW_SECONDS
        return [at for at in self._failures.get(address, ()) if at > since]
