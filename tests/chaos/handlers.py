"""The jobs of the fault scenarios. Every attempt writes down that it began and how it ended."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runtime import job, slots
from runtime.context import Job
from runtime.queue import Outcome


def _write_down(event: str, job: Job) -> None:
    """One line, appended in one system call, so that lines of several processes do not mix."""
    line: dict[str, Any] = {"event": event, "job": job.id, "attempt": job.attempt, "pid": os.getpid()}
    descriptor = os.open(os.environ["CHAOS_EXECUTIONS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


@contextmanager
def _written_down(job: Job) -> Iterator[None]:
    _write_down("begin", job)
    yield
    _write_down("end", job)


_interrupted = slots._interrupted


def _told(running: slots.Running) -> Outcome:
    """An attempt that the worker ended and gives back.

    Written down here, where that is decided: in a handler the exception may arrive while it is writing down.
    """
    outcome = _interrupted(running)
    if outcome.verdict == "released":
        _write_down("told", running.job)
    return outcome


slots._interrupted = _told


@job()
def work(job: Job) -> None:
    """Takes `payload["seconds"]`, and ends early when it is told to."""
    with _written_down(job):
        until = time.monotonic() + float((job.payload or {}).get("seconds", 0))
        while time.monotonic() < until:
            time.sleep(0.01)


@job()
def effect(job: Job) -> None:
    """Writes a row of the application in the transaction that completes the job."""
    with _written_down(job):
        time.sleep(float((job.payload or {}).get("seconds", 0)))
        with job.transaction() as cursor:
            place = "?" if isinstance(cursor, sqlite3.Cursor) else "%s"
            cursor.execute(f"INSERT INTO Effect (jobId, attempt) VALUES ({place}, {place})", (job.id, job.attempt))


@job()
def poison(job: Job) -> None:
    """Takes its whole process with it, as a job without enough memory does."""
    _write_down("begin", job)
    os.kill(os.getpid(), signal.SIGKILL)


@job()
def unspeakable(job: Job) -> None:
    """Fails with an error that no database can store as it is."""
    job.log("half a character: \ud83d")
    raise RuntimeError("half a character: \ud83d")
