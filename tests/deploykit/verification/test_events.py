"""What changed between two looks."""

from __future__ import annotations

from deploykit.verification.checks import judge
from deploykit.verification.events import events
from tests.deploykit.verification import test_checks as faults
from tests.deploykit.verification.world import World


def test_a_ghost_that_comes_and_goes_is_told_with_the_verdict() -> None:
    healthy, haunted = World(), World()
    faults.by_hand(haunted)
    before, after = judge(healthy.case()), judge(haunted.case())
    assert events(before, after) == ["schedule_daemon in host came as foreign", "verdict: healthy → unhealthy"]
    assert events(after, before) == ["schedule_daemon in host went", "verdict: unhealthy → healthy"]


def test_nothing_is_told_when_nothing_changed() -> None:
    assert events(judge(World().case()), judge(World().case())) == []
