from __future__ import annotations

import threading
from pathlib import Path

import pytest

from runtime.db import Database, Unreachable, connect
from runtime.db.pool import Pool


class Counted:
    """Dials SQLite and keeps what it dialled."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.dialled: list[Database] = []

    def __call__(self) -> Database:
        self.dialled.append(connect(f"sqlite://{self._path}/jobs.db", create=True))
        return self.dialled[-1]


def test_what_is_reserved_and_lent_stays_within_the_limit(tmp_path: Path) -> None:
    pool = Pool(Counted(tmp_path), 2, wait_seconds=0.0)
    loop = pool.reserve()
    with pool.lend(), pytest.raises(Unreachable, match="all 2 connections of this process are in use"):
        pool.reserve()
    pool.release(pool.reserve())
    pool.release(loop)
    pool.close()


def test_reserving_closes_an_idle_connection_so_that_no_more_than_the_limit_are_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dial = Counted(tmp_path)
    pool = Pool(dial, 2)
    with pool.lend() as idle:
        pass
    closed: list[Database] = []
    monkeypatch.setattr(idle, "close", lambda: closed.append(idle))
    pool.release(pool.reserve())
    assert closed == [idle]
    assert len(dial.dialled) == 2


def test_what_is_reserved_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    """As by the control panel while a job wants a connection."""
    pool = Pool(Counted(tmp_path), 1)
    taken = pool.reserve()
    threading.Timer(0.05, pool.release, [taken]).start()
    with pool.lend() as lent:
        assert lent is not taken
    pool.close()


def test_after_a_lost_connection_nobody_is_lent_another_dead_one(tmp_path: Path) -> None:
    pool = Pool(Counted(tmp_path), 3)
    with pool.lend() as one, pool.lend() as another:
        pass
    with pytest.raises(Unreachable), pool.lend():
        raise Unreachable("the server restarted")
    with pool.lend() as fresh:
        assert fresh not in (one, another)
    pool.close()


def test_a_connection_that_cannot_be_opened_gives_its_place_back(tmp_path: Path) -> None:
    pool = Pool(lambda: connect(f"sqlite://{tmp_path}/nowhere/jobs.db"), 1)
    for _ in range(2):
        with pytest.raises(Unreachable, match="no such SQLite database"):
            pool.reserve()
