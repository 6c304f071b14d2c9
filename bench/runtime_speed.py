"""How fast jobs go in and out, beside the bare SQL that nobody can do without."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pymysql

from bench.runtime_server import empty, url
from runtime import jobs
from runtime.db import Database
from runtime.identity import new_id
from runtime.jobs import NewJob
from tests.mysql.server import Server

REPOSITORY = Path(__file__).parents[1]
JOBS = 20_000
SINGLES = 1_500
BULK = 40_000


def fill(db: Database, name: str = "noop", count: int = JOBS) -> None:
    empty(db)
    jobs.enqueue_many(db, [NewJob(name)] * count)


def drained_per_second(db: Database, count: int = JOBS) -> float:
    """By the database's clock: from the first claim to the last completion."""
    [row] = db.rows("SELECT TIMESTAMPDIFF(MICROSECOND, MIN(startedAt), MAX(finishedAt)) AS us FROM JobRun", {})
    return count / (float(row["us"]) / 1e6)


def bare_drain(server: Server, db: Database, processes: int, batch: int, count: int = JOBS) -> float:
    fill(db, count=count)
    command = [sys.executable, "-m", "bench.bare_loop", str(server.port), str(batch)]
    started = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) for _ in range(processes)]
    for process in started:
        process.wait(300)
    return drained_per_second(db, count)


def runtime_drain(server: Server, db: Database, processes: int, name: str = "noop", **variables: str) -> float:
    fill(db, name)
    with workers(server, processes, **variables):
        _wait(db, JOBS)
    return drained_per_second(db)


@contextmanager
def workers(
    server: Server, count: int, kind: str = "worker", **variables: str
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Worker processes with default settings, except for `variables`; ended with SIGTERM."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "DATABASE_URL": url(server),
        "JOBS_MODULE": "bench.runtime_jobs",
        "SCHEDULE_DAEMON_ENABLED": "true",
        **variables,
    }
    command = [sys.executable, "-m", "runtime", kind]
    started = [
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)


def _wait(db: Database, count: int) -> None:
    while jobs.summary(db).completed < count:
        time.sleep(0.2)


def bulk_enqueue(db: Database) -> float:
    empty(db)
    wanted = [NewJob("noop")] * BULK
    began = time.monotonic()
    jobs.enqueue_many(db, wanted)
    return BULK / (time.monotonic() - began)


def bare_bulk_enqueue(server: Server, db: Database, rows: int = 500) -> float:
    """The same rows, written out beforehand."""
    empty(db)
    statements = [
        "INSERT INTO JobRun (id, jobName, status, runAt) VALUES "
        + ",".join(f"('{new_id()}','noop','QUEUED',UTC_TIMESTAMP(3))" for _ in range(rows))
        for _ in range(BULK // rows)
    ]
    return BULK / _timed(server, statements)


def single_enqueue(db: Database) -> float:
    empty(db)
    began = time.monotonic()
    for _ in range(SINGLES):
        jobs.enqueue(db, "noop")
    return SINGLES / (time.monotonic() - began)


def bare_single_enqueue(server: Server, db: Database) -> float:
    empty(db)
    insert = "INSERT INTO JobRun (id, jobName, status, runAt) VALUES ('{}','noop','QUEUED',UTC_TIMESTAMP(3))"
    return SINGLES / _timed(server, [insert.format(new_id()) for _ in range(SINGLES)])


def _timed(server: Server, statements: Sequence[str]) -> float:
    connection = pymysql.connect(
        host="127.0.0.1", port=server.port, user="bench", database="runtime", autocommit=True, ssl_disabled=True
    )
    with connection, connection.cursor() as cursor:
        began = time.monotonic()
        for statement in statements:
            cursor.execute(statement)
        return time.monotonic() - began
