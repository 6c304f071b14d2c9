"""MySQL 8/9 and MariaDB 10.6+ through PyMySQL. The only module that imports it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote

import pymysql
from pymysql.constants import CLIENT, COMMAND

from runtime.db.database import Database, Row
from runtime.db.errors import Conflict, DatabaseError, Duplicate, MissingTable, SchemaError, Unreachable

# Deadlock, lock wait, group replication and Galera certification, commit hook, killed statement, time limit.
_CONFLICTS = {1213, 1205, 3100, 3101, 1180, 1317, 1969, 3024}
# Lost or refused connections, read-only after a failover, too many connections, shutting down.
_UNREACHABLE = {0, 2002, 2003, 2006, 2013, 2014, 2055, 4031, 1927, 1290, 1836, 1792, 1040, 1203, 1226, 1053, 1047, 3168}
# A new primary that still applies the old one's work, a host that knocked too often, a full disk or table: it passes.
_UNREACHABLE |= {3796, 3797, 3798, 1129, 1158, 1159, 1160, 1161, 1021, 1030, 1114, 1206, 1637}
_DUPLICATES = {1062}
_NO_TABLE = 1146
_SCHEMA = {1044, 1045, 1049, 1054, 1142, 1143, 1176, 1227, 1698, 3118}
_NO_TLS = 2026
READ_TIMEOUT_SECONDS = 10


class MySQL(Database):
    """A connection with the session settings that the queries rely on: UTC, READ COMMITTED, matched-row counts."""

    dialect = "mysql"

    def __init__(
        self,
        url: SplitResult,
        *,
        connect_timeout_seconds: float,
        lock_wait_seconds: int,
        read_timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        self._options = _options(url, connect_timeout_seconds, read_timeout_seconds)
        self._tls = _tls_mode(url)
        self._lock_wait_seconds = lock_wait_seconds
        self._name = f"{url.hostname or 'localhost'}:{url.port or 3306}{url.path}"
        self._connection: pymysql.connections.Connection[Any] | None = None
        self._in_transaction = False
        self._idle_seconds: int | None = None

    def open(self) -> None:
        self._connection = self._dial()
        # Not left to the server's defaults: NOW() must mean UTC, and the claim deadlocks under REPEATABLE READ.
        self._run("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", None)

    def rows(self, sql: str, parameters: Row) -> list[Row]:
        cursor = self._run(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def tuples(self, query: str, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        rows: Sequence[tuple[Any, ...]] = self._run(self.sql(query), parameters).fetchall()
        return rows

    def change(self, sql: str, parameters: Row) -> int:
        return int(self._run(sql, parameters).rowcount)

    def insert_rows(self, batches: Iterable[tuple[str, Sequence[Row]]]) -> None:
        connection = self._live()
        under_way = False
        try:
            with _translated(self):
                for query, rows in batches:
                    statement = self._insert(query, rows)
                    if under_way:
                        under_way = False
                        connection._read_query_result()  # type: ignore[attr-defined]
                    # The two halves of `connection.query`: the next statement is written out while this one runs.
                    connection._execute_command(COMMAND.COM_QUERY, statement)  # type: ignore[attr-defined]
                    under_way = True
                if under_way:
                    under_way = False
                    connection._read_query_result()  # type: ignore[attr-defined]
        finally:
            if under_way:
                self._drop()  # its answer would be taken for that of the next statement

    def _insert(self, query: str, rows: Sequence[Row]) -> str:
        head, values = self.sql(query).split("VALUES", 1)
        literal = _Literals(self._live())
        tuples = ",".join([values % {key: literal[value] for key, value in row.items()} for row in rows])
        return f"{head.replace('%%', '%')}VALUES{tuples}"

    def begin(self) -> None:
        was_open = self._connection is not None
        try:
            self._run("BEGIN", None)
        except Unreachable:
            if not was_open:
                raise
            # Closed by the server while it was idle, or by a restart: nothing has been done yet that could be lost.
            self._run("BEGIN", None)
        self._in_transaction = True

    def limit_idle(self, seconds: int) -> None:
        self._idle_seconds = seconds
        self._run(f"SET SESSION wait_timeout={seconds}", None)

    def commit(self) -> None:
        self._run("COMMIT", None)
        self._in_transaction = False

    def rollback(self) -> None:
        # Also after a lock wait timeout: that undoes only the statement and would leave the rest to be committed later.
        self._in_transaction = False
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except (pymysql.Error, OSError):
            self._drop()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._in_transaction = False
        if connection is not None:
            with suppress(pymysql.Error, OSError):
                connection.close()

    def cursor(self) -> Any:
        return self._live().cursor()

    def interrupt(self) -> None:
        connection = self._connection
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _run(self, sql: str, parameters: Row | None) -> Any:
        connection = self._live()
        with _translated(self):
            cursor = connection.cursor()
            cursor.execute(sql, parameters)
            return cursor

    def _live(self) -> pymysql.connections.Connection[Any]:
        if self._connection is None:
            if self._in_transaction:
                raise Unreachable(f"the connection to {self._name} was lost inside a transaction")
            self.open()
        assert self._connection is not None
        return self._connection

    def _dial(self) -> pymysql.connections.Connection[Any]:
        options = dict(self._options)
        options["init_command"] = f"SET time_zone='+00:00', innodb_lock_wait_timeout={self._lock_wait_seconds}"
        if self._idle_seconds is not None:
            options["init_command"] += f", wait_timeout={self._idle_seconds}"
        try:
            if self._tls != "disabled":
                try:
                    return _connected(**options, ssl=_context(self._tls))
                except pymysql.OperationalError as error:
                    if error.args[0] != _NO_TLS or self._tls != "preferred":
                        raise
                    self._tls = "disabled"  # this server offers none; asked once, not on every reconnect
            return _connected(**options, ssl_disabled=True)
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise self.translate(error) from None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection._force_close()  # type: ignore[attr-defined]

    def translate(self, error: Exception) -> DatabaseError:
        """The driver's error as one of ours, and the connection dropped when it is of no more use."""
        if isinstance(error, UnicodeError):
            return DatabaseError(f"{self._name}: a text that is not Unicode: {error}")
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        text = str(error.args[1] if len(error.args) > 1 else error) or type(error).__name__
        message = f"{self._name}: {text} ({code})"
        if code in _CONFLICTS:
            return Conflict(message)
        if code in _DUPLICATES:
            return Duplicate(message)
        if code == _NO_TABLE:
            return MissingTable(message)
        if code in _SCHEMA:
            return SchemaError(message, None if code in (1054, 1176) else _ACCESS_HINT)
        if isinstance(error, RuntimeError):
            return SchemaError(message, "let the server offer TLS: its password plugin needs it")
        if code in _UNREACHABLE or isinstance(error, (OSError, pymysql.InterfaceError)):
            self._drop()
            return Unreachable(message)
        return DatabaseError(message)


