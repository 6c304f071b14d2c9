"""Alive means: the beat advances."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from deploykit.verification.evidence import Sample
from deploykit.verification.liveness import Pulse, lives, seconds_to_watch
from runtime.heartbeats import Heartbeat
from tests.deploykit.verification.world import NOW, aged, beat, later

ROW = beat("w", "job_worker", "web")


def pulse(first: Heartbeat, last: Heartbeat, seconds: float = 36.0) -> Pulse:
    samples = (Sample(NOW, (first,)), Sample(NOW + timedelta(seconds=seconds), (last,)))
    return lives(samples)[0].pulse


def test_a_row_whose_beat_advances_is_alive() -> None:
    assert pulse(ROW, later(ROW), 0.2) is Pulse.ALIVE


def test_a_running_row_that_stands_still_is_frozen_whatever_its_status_says() -> None:
    assert pulse(ROW, aged(ROW, 36)) is Pulse.FROZEN


def test_a_row_watched_for_less_than_its_patience_is_undecided() -> None:
    assert pulse(ROW, aged(ROW, 8), 8) is Pulse.UNDECIDED


def test_a_row_long_overdue_needs_little_more_than_one_period() -> None:
    old = replace(ROW, seconds_ago=500.0)
    assert pulse(old, aged(old, 12.1), 12.1) is Pulse.FROZEN
    assert pulse(old, aged(old, 11), 11) is Pulse.UNDECIDED


def test_saying_goodbye_writes_the_time_and_is_no_sign_of_life() -> None:
    assert pulse(ROW, replace(later(ROW), status="STOPPED")) is Pulse.ENDED


def test_who_beats_after_its_goodbye_is_alive() -> None:
    gone = replace(ROW, status="DEAD")
    assert pulse(gone, later(gone)) is Pulse.ALIVE


def test_beats_count_when_the_clock_of_the_database_stands_still() -> None:
    assert pulse(ROW, replace(ROW, beats=6), 36) is Pulse.ALIVE


def test_a_clock_that_jumps_back_does_not_hide_a_beat() -> None:
    assert ROW.last_heartbeat_at is not None
    back = replace(ROW, beats=6, last_heartbeat_at=ROW.last_heartbeat_at - timedelta(hours=1))
    assert pulse(ROW, back) is Pulse.ALIVE


def test_a_row_with_the_guides_columns_only_advances_by_its_time() -> None:
    bare = replace(ROW, beats=None, hostname=None, pid=None, deployment=None, heartbeat_interval_ms=None)
    assert pulse(bare, later(bare)) is Pulse.ALIVE


def test_a_row_seen_once_needs_another_look() -> None:
    samples = (Sample(NOW, ()), Sample(NOW + timedelta(seconds=20), (ROW,)))
    assert lives(samples)[0].pulse is Pulse.UNDECIDED
    assert seconds_to_watch(samples) > 0


@pytest.mark.parametrize("samples", [(), (Sample(NOW, (ROW,)),)])
def test_one_sample_proves_nothing(samples: tuple[Sample, ...]) -> None:
    assert all(life.pulse is Pulse.UNDECIDED for life in lives(samples))
    assert seconds_to_watch(samples) > 0


def test_nothing_more_to_watch_once_every_row_has_advanced() -> None:
    assert seconds_to_watch((Sample(NOW, (ROW,)), Sample(NOW, (later(ROW),)))) == 0
