"""The proxy does to real connections what the scenarios rely on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runtime import jobs
from runtime.db import Database, Unreachable, connect
from tests.chaos.conftest import on_servers, plain_url
from tests.chaos.proxy import Fate, Proxy
from tests.mysql.server import Server

pytestmark = on_servers


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def through(server: Server, proxy: Proxy) -> Iterator[Database]:
    with connect(plain_url(server, proxy.port), read_timeout_seconds=0.3) as db:
        yield db


def test_what_passes_is_not_changed(through: Database) -> None:
    job = jobs.enqueue(through, "work", {"text": "x" * 200_000})
    row = jobs.read(through, job)
    assert row is not None
    assert row.payload == {"text": "x" * 200_000}


def test_a_black_hole_answers_nothing_and_ends_nothing(through: Database, proxy: Proxy) -> None:
    proxy.black_hole()
    with pytest.raises(Unreachable):
        through.fetch("server.now")
    proxy.heal()
    assert through.fetch("server.now")


def test_a_cut_ends_connections_and_refuses_new_ones(through: Database, proxy: Proxy) -> None:
    proxy.cut()
    for _ in range(2):
        with pytest.raises(Unreachable):
            through.fetch("server.now")
    proxy.heal()
    assert through.fetch("server.now")


@pytest.mark.parametrize(("fate", "jobs_written"), [("lost on the way", 0), ("answer lost", 1)])
def test_a_commit_can_be_lost_before_or_after_it_took_effect(
    db: Database, through: Database, proxy: Proxy, fate: Fate, jobs_written: int
) -> None:
    proxy.spoil_next_commit(fate)
    with pytest.raises(Unreachable), through.transaction():
        jobs.enqueue(through, "work")
    assert proxy.spoiled.is_set()
    assert jobs.summary(db).queued == jobs_written
