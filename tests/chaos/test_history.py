from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.chaos.history import Ended, Execution, Fire, History, complaints

NOON, ONE = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 13, tzinfo=UTC)
GOOD = History(
    accepted=frozenset({"a", "b"}),
    ended={"a": Ended("COMPLETED", 1), "b": Ended("COMPLETED", 2)},
    executions=(
        Execution("begin", "a", 1, 10),
        Execution("end", "a", 1, 10),
        Execution("begin", "b", 1, 10),
        Execution("begin", "b", 2, 11),
        Execution("end", "b", 2, 11),
    ),
    effects=("a",),
    transactional=frozenset({"a"}),
    due_times=(("hourly", NOON), ("hourly", ONE)),
    fires=(Fire("hourly", NOON, 1), Fire("hourly", ONE, 2)),
)

TOLD_B = (Execution("begin", "b", 2, 11), Execution("told", "b", 2, 11))


def test_a_good_history_gives_no_complaint() -> None:
    assert complaints(GOOD) == []


def test_a_job_may_be_told_to_end_in_the_moment_after_its_own_transaction_completed_it() -> None:
    told = (Execution("begin", "a", 1, 10), Execution("told", "a", 1, 10), *GOOD.executions[2:])
    assert complaints(replace(GOOD, executions=told)) == []


def test_an_attempt_that_was_given_back_may_run_again_in_any_process() -> None:
    told = Execution("told", "a", 1, 10)
    before_it_began = (told, *GOOD.executions)
    at_its_last_instruction = (*GOOD.executions[:2], told, *GOOD.executions)
    elsewhere = (Execution("begin", "a", 1, 11), Execution("told", "a", 1, 11), *GOOD.executions)
    for executions in (before_it_began, at_its_last_instruction, elsewhere):
        assert complaints(replace(GOOD, executions=executions)) == []


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ({"ended": {"a": Ended("COMPLETED", 1)}}, "job b was accepted and is gone"),
        ({"ended": {**GOOD.ended, "b": Ended("RUNNING", 2)}}, "job b is still RUNNING"),
        ({"executions": (*GOOD.executions, Execution("begin", "a", 1, 11))}, "job a attempt 1 was begun 2 times"),
        ({"executions": (*GOOD.executions, Execution("begin", "a", 2, 11))}, "ended in attempt 1, but was begun 2"),
        ({"executions": GOOD.executions[:2]}, "job b is completed and never ran"),
        ({"executions": (*GOOD.executions[:2], *TOLD_B)}, "job b is completed and never ran"),
        (
            {"executions": (Execution("told", "a", 1, 10), *GOOD.executions, Execution("begin", "a", 1, 11))},
            "job a attempt 1 was begun 2 times",
        ),
        ({"effects": ("a", "a")}, "job a (COMPLETED) has 2 effects instead of 1"),
        ({"effects": ()}, "job a (COMPLETED) has 0 effects instead of 1"),
        ({"due_times": (*GOOD.due_times, ("hourly", NOON))}, "became 2 jobs at 2026-03-01T12"),
        ({"fires": (Fire("hourly", NOON, 2), Fire("hourly", ONE, 1))}, "under token 1 after"),
    ],
)
def test_each_broken_promise_is_seen(bad: dict[str, object], complaint: str) -> None:
    found = complaints(replace(GOOD, **bad))  # type: ignore[arg-type]
    assert any(complaint in line for line in found), found
