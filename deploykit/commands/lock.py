"""The lock against a second operator: one row in the application's database, renewed while an apply runs.

Without a database that may be written, Railway's etag alone stands between two operators: it refuses the second
write, but does not keep two runs from taking turns.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import runtime.db
from deploykit.errors import LockedError, UnreachableError
from runtime.db import Database, DatabaseError, Duplicate, MissingTable

TTL_SECONDS = 60.0
"""How long a lock outlives an apply whose machine died; one that was killed on this machine is taken over at once."""
RENEW_SECONDS = 15.0
"""Four renewals fit into the TTL, so one lost connection loses no lock."""
LOOK_SECONDS = 1.0
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LockState:
    """The lock by the database's clock: the evidence that `unlock` shows."""

    holder: str
    token: int
    held_seconds: float
    renewed_seconds_ago: float
    expires_in_seconds: float

    @property
    def live(self) -> bool:
        """Whether its time has not run out."""
        return self.expires_in_seconds > 0

    def __str__(self) -> str:
        ends = (
            f"ends in {self.expires_in_seconds:.0f} s" if self.live else f"ended {-self.expires_in_seconds:.0f} s ago"
        )
        return (
            f"{self.holder}, for {self.held_seconds:.0f} s, last sign {self.renewed_seconds_ago:.0f} s ago, "
            f"{ends} unless renewed (TTL {TTL_SECONDS:.0f} s)"
        )


def operator() -> str:
    """Who runs this: user and host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"[:150]


def whoami() -> str:
    """Who holds a lock that this process takes: user, host and process."""
    return f"{operator()} pid {os.getpid()}{_machine()}"


def _machine() -> str:
    """Which process table the pid is of: this boot and this container. Empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        return f" [{hashlib.sha256((boot + os.readlink('/proc/self/ns/pid')).encode()).hexdigest()[:12]}]"
    except OSError:
        return ""


def was_killed_here(holder: str) -> bool:
    """Whether the holder was a process of this very machine that is no more: it can renew and do nothing."""
    found = re.search(r" pid (\d+)( \[[0-9a-f]{12}\])$", holder)
    if found is None or found[2] != _machine():
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def read(db: Database) -> LockState | None:
    """Who holds the lock, None when nobody does. An ended lock that was never released is told too.

    Raises DatabaseError, also for a lock that this user may not see: that is no free one.
    """
    try:
        rows = db.fetch("apply_lock.read")
    except MissingTable:
        return None  # no apply ever locked here
    if not rows or rows[0]["holder"] is None:
        return None
    row = rows[0]
    return LockState(
        holder=str(row["holder"]),
        token=int(row["token"]),
        held_seconds=float(row["heldSeconds"]),
        renewed_seconds_ago=float(row["renewedSecondsAgo"]),
        expires_in_seconds=float(row["expiresInSeconds"]),
    )


def acquire(db: Database, holder: str, *, ttl_seconds: float = TTL_SECONDS) -> LockState | None:
    """Take the lock if it is free or has ended; None when somebody else holds it."""
    _prepare(db)
    if db.execute("apply_lock.acquire", holder=holder, ttl_ms=int(ttl_seconds * 1000)) == 0:
        return None
    state = read(db)
    return state if state is not None and state.holder == holder else None


def renew(db: Database, state: LockState, *, ttl_seconds: float = TTL_SECONDS) -> bool:
    """Hold on to the lock; False when it was lost: ended, or released by `unlock --force`."""
    changed = db.execute("apply_lock.renew", holder=state.holder, token=state.token, ttl_ms=int(ttl_seconds * 1000))
    return changed == 1


def release(db: Database, state: LockState) -> bool:
    """Give this very lock back; False when it is not held under this token any more."""
    return db.execute("apply_lock.release", holder=state.holder, token=state.token) == 1


def _prepare(db: Database) -> None:
    try:
        if db.fetch("apply_lock.read"):
            return
    except MissingTable:
        db.execute("apply_lock.create")
    with suppress(Duplicate):  # a rival seeded it in the same moment
        db.execute("apply_lock.seed")


