"""Jobs of a Python application: JOBS_MODULE=jobs"""

from __future__ import annotations

from runtime import FailedForGood, enqueue, job, schedule
from runtime.context import Job


@job("send-mail", timeout_seconds=60)
def send_mail(job: Job) -> None:
    """May run twice for the same job, so the mail's id is the job's: the mail service drops the second one."""
    if "@" not in job.payload["to"]:
        raise FailedForGood(f"{job.payload['to']!r} is no address")
    job.log(f"sent as {job.id} to {job.payload['to']}")


@job("charge", timeout_seconds=30)
def charge(job: Job) -> None:
    """Exactly once, even through kill -9: the row and the completion are one transaction."""
    with job.transaction() as cursor:
        cursor.execute("INSERT INTO Payment (id, cents) VALUES (%s, %s)", (job.id, job.payload["cents"]))


@job("digest")
def digest(job: Job) -> None:
    """A long job looks at `job.stopping` and shows how far it is."""
    for number in range(100):
        if job.stopping:
            return
        job.progress(number + 1)
        enqueue("send-mail", {"to": f"user{number}@example.org"}, unique_key=f"digest:{job.due_at}:{number}")


schedule("nightly-digest", "digest", cron="0 3 * * *", timezone="Europe/Berlin", misfire="ONCE", overlap="SKIP")
