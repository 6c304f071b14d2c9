"""Being alive, in public: each process beats into its row, on its own thread and connection, whatever else it does."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime import lease, log
from runtime.db import Conflict, Database, DatabaseError, Duplicate, Row, Unreachable, instant
from runtime.identity import Identity
from runtime.lease import Leadership
from runtime.loop import Outage, Pulse, Stop

STOPPED_ROWS_KEPT_SECONDS = 300
DEAD_ROWS_KEPT_SECONDS = 3600
STALL_LIMIT_SECONDS = 60.0
EXIT_STALLED = 70


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One row of WorkerInstance. What a table of a Node application does not have is None."""

    worker_id: str
    kind: str
    status: str
    beats: int | None
    started_at: datetime | None
    last_heartbeat_at: datetime | None
    seconds_ago: float | None
    """Age of the last beat by the database's clock."""
    service: str | None
    deployment: str | None
    replica: str | None
    hostname: str | None
    pid: int | None
    profile: str | None
    poll_interval_ms: int | None
    heartbeat_interval_ms: int | None
    loops: dict[str, Any] | None
    """Age of each loop in milliseconds at the time of the beat."""
    unplaced: bool = False
    """The table has no column for the deployment: where this process runs nobody can tell."""


def read(db: Database) -> list[Heartbeat]:
    """All processes that left a row, the latest beat first. Needs SELECT only; raises `DatabaseError`."""
    return [_heartbeat(row) for row in db.fetch("heartbeats.read")]


def _heartbeat(row: Row) -> Heartbeat:
    age = row["secondsAgo"]
    return Heartbeat(
        worker_id=row["id"],
        kind=row["workerType"],
        status=row["status"],
        beats=row.get("beats"),
        started_at=instant(row.get("startedAt")),
        last_heartbeat_at=instant(row.get("lastHeartbeatAt")),
        seconds_ago=None if age is None else float(age),
        service=row.get("service"),
        deployment=row.get("deployment"),
        replica=row.get("replica"),
        hostname=row.get("hostname"),
        pid=row.get("pid"),
        profile=row.get("profile"),
        poll_interval_ms=row.get("pollIntervalMs"),
        heartbeat_interval_ms=row.get("heartbeatIntervalMs"),
        loops=_loops(row.get("loops")),
        unplaced="deployment" not in row,
    )


def _loops(value: str | None) -> dict[str, Any] | None:
    try:
        parsed = json.loads(value) if value else None
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def lease_ms(heartbeat_interval_ms: int) -> int:
    """How long a process counts as alive after a beat: 45 s by default, which a failover of the database fits into."""
    return heartbeat_interval_ms * 9 // 2


def register(db: Database, identity: Identity, status: str = "RUNNING") -> None:
    """Write the row of this process. Harmless when a lost answer makes us do it again: the id is nobody else's."""
    with suppress(Duplicate):
        db.execute(
            "heartbeats.register",
            id=identity.id,
            kind=identity.kind,
            status=status,
            lease_ms=lease_ms(identity.heartbeat_interval_ms),
            service=identity.service,
            deployment=identity.deployment,
            replica=identity.replica,
            hostname=identity.hostname,
            pid=identity.pid,
            profile=identity.profile,
            poll_interval_ms=identity.poll_interval_ms,
            heartbeat_interval_ms=identity.heartbeat_interval_ms,
        )


def retire_predecessor(db: Database, identity: Identity) -> int:
    """Declare dead the process that ran in this very container before it was restarted.

    Only at the start of a process, and only where the platform names the container (deployment and replica): so its
    jobs move on at once instead of after the lease. A neighbour that lives, as in a web server of several processes, is
    none.
    """
    if identity.deployment is None or identity.replica is None:
        return 0
    try:
        return db.execute(
            "heartbeats.declare_predecessor_dead",
            kind=identity.kind,
            id=identity.id,
            deployment=identity.deployment,
            replica=identity.replica,
            pid=identity.pid,
            living=_living(),
        )
    except Conflict:
        return 0  # somebody holds its row, perhaps for hours: its lease ends all the same


