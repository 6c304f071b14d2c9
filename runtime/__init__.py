"""The bundled runtime: a job worker, a schedule daemon and the tables they share, on MySQL, MariaDB or SQLite.

`from runtime import job, schedule, enqueue` is all that an application needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.handlers import FailedForGood, command, http, job, schedule

__all__ = ["FailedForGood", "command", "enqueue", "http", "job", "schedule"]


def enqueue(job_name: str, payload: Any = None, **options: Any) -> str:
    """Put a job into the queue of DATABASE_URL and wake its worker; the job's id.

    Options: `delay_seconds`, `priority`, `max_attempts`, `timeout_seconds`, `unique_key`.
    """
    from runtime import client

    return client.enqueue(job_name, payload, **options)


def __getattr__(name: str) -> Any:
    # On demand, because deploykit lint imports this package too, for the names of its variables alone.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from runtime import handlers

    return getattr(handlers, name)
