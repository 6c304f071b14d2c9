from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from runtime import client, jobs, wakeup
from runtime.db import connect
from runtime.loop import Stop
from runtime.migrations import migrate
from runtime.wakeup import KNOCK, Listener, Wakeup, listen
from runtime.worker import Worker
from tests.runtime.support import LONGEST_SECONDS, ended, eventually, registry, running, settings


def test_a_knock_wakes_the_listener_and_noise_does_not() -> None:
    woken = threading.Semaphore(0)
    listener = Listener(0, lambda: woken.release())
    listener.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"noise", ("127.0.0.1", listener.port))
        sock.sendto(KNOCK, ("127.0.0.1", listener.port))
    assert woken.acquire(timeout=LONGEST_SECONDS)
    assert not woken.acquire(blocking=False)


def test_a_knock_after_the_look_is_never_forgotten() -> None:
    """The job may have been enqueued between the worker's look and the second knock."""
    woken = threading.Semaphore(0)
    listener = Listener(0, lambda: woken.release())
    listener.start()
    knocker = Wakeup([("127.0.0.1", listener.port)])
    for _ in range(3):
        knocker.send()
        assert woken.acquire(timeout=LONGEST_SECONDS)


def test_nobody_at_home_is_no_error() -> None:
    Wakeup([("127.0.0.1", 9), ("no-such-host.invalid", 9), ("x" * 70 + ".invalid", 9)]).send()
    Wakeup([]).send()


def test_a_name_server_that_does_not_answer_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    give_up, answered = threading.Event(), list[str]()

    def wait(host: str, port: int, **options: object) -> list[object]:
        give_up.wait(LONGEST_SECONDS)
        answered.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    monkeypatch.setattr(wakeup, "RESOLVE_PATIENCE_SECONDS", 0.01)
    Wakeup([("worker.internal", 9)]).send()
    assert answered == []
    give_up.set()


def test_while_a_name_cannot_be_found_the_knock_goes_where_it_went_before(monkeypatch: pytest.MonkeyPatch) -> None:
    woken = threading.Semaphore(0)
    listener = Listener(0, lambda: woken.release())
    listener.start()
    monkeypatch.setattr(wakeup, "RESOLVE_AGAIN_SECONDS", 0.0)
    knocker = Wakeup([("127.0.0.1", listener.port)])
    knocker.send()
    assert woken.acquire(timeout=LONGEST_SECONDS)

    def refuse(host: str, port: int, **options: object) -> list[object]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    knocker.send()
    assert woken.acquire(timeout=LONGEST_SECONDS)


def test_a_taken_port_means_polling_alone(capfd: pytest.CaptureFixture[str]) -> None:
    first = Listener(0, lambda: None)
    assert listen("[worker]", first.port, lambda: None) is None
    assert "polling alone" in capfd.readouterr().out
    assert listen("[worker]", 0, lambda: None) is None


def test_an_enqueue_elsewhere_starts_the_job_long_before_the_next_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite://{tmp_path}/jobs.db"
    with connect(url, create=True) as db:
        migrate(db)
        me = Worker(settings(url, JOB_WORKER_POLL_INTERVAL_MS="3600000"), registry(mail=lambda job: None), Stop())
        listener = Listener(0, me.wake)
        listener.start()
        monkeypatch.setenv("DATABASE_URL", url)
        monkeypatch.setenv("WAKE_ADDRESSES", f"127.0.0.1:{listener.port}")
        with running(me):
            eventually(lambda: me._next_poll > 0)  # the first poll is over; the next is an hour away
            ended(db, client.enqueue("mail", {"a": 1}))
        assert jobs.summary(db).completed == 1
