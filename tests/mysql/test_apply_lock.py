"""The apply lock on a real server: its SQL, its clock and two connections."""

from __future__ import annotations

import pytest

from deploykit.commands import lock
from deploykit.errors import UnreachableError
from runtime.db import Database
from tests.mysql.server import Server

pytestmark = pytest.mark.mysql


@pytest.fixture
def free(db: Database) -> Database:
    db.change("DROP TABLE IF EXISTS DeploykitLock", {})
    return db


def test_one_holds_it_and_the_other_sees_who_and_for_how_long(free: Database, rival: Database) -> None:
    mine = lock.acquire(free, "ada@laptop pid 7")
    assert mine is not None
    assert lock.acquire(rival, "bob@desk pid 9") is None
    seen = lock.read(rival)
    assert seen is not None
    assert seen.holder == "ada@laptop pid 7"
    assert 0 < seen.expires_in_seconds <= lock.TTL_SECONDS
    assert lock.renew(free, mine)
    assert lock.release(free, mine)
    assert lock.acquire(rival, "bob@desk pid 9") is not None
    assert not lock.renew(free, mine)


def test_a_lock_that_we_may_not_see_is_no_free_one(free: Database, server: Server) -> None:
    assert lock.acquire(free, "ada@laptop pid 7") is not None
    with server.root() as root, root.cursor() as cursor:
        cursor.execute("CREATE USER IF NOT EXISTS narrow@'127.0.0.1' IDENTIFIED BY 'p'")
        cursor.execute("GRANT SELECT ON runtime.JobLog TO narrow@'127.0.0.1'")
    with pytest.raises(UnreachableError, match="denied"):
        lock.look(f"mysql://narrow:p@127.0.0.1:{server.port}/runtime")
