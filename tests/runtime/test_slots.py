from __future__ import annotations

import threading

import pytest

from runtime.context import Job
from runtime.handlers import FailedForGood
from runtime.loop import Bell
from runtime.queue import Claim, Outcome
from runtime.slots import Running, Slots
from tests.runtime.support import LONGEST_SECONDS, eventually


def claim(number: int = 1) -> Claim:
    return Claim(f"id{number}", "job", None, 1, 3, None, None, None, "me")


class Hands:
    """Slots with one handler, and what it needs."""

    def __init__(self, run: object, count: int = 1) -> None:
        self.bell = Bell()
        self.slots = Slots(count, run, lambda claim: Job(claim, lambda: None, lambda *_, **__: None), self.bell)  # type: ignore[arg-type]

    def run(self, *claims: Claim) -> list[Outcome]:
        self.slots.put(list(claims))
        return self.outcomes(len(claims))

    def outcomes(self, count: int) -> list[Outcome]:
        found: list[Outcome] = []
        while len(found) < count:
            assert self.bell.wait(LONGEST_SECONDS)
            found += self.slots.collect()
        return found

    def running(self) -> Running:
        return eventually(self.slots.running)[0]


def test_a_function_that_returns_is_done() -> None:
    hands = Hands(lambda job: None)
    assert [outcome.verdict for outcome in hands.run(claim(1), claim(2))] == ["done", "done"]
    assert hands.slots.in_hand == 0


@pytest.mark.parametrize(
    ("error", "final", "said"),
    [(ValueError("no"), False, "ValueError: no"), (FailedForGood("never"), True, "FailedForGood: never")],
)
def test_a_function_that_raises_has_failed(error: Exception, final: bool, said: str) -> None:
    def fail(job: Job) -> None:
        raise error

    [outcome] = Hands(fail).run(claim())
    assert (outcome.verdict, outcome.final, outcome.error) == ("failed", final, said)


class Unspeakable(Exception):
    """An error of which even its text raises."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), Unspeakable()])
def test_whatever_a_function_raises_its_job_ends_and_its_thread_lives_on(error: BaseException) -> None:
    def leave(job: Job) -> None:
        if job.id == "id1":
            raise error

    first, second = Hands(leave).run(claim(1), claim(2))
    assert (first.verdict, second.verdict) == ("failed", "done")
    assert type(error).__name__ in (first.error or "")


@pytest.mark.parametrize(
    ("reason", "verdict"), [("timeout", "failed"), ("cancelled", "cancelled"), ("stopping", "released")]
)
def test_a_function_in_a_loop_can_be_interrupted(reason: str, verdict: str) -> None:
    def spin(job: Job) -> None:
        while True:
            try:
                pass
            except Exception:
                continue

    hands = Hands(spin)
    hands.slots.put([claim()])
    hands.running().interrupt(reason)
    [outcome] = hands.outcomes(1)
    assert outcome.verdict == verdict
    hands.slots.put([claim(2)])
    hands.running().interrupt("stopping")
    assert hands.outcomes(1)[0].claim.job_id == "id2", "the thread lives on and takes the next job"


def test_a_function_that_returns_early_because_it_should_end_is_not_done() -> None:
    """A loop that looks at `stopping` may be faster than the exception that was to end it."""
    [outcome] = Hands(lambda job: job.interrupt("stopping")).run(claim())
    assert outcome.verdict == "released"


def test_an_interrupt_that_comes_too_late_harms_nobody() -> None:
    gate, seen = threading.Event(), []

    def wait(job: Job) -> None:
        seen.append(job)
        gate.wait(LONGEST_SECONDS)

    hands = Hands(wait)
    for number in range(200):
        gate.clear()
        hands.slots.put([claim(number)])
        running = hands.running()
        gate.set()
        running.interrupt("stopping")
        [outcome] = hands.outcomes(1)
        assert outcome.claim.job_id == f"id{number}"
        assert outcome.verdict in ("done", "released")
    assert hands.slots.in_hand == 0


def test_a_thread_that_does_not_end_is_replaced() -> None:
    gate = threading.Event()
    hands = Hands(lambda job: gate.wait(LONGEST_SECONDS) if job.id == "id1" else None)
    hands.slots.put([claim(1), claim(2)])
    stuck = hands.running()
    assert hands.slots.abandon(stuck)
    assert [outcome.claim.job_id for outcome in hands.outcomes(1)] == ["id2"]
    gate.set()
    stuck.thread.join(LONGEST_SECONDS)
    assert not stuck.thread.is_alive(), "the old thread takes no more work"
    assert hands.slots.collect() == []
    assert not hands.slots.abandon(stuck)


def test_what_has_not_started_can_be_taken_back() -> None:
    gate = threading.Event()
    hands = Hands(lambda job: gate.wait(LONGEST_SECONDS))
    hands.slots.put([claim(1), claim(2), claim(3)])
    hands.running()
    assert [each.job_id for each in hands.slots.take_back()] == ["id2", "id3"]
    assert [each.job_id for each in hands.slots.claims()] == ["id1"]
    gate.set()
    assert len(hands.outcomes(1)) == 1
