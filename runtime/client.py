"""Enqueueing from an application: one connection kept open, and a knock so that the job starts at once."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from runtime import jobs
from runtime.db import Database, Unreachable, connect
from runtime.db.pool import Exhausted
from runtime.identity import new_id
from runtime.settings import Settings
from runtime.wakeup import Wakeup


class _Own:
    """A connection that is kept open, for one thread at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.db: Database | None = None


_own: dict[tuple[int, str], _Own] = {}
"""By process and URL: a forked child that spoke over its parent's connection would read its parent's answers."""
_wakeups: dict[tuple[tuple[str, int], ...], Wakeup] = {}


def enqueue(job_name: str, payload: Any = None, **options: Any) -> str:
    """See `runtime.enqueue`. Safe from several threads."""
    settings = Settings.from_env()
    options.setdefault("job_id", new_id())
    job_id = _insert(settings.require_database_url(), job_name, payload, options)
    addresses = settings.wake_addresses
    _wakeups.setdefault(addresses, Wakeup(addresses)).send()
    wake_this_process()
    return job_id


def _insert(url: str, job_name: str, payload: Any, options: dict[str, Any]) -> str:
    try:
        with _connection(url) as db:
            return jobs.enqueue(db, job_name, payload, **options)
    except Exhausted:
        raise
    except Unreachable:
        # The server may have closed a connection that was idle for hours. The first INSERT may have arrived all the
        # same; the id, which is ours, says so then.
        with _connection(url) as db:
            return jobs.enqueue(db, job_name, payload, **options)


@contextmanager
def _connection(url: str) -> Iterator[Database]:
    """One of the process's own connections where it has a worker, which is one of its budget; else ours, in turns."""
    start = sys.modules.get("runtime.start")  # a process without a worker does not load its code
    process = os.getpid()
    if start is not None and (process, url) in start.pools:
        with start.pools[process, url].lend() as db:
            yield db
        return
    own = _own.setdefault((process, url), _Own())
    with own.lock:
        own.db = own.db or connect(url)
        yield own.db


def wake_this_process() -> None:
    """Wake an embedded worker, if this process has one; does not load the worker's code otherwise."""
    embedded = sys.modules.get("runtime.embedded")
    if embedded is not None:
        embedded.wake_here()
