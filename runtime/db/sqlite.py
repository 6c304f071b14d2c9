"""SQLite 3.38 or later through the standard library: one file, for rehearsals and small machines."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from runtime.db.database import Database, Row
from runtime.db.errors import Conflict, DatabaseError, Duplicate, MissingTable, SchemaError, Unreachable


class SQLite(Database):
    """A connection in WAL mode with full synchronisation: what is committed survives a power cut."""

    dialect = "sqlite"

    def __init__(self, path: Path, *, lock_wait_seconds: float, create: bool) -> None:
        self._path = path
        self._lock_wait_seconds = lock_wait_seconds
        self._create = create
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        if not self._create and not self._path.is_file():
            raise Unreachable(f"{self._path}: no such SQLite database")
        mode = "rwc" if self._create else "rw"
        try:
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=self._lock_wait_seconds,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self.translate(error) from None
        self._connection = connection
        self._use_wal()
        self._run("PRAGMA synchronous=FULL", {})

    def _use_wal(self) -> None:
        """Switch a new file to WAL. SQLite does not wait here when others do the same at this moment, so we do."""
        deadline = time.monotonic() + self._lock_wait_seconds
        while True:
            try:
                if self._run("PRAGMA journal_mode", {}).fetchone()[0] != "wal":
                    self._run("PRAGMA journal_mode=WAL", {})
                return
            except Conflict:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def rows(self, sql: str, parameters: Row) -> list[Row]:
        cursor = self._run(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in self._fetch(cursor)]

    def tuples(self, query: str, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        return self._fetch(self._run(self.sql(query), parameters))

    def change(self, sql: str, parameters: Row) -> int:
        return self._run(sql, parameters).rowcount

    def insert_rows(self, batches: Iterable[tuple[str, Sequence[Row]]]) -> None:
        connection = self._live()
        try:
            for query, rows in batches:
                connection.executemany(self.sql(query), rows)
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise self.translate(error) from None

    def begin(self) -> None:
        # IMMEDIATE: a transaction that first reads and then writes could not be upgraded beside another writer.
        self._run("BEGIN IMMEDIATE", {})

    def limit_idle(self, seconds: int) -> None:
        """A file has no dead routes: what a process had locked is free when it ends."""

    def commit(self) -> None:
        self._run("COMMIT", {})

    def rollback(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            self._connection.rollback()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def cursor(self) -> Any:
        return self._live().cursor()

    def interrupt(self) -> None:
        if self._connection is not None:
            self._connection.interrupt()

    def _run(self, sql: str, parameters: Row) -> sqlite3.Cursor:
        try:
            return self._live().execute(sql, {name: _bindable(value) for name, value in parameters.items()})
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise self.translate(error) from None

    def _fetch(self, cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
        try:
            return cursor.fetchall()
        except sqlite3.Error as error:
            raise self.translate(error) from None

    def _live(self) -> sqlite3.Connection:
        if self._connection is None:
            self.open()
        assert self._connection is not None
        return self._connection

    def translate(self, error: sqlite3.Error | UnicodeError | OverflowError) -> DatabaseError:
        text = f"{self._path}: {error}"
        message = str(error)
        if isinstance(error, sqlite3.IntegrityError) and "UNIQUE" in message:
            return Duplicate(text)
        if "locked" in message or "busy" in message:
            return Conflict(text)
        if "no such table" in message:
            return MissingTable(text)
        if "no such column" in message or "has no column" in message:
            return SchemaError(text)
        if "unable to open" in message or "disk I/O" in message or "readonly" in message or "interrupted" in message:
            return Unreachable(text, "check that the folder exists and may be written")
        return DatabaseError(text)


def _bindable(value: Any) -> Any:
    """Lists travel as JSON; the queries take them apart with json_each."""
    return json.dumps(value) if isinstance(value, (list, tuple)) else value
