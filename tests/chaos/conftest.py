"""Databases for the fault scenarios: SQLite, and each server there is through a user without a password.

Plain connections without a password let the proxy see what passes, and a user without special rights is refused by a
read-only server, as Railway's are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.db import Database, connect
from runtime.migrations import migrate
from tests.chaos.processes import Fleet, fleet
from tests.mysql.fixtures import SERVERS, clean, the_server
from tests.mysql.server import Server

on_servers = pytest.mark.parametrize("url", SERVERS, indirect=True)
"""For faults that SQLite, being a file, cannot have."""


def create_effects(db: Database) -> None:
    """The application's table. Group Replication wants a primary key, and it must not be what keeps effects single."""
    key = "INTEGER PRIMARY KEY" if db.dialect == "sqlite" else "BIGINT AUTO_INCREMENT PRIMARY KEY"
    db.change(f"CREATE TABLE IF NOT EXISTS Effect (id {key}, jobId VARCHAR(191) NOT NULL, attempt INT NOT NULL)", {})


def plain_url(server: Server, port: int | None = None) -> str:
    return f"mysql://chaos@127.0.0.1:{port or server.port}/runtime?ssl-mode=disabled"


def prepared(server: Server) -> str:
    """Empty tables, and a user whose traffic can be read."""
    clean(server)
    with server.root("runtime") as root, root.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS chaos@'127.0.0.1'")
        cursor.execute("GRANT ALL ON runtime.* TO chaos@'127.0.0.1'")
    with connect(plain_url(server)) as db:
        create_effects(db)
        db.change("DELETE FROM Effect", {})
    return plain_url(server)


@pytest.fixture(params=["sqlite", *SERVERS])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param != "sqlite":
        return prepared(the_server(request.param))
    url = f"sqlite://{tmp_path}/jobs.db"
    with connect(url, create=True) as db:
        migrate(db)
        create_effects(db)
    return url


@pytest.fixture
def server(request: pytest.FixtureRequest, url: str) -> Server:
    """The server behind `url`; for tests marked `on_servers`."""
    return the_server(request.node.callspec.params["url"])


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    """The test's own, undisturbed connection."""
    with connect(url) as db:
        yield db


@pytest.fixture
def machines(url: str, tmp_path: Path) -> Iterator[Fleet]:
    with fleet(url, tmp_path) as started:
        yield started