def _living() -> list[int]:
    """The numbers of the processes in this container; where the system does not list them, our own."""
    try:
        names = os.listdir("/proc")
    except OSError:
        names = []
    return [os.getpid(), *(int(name) for name in names if name.isdigit())]


def declare_dead(db: Database) -> int:
    """Declare dead whose lease of liveness has ended; how many."""

    def work() -> int:
        ids = sorted(row["id"] for row in db.fetch("heartbeats.lapsed"))
        return db.execute("heartbeats.declare_dead", ids=ids) if ids else 0

    return db.transact(work)


def beat(db: Database, identity: Identity, loops: Mapping[str, int]) -> bool:
    """Say that we live; False when somebody has declared us dead."""
    return bool(
        db.execute(
            "heartbeats.beat",
            id=identity.id,
            loops=json.dumps(loops),
            lease_ms=lease_ms(identity.heartbeat_interval_ms),
        )
    )


def beat_and_renew(
    db: Database, identity: Identity, loops: Mapping[str, int], leadership: Leadership, ttl_ms: int
) -> tuple[bool, bool]:
    """The leading daemon's beat, which also renews its lease: are we alive, and do we still lead?"""
    if db.dialect != "mysql":
        return beat(db, identity, loops), lease.renew(db, leadership, ttl_ms)
    rows = db.execute(
        "heartbeats.beat_and_renew",
        id=identity.id,
        loops=json.dumps(loops),
        lease_ms=lease_ms(identity.heartbeat_interval_ms),
        token=leadership.token,
        ttl_ms=ttl_ms,
    )
    return rows >= 1, rows == 2


def set_status(db: Database, identity: Identity, status: str) -> None:
    db.execute("heartbeats.set_status", id=identity.id, status=status)


def demote_others(db: Database, identity: Identity) -> int:
    """Say in the rows of earlier leaders that they lead no more: they may be dead, frozen or cut off; how many.

    So that exactly one daemon is RUNNING from the moment of a takeover, and not only once the others are found dead.
    """
    try:
        return db.execute("heartbeats.demote_others", kind=identity.kind, id=identity.id)
    except Conflict:
        return 0  # somebody holds such a row, perhaps for hours: no schedule is to wait for what is only shown


def deregister(db: Database, identity: Identity) -> None:
    db.execute("heartbeats.deregister", id=identity.id)


def fence(db: Database, worker_id: str) -> bool:
    """Tell a process from outside to end; False when it has ended already. Raises `DatabaseError`.

    It ends within a beat, like on SIGTERM, and its jobs move on to others at once.
    """
    return bool(db.execute("heartbeats.fence", id=worker_id))


def fenced(db: Database, identity: Identity) -> bool:
    """Whether somebody fenced us: who is only thought dead may register again, who is fenced must end."""
    rows = db.fetch("heartbeats.status", id=identity.id)
    return bool(rows) and rows[0]["status"] == "STOPPED"


