"""What can go wrong with a database, sorted by what the caller should do about it."""

from __future__ import annotations


class DatabaseError(Exception):
    """Anything the database refused or could not do. The text never contains a password."""

    hint = ""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint


class Unreachable(DatabaseError):
    """The connection is gone, refused or read-only: reconnect later. A commit under way may have happened or not."""

    hint = "check that the database runs and that DATABASE_URL names it"


class Conflict(DatabaseError):
    """Another transaction was in the way and this one was rolled back: run the whole transaction again."""


class Duplicate(DatabaseError):
    """A unique key is taken. This is an answer (already queued, already fired), not a failure."""


class SchemaError(DatabaseError):
    """A table, column, index or right is missing: waiting will not help."""

    hint = "run `python -m runtime migrate` with a user that may create tables"


class MissingTable(SchemaError):
    """The table is not there: nobody ever wrote into it. A table that we may not read raises a mere SchemaError."""
