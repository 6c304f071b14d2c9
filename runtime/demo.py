"""Jobs and schedules to try the runtime with: JOBS_MODULE=runtime.demo."""

from __future__ import annotations

import time

from runtime.context import Job
from runtime.handlers import job, schedule


@job()
def noop(job: Job) -> None:
    """Does nothing, successfully."""


@job("demo-sleep")
def sleep(job: Job) -> None:
    """Works for `payload["seconds"]`, ends early when it is told to."""
    until = time.monotonic() + float((job.payload or {}).get("seconds", 1))
    while time.monotonic() < until and not job.stopping:
        time.sleep(0.05)


@job("demo-fail")
def fail(job: Job) -> None:
    """Fails every time, to show retries."""
    raise RuntimeError(f"attempt {job.attempt} failed, as asked")


@job("demo-report")
def report(job: Job) -> None:
    """Writes what a queue report would: a line in the job's log and its progress."""
    job.log(f"report for {job.due_at or 'now'}")
    job.progress(100)


# Disabled until somebody switches them on: the guide enables one by hand after the deploy.
schedule("hourly-report", "demo-report", cron="0 * * * *")
schedule("nightly-clean-up", "noop", cron="30 3 * * *", payload={"keep_days": 30})
schedule("weekly-digest", "noop", cron="0 8 * * MON", overlap="SKIP")