class Heart(threading.Thread):
    """Beats until it is stopped; ends the process when one of its loops hangs.

    `say` is one beat on the heart's own connection and answers whether we still count as alive; `on_death` is called
    when we do not. Workers ask `alive_for_seconds` before they start something: past it, others may take over.
    """

    def __init__(
        self,
        db: Database,
        say: Callable[[Database, dict[str, int]], bool],
        on_death: Callable[[], None],
        *,
        interval_ms: int,
        pulses: Mapping[str, Pulse],
        stall_limit_seconds: float = STALL_LIMIT_SECONDS,
        on_stall: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._db = db
        self._say = say
        self._on_death = on_death
        self._interval_seconds = interval_ms / 1000
        self._lease_seconds = lease_ms(interval_ms) / 1000
        self._pulses = pulses
        self._stall_limit_seconds = stall_limit_seconds
        self._on_stall = on_stall or _end_process
        self._ending = Stop()
        self._bell = self._ending.bell()
        self._outage = Outage("[heartbeat]")
        self._alive_until = time.monotonic() + self._lease_seconds

    def alive_for_seconds(self) -> float:
        return self._alive_until - time.monotonic()

    def run(self) -> None:
        delay = self._interval_seconds
        while not self._bell.wait(delay) and not self._ending.requested:
            delay = self._turn()
        self._db.close()

    def _turn(self) -> float:
        for name, pulse in self._pulses.items():
            if pulse.overdue_seconds() > self._stall_limit_seconds:
                self._on_stall(name)
        began = time.monotonic()
        try:
            alive = self._say(self._db, {name: round(p.age_seconds() * 1000) for name, p in self._pulses.items()})
        except Unreachable as error:
            # Never later than the next beat would have been: the lease is running.
            return min(self._outage.failed(error), self._interval_seconds)
        except DatabaseError as error:
            log.error(f"[heartbeat] {error.message}", hint=error.hint or None)
            return self._interval_seconds
        except Exception as error:
            # A process whose heart has stopped would live on and never claim again.
            log.exception("[heartbeat] beat failed", error)
            self._db.close()
            return self._interval_seconds
        self._outage.over()
        # From before the beat was sent: the database may have taken it any time since.
        self._alive_until = began + self._lease_seconds
        if not alive:
            self._on_death()
        return max(0.0, self._interval_seconds - (time.monotonic() - began))

    def stop(self, timeout_seconds: float = 2.0) -> None:
        self._ending.request()
        if self.is_alive():
            self.join(timeout_seconds)


def _end_process(loop: str) -> None:
    # Not sys.exit: the loop that hangs would never see it. The platform starts us again.
    log.error(f"[watchdog] the {loop} loop hangs; ending the process so that it is started again")
    os._exit(EXIT_STALLED)


@dataclass(frozen=True, slots=True)
class Findings:
    """What the reaper saw at one look."""

    dead: int
    """Processes it declared dead."""
    orphans: bool
    """Whether jobs are RUNNING that belong to a process that has ended, whoever found that out."""
    mine: bool
    """Whether jobs are RUNNING that belong to this process."""


class Reaper:
    """Finds processes whose lease has ended, exactly when the first can have ended; forgets those of long ago."""

    def __init__(self, identity: Callable[[], Identity]) -> None:
        self._identity = identity
        self._next = 0.0
        self._next_prune = time.monotonic() + STOPPED_ROWS_KEPT_SECONDS

    def due_in_seconds(self) -> float:
        return self._next - time.monotonic()

    def turn(self, db: Database) -> Findings:
        """Declare dead who is overdue, and see what is left behind. Sets when to look again."""
        me = self._identity()
        dead = 0
        seen = db.fetch("heartbeats.next_lapse", me=me.id)[0]
        if seen["remainingMs"] is not None and float(seen["remainingMs"]) < 0:
            dead = declare_dead(db)
            seen = db.fetch("heartbeats.next_lapse", me=me.id)[0]
        # Who registers later gets a whole lease, so nobody can lapse before the first of today's does.
        lease_seconds = lease_ms(me.heartbeat_interval_ms) / 1000
        first = lease_seconds if seen["remainingMs"] is None else float(seen["remainingMs"]) / 1000
        self._next = time.monotonic() + max(0.0, min(first, lease_seconds)) + random.uniform(0.2, 1.0)
        if time.monotonic() >= self._next_prune:
            self._next_prune = time.monotonic() + STOPPED_ROWS_KEPT_SECONDS
            prune(db)
        return Findings(dead, bool(seen["orphans"]), bool(seen["mine"]))


def prune(db: Database) -> int:
    """Delete the rows of processes that ended a while ago, so that the table shows the system of today."""
    return db.execute(
        "heartbeats.prune", stopped_seconds=STOPPED_ROWS_KEPT_SECONDS, dead_seconds=DEAD_ROWS_KEPT_SECONDS
    )
