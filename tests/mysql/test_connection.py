"""Sessions, errors and lost connections on a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from runtime import jobs
from runtime.context import Job
from runtime.db import (
    Conflict,
    Database,
    DatabaseError,
    Duplicate,
    MissingTable,
    SchemaError,
    Unreachable,
    connect,
    server_facts,
)
from runtime.loop import Stop
from runtime.worker import Worker
from tests.mysql.fixtures import SERVERS
from tests.mysql.server import NoServer, Server, create, find, remove
from tests.runtime.support import LONGEST_SECONDS, ended, eventually, registry, running, settings


def test_every_session_is_utc_and_read_committed(db: Database) -> None:
    [row] = db.rows(
        "SELECT @@time_zone AS zone, @@innodb_lock_wait_timeout AS wait, NOW() - UTC_TIMESTAMP() AS off", {}
    )
    assert (row["zone"], row["wait"], float(row["off"])) == ("+00:00", 1, 0.0)
    name = "tx_isolation" if "MariaDB" in server_facts(db).version else "transaction_isolation"
    [row] = db.rows(f"SELECT @@{name} AS level", {})
    assert row["level"] == "READ-COMMITTED"


def test_a_password_with_odd_characters_works_and_never_shows(server: Server) -> None:
    for url in (server.url_of("nowhere"), server.url.replace("tester", "nobody")):
        with pytest.raises(SchemaError) as caught:
            connect(url)
        assert "secret" not in str(caught.value) + caught.value.hint


def test_mysql_is_spoken_to_over_tls_because_it_offers_it(db: Database, server: Server) -> None:
    [row] = db.rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'", {})
    assert bool(row["Value"]) == (server.flavour == "mysql")


def test_tls_can_be_demanded_or_left_out(server: Server) -> None:
    connect(server.url).close()  # MySQL takes a password without TLS only after it has checked it once
    with connect(server.url_of("runtime", "?ssl-mode=disabled")) as db:
        assert db.rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'", {})[0]["Value"] == ""
    if server.flavour == "mariadb":
        with pytest.raises(DatabaseError):
            connect(server.url_of("runtime", "?ssl-mode=required"))
    with pytest.raises(DatabaseError, match="ssl-mode=maybe"):
        connect(server.url_of("runtime", "?ssl-mode=maybe"))


def test_the_server_tells_its_limits(db: Database) -> None:
    facts = server_facts(db)
    assert facts.max_connections == 60
    assert facts.connections_in_use is not None
    assert facts.connections_in_use >= 1
    assert not facts.read_only
    assert facts.now.tzinfo is not None


def test_errors_are_sorted_by_what_to_do_about_them(db: Database, rival: Database, url: str) -> None:
    db.change("INSERT INTO JobRun (id, jobName) VALUES ('one', 'mail')", {})
    with pytest.raises(Duplicate):
        db.change("INSERT INTO JobRun (id, jobName) VALUES ('one', 'mail')", {})
    with pytest.raises(MissingTable) as caught:
        db.rows("SELECT * FROM NoSuchTable", {})
    assert "migrate" in caught.value.hint
    with pytest.raises(SchemaError) as caught_too:
        db.rows("SELECT noSuchColumn FROM JobRun", {})
    assert not isinstance(caught_too.value, MissingTable)
    with rival.transaction():
        rival.change("UPDATE JobRun SET priority = 1 WHERE id = 'one'", {})
        with pytest.raises(Conflict):
            db.change("UPDATE JobRun SET priority = 2 WHERE id = 'one'", {})


def test_after_a_lock_wait_nothing_of_the_transaction_is_left(db: Database, rival: Database) -> None:
    """The server undoes only the statement that waited; without our ROLLBACK the rest would be committed later."""
    db.change("INSERT INTO JobRun (id, jobName) VALUES ('one', 'mail')", {})

    def insert_then_wait() -> None:
        with db.transaction():
            db.change("INSERT INTO JobRun (id, jobName) VALUES ('two', 'mail')", {})
            db.change("UPDATE JobRun SET priority = 2 WHERE id = 'one'", {})

    with rival.transaction():
        rival.change("UPDATE JobRun SET priority = 1 WHERE id = 'one'", {})
        with pytest.raises(Conflict):
            insert_then_wait()
    db.change("INSERT INTO JobRun (id, jobName) VALUES ('three', 'mail')", {})
    assert jobs.read(db, "two") is None


def test_a_transaction_in_the_way_of_another_is_run_again(db: Database, rival: Database) -> None:
    db.change("INSERT INTO JobRun (id, jobName) VALUES ('one', 'mail')", {})
    rival.begin()
    rival.change("UPDATE JobRun SET priority = 1 WHERE id = 'one'", {})
    tries: list[int] = []

    def work() -> int:
        tries.append(1)
        if len(tries) == 2:
            rival.commit()
        return db.change("UPDATE JobRun SET priority = 2 WHERE id = 'one'", {})

    assert db.transact(work) == 1
    assert (len(tries), db.conflicts) == (2, 1)


def test_a_killed_connection_opens_itself_again(db: Database, rival: Database) -> None:
    number = db.rows("SELECT CONNECTION_ID() AS id", {})[0]["id"]
    rival.change(f"KILL {number}", {})
    with pytest.raises(Unreachable):
        db.rows("SELECT 1", {})
    assert db.rows("SELECT 1 AS one", {}) == [{"one": 1}]


def test_a_transaction_whose_connection_was_killed_does_not_go_on_elsewhere(db: Database, rival: Database) -> None:
    number = db.rows("SELECT CONNECTION_ID() AS id", {})[0]["id"]
    db.begin()
    db.change("INSERT INTO JobRun (id, jobName) VALUES ('half', 'mail')", {})
    rival.change(f"KILL {number}", {})
    for _ in range(2):
        with pytest.raises(Unreachable):
            db.change("INSERT INTO JobRun (id, jobName) VALUES ('other half', 'mail')", {})
    db.rollback()
    assert jobs.read(rival, "half") is None
    assert jobs.read(rival, "other half") is None


def test_a_transaction_begins_anew_where_an_idle_connection_had_been_closed(db: Database, rival: Database) -> None:
    """As after hours, or a restart: nothing of it has been done yet, so nothing can be doubled."""
    number = db.rows("SELECT CONNECTION_ID() AS id", {})[0]["id"]
    rival.change(f"KILL {number}", {})
    with db.transaction():
        db.change("INSERT INTO JobRun (id, jobName) VALUES ('one', 'mail')", {})
    assert jobs.read(rival, "one") is not None


def test_a_read_only_server_counts_as_unreachable(db: Database, server: Server) -> None:
    """After a failover the old primary still answers, but must not be believed."""
    with server.root() as root, root.cursor() as cursor:
        cursor.execute("SET GLOBAL read_only = 1")
        try:
            # The tests' own user may write all the same, so one without that right looks.
            cursor.execute("CREATE USER IF NOT EXISTS plain@'127.0.0.1' IDENTIFIED BY 'p'")
            cursor.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.* TO plain@'127.0.0.1'")
            with connect(f"mysql://plain:p@127.0.0.1:{server.port}/runtime") as plain:
                assert server_facts(plain).read_only
                with pytest.raises(Unreachable):
                    jobs.enqueue(plain, "mail")
        finally:
            cursor.execute("SET GLOBAL read_only = 0")


def _fill(held: list[Database], url: str) -> None:
    while len(held) < 70:
        held.append(connect(url))


def test_too_many_connections_count_as_unreachable(server: Server, url: str) -> None:
    held: list[Database] = []
    try:
        with pytest.raises(Unreachable, match="1040"):
            _fill(held, url)
    finally:
        for each in held:
            each.close()


@pytest.fixture(params=SERVERS)
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that this test may kill."""
    try:
        find(request.param)
    except NoServer as reason:
        pytest.skip(str(reason))
    server = create(request.param)
    yield server
    remove(server)


def test_a_worker_goes_on_after_the_server_was_killed_and_came_back(own_server: Server) -> None:
    gate, started = threading.Event(), threading.Event()

    def slow(job: Job) -> None:
        started.set()
        assert gate.wait(LONGEST_SECONDS)

    me = Worker(settings(own_server.url), registry(slow=slow, mail=lambda job: None), Stop())
    with running(me):
        eventually(lambda: me.registered)
        with connect(own_server.url) as db:
            job_id = jobs.enqueue(db, "slow")
        assert started.wait(LONGEST_SECONDS)
        own_server.kill()
        gate.set()  # the job ends while nobody can be told
        eventually(lambda: me._pending)
        own_server.start()
        with connect(own_server.url) as db:
            row = ended(db, job_id)
            assert row.attempt == 1, "kept in memory, not run again"
            ended(db, jobs.enqueue(db, "mail"))
