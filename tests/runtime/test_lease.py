from __future__ import annotations

import pytest

from runtime import lease
from runtime.db import Conflict, Database
from tests.runtime.support import sql

TTL_MS = 30_000
EXPIRE = "UPDATE SchedulerLease SET expiresAt = '2020-01-01 00:00:00.000'"


def test_one_of_two_gets_the_lease(db: Database, rival: Database) -> None:
    mine = lease.acquire(db, "me", TTL_MS)
    assert mine is not None
    assert lease.acquire(rival, "them", TTL_MS) is None
    state = lease.read(db)
    assert state is not None
    assert (state.holder_id, state.token) == ("me", 1)
    assert state.expires_in_seconds == pytest.approx(30, abs=2)


def test_an_ended_lease_goes_to_the_next_with_a_higher_token(db: Database, rival: Database, url: str) -> None:
    mine = lease.acquire(db, "me", TTL_MS)
    assert mine is not None
    sql(url, EXPIRE)
    theirs = lease.acquire(rival, "them", TTL_MS)
    assert theirs is not None
    assert theirs.token == mine.token + 1
    assert not lease.renew(db, mine, TTL_MS)
    assert lease.renew(rival, theirs, TTL_MS)


def test_an_ended_lease_cannot_be_renewed_even_if_nobody_took_it(db: Database, url: str) -> None:
    mine = lease.acquire(db, "me", TTL_MS)
    assert mine is not None
    sql(url, EXPIRE)
    assert not lease.renew(db, mine, TTL_MS)


def test_renewing_twice_in_the_same_millisecond_keeps_the_lease(db: Database) -> None:
    mine = lease.acquire(db, "me", TTL_MS)
    assert mine is not None
    assert all(lease.renew(db, mine, TTL_MS) for _ in range(50))


def test_a_resigned_lease_is_free_at_once(db: Database, rival: Database) -> None:
    mine = lease.acquire(db, "me", TTL_MS)
    assert mine is not None
    lease.resign(db, mine)
    assert lease.acquire(rival, "them", TTL_MS) is not None


def test_an_old_token_cannot_resign_the_new_holder(db: Database, url: str) -> None:
    old = lease.acquire(db, "me", TTL_MS)
    assert old is not None
    sql(url, EXPIRE)
    new = lease.acquire(db, "me", TTL_MS)
    assert new is not None
    lease.resign(db, old)
    assert lease.renew(db, new, TTL_MS)


def test_inside_a_transaction_the_guard_tells_who_leads(db: Database, url: str) -> None:
    mine = lease.acquire(db, "me", TTL_MS)
    assert mine is not None
    with db.transaction():
        assert lease.holds(db, mine)
    sql(url, EXPIRE)
    with db.transaction():
        assert not lease.holds(db, mine)


def test_a_takeover_waits_for_a_fire_under_way(db: Database, rival: Database, url: str) -> None:
    """The share lock on the lease row closes the gap between looking at the lease and writing the job."""
    mine = lease.acquire(db, "me", TTL_MS)
    assert mine is not None
    with db.transaction():
        assert lease.holds(db, mine)
        with pytest.raises(Conflict):
            rival.change(EXPIRE, {})
