"""The schedule daemon: one leads, others stand by; due times become jobs, each exactly once."""

from __future__ import annotations

import random
import time
from datetime import datetime, timedelta

from runtime import heartbeats, lease, log, loop, schedules, start, transactions
from runtime.db import Conflict, Database, DatabaseError, SchemaError, Unreachable
from runtime.handlers import DeclarationError, Registry
from runtime.identity import SCHEDULE_DAEMON, Identity
from runtime.lease import Leadership
from runtime.loop import Pulse, Stop
from runtime.metrics import Sample
from runtime.schedules import Decision, HeldSchedule, Schedule, StaleLeadership
from runtime.settings import Settings
from runtime.wakeup import Wakeup

STANDBY_SECONDS = 5.0
TRUST_MARGIN_SECONDS = 2.0
HELD_AGAIN = timedelta(seconds=5)
WHO = "[daemon]"


def lease_ttl_ms(heartbeat_interval_ms: int) -> int:
    """How long a lease lasts without a beat: three of them, 30 s by default."""
    return heartbeat_interval_ms * 3


class ScheduleDaemon:
    """One daemon. `run` returns when `stop` is requested; the lease is given back on the way out."""

    def __init__(self, settings: Settings, registry: Registry, stop: Stop, *, once: bool = False) -> None:
        self.settings = settings
        self.stop = stop
        self.once = once
        self.identity = Identity.of(SCHEDULE_DAEMON, settings)
        self.pulse = Pulse()
        self.counts = {"fired": 0, "missed": 0, "takeovers": 0, "stepped_down": 0}
        self._definitions = list(registry.schedules.values())
        self._bell = stop.bell()
        self._pool = start.pool(settings)
        self._poll_seconds = settings.schedule_poll_interval_ms / 1000
        self._ttl_ms = lease_ttl_ms(settings.heartbeat_interval_ms)
        self._reaper = heartbeats.Reaper(lambda: self.identity)
        self._foreign = transactions.Watch(WHO, settings.heartbeat_interval_ms)
        self._wakeup = Wakeup(settings.wake_addresses)
        self._leadership: Leadership | None = None
        self._trusted_until = 0.0
        self._next_check = 0.0
        self._registered = self._introduced = self._settled_in = self._declared_dead = False
        self._shown = "STANDBY"
        self._held = ""

    # --- life ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Schedule until told to stop. Raises `DatabaseError` and `DeclarationError` for what waiting does not cure."""
        log.info(f"🚀 Starting schedule daemon ({self.settings.node_env} mode)")
        start.warn_about_draining(WHO, self.settings)
        # Before anything else: as a leader we would only stumble over it, while a daemon that knows better stands by.
        schedules.check(self._definitions)
        db = start.insist(WHO, self.stop, self._bell, lambda: start.open_tables(WHO, self._pool))
        if db is None:
            return
        self._db = db
        heart = start.insist(WHO, self.stop, self._bell, self._join)
        try:
            if heart is None:
                return
            if self.once:
                start.insist(WHO, self.stop, self._bell, self._turn)
                return
            loop.run(WHO, self._turn, self.stop, self._bell, self.pulse)
        finally:
            if heart is not None:
                heart.stop()
            self._leave()

    def wake(self) -> None:
        """Re-read the schedules now. Safe from any thread."""
        self._next_check = 0.0
        self._bell.ring()

    def samples(self) -> list[Sample]:
        """Figures for /metrics."""
        leadership = self._leadership
        return [
            ("runtime_schedules_fired_total", "counter", "jobs enqueued by schedules", self.counts["fired"]),
            ("runtime_runs_missed_total", "counter", "due times that did not run", self.counts["missed"]),
            ("runtime_takeovers_total", "counter", "times this daemon took the lease", self.counts["takeovers"]),
            ("runtime_stepped_down_total", "counter", "times it lost the lease", self.counts["stepped_down"]),
            ("runtime_leading", "gauge", "1 while this daemon leads", float(leadership is not None)),
            ("runtime_lease_token", "gauge", "fencing token", leadership.token if leadership else 0),
            ("runtime_loop_age_seconds", "gauge", "since the loop last turned", self.pulse.age_seconds()),
            *self._foreign.samples(),
        ]

    def _join(self) -> heartbeats.Heart:
        own = self._pool.reserve()
        try:
            heartbeats.register(self._db, self.identity, "STANDBY")
            heartbeats.retire_predecessor(self._db, self.identity)
        except BaseException:
            self._pool.release(own)
            raise
        heart = heartbeats.Heart(
            own,
            self._beat,
            self._on_death,
            interval_ms=self.settings.heartbeat_interval_ms,
            pulses={"schedules": self.pulse},
        )
        heart.start()
        self._registered = True
        log.info(f"✅ Schedule daemon registered: {self.identity.id}")
        return heart

    def _beat(self, own: Database, loops: dict[str, int]) -> bool:
        """On the heart's thread: one statement beats and, for the leader, renews the lease."""
        leadership, began = self._leadership, time.monotonic()
        if leadership is None:
            return heartbeats.beat(own, self.identity, loops)
        alive, leading = heartbeats.beat_and_renew(own, self.identity, loops, leadership, self._ttl_ms)
        if leading:
            self._trust_from(began)
        elif self._leadership is leadership:
            self._trusted_until = 0.0
            self._bell.ring()
        return alive

    def _trust_from(self, began: float) -> None:
        # From before the renewal was sent, and less a margin: the database may have counted from that moment on.
        self._trusted_until = began + self._ttl_ms / 1000 - min(TRUST_MARGIN_SECONDS, self._ttl_ms / 5000)

    def _on_death(self) -> None:
        self._declared_dead = True
        self._bell.ring()

    def _leave(self) -> None:
        try:
            if self._leadership is not None:
                lease.resign(self._db, self._leadership)
            if self._registered:
                heartbeats.deregister(self._db, self.identity)
        except DatabaseError as error:
            log.warning(f"{WHO} while stopping: {error.message}")
        self._pool.release(self._db)
        log.info("🛑 Schedule daemon stopped", **{name: count for name, count in self.counts.items() if count})

    # --- one turn -----------------------------------------------------------------------------------------------

    def _turn(self) -> float:
        if self._declared_dead:
            self._rejoin()
        if self.stop.requested:
            return 0.0
        if not self._lead():
            self._show()
            self._chores()
            return self._standby_seconds()
        self._settle_in()
        self._show()
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + self._poll_seconds
            try:
                self._check_schedules()
            except StaleLeadership:
                self._step_down()
                return 0.0  # to show it, and to stand by
            except Exception:
                # The schedules we did not come to are not to wait for the next poll, an hour away.
                self._next_check = 0.0
                raise
        self._chores()
        until = min(self._next_check, self._trusted_until) - time.monotonic()
        return max(0.0, min(until, self._reaper.due_in_seconds()))

    def _lead(self) -> bool:
        """Do we lead? If not, try to."""
        if self._leadership is not None:
            if time.monotonic() < self._trusted_until:
                return True
            began = time.monotonic()
            if lease.renew(self._db, self._leadership, self._ttl_ms):
                self._trust_from(began)
                return True
            self._step_down()
        began = time.monotonic()
        leadership = lease.acquire(self._db, self.identity.id, self._ttl_ms)
        if leadership is None:
            return False
        self._trust_from(began)
        self._leadership = leadership
        self._settled_in = False
        self.counts["takeovers"] += 1
        return True

    def _settle_in(self) -> None:
        """What a new leader does first. A step of its own: where it fails half-way, the next turn does it again."""
        if self._settled_in or self._leadership is None:
            return
        heartbeats.demote_others(self._db, self.identity)
        self._next_check = 0.0
        try:
            count = schedules.sync(self._db, self._definitions)
        except HeldSchedule as held:
            if str(held) != self._held:
                log.warning(f"{WHO} ⚠️  old definition kept for now, somebody's open transaction holds the row: {held}")
            self._held = str(held)
            return  # the schedules go on meanwhile, and the next turn tries again
        log.info(f"📋 Synced {count} schedule definitions from code")
        if self._introduced:
            log.info(f"✅ Schedule daemon leads now (token {self._leadership.token})")
        self._settled_in = True

    def _show(self) -> None:
        """Have our row say whether we lead, and introduce ourselves once."""
        status = "STANDBY" if self._leadership is None else "RUNNING"
        if status != self._shown:
            heartbeats.set_status(self._db, self.identity, status)
            self._shown = status
        if not self._introduced:
            self._introduce()

    def _standby_seconds(self) -> float:
        """Until the leader's lease can have ended, and never long: a leader that stops gives it back early."""
        state = lease.read(self._db)
        left = STANDBY_SECONDS if state is None else state.expires_in_seconds
        return max(0.05, min(STANDBY_SECONDS, left)) * random.uniform(1.0, 1.2)

    def _introduce(self) -> None:
        """The lines that people look for in the log to see how this daemon is set."""
        self._introduced = True
        log.info("✅ Schedule daemon started")
        if self._leadership is None:
            state = lease.read(self._db)
            log.info(f"⏸️  Standing by: another daemon leads ({state.holder_id if state else 'unknown'})")
        log.info("⚠️  Missed Run Policy: SKIP (if daemon down, wait for next interval)")
        log.info(f"📋 Loaded {len(self._definitions)} schedule definitions from code")
        log.info(f"⏱️  Polling every {_seconds(self.settings.schedule_poll_interval_ms)}s")

    def _step_down(self) -> None:
        log.warning(f"{WHO} ⚠️  lost the lease; standing by")
        self._leadership = None
        self._trusted_until = 0.0
        self.counts["stepped_down"] += 1

    def _rejoin(self) -> None:
        if heartbeats.fenced(self._db, self.identity):
            log.warning(f"{WHO} 🛑 fenced: our row in WorkerInstance says STOPPED; ending")
            self.stop.request()
            return
        log.warning(f"{WHO} ⚠️  declared dead while alive (no beat in time); starting again under a new id")
        self._leadership = None
        self._trusted_until = 0.0
        self.identity = Identity.of(SCHEDULE_DAEMON, self.settings)
        heartbeats.register(self._db, self.identity, "STANDBY")
        self._shown = "STANDBY"
        self._declared_dead = False

    def _check_schedules(self) -> None:
        """Fire what is due, and learn when to look again: at the first due time, or after the poll interval."""
        assert self._leadership is not None
        known, now = schedules.board(self._db)
        if now is None:
            return
        read_at, fired = time.monotonic(), 0
        watched_since = None if self.once else self._leadership.since
        for schedule in known:
            if not schedule.enabled:
                continue
            try:
                look_at, decision = schedules.attend(self._db, self._leadership, schedule, now, watched_since)
            except DeclarationError as error:
                log.error(f"{WHO} {error}")
                continue
            except HeldSchedule:
                log.warning(f"{WHO} ⚠️  schedule {schedule.name} waits: somebody's open transaction holds its row")
                look_at, decision = now + HELD_AGAIN, None
            except (Unreachable, Conflict, SchemaError):
                raise
            except DatabaseError as error:
                # What the row says is refused, such as a name too long for a key; the others are not to wait for it.
                log.error(f"{WHO} schedule {schedule.name}: {error.message}")
                continue
            self._look_again(look_at, now, read_at)
            if decision is not None:
                fired += self._report(schedule, decision)
        if fired:
            self._wakeup.send()

    def _look_again(self, look_at: datetime, now: datetime, read_at: float) -> None:
        # The database's clock says how long; only the length is measured here, so our own clock may be wrong.
        self._next_check = min(self._next_check, read_at + max(0.0, (look_at - now).total_seconds()))

    def _report(self, schedule: Schedule, decision: Decision) -> int:
        self.counts["fired"] += len(decision.run)
        self.counts["missed"] += len(decision.missed)
        if decision.run:
            log.info(
                f"▶️  Schedule {schedule.name} fired",
                due=decision.run[-1].isoformat(),
                jobs=len(decision.run),
                token=self._leadership.token if self._leadership else None,
            )
        if decision.missed:
            log.warning(f"⚠️  Schedule {schedule.name} missed {len(decision.missed)} run(s)")
        return len(decision.run)

    def _chores(self) -> None:
        """Look for the dead: a system whose workers are all gone still gets honest rows."""
        if self._reaper.due_in_seconds() > 0:
            return
        found = self._reaper.turn(self._db)
        if found.dead:
            log.warning(f"{WHO} ⚠️  declared {found.dead} silent process(es) dead")
        if found.dead or found.orphans:
            from runtime.queue import Queue  # here: a daemon whose workers live never needs it, and stays small

            rescued = Queue(self._db).rescue_orphans()
            log.info(f"{WHO} gave {rescued} job(s) of ended workers a new attempt")
        self._foreign.turn(self._db)


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g}"
