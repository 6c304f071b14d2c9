"""What verify, doctor, ghosts and watch show a person."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploykit.report import census, doctor, ghosts, verify, watch
from deploykit.verification.checks import judge
from deploykit.verification.diagnosis import diagnose
from deploykit.verification.ending import endings
from tests.deploykit.verification import test_checks as faults
from tests.deploykit.verification.world import NOW, World


def test_the_healthy_system_in_one_table_and_one_sentence() -> None:
    said = verify.text(judge(World().case()))
    assert said.splitlines()[0].split() == ["kind", "class", "service", "deployment", "beat", "poll", "why"]
    assert "healthy: 1 of 1 schedule daemons alive: deployment day" in said
    assert "beating every 10 s, poll 3600000 ms as planned" in said
    assert "0 others in 36 s" in said


@pytest.mark.parametrize("break_it", [faults.by_hand, faults.two_replicas, faults.crashed, faults.no_database])
def test_what_is_wrong_is_said_with_its_cure(break_it: Callable[[World], None]) -> None:
    world = World()
    break_it(world)
    found = judge(world.case())
    said = verify.text(found)
    assert "→ " in said
    assert str(found.health) in said
    assert "cure:" in doctor.text(found, diagnose(found))


def test_a_wrong_poll_is_not_called_as_planned() -> None:
    world = World()
    faults.another_poll(world)
    assert "poll 60000 ms as planned" not in verify.text(judge(world.case()))


def test_rows_of_processes_that_ended_are_counted_and_not_listed() -> None:
    world = World()
    world.frozen["old"] = world.alive["daemon"].__class__(
        **{name: getattr(world.alive["daemon"], name) for name in world.alive["daemon"].__slots__} | {"worker_id": "o"}
    )
    said = census.table(world.case().census)
    assert "(1 row of processes that no longer beat)" in said
    assert "stale-row" not in said


def test_the_screen_fits_an_ssh_window() -> None:
    world = World()
    for break_it in (faults.by_hand, faults.two_active, faults.backlog, faults.staged):
        break_it(world)
    drawn = watch.screen(
        judge(world.case()), profile="pre-launch", at=NOW, problem="x" * 300, events=["12:00:00 y" * 20] * 50,
        api=watch.api(2, 240, 1000, 900),
    )  # fmt: skip
    lines = drawn.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert "240/h of 1000" in lines[0]


def test_ghosts_are_listed_with_what_ends_them() -> None:
    world = World()
    faults.by_hand(world)
    plan = endings(world.profile, world.case().census, world.snapshot)
    said = ghosts.text(plan, verdict="unhealthy", certain=True)
    assert "end process 7 on host" in said
    assert ghosts.as_json(plan, verdict="unhealthy")["ghosts"][0]["class"] == "foreign"


def test_no_ghosts_is_only_said_where_it_could_be_seen() -> None:
    assert ghosts.text([], verdict="healthy", certain=True) == "no ghosts"
    assert "incomplete" in ghosts.text([], verdict="inconclusive", certain=False)
