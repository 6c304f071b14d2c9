"""Fixtures for tests on a database: `url`, a connection `db` and a second one, `rival`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from runtime.db import Database, connect
from runtime.migrations import migrate
from tests.mysql.server import FLAVOURS, Server, shared_or_reason

TABLES = ("JobLog", "JobRun", "JobSchedule", "WorkerInstance")
SERVERS = [pytest.param(name, marks=[pytest.mark.mysql, pytest.mark.xdist_group(name)]) for name in FLAVOURS]


def the_server(flavour: str) -> Server:
    """The shared server, or a skip with the reason; where DEPLOYKIT_REQUIRE_SERVERS is set (CI), a failure."""
    found = shared_or_reason(flavour)
    if isinstance(found, Server):
        return found
    if os.environ.get("DEPLOYKIT_REQUIRE_SERVERS"):
        pytest.fail(found)
    pytest.skip(found)


def clean(server: Server) -> str:
    """The URL of the server's database with up-to-date, empty tables."""
    server.bound_log()
    _migrated(server.url)
    with server.root("runtime") as root, root.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
        cursor.execute("UPDATE SchedulerLease SET holderId = NULL, token = 0, beats = 0, expiresAt = '1970-01-02'")
    return server.url


@cache
def _migrated(url: str) -> None:
    with connect(url) as db:
        migrate(db)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    return the_server(request.param)


@pytest.fixture
def server_url(server: Server) -> str:
    return clean(server)


@pytest.fixture(params=["sqlite", *SERVERS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param != "sqlite":
        return clean(the_server(request.param))
    url = f"sqlite://{tmp_path}/jobs.db"
    with connect(url, create=True) as db:
        migrate(db)
    return url


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    # One second: where a test would wait for a lock, that is its failure.
    with connect(url, lock_wait_seconds=1) as db:
        yield db


@pytest.fixture
def rival(url: str) -> Iterator[Database]:
    with connect(url, lock_wait_seconds=1) as db:
        yield db