@contextmanager
def held(
    database_url: str | None, *, wait_seconds: float = 0.0, report: Report = lambda text: None
) -> Iterator[Callable[[], None]]:
    """Hold the lock for the block, and give it back however the block ends.

    Yields a check that raises LockedError once the lock was lost. Raises LockedError when somebody else holds it
    for longer than ``wait_seconds``. Without a writable database the block runs on the etag alone, and says so.
    """
    db = _open(database_url, report)
    if db is None:
        yield lambda: None
        return
    try:
        state = _acquire_in_time(db, whoami(), wait_seconds, report)
    except DatabaseError as error:
        report(f"no lock ({error.message}): only Railway's etag stands between two operators")
        db.close()
        yield lambda: None
        return
    except BaseException:
        db.close()
        raise
    hold = _Hold(db, state)
    renewing = threading.Thread(target=hold.keep, name="apply-lock", daemon=True)
    renewing.start()

    def check() -> None:
        if not hold.renewed():
            raise LockedError(
                "the apply lock was lost while this apply ran",
                hint="somebody released it, or the database was away for a minute; run the same command again",
            )

    try:
        yield check
    finally:
        hold.stop.set()
        renewing.join(timeout=20)
        with suppress(DatabaseError):
            release(db, state)
        with suppress(DatabaseError):
            db.close()


def _open(database_url: str | None, report: Report) -> Database | None:
    if not database_url:
        return None
    try:
        return runtime.db.connect(database_url, connect_timeout_seconds=3.0)
    except DatabaseError as error:
        report(f"no lock ({error.message}): only Railway's etag stands between two operators")
        return None


def _acquire_in_time(db: Database, holder: str, wait_seconds: float, report: Report) -> LockState:
    deadline = time.monotonic() + wait_seconds
    told: str | None = None
    while True:
        state = acquire(db, holder)
        if state is not None:
            return state
        rival = read(db)
        if rival is not None and was_killed_here(rival.holder):
            report(f"taking over the lock of an apply that was killed here: {rival}")
            release(db, rival)
            continue
        if time.monotonic() >= deadline:
            who = f"{rival}" if rival else "somebody who took it this moment"
            raise LockedError(
                f"another apply holds the lock: {who}",
                hint="wait with --lock-wait SECONDS; `deploykit unlock` shows the evidence and can release it",
            )
        if rival is not None and rival.holder != told:
            report(f"waiting for the lock: {rival}")
            told = rival.holder
        time.sleep(min(LOOK_SECONDS, max(0.0, deadline - time.monotonic())))


class _Hold:
    """A lock that is held: renewed by a thread, and once more before each step, since `unlock --force` may release it.

    A database that is away is asked again; only its word, or the TTL, means lost.
    """

    def __init__(self, db: Database, state: LockState) -> None:
        self.stop = threading.Event()
        self._db, self._state = db, state
        self._asking = threading.Lock()
        self._lost = False
        self._sure_until = time.monotonic() + TTL_SECONDS

    def keep(self) -> None:
        """Renew until stopped or lost."""
        while not self.stop.wait(RENEW_SECONDS):
            if not self.renewed():
                return

    def renewed(self) -> bool:
        """Renew now; False when the lock was lost, from then on."""
        with self._asking:
            asked = time.monotonic()
            try:
                if not self._lost and renew(self._db, self._state):
                    self._sure_until = asked + TTL_SECONDS
                else:
                    self._lost = True
            except DatabaseError:
                self._lost = asked >= self._sure_until
            return not self._lost


def look(database_url: str) -> LockState | None:
    """The lock as it is now. Raises UnreachableError when the database cannot be asked."""
    try:
        with runtime.db.connect(database_url, connect_timeout_seconds=3.0) as db:
            return read(db)
    except DatabaseError as error:
        raise UnreachableError(error.message, hint=error.hint or None) from None


def unlock(database_url: str, state: LockState, *, force: bool) -> bool:
    """Release exactly the lock that was shown; False when it changed hands meanwhile.

    Raises LockedError for a live holder without ``force``, UnreachableError when the database refuses.
    """
    if state.live and not force:
        raise LockedError(
            f"the holder is alive: {state}",
            hint=f"it ends by itself {TTL_SECONDS:.0f} s after its holder died; --force releases it at once",
        )
    try:
        with runtime.db.connect(database_url, connect_timeout_seconds=3.0) as db:
            return release(db, state)
    except DatabaseError as error:
        raise UnreachableError(error.message, hint=error.hint or None) from None
