"""What waiting costs: from enqueue to start, an empty look at the queue, a killed worker, an idle hour."""

from __future__ import annotations

import os
import random
import socket
import time
from pathlib import Path
from statistics import median, quantiles

from bench.runtime_server import empty, url
from bench.runtime_speed import workers
from runtime import embedded, heartbeats, jobs, schedules
from runtime.db import Database
from runtime.handlers import ScheduleDefinition
from runtime.queue import Queue
from runtime.settings import Settings
from runtime.wakeup import Wakeup
from tests.mysql.server import Server

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


# --- from enqueue to start ------------------------------------------------------------------------------------------


def latencies_ms(db: Database) -> list[float]:
    rows = db.rows("SELECT TIMESTAMPDIFF(MICROSECOND, queuedAt, startedAt) / 1000 AS ms FROM JobRun", {})
    return sorted(float(row["ms"]) for row in rows)


def percentiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99."""
    return median(values), quantiles(values, n=100, method="inclusive")[98]


def embedded_latency(server: Server, db: Database, count: int = 200) -> list[float]:
    """Enqueued by the web process whose embedded worker runs it; the poll interval is 30 s."""
    empty(db)
    settings = Settings.from_env(
        {"DATABASE_URL": url(server), "JOBS_MODULE": "bench.runtime_jobs", "JOB_WORKER_POLL_INTERVAL_MS": "30000"}
    )
    worker = embedded.start(settings)
    _registered(db)
    for _ in range(count):
        jobs.enqueue(db, "noop")
        embedded.wake_here()
        time.sleep(0.02)
    _completed(db, count)
    worker.stop()
    return latencies_ms(db)


def nudged_latency(server: Server, db: Database, count: int = 200) -> list[float]:
    """Enqueued by another process, which sends a datagram; the poll interval is 30 s."""
    empty(db)
    port = _free_udp_port()
    wakeup = Wakeup((("127.0.0.1", port),))
    with workers(server, 1, WAKE_PORT=str(port), JOB_WORKER_POLL_INTERVAL_MS="30000"):
        _registered(db)
        for _ in range(count):
            jobs.enqueue(db, "noop")
            wakeup.send()
            time.sleep(0.15)
        _completed(db, count)
    return latencies_ms(db)


def polled_latency(server: Server, db: Database, count: int = 60) -> list[float]:
    """Enqueued by somebody who tells nobody; the poll interval is 1 s."""
    empty(db)
    chance = random.Random(1)
    with workers(server, 1, JOB_WORKER_POLL_INTERVAL_MS="1000"):
        _registered(db)
        for _ in range(count):
            jobs.enqueue(db, "noop")
            time.sleep(chance.uniform(0.2, 0.7))
        _completed(db, count)
    return latencies_ms(db)


def _registered(db: Database) -> None:
    while not any(beat.status == "RUNNING" for beat in heartbeats.read(db)):
        time.sleep(0.02)
    time.sleep(0.3)


def _completed(db: Database, count: int) -> None:
    while jobs.summary(db).completed < count:
        time.sleep(0.05)


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# --- an empty look --------------------------------------------------------------------------------------------------


def empty_poll(db: Database, history: int, future: int) -> tuple[float, int]:
    """Milliseconds and rows touched by one look at a queue without work, beside so many other rows."""
    empty(db)
    _rows(db, history, "COMPLETED", "2026-01-01 00:00:00.000")
    _rows(db, future, "SCHEDULED", "2099-01-01 00:00:00.000")
    db.change("ANALYZE TABLE JobRun", {})
    queue = Queue(db)
    for _ in range(50):
        queue.glance()
    times = []
    for _ in range(200):
        began = time.perf_counter()
        queue.glance()
        times.append((time.perf_counter() - began) * 1000)
    db.change("FLUSH STATUS", {})
    queue.glance()
    reads = sum(int(row["Value"]) for row in db.rows("SHOW SESSION STATUS LIKE 'Handler_read%%'", {}))
    return median(times), reads


def _rows(db: Database, count: int, status: str, run_at: str) -> None:
    step = 50_000
    for first in range(0, count, step):
        db.change(
            "INSERT INTO JobRun (id, jobName, status, runAt, finishedAt) "
            f"WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + step - 1}) "
            f"SELECT /*+ SET_VAR(cte_max_recursion_depth = {step + 1}) */ CONCAT('{status}-', i), 'noop', '{status}', "
            f"'{run_at}', IF('{status}' = 'COMPLETED', '{run_at}', NULL) FROM n",
            {},
        )


# --- a killed worker, two daemons -----------------------------------------------------------------------------------


def recovery_seconds(server: Server, db: Database, *, same_container: bool) -> float:
    """From kill -9 of a worker in the middle of a job to the job's start elsewhere, with default settings."""
    empty(db)
    container = {"RAILWAY_DEPLOYMENT_ID": "d1", "RAILWAY_REPLICA_ID": "r1"} if same_container else {}
    job = jobs.enqueue(db, "sleep")
    with workers(server, 1, **container) as [first]:
        while jobs.summary(db).running == 0:
            time.sleep(0.02)
        first.kill()
        first.wait()
        killed_at = time.monotonic()
        with workers(server, 1, **container):
            while (row := jobs.read(db, job)) is None or (row.attempt or 0) < 2:
                time.sleep(0.02)
            return time.monotonic() - killed_at


def double_fires(server: Server, db: Database, seconds: int = 20) -> tuple[int, int]:
    """Due times and duplicates of a schedule that fires each second under two daemons."""
    empty(db)
    schedules.sync(db, [ScheduleDefinition("tick", "noop", every_seconds=1, enabled=True)])
    db.change("UPDATE JobSchedule SET source = 'MANUAL'", {})
    with workers(server, 2, kind="daemon"):
        time.sleep(seconds)
    [row] = db.rows("SELECT COUNT(*) AS jobs, COUNT(DISTINCT dueAt) AS due FROM JobRun", {})
    return int(row["due"]), int(row["jobs"]) - int(row["due"])


# --- idle -----------------------------------------------------------------------------------------------------------


def idle(server: Server, db: Database, kind: str, variables: dict[str, str], seconds: int = 60) -> dict[str, float]:
    """A process in the pre-launch settings, after a minute: what it holds and asks for in the next."""
    empty(db)
    user = f"idle_{kind}"
    db.change(f"CREATE USER IF NOT EXISTS {user}@'127.0.0.1'", {})
    db.change(f"GRANT ALL ON runtime.* TO {user}@'127.0.0.1'", {})
    own_url = url(server).replace("bench@", f"{user}@").partition("?")[0]
    settings = {"JOBS_MODULE": "runtime.demo", "NODE_ENV": "production", "DATABASE_CONNECTION_LIMIT": "5"}
    with workers(server, 1, kind, **settings, **variables, DATABASE_URL=own_url) as [process]:
        time.sleep(seconds)
        queries, cpu = statements(db, user), cpu_seconds(process.pid)
        time.sleep(seconds)
        return {
            "rss_mib": rss_bytes(process.pid) / 2**20,
            "queries_a_minute": (statements(db, user) - queries) * 60 / seconds,
            "cpu_seconds_a_minute": (cpu_seconds(process.pid) - cpu) * 60 / seconds,
        }


def statements(db: Database, user: str) -> int:
    """How many this user has sent so far."""
    [row] = db.rows(
        "SELECT SUM(COUNT_STAR) AS statements FROM performance_schema.events_statements_summary_by_user_by_event_name "
        "WHERE USER = %(user)s AND EVENT_NAME LIKE 'statement/sql/%%'",
        {"user": user},
    )
    return int(row["statements"] or 0)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
