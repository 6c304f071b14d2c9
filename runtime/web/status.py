"""`/deploykit/status`: what the job tables say, for a `deploykit verify` that cannot reach a private database.

The process asks its own database and hands on what it reads; payloads, errors and settings are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

from runtime import heartbeats, jobs, lease, schedules
from runtime.db import Database, SchemaError, instant, server_facts

SCHEMA = "deploykit.status/1"
ROWS_MOST = 1000
"""Of heartbeats and schedules; the heartbeats left out are the oldest."""
RUNNING_MOST = 50
T = TypeVar("T")


def read(db: Database) -> dict[str, Any]:
    """Everything at one look. Needs SELECT only; raises `DatabaseError` when the heartbeats cannot be read.

    What a Node application's tables do not have is null, and named in `unread`.
    """
    now = instant(db.fetch("server.now")[0]["now"])
    assert now is not None
    beats = heartbeats.read(db)[:ROWS_MOST]
    unread: list[str] = []

    def part(name: str, look: Callable[[Database], T]) -> T | None:
        try:
            return look(db)
        except SchemaError:
            unread.append(name)
            return None

    planned = part("schedules", schedules.read)
    queue = part("queue", jobs.summary)
    holder = part("lease", lease.read)
    server = part("server", server_facts)
    running = part("running", lambda db: jobs.recent(db, status="RUNNING", limit=RUNNING_MOST)) or []
    found = {
        "schema": SCHEMA,
        "now": now,
        "heartbeats": [asdict(beat) for beat in beats],
        "schedules": None if planned is None else [asdict(schedule) for schedule in planned[:ROWS_MOST]],
        "queue": queue and asdict(queue),
        "lease": holder and asdict(holder),
        "server": server and asdict(server),
        "waiting": part("waiting", lambda db: jobs.waiting_without_handler(db, ())) or {},
        "running": [
            [job.id, job.job_name, (now - job.started_at).total_seconds()] for job in running if job.started_at
        ],
        "unread": unread,
    }
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """The value as JSON knows it; times in ISO 8601."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, datetime) else value
