from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from runtime import heartbeats, lease
from runtime.db import Database, SchemaError, Unreachable, connect
from runtime.heartbeats import Heart, Heartbeat
from runtime.identity import JOB_WORKER, SCHEDULE_DAEMON, Identity
from runtime.loop import Pulse
from tests.runtime.support import LONGEST_SECONDS, settings, sql

LAPSE = "UPDATE WorkerInstance SET leaseUntil = '2020-01-01 00:00:00.000'"


def _identity(kind: str = JOB_WORKER, **variables: str) -> Identity:
    return Identity.of(kind, settings(None, **variables))


def _only(db: Database) -> Heartbeat:
    [found] = heartbeats.read(db)
    return found


def test_a_registered_process_shows_what_it_is(db: Database) -> None:
    identity = _identity(
        SCHEDULE_DAEMON,
        SCHEDULE_POLL_INTERVAL_MS="3600000",
        DEPLOYKIT_PROFILE="pre-launch",
        RAILWAY_SERVICE_NAME="schedule-daemon",
        RAILWAY_DEPLOYMENT_ID="d1",
        RAILWAY_REPLICA_ID="r1",
    )
    heartbeats.register(db, identity, "STANDBY")
    seen = _only(db)
    assert (seen.worker_id, seen.kind, seen.status) == (identity.id, "schedule_daemon", "STANDBY")
    assert (seen.service, seen.deployment, seen.replica) == ("schedule-daemon", "d1", "r1")
    assert (seen.profile, seen.poll_interval_ms, seen.heartbeat_interval_ms) == ("pre-launch", 3_600_000, 1000)
    assert seen.beats == 0
    assert seen.seconds_ago is not None
    assert -1 < seen.seconds_ago < 60


def test_registering_again_after_a_lost_answer_is_no_error(db: Database) -> None:
    me = Identity.of(JOB_WORKER, settings())
    heartbeats.register(db, me)
    heartbeats.register(db, me)
    assert [beat.worker_id for beat in heartbeats.read(db)] == [me.id]


def test_every_beat_counts_even_within_one_millisecond(db: Database) -> None:
    identity = _identity()
    heartbeats.register(db, identity)
    assert all(heartbeats.beat(db, identity, {"poll": 12}) for _ in range(50))
    assert _only(db).beats == 50
    assert _only(db).loops == {"poll": 12}


def test_a_daemon_beats_and_renews_its_lease_together(db: Database, url: str) -> None:
    identity = _identity(SCHEDULE_DAEMON)
    heartbeats.register(db, identity)
    leadership = lease.acquire(db, identity.id, 5000)
    assert leadership is not None
    assert heartbeats.beat_and_renew(db, identity, {}, leadership, 60_000) == (True, True)
    state = lease.read(db)
    assert state is not None
    assert state.expires_in_seconds > 30
    sql(url, "UPDATE SchedulerLease SET token = token + 1")
    assert heartbeats.beat_and_renew(db, identity, {}, leadership, 60_000) == (True, False)
    sql(url, "UPDATE WorkerInstance SET status = 'DEAD'")
    assert heartbeats.beat_and_renew(db, identity, {}, leadership, 60_000) == (False, False)


def test_who_was_declared_dead_learns_it_from_the_next_beat(db: Database, url: str) -> None:
    identity = _identity()
    heartbeats.register(db, identity)
    sql(url, "UPDATE WorkerInstance SET status = 'DEAD'")
    assert not heartbeats.beat(db, identity, {})


def test_a_stopped_process_stays_readable_for_a_while(db: Database) -> None:
    identity = _identity()
    heartbeats.register(db, identity)
    heartbeats.deregister(db, identity)
    assert _only(db).status == "STOPPED"
    assert heartbeats.prune(db) == 0


def test_rows_of_processes_that_ended_long_ago_are_pruned(db: Database, url: str) -> None:
    for status in ("RUNNING", "STOPPED", "DEAD"):
        heartbeats.register(db, _identity(), status)
    sql(url, "UPDATE WorkerInstance SET stoppedAt = '2020-01-01 00:00:00.000'")
    assert heartbeats.prune(db) == 2
    assert _only(db).status == "RUNNING"


def test_the_reaper_declares_the_silent_dead_and_spares_the_others(db: Database, url: str) -> None:
    silent, me = _identity(), _identity()
    for identity in (silent, me):
        heartbeats.register(db, identity)
    reaper = heartbeats.Reaper(lambda: me)
    assert reaper.turn(db).dead == 0
    # Nobody can be found dead before the first lease ends, so the reaper rests until then.
    assert 0 < reaper.due_in_seconds() <= heartbeats.lease_ms(1000) / 1000 + 1
    sql(url, f"{LAPSE} WHERE id = '{silent.id}'")
    assert reaper.turn(db).dead == 1
    assert {seen.worker_id: seen.status for seen in heartbeats.read(db)} == {silent.id: "DEAD", me.id: "RUNNING"}


def test_a_restarted_container_retires_its_own_predecessor_only(db: Database) -> None:
    place = {"RAILWAY_DEPLOYMENT_ID": "d1", "RAILWAY_REPLICA_ID": "r1"}
    before = _identity(**place)
    elsewhere = _identity(RAILWAY_DEPLOYMENT_ID="d1", RAILWAY_REPLICA_ID="r2")
    daemon = _identity(SCHEDULE_DAEMON, **place)
    after = _identity(**place)
    for identity in (before, elsewhere, daemon, after):
        heartbeats.register(db, identity)
    assert heartbeats.retire_predecessor(db, after) == 1
    dead = [seen.worker_id for seen in heartbeats.read(db) if seen.status == "DEAD"]
    assert dead == [before.id]


