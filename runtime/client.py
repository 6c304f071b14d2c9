"""Enqueueing from an application: one connection kept open, and a knock so that the job starts at once."""

from __future__ import annotations

import sys
import threading
from typing import Any

from runtime import jobs
from runtime.db import Database, Unreachable, connect
from runtime.identity import new_id
from runtime.settings import Settings
from runtime.wakeup import Wakeup

_lock = threading.Lock()
_open: tuple[str, Database, Wakeup] | None = None


def enqueue(job_name: str, payload: Any = None, **options: Any) -> str:
    """See `runtime.enqueue`. Safe from several threads; they take turns."""
    global _open
    with _lock:
        settings = Settings.from_env()
        url = settings.require_database_url()
        if _open is None or _open[0] != url:
            _open = (url, connect(url), Wakeup(settings.wake_addresses))
        _, db, wakeup = _open
        options.setdefault("job_id", new_id())
        try:
            job_id = jobs.enqueue(db, job_name, payload, **options)
        except Unreachable:
            # The server may have closed a connection that was idle for hours. The first INSERT may have arrived all the
            # same; the id, which is ours, says so then.
            job_id = jobs.enqueue(db, job_name, payload, **options)
        wakeup.send()
    wake_this_process()
    return job_id


def wake_this_process() -> None:
    """Wake an embedded worker, if this process has one; does not load the worker's code otherwise."""
    embedded = sys.modules.get("runtime.embedded")
    if embedded is not None:
        embedded.wake_here()
