"""The job worker: claim, run, write down, again. Runs as a process of its own or inside a web process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runtime import heartbeats, log, loop, start, transactions
from runtime.context import Interrupted, Job
from runtime.db import Conflict, Database, DatabaseError, Duplicate, SchemaError, Unreachable
from runtime.db.pool import Pool
from runtime.handlers import Handler, Registry
from runtime.identity import JOB_WORKER, Identity, new_id
from runtime.jobs import waiting_without_handler
from runtime.loop import Pulse, Stop
from runtime.metrics import Sample
from runtime.queue import Claim, Glance, Outcome, Queue
from runtime.settings import Settings
from runtime.slots import Running, Slots

BATCH_MOST = 200
WORK_IN_HAND_SECONDS = 0.1
"""A worker takes as many jobs at a time as it expects to finish in this time, so that none waits in the wrong hands."""
HOARD_SECONDS = 1.0
CANCEL_CHECK_SECONDS = 2.0
UNWILLING_SECONDS = 5.0
GLANCE_MOST_SECONDS = 1.0
GATHER_SECONDS = 0.03
NOTES_AT_ONCE = 500
NOTES_WAITING_MOST = 2000
FIRST_PRUNE_SECONDS = 300.0
PRUNE_SECONDS = 3600.0
WHO = "[worker]"


class Worker:
    """One worker. `run` returns when `stop` is requested and everything in hand is finished or given back."""

    def __init__(self, settings: Settings, registry: Registry, stop: Stop, connections: Pool | None = None) -> None:
        self.settings = settings
        self.stop = stop
        self.identity = Identity.of(JOB_WORKER, settings)
        self.pulse = Pulse()
        self.counts = {"completed": 0, "failed": 0, "cancelled": 0, "released": 0, "claimed": 0, "rescued": 0}
        self.registered = False
        self._handlers = registry.handlers
        self._names = sorted(registry.handlers)
        self._bell = stop.bell()
        self._pool: Pool = connections or start.pool(settings)
        self._poll_seconds = settings.job_worker_poll_interval_ms / 1000
        self._reaper = heartbeats.Reaper(lambda: self.identity)
        self._foreign = transactions.Watch(WHO, settings.heartbeat_interval_ms)
        self._pending: list[Outcome] = []
        self._held: list[Outcome] = []
        self._next_held = 0.0
        self._notes: deque[tuple[str, dict[str, Any]]] = deque()
        self._mean_seconds: float | None = None
        self._last_end = time.monotonic()
        self._next_poll = 0.0
        self._next_glance = 0.0
        self._next_due: float | None = None
        self._next_cancel_check = 0.0
        self._next_prune = time.monotonic() + FIRST_PRUNE_SECONDS
        self._hungry = False
        self._declared_dead = False
        self._uncertain = False
        self._strangers: dict[str, int] = {}

    # --- life ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until told to stop. Raises `DatabaseError` when the database can never be used."""
        log.info("🔄 Job worker starting")
        if not self._names:
            log.warning(f"{WHO} ⚠️  no jobs are declared: set JOBS_MODULE to the module that declares them")
        start.warn_about_draining(WHO, self.settings)
        db = start.insist(WHO, self.stop, self._bell, lambda: start.open_tables(WHO, self._pool))
        if db is None:
            return
        self._db, self._queue = db, Queue(db)
        heart = start.insist(WHO, self.stop, self._bell, self._join)
        try:
            if heart is None:
                return
            self._heart = heart
            self._slots = Slots(self.settings.job_worker_concurrency, self._run_job, self._job, self._bell)
            try:
                loop.run(WHO, self._turn_noting_outages, self.stop, self._bell, self.pulse)
                self._drain()
            finally:
                self._slots.close()  # a web process that stops its worker goes on, and may start another
        finally:
            if heart is not None:
                heart.stop()
            self._leave(db)

    def wake(self) -> None:
        """Look for jobs now. Safe from any thread."""
        self._next_poll = 0.0
        self._bell.ring()

    def _join(self) -> heartbeats.Heart:
        """Register, and start beating on a connection of its own."""
        own = self._pool.reserve()
        try:
            heartbeats.register(self._db, self.identity)
            if heartbeats.retire_predecessor(self._db, self.identity):
                self._rescue()
        except BaseException:
            self._pool.release(own)
            raise
        heart = heartbeats.Heart(
            own,
            lambda db, loops: heartbeats.beat(db, self.identity, loops),
            self._on_death,
            interval_ms=self.settings.heartbeat_interval_ms,
            pulses={"poll": self.pulse},
        )
        heart.start()
        self.registered = True
        log.info(
            f"✅ Job worker registered: {self.identity.id}",
            poll_interval_ms=self.settings.job_worker_poll_interval_ms,
            jobs=len(self._names),
        )
        return heart

    def _leave(self, db: Database) -> None:
        if self.registered:
            try:
                heartbeats.deregister(db, self.identity)
            except DatabaseError as error:
                log.warning(f"{WHO} could not deregister: {error.message}")
            self.registered = False
        self._pool.release(db)
        self._pool.close()
        log.info("🛑 Job worker stopped", **{name: count for name, count in self.counts.items() if count})

    def samples(self) -> list[Sample]:
        """Figures for /metrics."""
        counted = [
            (f"runtime_jobs_{name}_total", "counter", f"jobs {name} by this worker", float(count))
            for name, count in self.counts.items()
        ]
        if not self.registered:
            return counted
        return [
            *counted,
            ("runtime_fence_refusals_total", "counter", "outcomes dropped: job was lost", self._queue.fence_refusals),
            ("runtime_conflict_retries_total", "counter", "transactions run again", self._db.conflicts),
            ("runtime_jobs_in_hand", "gauge", "jobs claimed and not finished", self._slots.in_hand),
            ("runtime_loop_age_seconds", "gauge", "since the loop last turned", self.pulse.age_seconds()),
            ("runtime_alive_for_seconds", "gauge", "until this worker counts as dead", self._heart.alive_for_seconds()),
            *self._foreign.samples(),
        ]

    def _on_death(self) -> None:
        self._declared_dead = True
        self._bell.ring()

    def _rejoin(self) -> None:
        """We were declared dead while we were not: stop what we run, it is somebody else's now, and begin anew."""
        if heartbeats.fenced(self._db, self.identity):
            log.warning(f"{WHO} 🛑 fenced: our row in WorkerInstance says STOPPED; ending")
            self.stop.request()
        else:
            log.warning(f"{WHO} ⚠️  declared dead while alive (no beat in time); starting again under a new id")
        self._pending += [Outcome(claim, "released") for claim in self._slots.take_back()]
        for running in self._slots.running():
            running.interrupt("lost")
        if not self.stop.requested:
            self.identity = Identity.of(JOB_WORKER, self.settings)
            heartbeats.register(self._db, self.identity)
        self._declared_dead = False  # last: until we are registered, nothing may be claimed

    # --- one turn -----------------------------------------------------------------------------------------------

    def _turn_noting_outages(self) -> float:
        try:
            return self._turn()
        except Exception:
            self._uncertain = True  # a claim may have been committed without our hearing of it
            self._next_poll = 0.0  # and what the look was about to find is not to wait for the next one
            raise

    def _turn(self) -> float:
        """Write down what ended, claim what fits, look after what runs; how long until there is something to do."""
        if self._declared_dead:
            self._rejoin()
        self._gather()
        if self._uncertain:
            self._release_strays()
            self._uncertain = False
        self._watch_running()
        self._chores()
        self._retry_held()
        if self._pending and self._slots.waiting and len(self._pending) < BATCH_MOST and self._gathering():
            return SHORT_SECONDS
        self._write_notes()
        self._look()
        self._turn_over()
        return self._delay()

    def _gather(self) -> None:
        outcomes = self._slots.collect()
        if not outcomes:
            return
        now = time.monotonic()
        if not self._pending:
            self._gathering_since = now
        self._last_end = now
        self._pending += outcomes
        mean = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
        # Slower work is believed at once, faster work by and by: taking too much hurts more than taking too little.
        known = self._mean_seconds
        self._mean_seconds = mean if known is None or mean > known else known * 0.5 + mean * 0.5

    def _gathering(self) -> bool:
        return time.monotonic() - self._gathering_since < GATHER_SECONDS

    def _look(self) -> None:
        """The poll: is there work, is there some that has become due?"""
        now = time.monotonic()
        due = self._next_due is not None and now >= self._next_due
        if now < self._next_poll and not due and not (self._hungry and now >= self._next_glance):
            return
        self._next_poll = now + self._poll_seconds  # before the look: a wake-up in the middle of it asks for another
        glance = self._queue.glance()
        self._next_glance = now + GLANCE_MOST_SECONDS
        if glance.next_due_seconds == 0.0:
            promoted = self._queue.promote()
            glance = self._queue.glance()
            if not promoted and glance.next_due_seconds == 0.0:
                glance = Glance(glance.ready, GLANCE_MOST_SECONDS)  # somebody else holds what is due
        self._next_due = None if glance.next_due_seconds is None else now + glance.next_due_seconds
        self._hungry = glance.ready

    def _turn_over(self) -> None:
        limit = self._room() if self._hungry or self._pending else 0
        if not self._pending and limit <= 0:
            return
        outcomes, self._pending = self._pending, []
        try:
            claims = self._queue.turn_over(outcomes, self._names, limit, self.identity.id)
        except Exception as error:
            if not isinstance(error, DatabaseError) or isinstance(error, (Unreachable, Conflict, SchemaError)):
                self._pending = outcomes + self._pending
                if isinstance(error, Conflict):
                    self._set_held_aside()
                raise
            log.error(f"{WHO} {error.message}")
            self._write_one_by_one(deque(outcomes))
            claims = []
            self._uncertain = True
        self._count(outcomes, claims)
        if any(outcome.verdict == "failed" for outcome in outcomes):
            self._next_poll = 0.0  # to learn when the retry is due
        if limit > 0:
            if self._hungry and not claims:
                self._name_strangers()
            self._hungry = len(claims) == limit
        self._slots.put(claims)

    def _set_held_aside(self) -> None:
        """Somebody's open transaction may hold a job's row for hours: the others are not to wait for that one."""
        held = self._queue.held_among(self._pending)
        self._held += [outcome for outcome in self._pending if outcome.claim.job_id in held]
        self._pending = [outcome for outcome in self._pending if outcome.claim.job_id not in held]
        if held:
            log.warning(f"{WHO} ⚠️  somebody holds the rows of {len(held)} job(s) that have ended; writing the others")

    def _retry_held(self) -> None:
        if not self._held or time.monotonic() < self._next_held:
            return
        self._next_held = time.monotonic() + GLANCE_MOST_SECONDS
        held = self._queue.held_among(self._held)
        self._pending += [outcome for outcome in self._held if outcome.claim.job_id not in held]
        self._held = [outcome for outcome in self._held if outcome.claim.job_id in held]

    def _room(self) -> int:
        """How many jobs to claim: enough for a moment's work, none past what would be a lapsed lease."""
        if self.stop.requested or self._heart.alive_for_seconds() <= 0:
            return 0
        concurrency = self.settings.job_worker_concurrency
        in_hand, target = self._slots.in_hand, concurrency
        if self._mean_seconds is not None:
            fitting = concurrency * WORK_IN_HAND_SECONDS / max(self._mean_seconds, 1e-6)
            target = max(concurrency, min(BATCH_MOST, int(fitting)))
        room = target - in_hand
        # Not in driblets: while the threads have plenty to do, wait until half the batch is gone.
        return room if in_hand < concurrency or room >= target // 2 else 0

    def _write_one_by_one(self, outcomes: deque[Outcome]) -> None:
        """A batch that the database refuses as a whole: find the row it refuses, and fail that job."""
        try:
            while outcomes:
                self._write_or_fail(outcomes[0])
                outcomes.popleft()
        finally:
            self._pending = [*outcomes, *self._pending]

    def _write_or_fail(self, outcome: Outcome) -> None:
        try:
            self._queue.turn_over([outcome], [], 0, self.identity.id)
        except (Unreachable, Conflict, SchemaError):
            raise  # nothing is wrong with this outcome
        except DatabaseError as error:
            log.error(f"{WHO} could not write the end of job {outcome.claim.job_id}: {error.message}")
            short = Outcome(outcome.claim, "failed", "its outcome could not be written")
            self._queue.turn_over([short], [], 0, self.identity.id)

    def _count(self, outcomes: list[Outcome], claims: list[Claim]) -> None:
        self.counts["claimed"] += len(claims)
        for outcome in outcomes:
            name = "completed" if outcome.verdict in ("done", "settled") else outcome.verdict
            self.counts[name] += 1
            if outcome.verdict == "failed":
                claim = outcome.claim
                log.warning(
                    f"❌ Job {claim.name} failed (attempt {claim.attempt} of {claim.max_attempts}): {outcome.error}",
                    job=claim.job_id,
                )

    def _delay(self) -> float:
        now = time.monotonic()
        if self._hungry and self._room() > 0:
            return 0.0
        moments = [self._next_poll, now + self._reaper.due_in_seconds(), self._next_prune]
        if self._next_due is not None:
            moments.append(self._next_due)
        running = self._slots.running()
        if running:
            moments.append(max(now + 0.05, self._next_cancel_check))
            moments += [self._deadline(each) for each in running]
        if self._slots.waiting:
            moments.append(now + HOARD_SECONDS)
        if self._notes:
            moments.append(now + GATHER_SECONDS)
        if self._held:
            moments.append(self._next_held)
        return max(0.0, min(moments) - now)

    # --- looking after running jobs -----------------------------------------------------------------------------

    def _watch_running(self) -> None:
        now = time.monotonic()
        running = self._slots.running()
        for each in running:
            if now >= self._deadline(each):
                self._overdue(each, now)
        if running and now >= self._next_cancel_check:
            self._next_cancel_check = now + CANCEL_CHECK_SECONDS
            long_running = [each for each in running if each.seconds() >= 1.0]
            if long_running:
                wanted = self._queue.cancelled_among([each.job.claim for each in long_running])
                for each in long_running:
                    if each.job.id in wanted:
                        each.interrupt("cancelled")
        if self._slots.waiting and now - self._last_end > HOARD_SECONDS:
            # What we thought was quick is slow: others may run what waits behind it.
            self._mean_seconds = HOARD_SECONDS
            self._pending += [Outcome(claim, "released") for claim in self._slots.take_back()]
            self._last_end = now

    def _deadline(self, running: Running) -> float:
        """When to act on a running job: at its timeout, then once it has had a moment to obey."""
        if running.told_at is not None:
            return running.told_at + UNWILLING_SECONDS
        timeout = running.job.claim.timeout_seconds or self._handlers[running.job.name].timeout_seconds
        return float("inf") if timeout is None else running.since + timeout

    def _overdue(self, running: Running, now: float) -> None:
        if running.told_at is None:
            running.interrupt("timeout")
            return
        reason = running.job.end_reason
        if self._slots.abandon(running):
            log.warning(
                f"{WHO} ⚠️  job {running.job.name} does not end; its thread is left to itself", job=running.job.id
            )
            verdict = {"cancelled": "cancelled", "timeout": "failed"}.get(reason or "", "released")
            self._pending.append(
                Outcome(running.job.claim, verdict, f"{reason}: did not end", seconds=running.seconds())
            )

    # --- what a handler may do ----------------------------------------------------------------------------------

    def _job(self, claim: Claim) -> Job:
        return Job(claim, self._pool.lend, self._note)

    def _run_job(self, job: Job) -> None:
        if self._heart.alive_for_seconds() <= 0:
            job.interrupt("lost")  # frozen past the lease: it may be somebody else's by now
            raise Interrupted
        handler: Handler = self._handlers[job.name]
        handler.run(job)

    def _note(self, kind: str, claim: Claim, **facts: Any) -> None:
        """On the job's thread. One that says more than can be written waits, or memory would fill with what it says."""
        while len(self._notes) >= NOTES_WAITING_MOST and not self.stop.requested:
            time.sleep(GATHER_SECONDS)
        fence = {"id": claim.job_id, "attempt": claim.attempt, "worker": claim.worker_id}
        if kind == "log":
            facts["log_id"] = new_id()
        self._notes.append((kind, fence | facts))
        self._bell.ring()

    def _write_notes(self) -> None:
        """Log lines and progress, before the outcomes: both are fenced, and a finished job says nothing more.

        What is said meanwhile waits for the next turn: a talkative job keeps no other waiting.
        """
        left = len(self._notes)
        while left > 0:
            some = [self._notes[at] for at in range(min(left, NOTES_AT_ONCE))]
            self._write_some(some)
            for _ in some:
                self._notes.popleft()
            left -= len(some)

    def _write_some(self, notes: list[tuple[str, dict[str, Any]]]) -> None:
        lines = [facts for kind, facts in notes if kind == "log"]
        if len(lines) == 1 or not self._write_at_once(lines):
            for facts in lines:
                self._write_line(facts)
        latest = {(facts["id"], facts["attempt"]): facts for kind, facts in notes if kind != "log"}
        self._queue.write_progress(list(latest.values()))

    def _write_at_once(self, lines: list[dict[str, Any]]) -> bool:
        """All lines in one transaction; False when the database refuses one, or has one already."""
        try:
            self._queue.write_lines(lines)
        except (Unreachable, Conflict):
            raise
        except DatabaseError:
            return False
        return True

    def _write_line(self, facts: dict[str, Any]) -> None:
        try:
            self._db.execute("jobs.write_log", **facts)
        except (Unreachable, Conflict):
            raise
        except Duplicate:
            pass  # written before, by a statement whose answer was lost
        except DatabaseError as error:
            # Refused for what it says: trying again would refuse it again, and keep everything behind it waiting.
            log.error(f"{WHO} could not write a line of job {facts['id']}: {error.message}")

    # --- chores -------------------------------------------------------------------------------------------------

    def _chores(self) -> None:
        if self._reaper.due_in_seconds() <= 0:
            found = self._reaper.turn(self._db)
            if found.dead:
                log.warning(f"{WHO} ⚠️  declared {found.dead} silent process(es) dead")
            if found.dead or found.orphans:
                self._rescue()
            if found.mine:
                self._release_strays()
            self._foreign.turn(self._db)
        if time.monotonic() >= self._next_prune:
            self._next_prune = time.monotonic() + PRUNE_SECONDS
            self._rescue()
            if self.settings.job_retention_days and self._queue.prune(self.settings.job_retention_days):
                self._next_prune = time.monotonic() + 1.0  # more of them, a batch at a time

    def _rescue(self) -> None:
        rescued = self._queue.rescue_orphans()
        if rescued:
            self.counts["rescued"] += rescued
            self._next_poll = 0.0
            log.info(f"{WHO} gave {rescued} job(s) of ended workers a new attempt")

    def _release_strays(self) -> None:
        """Give back what is ours in the table and in no hand of ours.

        At once after an outage, and again now and then: a commit may take effect long after its connection broke.
        """
        in_hand = [outcome.claim for outcome in (*self._pending, *self._held)] + self._slots.claims()
        if self._queue.release_strays(self.identity.id, in_hand):
            self._next_poll = 0.0

    def _name_strangers(self) -> None:
        """Say once which waiting jobs nobody here can run: during a rolling deploy another worker may know them."""
        strangers = waiting_without_handler(self._db, self._names)
        if strangers and strangers.keys() != self._strangers.keys():
            log.warning(f"{WHO} ⚠️  jobs wait for which this worker has no handler: {', '.join(strangers)}")
        self._strangers = strangers

    # --- the end ------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Finish what runs within the window, give back the rest without using up its attempt."""
        deadline = time.monotonic() + start.drain_seconds(self.settings)
        log.info(
            f"{WHO} draining", running=len(self._slots.running()), window_seconds=round(deadline - time.monotonic(), 1)
        )
        self._pending += [Outcome(claim, "released") for claim in self._slots.take_back()]
        with self._tolerating():
            heartbeats.set_status(self._db, self.identity, "DRAINING")
        told = False
        while self._slots.in_hand or self._pending or self._held:
            self.pulse.tick(0.5)
            self._gather()
            with self._tolerating():
                self._retry_held()
                self._write_notes()
                self._turn_over()
            now = time.monotonic()
            if now >= deadline and not told:
                for running in self._slots.running():
                    running.interrupt("stopping")
                told = True
            if now >= deadline + 1.0:
                self._give_back()
                return
            if self._slots.in_hand or self._pending or self._held:
                self._bell.wait(min(0.5, max(0.05, deadline - now)))

    def _give_back(self) -> None:
        """Jobs that do not end in time: released, whatever their threads still do."""
        for running in self._slots.running():
            if self._slots.abandon(running):
                self._pending.append(Outcome(running.job.claim, "released"))
        self._gather()
        with self._tolerating():
            self._turn_over()

    @contextmanager
    def _tolerating(self) -> Iterator[None]:
        """On the way out a lost database is no reason to stay: the lease ends, and others take over."""
        try:
            yield
        except DatabaseError as error:
            log.warning(f"{WHO} while stopping: {error.message}")


SHORT_SECONDS = 0.005
