"""The jobs that are measured: they do nothing, so that what is measured is the runtime."""

from __future__ import annotations

import time

from runtime import job
from runtime.context import Job


@job()
def noop(job: Job) -> None:
    """Nothing."""


@job()
def commit(job: Job) -> None:
    """Nothing, completed in a transaction of its own."""
    with job.transaction():
        pass


@job()
def sleep(job: Job) -> None:
    """An hour's work, for a process that will be killed."""
    until = time.monotonic() + 3600
    while time.monotonic() < until and job.attempt == 1:
        time.sleep(0.05)
