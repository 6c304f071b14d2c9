"""Every process in exactly one class, and the right one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from deploykit.verification.census import GHOSTS, Class, Row, census
from deploykit.verification.evidence import Problem
from tests.deploykit.verification.world import (
    DAEMON_ENV,
    NOW,
    World,
    beat,
    classes,
    deployment,
    instances,
    pre_launch,
    service,
)


def rows(world: World, kind: str = "schedule_daemon") -> list[Row]:
    return world.case().census.of(kind)


def test_the_healthy_system_is_expected_and_nothing_else() -> None:
    assert classes(World().case()) == ["expected", "expected", "expected"]


def test_a_daemon_started_by_hand_is_foreign_although_it_stands_by() -> None:
    world = World()
    world.alive["ghost"] = beat("g", "schedule_daemon", None, status="STANDBY")
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.FOREIGN]


def test_a_frozen_process_in_a_running_instance_is_silent() -> None:
    world = World()
    world.frozen["daemon"] = world.alive.pop("daemon")
    (row,) = rows(world)
    assert (row.class_, row.worker_id, row.starting) == (Class.SILENT, "d1", False)


def test_a_frozen_process_that_the_others_declared_dead_is_still_silent_and_not_a_stranger() -> None:
    world = World()
    world.frozen["daemon"] = replace(world.alive.pop("daemon"), status="DEAD")
    (row,) = rows(world)
    assert (row.class_, row.worker_id) == (Class.SILENT, "d1")
    assert "declared dead" in row.why


def test_an_instance_that_never_beat_is_silent_and_starting_while_it_is_young() -> None:
    world = World()
    del world.alive["daemon"]
    (row,) = rows(world)
    assert (row.class_, row.worker_id, row.starting) == (Class.SILENT, None, False)
    world.replace_deployments(
        "schedule-daemon", deployment("day", "schedule-daemon", created_at=NOW - timedelta(seconds=20))
    )
    assert rows(world)[0].starting


def test_no_instance_and_no_heartbeat_is_missing() -> None:
    world = World()
    del world.alive["daemon"]
    world.replace_deployments("schedule-daemon", deployment("day", "schedule-daemon", status="CRASHED", instances=()))
    assert [row.class_ for row in rows(world)] == [Class.MISSING]


def test_a_restarting_instance_is_missing_and_not_silent() -> None:
    world = World()
    del world.alive["daemon"]
    world.replace_deployments(
        "schedule-daemon", deployment("day", "schedule-daemon", instances=instances("day", "RESTARTING"))
    )
    (row,) = rows(world)
    assert (row.class_, row.why) == (Class.MISSING, "its instance is RESTARTING")


def test_the_row_of_a_killed_process_is_stale_and_its_successor_expected() -> None:
    world = World()
    world.frozen["old"] = beat("old", "schedule_daemon", "day")
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.STALE_ROW]


def test_a_heartbeat_of_a_removed_deployment_is_a_zombie() -> None:
    world = World()
    world.replace_deployments(
        "schedule-daemon",
        deployment("day", "schedule-daemon"),
        deployment("old", "schedule-daemon", status="REMOVED", instances=(), created_at=NOW - timedelta(hours=2)),
    )
    world.alive["zombie"] = beat("z", "schedule_daemon", "old", status="STANDBY")
    world.alive["unknown"] = beat("u", "schedule_daemon", "never-heard-of")
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.ZOMBIE, Class.ZOMBIE]


def test_a_deployment_that_is_removed_while_we_look_is_draining_and_no_zombie() -> None:
    world = World()
    before = world.snapshot
    new = deployment("new", "schedule-daemon", created_at=NOW)
    world.replace_deployments(
        "schedule-daemon", new, deployment("day", "schedule-daemon", status="REMOVED", instances=())
    )
    world.alive["new"] = beat("n", "schedule_daemon", "new")
    world.extra["before"] = before
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.DRAINING]


def test_a_deployment_in_another_environment_is_foreign() -> None:
    world = World()
    world.alive["pr"] = beat("p", "schedule_daemon", "pr-1", service="schedule-daemon")
    world.extra["elsewhere"] = {"pr-1": "pr-42"}
    row = rows(world)[-1]
    assert row.class_ is Class.FOREIGN
    assert "pr-42" in row.why


def test_a_service_outside_the_profile_that_beats_is_a_ghost_service() -> None:
    world = World()
    world.services["cron"] = service("cron", deployment("cr", "cron"), env=DAEMON_ENV)
    world.alive["ghost"] = beat("g", "schedule_daemon", "cr")
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.GHOST_SERVICE]


def test_a_service_outside_the_profile_with_the_daemons_flag_is_a_ghost_even_when_nobody_hears_it() -> None:
    world = World()
    world.services["cron"] = service("cron", deployment("cr", "cron"), env=DAEMON_ENV)
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.GHOST_SERVICE]


@pytest.mark.parametrize(
    ("flag", "ghost"), [("TRUE", True), ("1", True), ("yes", True), ("False", False), ("false", False), ("", False)]
)
def test_a_stranger_whose_flag_some_application_takes_for_true_is_a_ghost(flag: str, ghost: bool) -> None:
    world = World()
    world.services["cron"] = service("cron", deployment("cr", "cron"), env={"SCHEDULE_DAEMON_ENABLED": flag})
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, *[Class.GHOST_SERVICE] * ghost]


def test_a_stranger_that_sleeps_with_the_daemons_flag_is_a_ghost_before_it_wakes() -> None:
    world = World()
    asleep = deployment("cr", "cron", status="SLEEPING", instances=())
    world.services["cron"] = service("cron", asleep, env=DAEMON_ENV)
    ghost = rows(world)[-1]
    assert (ghost.class_, ghost.alive) == (Class.GHOST_SERVICE, False)
    assert "wakes" in ghost.why


def test_a_daemon_in_the_web_server_is_misconfigured_and_a_ghost() -> None:
    world = World()
    world.alive["inside"] = beat("i", "schedule_daemon", "web", service="web-server")
    row = rows(world)[-1]
    assert (row.class_, row.unwanted, row.ghost) == (Class.MISCONFIGURED, True, True)


def test_another_poll_interval_than_promised_is_misconfigured() -> None:
    world = World()
    world.alive["daemon"] = replace(world.alive["daemon"], poll_interval_ms=60_000)
    (row,) = rows(world)
    assert row.class_ is Class.MISCONFIGURED
    assert "60000" in row.why
    assert "3600000" in row.why


def test_a_second_replica_made_in_the_dashboard_is_a_duplicate() -> None:
    world = World()
    two = deployment("web", "web-server", instances=instances("web", "RUNNING", "RUNNING"))
    world.replace_deployments("web-server", two)
    world.alive["second"] = beat("w2", "job_worker", "web", replica="web-1", started_at=NOW)
    found = rows(world, "job_worker")
    assert [(row.worker_id, row.class_) for row in found] == [("w1", Class.EXPECTED), ("w2", Class.DUPLICATE)]
    assert [row.class_ for row in rows(world, "web")] == [Class.EXPECTED, Class.DUPLICATE]


def test_two_processes_in_one_container_are_one_too_many() -> None:
    world = World(profile=pre_launch(expect={"schedule_daemon": 1, "job_worker": 1}))
    world.alive["second"] = beat("w2", "job_worker", "web", started_at=NOW)
    assert [row.class_ for row in rows(world, "job_worker")] == [Class.EXPECTED, Class.DUPLICATE]


def test_during_a_deploy_the_old_process_is_draining_and_after_it_a_duplicate() -> None:
    world = World()
    old = deployment("day", "schedule-daemon")
    world.alive["new"] = beat("n", "schedule_daemon", "new", status="STANDBY")
    for age, expected in ((20, Class.DRAINING), (3000, Class.DUPLICATE)):
        new = deployment("new", "schedule-daemon", created_at=NOW - timedelta(seconds=age))
        world.replace_deployments("schedule-daemon", new, old)
        assert [row.class_ for row in rows(world)] == [Class.STANDBY, expected]


def test_a_removing_deployment_is_draining_however_long_its_successor_was_built() -> None:
    world = World()
    world.replace_deployments(
        "schedule-daemon",
        deployment("new", "schedule-daemon", created_at=NOW - timedelta(minutes=50)),
        deployment("day", "schedule-daemon", status="REMOVING"),
    )
    world.alive["new"] = beat("n", "schedule_daemon", "new", started_at=NOW - timedelta(seconds=10))
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.DRAINING]


def test_a_replica_id_that_is_not_railways_instance_id_is_matched_by_count() -> None:
    world = World()
    world.alive["daemon"] = replace(world.alive["daemon"], replica="something-else")
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED]


def test_without_the_database_what_runs_is_unknown() -> None:
    world = World()
    world.extra |= {"samples": (), "problems": (Problem("database", "refused"),)}
    assert [row.class_ for row in rows(world)] == [Class.UNKNOWN]


def test_without_railway_the_rows_speak_for_themselves() -> None:
    world = World()
    world.alive["ghost"] = beat("g", "schedule_daemon", None)
    world.extra |= {"before": None, "after": None, "problems": (Problem("railway", "refused"),)}
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.FOREIGN]
    assert [row.class_ for row in rows(world, "web")] == [Class.UNKNOWN]


def bare(worker_id: str, kind: str) -> Any:
    return beat(worker_id, kind, None, beats=None, hostname=None, pid=None, heartbeat_interval_ms=None,
                poll_interval_ms=None, profile=None)  # fmt: skip


def test_rows_with_the_guides_columns_only_fill_places_by_kind() -> None:
    world = World()
    world.alive = {"daemon": bare("d", "schedule_daemon"), "worker": bare("w", "job_worker")}
    assert classes(world.case()) == ["expected"] * 3
    world.alive["more"] = bare("d2", "schedule_daemon")
    assert [row.class_ for row in rows(world)] == [Class.EXPECTED, Class.DUPLICATE]


def test_an_hourly_daemon_that_beats_with_its_poll_is_unknown_and_not_silent() -> None:
    world = World()
    del world.alive["daemon"]
    world.frozen["daemon"] = replace(bare("d", "schedule_daemon"), seconds_ago=1500.0)
    world.watched_seconds = 100.0
    assert [row.class_ for row in rows(world)] == [Class.UNKNOWN]


BEATS = st.builds(
    lambda number, kind, place, status, replica, poll: beat(
        f"w{number}", kind, place, status=status, replica=replica, poll_interval_ms=poll
    ),
    st.integers(0, 99),
    st.sampled_from(["schedule_daemon", "job_worker"]),
    st.sampled_from([None, "web", "day", "db", "cr", "old", "nowhere"]),
    st.sampled_from(["RUNNING", "STANDBY", "DRAINING", "STOPPED", "DEAD"]),
    st.sampled_from([None, "web-0", "day-0", "other"]),
    st.sampled_from([None, 30_000, 3_600_000]),
)


def world_of(alive: list[Any], frozen: list[Any]) -> World:
    world = World()
    world.services["cron"] = service("cron", deployment("cr", "cron"), env=DAEMON_ENV)
    world.alive = {row.worker_id: row for row in alive}
    world.frozen = {row.worker_id: row for row in frozen if row.worker_id not in world.alive}
    return world


@given(st.lists(BEATS, max_size=8), st.lists(BEATS, max_size=8))
def test_every_row_of_the_table_is_in_exactly_one_class(alive: list[Any], frozen: list[Any]) -> None:
    world = world_of(alive, frozen)
    named = [row.worker_id for row in world.case().census.rows if row.worker_id is not None]
    assert sorted(named) == sorted([*world.alive, *world.frozen])


@given(st.lists(BEATS, max_size=6), st.randoms())
def test_the_order_of_rows_and_services_does_not_matter(alive: list[Any], random: Any) -> None:
    world = world_of(alive, [])
    shuffled = world_of(alive, [])
    order = list(world.alive.items())
    random.shuffle(order)
    shuffled.alive = dict(order)
    names = list(world.services.items())
    random.shuffle(names)
    shuffled.services = dict(names)
    assert census(world.profile, world.evidence()).rows == census(shuffled.profile, shuffled.evidence()).rows


@given(st.lists(BEATS, max_size=6))
def test_one_more_process_started_by_hand_is_always_one_more_ghost(alive: list[Any]) -> None:
    world = world_of(alive, [])
    before = world.case().census
    world.alive["by hand"] = beat("by hand", "schedule_daemon", None, status="STANDBY")
    after = world.case().census
    assert len(after.ghosts) == len(before.ghosts) + 1


@given(st.lists(BEATS, max_size=6))
def test_never_more_are_expected_than_the_profile_wants(alive: list[Any]) -> None:
    counted = world_of(alive, []).case().census
    for kind, wanted in counted.wanted.items():
        homed = [row for row in counted.of(kind) if row.class_ not in GHOSTS and row.alive and not row.unwanted]
        assert len([row for row in homed if row.class_ is not Class.DRAINING]) <= wanted
