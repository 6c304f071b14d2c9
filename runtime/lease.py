"""The daemon's lease: who may schedule, for how long, and under which fencing token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runtime.db import Database, instant


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The lease as anybody may read it; `expires_in_seconds` is negative when it has ended."""

    holder_id: str | None
    token: int
    expires_in_seconds: float


@dataclass(frozen=True, slots=True)
class Leadership:
    """What the holder knows: its token, and since when (database clock) it has held the lease without a break."""

    holder_id: str
    token: int
    since: datetime


def read(db: Database) -> LeaseState | None:
    rows = db.fetch("lease.read")
    if not rows:
        return None
    row = rows[0]
    return LeaseState(row["holderId"], int(row["token"]), float(row["expiresInSeconds"]))


def acquire(db: Database, holder_id: str, ttl_ms: int) -> Leadership | None:
    """Take the lease if it has ended; None when somebody else holds it."""
    if db.execute("lease.acquire", holder=holder_id, ttl_ms=ttl_ms) == 0:
        return None
    rows = db.fetch("lease.held", holder=holder_id)
    if not rows:
        return None  # ended again before we could read it: a very slow moment, not a leadership
    since = instant(rows[0]["acquiredAt"])
    assert since is not None
    return Leadership(holder_id, int(rows[0]["token"]), since)


def renew(db: Database, leadership: Leadership, ttl_ms: int) -> bool:
    """Hold on to the lease; False when it was lost."""
    return db.execute("lease.renew", holder=leadership.holder_id, token=leadership.token, ttl_ms=ttl_ms) == 1


def holds(db: Database, leadership: Leadership) -> bool:
    """Inside a transaction: is the lease still ours, and does it stay ours until the commit?"""
    return bool(db.fetch("lease.guard", holder=leadership.holder_id, token=leadership.token))


def resign(db: Database, leadership: Leadership) -> None:
    """Give the lease back, so that a standby can take it at its next try."""
    db.execute("lease.resign", holder=leadership.holder_id, token=leadership.token)
