from __future__ import annotations

import os
import signal
import threading

import pytest

from runtime import loop
from runtime.db import Conflict, DatabaseError, Unreachable
from runtime.loop import Bell, Outage, Pulse, Stop
from tests.runtime.support import LONGEST_SECONDS


def test_a_bell_rung_before_the_wait_is_not_lost() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.wait(LONGEST_SECONDS)
    assert not bell.wait(0), "several rings are one"


def test_a_stop_rings_every_bell_even_from_a_signal_handler() -> None:
    stop = Stop()
    bell = stop.bell()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: stop.request())
    try:
        threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGUSR1]).start()
        assert bell.wait(LONGEST_SECONDS)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert stop.requested
    assert stop.bell().wait(0), "who comes later hears it too"


@pytest.mark.parametrize("failure", [Unreachable("gone"), Conflict("race"), DatabaseError("odd"), ValueError("bug")])
def test_a_loop_survives_a_turn_that_fails(failure: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    stop, turns = Stop(), []
    bell = stop.bell()

    def turn() -> float:
        turns.append(1)
        bell.ring()  # so that the test need not wait out the pause after a failure
        if len(turns) == 1:
            raise failure
        stop.request()
        return 0

    loop.run("[test]", turn, stop, bell, Pulse())
    assert len(turns) == 2
    assert str(failure) in "".join(capfd.readouterr())


def test_an_outage_is_told_twice_and_retried_ever_more_slowly(capfd: pytest.CaptureFixture[str]) -> None:
    outage = Outage("[test]")
    delays = [outage.failed(Unreachable("gone")) for _ in range(12)]
    assert delays[0] < 1
    assert all(20 < delay < 40 for delay in delays[7:])
    outage.over()
    outage.over()
    said = capfd.readouterr()
    assert said.err.count("unreachable") == 1
    assert said.out.count("is back") == 1


def test_a_pulse_is_overdue_only_after_its_promise() -> None:
    pulse = Pulse()
    pulse.tick(3600)
    assert pulse.overdue_seconds() < 0 <= pulse.age_seconds()
