"""The threads that run jobs, and what they have in hand."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from runtime.context import Interrupted, Job, storable
from runtime.db import DatabaseError
from runtime.handlers import FailedForGood
from runtime.loop import Bell
from runtime.queue import Claim, Outcome

SLOW_SECONDS = 0.005


class Running:
    """A job and the thread it runs on."""

    def __init__(self, job: Job, thread: threading.Thread) -> None:
        self.job = job
        self.thread = thread
        self.since = time.monotonic()
        self.told_at: float | None = None
        """When the job was told to end."""
        self._lock = threading.Lock()
        self._finished = False
        self._raised = False

    def interrupt(self, reason: str) -> None:
        """Tell the job to end: its flag, its hook and, once, an exception at its next Python instruction."""
        self.told_at = self.told_at or time.monotonic()
        self.job.interrupt(reason)
        with self._lock:
            if not self._finished and not self._raised:
                self._raised = True
                _raise_in(self.thread, Interrupted)

    def finish(self) -> None:
        """On the job's own thread: from here on no exception can arrive any more."""
        with self._lock:
            self._finished = True
            if self._raised:
                _raise_in(self.thread, None)

    def seconds(self) -> float:
        return time.monotonic() - self.since


class Slots:
    """Runs claims on a fixed number of threads, in the order they came. Owned by one worker's loop."""

    def __init__(self, count: int, run: Callable[[Job], None], job: Callable[[Claim], Job], bell: Bell) -> None:
        self._run = run
        self._job = job
        self._bell = bell
        self._inbox: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._done: deque[Outcome] = deque()
        self._running: dict[int, Running] = {}
        self._held: dict[tuple[str, int], Claim] = {}
        self._count = count
        for _ in range(count):
            self._start_thread()

    @property
    def in_hand(self) -> int:
        """Claims that were put in and whose outcome was not collected yet."""
        return len(self._held)

    def claims(self) -> list[Claim]:
        """Everything in hand: waiting, running, or ended and not collected yet."""
        return list(self._held.values())

    @property
    def waiting(self) -> int:
        """Claims that no thread has started yet."""
        return self._inbox.qsize()

    def put(self, claims: list[Claim]) -> None:
        for claim in claims:
            self._held[claim.job_id, claim.attempt] = claim
            self._inbox.put(claim)

    def take_back(self) -> list[Claim]:
        """The claims that no thread has started; they are out of our hands now."""
        claims: list[Claim] = []
        while True:
            try:
                claim = self._inbox.get_nowait()
            except queue.Empty:
                return claims
            if claim is not None:
                del self._held[claim.job_id, claim.attempt]
                claims.append(claim)

    def collect(self) -> list[Outcome]:
        """The outcomes since the last call."""
        outcomes = []
        while self._done:
            outcome = self._done.popleft()
            self._held.pop((outcome.claim.job_id, outcome.claim.attempt), None)
            outcomes.append(outcome)
        return outcomes

    def running(self) -> list[Running]:
        return list(self._running.values())

    def abandon(self, running: Running) -> bool:
        """Give up on a thread that does not end and start another in its place; False when it has just ended."""
        if self._running.pop(id(running.thread), None) is not running:
            return False
        self._held.pop((running.job.id, running.job.attempt), None)
        running.job.given_up = True
        self._start_thread()
        return True

    def close(self) -> None:
        for _ in range(self._count):
            self._inbox.put(None)

    def _start_thread(self) -> None:
        threading.Thread(target=self._loop, name="job", daemon=True).start()

    def _loop(self) -> None:
        while (claim := self._inbox.get()) is not None:
            if not self._work(claim):
                return

    def _work(self, claim: Claim) -> bool:
        """Run one claim; False when the worker gave up on this thread meanwhile."""
        thread = threading.current_thread()
        running = Running(self._job(claim), thread)
        outcome: Outcome | None = None
        try:
            self._running[id(thread)] = running
            outcome = self._attempt(running)
            running.finish()
        except Interrupted:
            outcome = outcome or _interrupted(running)
        if self._running.pop(id(thread), None) is not running:
            return False
        self._done.append(outcome)
        # One ring for a run of short jobs, and one at once for each long one.
        if outcome.seconds > SLOW_SECONDS or self._inbox.empty():
            self._bell.ring()
        return True

    def _attempt(self, running: Running) -> Outcome:
        job, claim = running.job, running.job.claim
        try:
            self._run(job)
        except Interrupted:
            return _interrupted(running)
        except FailedForGood as error:
            return Outcome(claim, "failed", _text(error), final=True, seconds=running.seconds())
        except BaseException as error:  # sys.exit() too: it must end the job, not the thread
            if job.completed_within:
                return Outcome(claim, "settled", seconds=running.seconds())
            if job.end_reason is not None:
                return _interrupted(running)
            return Outcome(claim, "failed", _text(error), seconds=running.seconds())
        if job.end_reason is not None:
            return _interrupted(running)  # perhaps early, as a loop does that looks at `stopping`
        return Outcome(claim, "settled" if job.completed_within else "done", seconds=running.seconds())


def _interrupted(running: Running) -> Outcome:
    job, seconds = running.job, running.seconds()
    if job.completed_within:
        return Outcome(job.claim, "settled", seconds=seconds)
    if job.end_reason == "cancelled":
        return Outcome(job.claim, "cancelled", "cancelled while it ran", seconds=seconds)
    if job.end_reason == "timeout":
        return Outcome(job.claim, "failed", f"timeout: still running after {seconds:.1f}s", seconds=seconds)
    return Outcome(job.claim, "released", seconds=seconds)


def _text(error: BaseException) -> str:
    name = type(error).__name__
    try:
        text = f"{name}: {error}" if str(error) else name
        return storable(f"{text}; {error.hint}" if isinstance(error, DatabaseError) and error.hint else text)
    except Exception:
        return f"{name}, of which even the text cannot be read"


def _raise_in(thread: threading.Thread, kind: type[BaseException] | None) -> None:
    # The only way to end a Python function from outside. It acts at the next instruction: a call that blocks in C ends
    # first. None takes back what has not arrived yet. ctypes is loaded here because most workers never need it.
    import ctypes

    if thread.ident is not None:
        exception = None if kind is None else ctypes.py_object(kind)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), exception)