def test_a_process_spares_its_living_neighbours_in_the_same_container(db: Database, url: str) -> None:
    """A web server with several processes has an embedded worker in each."""
    place = {"RAILWAY_DEPLOYMENT_ID": "d1", "RAILWAY_REPLICA_ID": "r1"}
    neighbour, before, after = _identity(**place), _identity(**place), _identity(**place)
    for identity in (neighbour, before, after):
        heartbeats.register(db, identity)
    sql(url, f"UPDATE WorkerInstance SET pid = {os.getppid()} WHERE id = '{neighbour.id}'")
    sql(url, f"UPDATE WorkerInstance SET pid = 4194304 WHERE id = '{before.id}'")  # higher than any
    assert heartbeats.retire_predecessor(db, after) == 1
    assert {seen.worker_id for seen in heartbeats.read(db) if seen.status == "DEAD"} == {before.id}


def test_a_process_that_does_not_know_its_container_retires_nobody(db: Database) -> None:
    one, two = _identity(), _identity()
    heartbeats.register(db, one)
    heartbeats.register(db, two)
    assert heartbeats.retire_predecessor(db, two) == 0


def test_columns_that_another_applications_table_lacks_read_as_none(db: Database, url: str) -> None:
    identity = _identity()
    heartbeats.register(db, identity)
    query = db.sql("heartbeats.read")
    slim = query.replace("w.*", "w.id, w.workerType, w.status, w.lastHeartbeatAt")
    [row] = db.rows(slim, {})
    seen = heartbeats._heartbeat(row)
    assert (seen.worker_id, seen.status) == (identity.id, "RUNNING")
    assert (seen.beats, seen.started_at, seen.profile, seen.loops) == (None, None, None, None)
    assert seen.unplaced
    assert not _only(db).unplaced, "no deployment is not the same as no column for it"


def test_a_database_without_tables_says_how_to_get_them(tmp_path: Path) -> None:
    with connect(f"sqlite://{tmp_path}/empty.db", create=True) as db, pytest.raises(SchemaError) as caught:
        heartbeats.read(db)
    assert "migrate" in caught.value.hint


class Said:
    """Answers for a heart, and the moments when it asked."""

    def __init__(self, *answers: bool | Exception) -> None:
        self._answers = list(answers)
        self.asked = threading.Semaphore(0)

    def __call__(self, db: Database, loops: dict[str, int]) -> bool:
        answer = self._answers.pop(0) if self._answers else True
        self.asked.release()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wait(self, times: int) -> None:
        for _ in range(times):
            assert self.asked.acquire(timeout=LONGEST_SECONDS)


def _heart(tmp_path: Path, said: Said, died: threading.Event) -> Heart:
    db = connect(f"sqlite://{tmp_path}/heart.db", create=True)
    return Heart(db, said, died.set, interval_ms=20, pulses={"poll": Pulse()})


def test_a_heart_goes_on_beating_through_an_outage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said, died = Said(True, Unreachable("gone"), Unreachable("gone"), True), threading.Event()
    heart = _heart(tmp_path, said, died)
    heart.start()
    said.wait(5)
    heart.stop()
    assert not died.is_set()
    told = capfd.readouterr()
    assert told.err.count("database unreachable") == 1, "said once, not at each try"
    assert "database is back" in told.out


def test_a_heart_outlives_an_error_that_nobody_foresaw(tmp_path: Path) -> None:
    """A worker whose heart has stopped would live on and never claim again."""
    said = Said(True, ValueError("a packet that makes no sense"), True)
    heart = _heart(tmp_path, said, threading.Event())
    heart.start()
    said.wait(4)
    heart.stop()


def test_a_heart_that_is_declared_dead_says_so(tmp_path: Path) -> None:
    said, died = Said(True, False), threading.Event()
    heart = _heart(tmp_path, said, died)
    heart.start()
    assert died.wait(LONGEST_SECONDS)
    heart.stop()


def test_a_lease_counts_from_before_the_beat_was_sent(tmp_path: Path) -> None:
    said = Said()
    heart = _heart(tmp_path, said, threading.Event())
    heart.start()
    said.wait(2)
    assert heart.alive_for_seconds() <= heartbeats.lease_ms(20) / 1000
    heart.stop()


def test_a_loop_that_hangs_ends_the_process(tmp_path: Path) -> None:
    stalled: list[str] = []
    noticed = threading.Event()

    def on_stall(loop: str) -> None:
        stalled.append(loop)
        noticed.set()

    hanging, turning = Pulse(), Pulse()
    turning.tick(3600)
    heart = Heart(
        connect(f"sqlite://{tmp_path}/heart.db", create=True),
        Said(),
        lambda: None,
        interval_ms=20,
        pulses={"hanging": hanging, "turning": turning},
        stall_limit_seconds=0.0,
        on_stall=on_stall,
    )
    heart.start()
    assert noticed.wait(LONGEST_SECONDS)
    heart.stop()
    assert set(stalled) == {"hanging"}
