"""What anybody may do with jobs: enqueue, read, cancel, count. The worker's side is runtime/queue.py."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from runtime.db import Database, DatabaseError, Duplicate, Row, instant
from runtime.identity import new_id

DEFAULT_MAX_ATTEMPTS = 3
ATTEMPTS = 10
"""How often we may be too late or too early for somebody else's change of a job."""
ROWS_PER_INSERT = 500
ROWS_PER_COMMIT = 5000
CHARACTERS_PER_INSERT = 1_000_000
PLAIN = (0, DEFAULT_MAX_ATTEMPTS, None, None)
"""Priority, attempts, timeout and key of a job about which nothing was said, as the columns' defaults have them."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to enqueue. Lower priorities run first; `unique_key` allows one unfinished job at a time."""

    name: str
    payload: Any = None
    delay_seconds: float = 0.0
    priority: int = 0
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    timeout_seconds: int | None = None
    unique_key: str | None = None


@dataclass(frozen=True, slots=True)
class JobRow:
    """One row of JobRun. What a table of a Node application does not have is None."""

    id: str
    job_name: str
    status: str
    payload: Any
    priority: int | None
    attempt: int | None
    max_attempts: int | None
    worker_id: str | None
    schedule_id: str | None
    due_at: datetime | None
    run_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    progress: int | None
    last_error: str | None

    @property
    def finished(self) -> bool:
        return self.status in ("COMPLETED", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class QueueSummary:
    """How many jobs are in each state; the age of the oldest waiting one by the database's clock, if one waits."""

    queued: int
    running: int
    scheduled: int
    failed: int
    completed: int
    cancelled: int
    oldest_queued_seconds: float | None


@dataclass(frozen=True, slots=True)
class Hour:
    """Jobs that ended in one hour, the present one being 0 hours ago, by the database's clock.

    ``busy_seconds`` is the time they ran, all workers together; ``late`` how many waited longer than was asked for.
    """

    hours_ago: int
    jobs: int
    busy_seconds: float
    late: int


def enqueue(
    db: Database,
    job_name: str,
    payload: Any = None,
    *,
    delay_seconds: float = 0.0,
    priority: int = 0,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    timeout_seconds: int | None = None,
    unique_key: str | None = None,
    job_id: str | None = None,
) -> str:
    """Put a job into the queue and return its id.

    With a `unique_key` that an unfinished job holds already, nothing is added and that job's id comes back. With a
    `job_id` of your own you may call this again when the answer was lost: the job is added once. Raises `Duplicate` for
    a unique key that the application has added to the table.
    """
    job = NewJob(job_name, payload, delay_seconds, priority, max_attempts, timeout_seconds, unique_key)
    row = _row(job) | ({"id": job_id} if job_id else {})
    for attempt in range(1, ATTEMPTS + 1):
        try:
            db.execute("jobs.enqueue_later" if row["delay_ms"] else "jobs.enqueue", **row)
            return str(row["id"])
        except Duplicate:
            if db.fetch("jobs.read", id=row["id"]):
                return str(row["id"])
            holder = db.fetch("jobs.holder_of_key", active_key=unique_key)
            if holder:
                return str(holder[0]["id"])
            # It finished between our INSERT and our look, and the key is free; or it is a key of the application.
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def enqueue_many(db: Database, jobs: Iterable[NewJob]) -> list[str]:
    """Put many jobs into the queue, 5,000 to a transaction; their ids in order.

    Raises `Duplicate` when a `unique_key` is taken: then none of that transaction's jobs was added.
    """
    remaining, ids = iter(jobs), list[str]()
    while chunk := list(islice(remaining, ROWS_PER_COMMIT)):
        ids += db.transact(partial(_insert, db, chunk))
    return ids


def _insert(db: Database, jobs: Sequence[NewJob]) -> list[str]:
    ids = list[str]()

    def batches() -> Iterator[tuple[str, list[Row]]]:
        for rows in _statements(map(_row, jobs)):
            ids.extend(row["id"] for row in rows)
            alike: dict[str, list[Row]] = {}
            for row in rows:
                alike.setdefault(_insert_for(row), []).append(row)
            yield from alike.items()

    db.insert_rows(batches())
    return ids


def _statements(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows in lists of 500, and of a million characters: servers refuse a statement that is too long."""
    together, length = list[Row](), 0
    for row in rows:
        together.append(row)
        length += len(row["payload"] or "")
        if len(together) == ROWS_PER_INSERT or length >= CHARACTERS_PER_INSERT:
            yield together
            together, length = [], 0
    if together:
        yield together


def _insert_for(row: Row) -> str:
    """The shortest INSERT that says everything about a job: a value more in each row costs a bulk a tenth."""
    if row["delay_ms"]:
        return "jobs.enqueue_later"
    plain = (row["priority"], row["max_attempts"], row["timeout_seconds"], row["active_key"]) == PLAIN
    return "jobs.enqueue_plain" if plain else "jobs.enqueue"


def _row(job: NewJob) -> Row:
    return {
        "id": new_id(),
        "name": job.name,
        "payload": None if job.payload is None else json.dumps(job.payload, ensure_ascii=False),
        "delay_ms": max(0, round(job.delay_seconds * 1000)),
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "timeout_seconds": job.timeout_seconds,
        "active_key": job.unique_key,
    }


def read(db: Database, job_id: str) -> JobRow | None:
    rows = db.fetch("jobs.read", id=job_id)
    return _job_row(rows[0]) if rows else None


def recent(db: Database, status: str | None = None, limit: int = 20) -> list[JobRow]:
    """The jobs enqueued last, the latest first."""
    if status is None:
        return [_job_row(row) for row in db.fetch("jobs.recent", limit=limit)]
    return [_job_row(row) for row in db.fetch("jobs.recent_in_status", status=status, limit=limit)]


def _job_row(row: Row) -> JobRow:
    return JobRow(
        id=row["id"],
        job_name=row["jobName"],
        status=row["status"],
        payload=parse_payload(row.get("payload")),
        priority=row.get("priority"),
        attempt=row.get("attempt"),
        max_attempts=row.get("maxAttempts"),
        worker_id=row.get("workerId"),
        schedule_id=row.get("scheduleId"),
        due_at=instant(row.get("dueAt")),
        run_at=instant(row.get("runAt")),
        queued_at=instant(row.get("queuedAt")),
        started_at=instant(row.get("startedAt")),
        finished_at=instant(row.get("finishedAt")),
        progress=row.get("progress"),
        last_error=row.get("lastError"),
    )


def parse_payload(text: str | None) -> Any:
    """The payload as JSON; as plain text where somebody stored something else."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def logs(db: Database, job_id: str, limit: int = 200) -> list[Row]:
    """The lines a job wrote, oldest first: attempt, level, message, createdAt."""
    return db.fetch("jobs.logs", id=job_id, limit=limit)


def summary(db: Database) -> QueueSummary:
    rows = {row["status"]: row for row in db.fetch("jobs.summary")}
    count = {status: int(row["jobs"]) for status, row in rows.items()}
    oldest = rows["QUEUED"]["oldestSeconds"] if "QUEUED" in rows else None
    return QueueSummary(
        queued=count.get("QUEUED", 0),
        running=count.get("RUNNING", 0),
        scheduled=count.get("SCHEDULED", 0),
        failed=count.get("FAILED", 0),
        completed=count.get("COMPLETED", 0),
        cancelled=count.get("CANCELLED", 0),
        oldest_queued_seconds=None if oldest is None else max(0.0, float(oldest)),
    )


def by_hour(db: Database, *, seconds: int, patience_seconds: float) -> list[Hour]:
    """How jobs went in the last `seconds`, the latest hour first; an hour without a job has no entry."""
    rows = db.fetch("jobs.by_hour", seconds=seconds, patience_ms=round(patience_seconds * 1000))
    return [
        Hour(int(row["hoursAgo"]), int(row["jobs"]), max(0.0, float(row["busySeconds"])), int(row["late"]))
        for row in rows
    ]


def waiting_without_handler(db: Database, known: Sequence[str]) -> dict[str, int]:
    """Jobs that are ready but that no handler of ours can run: name → how many."""
    rows = db.fetch("jobs.waiting_names")
    return {row["jobName"]: int(row["jobs"]) for row in rows if row["jobName"] not in known}


def cancel(db: Database, job_id: str) -> str | None:
    """Cancel a job: `cancelled` at once while it waits, `requested` while it runs, `finished` when it is too late.

    None when there is no such job. A running job is told within a few seconds, and its row becomes CANCELLED when its
    worker has acknowledged. Raises `DatabaseError` for a job in a status of the application's own.
    """
    row = None
    for _ in range(ATTEMPTS):
        for query, answer in (("jobs.cancel_waiting", "cancelled"), ("jobs.request_cancel", "requested")):
            if db.execute(query, id=job_id):
                return answer
        row = read(db, job_id)
        if row is None or row.finished:
            return None if row is None else "finished"
        # It ran when we took it for waiting, and waited when we took it for running: look again.
    raise DatabaseError(f"job {job_id} is neither waiting nor running nor finished: {row and row.status}")


def requeue(db: Database, job_id: str) -> bool:
    """Start a failed or cancelled job again with all its attempts; False when it is neither."""
    return db.execute("jobs.requeue", ids=[job_id], statuses=["FAILED", "CANCELLED"]) == 1


def requeue_failed(db: Database, job_name: str | None = None) -> int:
    """Start every failed job again, or those of one name, with all their attempts; how many. 500 to a transaction.

    Each of them once, also when it fails again at once.
    """
    count, after = 0, ""
    while rows := db.fetch("jobs.failed", job_name=job_name, after=after):
        ids = [row["id"] for row in rows]
        count += db.transact(partial(db.execute, "jobs.requeue", ids=ids, statuses=["FAILED"]))
        after = ids[-1]
    return count
