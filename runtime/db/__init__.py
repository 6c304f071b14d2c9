"""Connections by URL: `mysql://user:password@host:port/database` or `sqlite:///absolute/path`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from runtime.db.database import Database, Row, instant, stamp
from runtime.db.errors import Conflict, DatabaseError, Duplicate, MissingTable, SchemaError, Unreachable

__all__ = [
    "Conflict",
    "Database",
    "DatabaseError",
    "Duplicate",
    "MissingTable",
    "Row",
    "SchemaError",
    "ServerFacts",
    "Unreachable",
    "connect",
    "foreign_transactions",
    "instant",
    "server_facts",
    "stamp",
]


def connect(
    url: str,
    *,
    connect_timeout_seconds: float = 5.0,
    lock_wait_seconds: int = 5,
    read_timeout_seconds: float = 10.0,
    create: bool = False,
) -> Database:
    """Connect, and raise `DatabaseError` when the URL makes no sense or nobody answers.

    `create` lets SQLite make a file that is not there yet. The drivers are loaded when they are needed, so that
    a process carries only its own.
    """
    parts = _split(url)
    if parts.scheme == "sqlite":
        from runtime.db.sqlite import SQLite

        database: Database = SQLite(_sqlite_path(parts), lock_wait_seconds=lock_wait_seconds, create=create)
    else:
        from runtime.db.mysql import MySQL

        database = MySQL(
            parts,
            connect_timeout_seconds=connect_timeout_seconds,
            lock_wait_seconds=lock_wait_seconds,
            read_timeout_seconds=read_timeout_seconds,
        )
    database.open()
    return database


def check_url(url: str) -> str | None:
    """What is wrong with a database URL, or None. Never repeats the URL: it holds a password."""
    try:
        _split(url)
    except DatabaseError as error:
        return error.message
    return None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a database server says of itself; connection figures are None where there is no server (SQLite)."""

    version: str
    now: datetime
    max_connections: int | None
    connections_in_use: int | None
    read_only: bool
    oldest_foreign_trx_seconds: float | None = None
    """Age of the oldest open transaction of anybody else, 0 when there is none; None without the PROCESS privilege."""
    oldest_foreign_trx_thread: int | None = None
    """The connection that holds it, as KILL takes it."""
    history_list_length: int | None = None
    """Row versions that wait to be purged; None without the PROCESS privilege."""


def server_facts(db: Database) -> ServerFacts:
    row = db.fetch("server.facts")[0]
    now = instant(row["now"])
    assert now is not None
    limit, used = row["maxConnections"], db.fetch("server.connections")[0]["Value"]
    oldest, history = foreign_transactions(db)
    return ServerFacts(
        version=str(row["version"]),
        now=now,
        max_connections=None if limit is None else int(limit),
        connections_in_use=None if used is None else int(used),
        read_only=bool(int(row["readOnly"])),
        oldest_foreign_trx_seconds=oldest,
        oldest_foreign_trx_thread=_oldest_thread(db) if oldest else None,
        history_list_length=history,
    )


def foreign_transactions(db: Database) -> tuple[float | None, int | None]:
    """Seconds since the oldest open transaction of anybody else began (0: none is open), and the length of the history.

    Both are None on SQLite, and where the user lacks the PROCESS privilege.
    """
    try:
        row = db.fetch("server.transactions")[0]
    except SchemaError:
        return None, None
    oldest, history = row["oldestSeconds"], row["historyLength"]
    return None if oldest is None else float(oldest), None if history is None else int(history)


def _oldest_thread(db: Database) -> int | None:
    rows = db.fetch("server.oldest_transaction")
    return None if not rows or rows[0]["thread"] is None else int(rows[0]["thread"])


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise DatabaseError("DATABASE_URL is not a URL", _URL_HINT) from None
    if parts.scheme not in ("mysql", "mariadb", "sqlite"):
        raise DatabaseError(f"DATABASE_URL starts with {parts.scheme!r}, not with mysql or sqlite", _URL_HINT)
    if parts.scheme == "sqlite":
        if parts.netloc or len(parts.path) < 2:
            raise DatabaseError("DATABASE_URL names no absolute SQLite file", _URL_HINT)
    elif not parts.hostname or len(parts.path) < 2:
        raise DatabaseError("DATABASE_URL lacks a host or a database name", _URL_HINT)
    return parts


_URL_HINT = "write mysql://user:password@host:3306/database or sqlite:///absolute/path.db"


def _sqlite_path(parts: SplitResult) -> Path:
    return Path("/" + unquote(parts.path).lstrip("/"))
