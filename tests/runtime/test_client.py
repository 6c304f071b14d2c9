from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from runtime import client, jobs
from runtime.context import Job
from runtime.db import Database, Unreachable, connect
from runtime.jobs import NewJob
from runtime.loop import Stop
from runtime.worker import Worker
from tests.runtime.support import LONGEST_SECONDS, ended, eventually, registry, running, settings


def test_an_enqueue_whose_answer_is_lost_adds_one_job(db: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    execute, lost = Database.execute, list[str]()

    def lose_the_first_answer(self: Database, query: str, **parameters: Any) -> int:
        count = execute(self, query, **parameters)
        if not lost:
            lost.append(query)
            raise Unreachable("the connection broke")
        return count

    monkeypatch.setattr(Database, "execute", lose_the_first_answer)
    job_id = client.enqueue("mail", {"a": 1})
    assert lost == ["jobs.enqueue"]
    assert [row.id for row in jobs.recent(db)] == [job_id]


def test_jobs_that_enqueue_stay_within_the_connections_of_their_process(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    dialled, dial = list[Database](), connect

    def counted(*words: Any, **options: Any) -> Database:
        dialled.append(dial(*words, **options))
        return dialled[-1]

    monkeypatch.setattr("runtime.start.connect", counted)
    monkeypatch.setattr("runtime.client.connect", counted)
    together = threading.Barrier(4)

    def parent(job: Job) -> None:
        together.wait(LONGEST_SECONDS)
        client.enqueue("child")

    limits = settings(url, JOB_WORKER_CONCURRENCY="4", DATABASE_CONNECTION_LIMIT="4")
    jobs.enqueue_many(db, [NewJob("parent")] * 4)
    with running(Worker(limits, registry(parent=parent, child=lambda job: None), Stop())):
        eventually(lambda: jobs.summary(db).completed == 8)
    assert len(dialled) <= 4


def in_a_child(action: Callable[[], object]) -> bool:
    """Whether the action succeeds in a forked process."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def test_a_forked_process_does_not_speak_over_its_parents_connection(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two on one connection read each other's answers: of 400 jobs that were said to be enqueued, some were not."""
    monkeypatch.setenv("DATABASE_URL", url)
    dialled = list[str]()

    def counted(url: str) -> Database:
        dialled.append(url)
        return connect(url)

    monkeypatch.setattr("runtime.client.connect", counted)

    def enqueue_on_a_connection_of_its_own() -> None:
        before = len(dialled)
        client.enqueue("child")
        assert len(dialled) == before + 1

    def parent(job: Job) -> None:
        client.enqueue("child")  # the worker's process has a connection open now
        assert in_a_child(enqueue_on_a_connection_of_its_own)

    client.enqueue("parent")
    assert in_a_child(enqueue_on_a_connection_of_its_own)
    with running(Worker(settings(url), registry(parent=parent, child=lambda job: None), Stop())):
        eventually(lambda: jobs.summary(db).completed == 4)


def test_a_job_that_enqueues_where_no_connection_is_left_is_told_the_cure(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    job_id = jobs.enqueue(db, "parent", max_attempts=1)
    limits = settings(url, DATABASE_CONNECTION_LIMIT="2")

    def parent(job: Job) -> None:
        client.enqueue("child")

    me = Worker(limits, registry(parent=parent), Stop())
    me._pool._wait_seconds = 0.01
    with running(me):
        row = ended(db, job_id, "FAILED")
    assert "raise DATABASE_CONNECTION_LIMIT" in (row.last_error or "")
