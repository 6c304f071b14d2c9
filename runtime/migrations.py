"""Brings the tables to the newest version: numbered SQL files, forward only, safe when several processes start at once.

Each file is additive, so that yesterday's processes go on working on today's tables while a deploy is under way.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from runtime import queries
from runtime.db import Database, DatabaseError, Duplicate, SchemaError

# A statement that somebody else ran a moment ago: duplicate column, duplicate key name, table exists.
_ALREADY_DONE = ("(1060)", "(1061)", "(1050)", "duplicate column name", "already exists")


def migrate(db: Database) -> list[str]:
    """Apply what is missing and return the names of the files applied.

    Raises `DatabaseError`, for one that the user of DATABASE_URL may not create tables.
    """
    done = []
    for version, path in pending(db):
        for statement in queries.statements(path.read_text(encoding="utf-8")):
            _run(db, statement)
        _record(db, version, path.stem)
        done.append(path.stem)
    return done


def pending(db: Database) -> list[tuple[int, Path]]:
    """The files that were not applied yet, oldest first."""
    try:
        applied = {int(row["version"]) for row in db.fetch("server.applied")}
    except SchemaError:
        db.execute("server.version_table")
        applied = set()
    return [(version, path) for version, path in _files(db.dialect) if version not in applied]


def _files(dialect: str) -> list[tuple[int, Path]]:
    folder = queries.FOLDER / dialect / "migrations"
    return sorted((int(path.name.split("_")[0]), path) for path in folder.glob("[0-9]*.sql"))


def _run(db: Database, statement: str) -> None:
    try:
        db.change(statement, {})
    except Duplicate:
        pass  # a row that another process inserted a moment ago
    except DatabaseError as error:
        if not any(sign in error.message for sign in _ALREADY_DONE):
            raise


def _record(db: Database, version: int, name: str) -> None:
    with suppress(Duplicate):  # another process may have been as fast
        db.execute("server.record", version=version, name=name)
