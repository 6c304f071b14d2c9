from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime import jobs, lease
from runtime.db import Database, connect
from runtime.migrations import migrate, pending
from tests.mysql.fixtures import SERVERS, the_server
from tests.mysql.server import empty_database


@pytest.fixture(params=["sqlite", *SERVERS])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite://{tmp_path}/new.db"
    else:
        with empty_database(the_server(request.param)) as url:
            yield url


def test_every_table_and_column_is_explained(db: Database) -> None:
    page = (Path(__file__).parents[2] / "docs" / "runtime.md").read_text(encoding="utf-8")
    for table in ("JobRun", "JobSchedule", "WorkerInstance", "JobLog", "SchedulerLease", "RuntimeMigration"):
        if db.dialect == "sqlite":
            rows = db.rows(f"SELECT name FROM pragma_table_info('{table}')", {})
        else:
            rows = [{"name": row["Field"]} for row in db.rows(f"SHOW COLUMNS FROM {table}", {})]
        [section] = [part for part in page.split("\n### ") if table in part.partition("\n")[0]]
        assert rows
        assert [row["name"] for row in rows if f"`{row['name']}`" not in section] == [], table


def test_tables_are_created_once(empty_url: str) -> None:
    with connect(empty_url, create=True) as db:
        assert [version for version, _ in pending(db)] == [1]
        assert migrate(db) == ["0001_tables"]
        assert migrate(db) == []
        assert jobs.summary(db).queued == 0
        state = lease.read(db)
        assert state is not None
        assert state.holder_id is None


def test_processes_that_start_together_all_end_up_with_tables(empty_url: str) -> None:
    together = threading.Barrier(4)
    failures: list[Exception] = []

    def start() -> None:
        try:
            with connect(empty_url, create=True) as db:
                together.wait(20)
                migrate(db)
                jobs.enqueue(db, "mail")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    with connect(empty_url) as db:
        assert jobs.summary(db).queued == 4


def test_a_migration_that_was_cut_short_is_finished_by_the_next_start(empty_url: str) -> None:
    with connect(empty_url, create=True) as db:
        migrate(db)
        db.change("DELETE FROM RuntimeMigration", {})
        db.change("DROP TABLE JobLog", {})
        assert migrate(db) == ["0001_tables"]
        assert jobs.logs(db, "nobody") == []
