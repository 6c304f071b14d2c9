from __future__ import annotations

import threading

from runtime import embedded, jobs
from runtime.db import Database
from tests.mysql.server import free_port
from tests.runtime.support import ended, eventually, settings


def test_a_worker_that_was_stopped_leaves_nothing_behind_in_the_web_process(db: Database, url: str) -> None:
    """Nor its port, which the next one wants."""
    variables = settings(url, JOB_WORKER_CONCURRENCY="4", WAKE_PORT=str(free_port()), JOBS_MODULE="runtime.demo")
    before = set(threading.enumerate())
    for _ in range(2):
        worker = embedded.start(variables)
        ended(db, jobs.enqueue(db, "noop"))
        assert "wakeup" in {thread.name for thread in set(threading.enumerate()) - before}
        worker.stop()
        eventually(lambda: set(threading.enumerate()) <= before)
