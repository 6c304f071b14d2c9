"""Two operators: one holds the lock, the other is told who, since when and for how long."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import runtime.db
from deploykit.commands import lock
from deploykit.errors import LockedError, UnreachableError
from runtime.db import Database
from tests.journey.conftest import Cli


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/app.db"


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with runtime.db.connect(url, create=True) as database:
        yield database


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def taken(db: Database, holder: str = "ada@laptop pid 7") -> lock.LockState:
    state = lock.acquire(db, holder)
    assert state is not None
    return state


def ended(db: Database) -> None:
    db.change("UPDATE DeploykitLock SET expiresAt = '1970-01-02 00:00:00.000'", {})


def test_only_one_takes_it(db: Database) -> None:
    first = taken(db)
    assert lock.acquire(db, "bob@desk pid 9") is None
    assert lock.release(db, first)
    assert lock.read(db) is None
    assert taken(db, "bob@desk pid 9").token == first.token + 1


def test_a_holder_whose_time_ran_out_can_neither_renew_nor_release_its_successor(db: Database) -> None:
    late = taken(db)
    ended(db)
    taken(db, "bob@desk pid 9")
    assert not lock.renew(db, late)
    assert not lock.release(db, late)
    now = lock.read(db)
    assert now is not None
    assert now.holder == "bob@desk pid 9"


def test_the_second_operator_is_told_who_holds_it(db: Database, url: str) -> None:
    taken(db)
    with pytest.raises(LockedError, match=r"ada@laptop pid 7, for 0 s, .*TTL 60 s"), lock.held(url):
        pass
    state = lock.read(db)
    assert state is not None
    assert state.holder == "ada@laptop pid 7"


def test_waiting_ends_when_the_lock_is_free(db: Database, url: str, tmp_path: Path) -> None:
    first = taken(db)
    told = threading.Event()
    entered = threading.Event()

    def second() -> None:
        with lock.held(url, wait_seconds=20, report=lambda text: told.set()):
            entered.set()

    waiting = threading.Thread(target=second)
    waiting.start()
    assert told.wait(10)
    assert not entered.is_set()
    lock.release(db, first)
    waiting.join(20)
    assert entered.is_set()
    assert lock.read(db) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_it_is_given_back_however_the_apply_ends(db: Database, url: str, error: type[BaseException]) -> None:
    def interrupted() -> None:
        with lock.held(url):
            assert lock.read(db) is not None
            raise error

    with pytest.raises(error):
        interrupted()
    assert lock.read(db) is None


def test_a_lost_lock_stops_the_apply(db: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "RENEW_SECONDS", 0.01)
    with lock.held(url) as check:
        check()
        ended(db)
        renewing = next(one for one in threading.enumerate() if one.name == "apply-lock")
        renewing.join(10)
        with pytest.raises(LockedError, match="lost"):
            check()


def test_a_lock_that_somebody_released_stops_the_apply_before_its_next_step(db: Database, url: str) -> None:
    with lock.held(url) as check:
        check()
        held = lock.read(db)
        assert held is not None
        assert lock.unlock(url, held, force=True)
        with pytest.raises(LockedError, match="lost"):
            check()


@pytest.mark.parametrize("url", [None, "mysql://user:pw-marked@127.0.0.1:9/app"])
def test_without_a_database_the_etag_alone_stands_guard(url: str | None) -> None:
    said: list[str] = []
    with lock.held(url, report=said.append) as check:
        check()
    assert [("etag" in text) for text in said] == ([True] if url else [])
    assert "pw-marked" not in "".join(said)


def test_unlock_refuses_a_live_holder_without_force(db: Database, url: str) -> None:
    state = taken(db)
    with pytest.raises(LockedError, match="alive"):
        lock.unlock(url, state, force=False)
    assert lock.unlock(url, state, force=True)
    assert lock.look(url) is None


def test_unlock_does_not_release_a_lock_that_changed_hands(db: Database, url: str) -> None:
    shown = taken(db)
    ended(db)
    taken(db, "bob@desk pid 9")
    assert not lock.unlock(url, shown, force=True)


def test_a_dead_database_is_an_error_for_people() -> None:
    with pytest.raises(UnreachableError):
        lock.look("mysql://user:pw@127.0.0.1:9/app")


def test_the_command_shows_the_evidence_and_releases(db: Database, url: str, cli: Cli) -> None:
    taken(db)
    env = {"DEPLOYKIT_DATABASE_URL": url}
    refused = cli("unlock", "--yes", env=env)
    assert refused.status == 6
    assert "ada@laptop pid 7" in refused.err

    asked = cli("unlock", "--force", env=env)
    assert asked.status == 64
    assert lock.read(db) is not None

    done = cli("unlock", "--force", "--yes", "--format", "json", env=env)
    assert done.status == 0
    assert (done.json["schema"], done.json["holder"]) == ("deploykit.unlock/1", "ada@laptop pid 7")
    assert done.json["released"] is True
    assert cli("unlock", env=env).out == "Nobody holds the lock.\n"


def test_a_second_apply_ends_with_6(db: Database, url: str, cli: Cli) -> None:
    taken(db)
    nowhere = {"DEPLOYKIT_RAILWAY_URL": "http://127.0.0.1:9/graphql/v2", "RAILWAY_TOKEN": "x"}
    answer = cli("apply", "pre-launch", "--yes", env={"DEPLOYKIT_DATABASE_URL": url, **nowhere})
    assert answer.status == 6
    assert "ada@laptop pid 7" in answer.err
    assert "--lock-wait" in answer.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_gives_the_lock_back(db: Database, url: str, cli: Cli, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/graphql/v2"
        env = {"DEPLOYKIT_RAILWAY_URL": endpoint, "RAILWAY_TOKEN": "x", "DEPLOYKIT_DATABASE_URL": url}
        command = [sys.executable, "-m", "deploykit", "apply", "pre-launch", "--yes"]
        applying = subprocess.Popen(command, cwd=cli.folder, env=cli.environment(**env), stderr=subprocess.DEVNULL)
        try:
            silent.settimeout(30)
            connection, _ = silent.accept()
            with connection:
                assert lock.read(db) is not None
                applying.send_signal(number)
                assert applying.wait(30) == 130
        finally:
            applying.kill()
            applying.wait()
    assert lock.read(db) is None


def test_the_lock_of_an_apply_that_was_killed_here_is_taken_over_at_once(db: Database, url: str) -> None:
    script = (
        "import os, signal, runtime.db; from deploykit.commands import lock;"
        f"db = runtime.db.connect({url!r}); assert lock.acquire(db, lock.whoami());"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    dead = lock.read(db)
    assert dead is not None
    assert dead.live

    said: list[str] = []
    with lock.held(url, report=said.append):
        mine = lock.read(db)
        assert mine is not None
        assert mine.holder == lock.whoami()
        assert mine.token == dead.token + 1
    assert any("killed here" in line for line in said)


def test_only_this_machines_processes_can_be_known_dead() -> None:
    assert not lock.was_killed_here(lock.whoami())
    assert not lock.was_killed_here("ada@laptop pid 999999999")
    assert not lock.was_killed_here("ada@laptop pid 999999999 [000000000000]")
