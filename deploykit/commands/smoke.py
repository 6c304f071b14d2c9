"""The last two items of the guide's checklist, done and not merely looked at: one job, one schedule, to the end.

The only part of verify that writes: it enqueues, and switches one schedule on and back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import runtime.db
from deploykit.profile.schema import Profile
from deploykit.verification.census import WORKER, promised_poll_ms
from deploykit.verification.evidence import Step
from runtime import jobs, schedules
from runtime.db import Database, DatabaseError

JOB = "noop"
LOOK_EVERY_SECONDS = 0.25
PATIENCE_SECONDS = 30.0
"""Beyond two polls of the worker: time to run the job and to write down that it ended."""


def smoke(
    url: str, profile: Profile, report: Callable[[str], None], *, job: str = JOB, schedule: str | None = None
) -> tuple[Step, ...]:
    """Follow a no-op job to its end, then one schedule switched on and run now. Raises nothing: a failure is a step."""
    patience = patience_seconds(profile)
    try:
        with runtime.db.connect(url) as db:
            return (_job(db, job, patience, report), _schedule(db, job, schedule, patience, report))
    except DatabaseError as error:
        return (Step("smoke:job", "inconclusive", f"the database gave up: {error.message}", error.hint),)


def patience_seconds(profile: Profile) -> float:
    """How long an idle worker of this profile may take to notice and finish a job that does nothing."""
    polls = [promised_poll_ms(service, WORKER) / 1000 for service in profile.workers]
    return 2 * max(polls, default=5.0) + PATIENCE_SECONDS


def _job(db: Database, name: str, patience: float, report: Callable[[str], None]) -> Step:
    began = time.monotonic()
    report(f"enqueued a {name} job; following it to its end")
    row = _follow(db, jobs.enqueue(db, name, max_attempts=1), patience)
    return _verdict("smoke:job", f"a {name} job", row, time.monotonic() - began)


def _schedule(db: Database, job: str, wanted: str | None, patience: float, report: Callable[[str], None]) -> Step:
    known = schedules.read(db)
    chosen = next((s for s in known if s.name == wanted), None) if wanted else _harmless(known, job)
    if chosen is None:
        what = f"there is no schedule {wanted!r}" if wanted else f"no schedule runs the {job} job"
        names = ", ".join(schedule.name for schedule in known) or "none"
        verdict = "fail" if wanted else "inconclusive"
        return Step("smoke:schedule", verdict, what, f"name one with --smoke-schedule; known: {names}")
    began = time.monotonic()
    report(f"switched schedule {chosen.name} on and ran it now; following its job to its end")
    with _enabled(db, chosen):
        row = _follow(db, schedules.run_now(db, chosen.name), patience)
    return _verdict(
        "smoke:schedule", f"schedule {chosen.name}, enabled and run now: its job", row, time.monotonic() - began
    )


def _harmless(known: list[schedules.Schedule], job: str) -> schedules.Schedule | None:
    """A schedule whose job does nothing; which others are harmless only their owner knows."""
    return next((schedule for schedule in known if schedule.job_name == job), None)


@contextmanager
def _enabled(db: Database, schedule: schedules.Schedule) -> Iterator[None]:
    """Switch a schedule on for a while, and leave it as it was found, whatever happens."""
    if schedule.enabled:
        yield
        return
    schedules.enable(db, schedule.name)
    try:
        yield
    finally:
        schedules.disable(db, schedule.name)


def _follow(db: Database, job_id: str, patience: float) -> jobs.JobRow | None:
    deadline = time.monotonic() + patience
    row = jobs.read(db, job_id)
    while row is not None and not row.finished and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_SECONDS)
        row = jobs.read(db, job_id)
    return row


def _verdict(identity: str, what: str, row: jobs.JobRow | None, seconds: float) -> Step:
    if row is None:
        return Step(identity, "fail", f"{what} vanished from the queue", "look who deletes from JobRun")
    facts = {"job_id": row.id, "status": row.status, "worker_id": row.worker_id, "seconds": round(seconds, 1)}
    if row.status == "COMPLETED":
        return Step(identity, "pass", f"{what} ran to completion in {seconds:.1f} s", "", facts)
    if row.finished:
        error = f": {row.last_error}" if row.last_error else ""
        return Step(identity, "fail", f"{what} is {row.status}{error}", "read the worker's log", facts)
    hint = "deploykit doctor names the cause; a worker without a handler for that name leaves it alone"
    return Step(identity, "fail", f"{what} is still {row.status} after {seconds:.0f} s", hint, facts)
