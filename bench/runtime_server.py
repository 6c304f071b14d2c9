"""The database of the runtime's measurements: a private MySQL 9 with its durable defaults."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from runtime.db import Database, connect
from runtime.migrations import migrate
from tests.mysql import server as servers
from tests.mysql.server import Server


@contextmanager
def durable_mysql(flavour: str = "mysql") -> Iterator[Server]:
    """A server that flushes log and binlog with every commit (its default), with memory enough for the tables here."""
    server = servers.create(flavour)
    try:
        server.stop()
        server.start("--innodb-buffer-pool-size=1G", "--max-connections=200")
        with server.root() as root, root.cursor() as cursor:
            cursor.execute("SELECT @@sync_binlog, @@innodb_flush_log_at_trx_commit, @@log_bin")
            assert cursor.fetchone() == (1, 1, 1), "this server would not be durable"
            cursor.execute("CREATE USER bench@'127.0.0.1'")
            cursor.execute("GRANT ALL ON *.* TO bench@'127.0.0.1' WITH GRANT OPTION")
        with connect(url(server)) as db:
            migrate(db)
        yield server
    finally:
        servers.remove(server)


def url(server: Server) -> str:
    """Plain: every contestant speaks without TLS, so that encryption is no part of a ratio."""
    return f"mysql://bench@127.0.0.1:{server.port}/runtime?ssl-mode=disabled"


def empty(db: Database) -> None:
    """No rows, and no remains of deleted ones."""
    for table in ("JobRun", "JobLog", "JobSchedule", "WorkerInstance"):
        db.change(f"TRUNCATE TABLE {table}", {})
