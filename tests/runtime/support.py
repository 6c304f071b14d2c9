"""Small things that several tests of the runtime need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from runtime import jobs
from runtime.context import Job
from runtime.db import Database, connect
from runtime.handlers import Handler, Registry
from runtime.loop import Stop
from runtime.settings import Settings

T = TypeVar("T")
LONGEST_SECONDS = 20.0


def settings(url: str | None = None, **variables: str) -> Settings:
    """Settings for quick tests: fast heartbeats, fast polls, nothing of the real environment."""
    env = {"HEARTBEAT_INTERVAL_MS": "1000", "JOB_WORKER_POLL_INTERVAL_MS": "50", "SCHEDULE_DAEMON_ENABLED": "true"}
    if url is not None:
        env["DATABASE_URL"] = url
    return Settings.from_env(env | variables)


def registry(**handlers: Callable[[Job], None]) -> Registry:
    known = Registry()
    for name, run in handlers.items():
        known.add(Handler(name, run))
    return known


def eventually(look: Callable[[], T]) -> T:
    """What `look` answers once it is true; fails after twenty seconds, which no healthy system needs."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while not (answer := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return answer


def ended(db: Database, job_id: str, status: str = "COMPLETED") -> jobs.JobRow:
    """The job's row once it has that status."""

    def look() -> jobs.JobRow | None:
        row = jobs.read(db, job_id)
        assert row is not None
        return row if row.status == status else None

    found = eventually(look)
    assert found is not None
    return found


class Process(Protocol):
    stop: Stop

    def run(self) -> None: ...


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    """The worker or daemon at work on a thread; stopped, and ended, at the end of the block."""
    failures: list[BaseException] = []

    def run(process: Process) -> None:
        try:
            process.run()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(process,), daemon=True) for process in processes]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for process in processes:
            process.stop.request()
        for thread in threads:
            thread.join(LONGEST_SECONDS)
    assert not failures, failures
    assert not any(thread.is_alive() for thread in threads)


def sql(url: str, statement: str, **parameters: Any) -> int:
    """A statement as somebody else's program would send it."""
    with connect(url) as db:
        return db.change(statement, parameters)
