"""Each ghost is ended the right way for its class."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploykit.verification.ending import (
    Advise,
    DeleteService,
    RemoveDeployment,
    RestartDeployment,
    SwitchOff,
    Terminate,
    destructive,
    endings,
)
from tests.deploykit.verification import test_checks as faults
from tests.deploykit.verification.world import World, beat


def first_act(break_it: Callable[[World], None]) -> object:
    world = World()
    break_it(world)
    plan = endings(world.profile, world.case().census, world.snapshot)
    assert plan
    return plan[0][1][0]


def daemon_in_web(world: World) -> None:
    world.alive["inside"] = beat("i", "schedule_daemon", "web", service="web-server")


def twice(world: World) -> None:
    world.alive["twice"] = beat("w2", "job_worker", "web")


def zombie(world: World) -> None:
    world.alive["zombie"] = beat("z", "schedule_daemon", "never-heard-of")


def elsewhere(world: World) -> None:
    world.alive["pr"] = beat("p", "schedule_daemon", "pr-1")
    world.extra["elsewhere"] = {"pr-1": "pr-42"}


ENDS: dict[str, tuple[Callable[[World], None], object]] = {
    "wrong process": (daemon_in_web, SwitchOff("web-server", "id-web-server", "SCHEDULE_DAEMON_ENABLED")),
    "older deployment": (faults.two_active, RemoveDeployment("web-server", "web")),
    "one container": (twice, RestartDeployment("web-server", "web")),
    "ghost service": (faults.ghost_service, DeleteService("cron", "id-cron")),
    "by hand": (faults.by_hand, Terminate("g", "host", 7)),
    "zombie": (zombie, Terminate("z", "host", 7)),
}


@pytest.mark.parametrize("ghost", ENDS)
def test_a_ghost_is_ended_by_its_class(ghost: str) -> None:
    break_it, act = ENDS[ghost]
    assert first_act(break_it) == act


@pytest.mark.parametrize("break_it", [faults.two_replicas, elsewhere])
def test_what_is_not_ours_to_end_is_left_to_a_person(break_it: Callable[[World], None]) -> None:
    assert isinstance(first_act(break_it), Advise)


def test_only_deleting_a_service_is_destructive() -> None:
    assert destructive((DeleteService("cron", "1"),))
    assert not destructive((SwitchOff("web", "1", "F"), RemoveDeployment("web", "d"), Advise("x")))


def test_a_healthy_system_has_nothing_to_end() -> None:
    world = World()
    assert endings(world.profile, world.case().census, world.snapshot) == []