_ACCESS_HINT = "check user, password, database name and rights in DATABASE_URL"


class _Literals(dict[Any, str]):
    """Value → SQL literal, each made once: in rows that are inserted together most values are the same."""

    def __init__(self, connection: pymysql.connections.Connection[Any]) -> None:
        self._connection = connection

    def __missing__(self, value: Any) -> str:
        literal = self[value] = self._connection.escape(value)
        return literal


class _translated:
    """`with _translated(db):` raises the driver's errors as ours. A class: it is on the path of every query."""

    __slots__ = ("_db",)

    def __init__(self, db: MySQL) -> None:
        self._db = db

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (pymysql.Error, OSError, UnicodeError)):
            raise self._db.translate(error) from None
        if error is not None:
            self._db._drop()  # in the middle of an answer, perhaps: what comes next would be taken for another's


def _options(url: SplitResult, connect_timeout_seconds: float, read_timeout_seconds: float) -> dict[str, Any]:
    query = parse_qs(url.query)
    return {
        "host": url.hostname or "localhost",
        "port": url.port or 3306,
        "user": unquote(url.username or ""),
        "password": unquote(url.password or ""),
        "database": unquote(url.path.lstrip("/")) or None,
        "unix_socket": query["socket"][0] if "socket" in query else None,
        "charset": "utf8mb4",
        "autocommit": True,
        # Matched, not changed: a heartbeat that writes the same millisecond twice must still count as one row.
        "client_flag": CLIENT.FOUND_ROWS,
        "connect_timeout": max(1, round(connect_timeout_seconds)),
        "read_timeout": read_timeout_seconds,
        "write_timeout": read_timeout_seconds,
    }


def _connected(**options: Any) -> pymysql.connections.Connection[Any]:
    """As `pymysql.connect`, but the name of the host is resolved as bytes.

    A text would go through IDNA, whose tables cost an idle process half a MiB.
    """
    host: str = options["host"]
    connection = pymysql.connect(**options, defer_connect=True)
    if options["unix_socket"] or not host.isascii():
        connection.connect()
        return connection
    address: Any = (host.encode(), options["port"])
    sock = socket.create_connection(address, options["connect_timeout"])
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.connect(sock)
    return connection


class _Unverified(ssl.SSLContext):
    """TLS without a check of the certificate; names its host as bytes, see `_connected`."""

    def wrap_socket(self, sock: socket.socket, *, server_hostname: str, **options: Any) -> ssl.SSLSocket:  # type: ignore[override]
        name: Any = server_hostname.encode() if server_hostname.isascii() else server_hostname
        return super().wrap_socket(sock, server_hostname=name, **options)


def _tls_mode(url: SplitResult) -> str:
    """`?ssl-mode=disabled|preferred|required|verify_identity`; default preferred."""
    mode = parse_qs(url.query).get("ssl-mode", ["preferred"])[0].lower()
    if mode not in ("disabled", "preferred", "required", "verify_identity"):
        raise DatabaseError(f"ssl-mode={mode} is not known", "use disabled, preferred, required or verify_identity")
    return mode


@cache
def _context(mode: str) -> ssl.SSLContext:
    """TLS without a check of the certificate, unless asked for.

    MySQL makes itself a self-signed certificate, and Railway's private network is encrypted and closed already; TLS is
    wanted here because the default password plugin refuses a plain connection. Loading the system's authorities costs
    memory, so that is done only when they are needed; and one context serves every connection of the process.
    """
    if mode == "verify_identity":
        return ssl.create_default_context()
    context = _Unverified(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
