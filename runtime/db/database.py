"""One connection to a database, speaking named queries (runtime/sql) in either dialect."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from runtime import queries
from runtime.db.errors import Conflict

Row = dict[str, Any]
T = TypeVar("T")

CONFLICT_ATTEMPTS = 5


class Database(ABC):
    """A connection that opens itself when needed and again after it was lost.

    Used by one thread at a time. Every method raises `DatabaseError` or one of its children.
    """

    dialect: str
    conflicts = 0
    """Transactions run again because of a deadlock or a lock wait, since this object was made."""

    @abstractmethod
    def open(self) -> None:
        """Connect now instead of at the first query."""

    def fetch(self, query: str, **parameters: Any) -> list[Row]:
        """The rows of a named query, as column name → value."""
        return self.rows(self.sql(query), parameters)

    def execute(self, query: str, **parameters: Any) -> int:
        """Run a named query and return how many rows it matched (not: how many it changed)."""
        return self.change(self.sql(query), parameters)

    def sql(self, query: str) -> str:
        return queries.find(self.dialect, query)

    @abstractmethod
    def rows(self, sql: str, parameters: Row) -> list[Row]: ...

    @abstractmethod
    def tuples(self, query: str, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        """Like `fetch`, without the names: for the one query that reads hundreds of rows at a time."""

    @abstractmethod
    def change(self, sql: str, parameters: Row) -> int: ...

    @abstractmethod
    def insert_rows(self, batches: Iterable[tuple[str, Sequence[Row]]]) -> None:
        """Run named one-row INSERTs, each for all of its rows in one go. Inside a transaction that the caller has open.

        A batch is asked for while the database still works at the one before.
        """

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def limit_idle(self, seconds: int) -> None:
        """Have the server end this connection, and any it is replaced by, when it asks nothing for so long.

        A process that vanishes behind a dead route leaves its connection standing, for eight hours by default, and with
        it the locks of a transaction it was in the middle of.
        """

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def rollback(self) -> None:
        """End the transaction without effect. Never raises: a lost connection has rolled back already."""

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def cursor(self) -> Any:
        """A DB-API cursor on this connection, for statements of the application (`job.transaction`)."""

    @abstractmethod
    def interrupt(self) -> None:
        """End a statement that another thread has under way; that thread sees `Unreachable`."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing: commits at the end of the block, rolls back when it raises."""
        self.begin()
        try:
            yield
            self.commit()
        except Exception:
            self.rollback()
            raise
        except BaseException:
            # Interrupted anywhere, perhaps in the middle of an answer: this connection cannot be trusted any more.
            self.close()
            raise

    def transact(self, work: Callable[[], T]) -> T:
        """Run work in a transaction, and again (5 times at most, 5 to 50 ms apart) when another one was in the way."""
        for attempt in range(CONFLICT_ATTEMPTS):
            try:
                with self.transaction():
                    return work()
            except Conflict:
                if attempt == CONFLICT_ATTEMPTS - 1:
                    raise
                self.conflicts += 1
                time.sleep(random.uniform(0.005, 0.05))
        raise AssertionError("unreachable")

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def instant(value: str | datetime | None) -> datetime | None:
    """A stored time (UTC, without a zone) as an aware datetime."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None or value.tzinfo is not None:
        return value
    return value.replace(tzinfo=UTC)


def stamp(value: datetime) -> str:
    """An aware datetime as the tables store it.

    Floored to milliseconds here, because MySQL rounds a finer value up and MariaDB cuts it off.
    """
    utc = value.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d}"
