"""Alive, or merely written down: decided by beats that advance between samples, never by a status column.

A killed process leaves ``status = 'RUNNING'`` behind for ever, so the column proves nothing; a row whose
``lastHeartbeatAt`` moves was written by somebody who lives. All times are the database's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from deploykit.verification.evidence import Sample
from runtime.heartbeats import Heartbeat
from runtime.loop import OUTAGE_LONGEST_SECONDS

DEFAULT_BEAT_SECONDS = 10.0
UNKNOWN_BEAT_SECONDS = 30.0
"""How often a process beats whose table does not say so: the guide's own worker beats with its poll, every 30 s."""
PATIENCE_BEATS = 3.0
"""A beat may be late by two periods, a failover of the database for instance, before silence means anything."""
SECOND_LOOK_SECONDS = 1.0
"""The longest pause between the first look and the second."""
LEASE_BEATS = 3
"""A daemon turns at least this often, in beats, since it has a lease to renew (`runtime.daemon.lease_ttl_ms`)."""
LOOP_GRACE_SECONDS = 15.0
"""What a turn may take beyond its wait: a slow query with its timeout."""
_FINISHED = frozenset({"STOPPED", "DEAD"})


class Pulse(StrEnum):
    """What the samples say about one row."""

    ALIVE = "alive"
    FROZEN = "frozen"
    """It claims to run, and did not beat while we watched for long enough."""
    ENDED = "ended"
    """It said goodbye, or was declared dead, and is silent."""
    UNDECIDED = "undecided"
    """Watched for too short a time to tell."""


@dataclass(frozen=True, slots=True)
class Life:
    """One row with its pulse; ``heartbeat`` as last seen."""

    heartbeat: Heartbeat
    pulse: Pulse


def beat_seconds(heartbeat: Heartbeat) -> float:
    """How often this process promises to beat."""
    if heartbeat.heartbeat_interval_ms:
        return heartbeat.heartbeat_interval_ms / 1000
    return UNKNOWN_BEAT_SECONDS if bare(heartbeat) else DEFAULT_BEAT_SECONDS


def hung_seconds(heartbeat: Heartbeat, poll_ms: int | None) -> float | None:
    """How long no loop of a beating process has turned, None while that is what it may take.

    The heart beats on a thread of its own, so a process may beat and do nothing. ``poll_ms`` is how long its loop may
    wait between two turns, None for a daemon, which has its lease to look after. Longer than either is the pause after
    a failure of the database (`runtime.loop.Outage`).
    """
    loops = (heartbeat.loops or {}).values()
    ages = [age / 1000 for age in loops if isinstance(age, int | float) and not isinstance(age, bool)]
    waits = LEASE_BEATS * beat_seconds(heartbeat) if poll_ms is None else poll_ms / 1000
    longest = max(waits, OUTAGE_LONGEST_SECONDS * 1.25) + LOOP_GRACE_SECONDS
    oldest = max(ages, default=0.0)
    return oldest if oldest > longest else None


def bare(heartbeat: Heartbeat) -> bool:
    """Whether the row tells the kind and the time, but not where its process runs: the guide's columns, or few more."""
    return heartbeat.unplaced or all(
        value is None
        for value in (heartbeat.beats, heartbeat.pid, heartbeat.hostname, heartbeat.service, heartbeat.deployment)
    )


def lives(samples: Sequence[Sample]) -> list[Life]:
    """Every row of the last sample with its pulse; rows that were deleted meanwhile are no more."""
    if not samples:
        return []
    return [Life(heartbeat, _pulse(samples, heartbeat)) for heartbeat in samples[-1].heartbeats]


def seconds_to_watch(samples: Sequence[Sample]) -> float:
    """How much longer to sample until every row is decided; 0 when all are."""
    if len(samples) < 2:
        first = samples[0].heartbeats if samples else ()
        return min(SECOND_LOOK_SECONDS, max((beat_seconds(beat) for beat in first), default=SECOND_LOOK_SECONDS))
    return max((_seconds_missing(samples, heartbeat) for heartbeat in samples[-1].heartbeats), default=0.0)


def _pulse(samples: Sequence[Sample], last: Heartbeat) -> Pulse:
    seen = _sightings(samples, last.worker_id)
    finished = last.status in _FINISHED
    if len(seen) > 1 and _advanced(seen[0][1], last):
        # Saying goodbye writes the time too; only who beats *after* its goodbye is alive in spite of it.
        said_goodbye_before = seen[0][1].status in _FINISHED
        if _still_seconds(seen) > beat_seconds(last) * PATIENCE_BEATS:
            return Pulse.ENDED if finished else Pulse.FROZEN  # it moved once, and then no more
        return Pulse.ALIVE if not finished or said_goodbye_before else Pulse.ENDED
    if finished:
        return Pulse.ENDED
    return Pulse.UNDECIDED if _seconds_missing(samples, last) > 0 else Pulse.FROZEN


def _seconds_missing(samples: Sequence[Sample], last: Heartbeat) -> float:
    """Seconds to go on watching this row, 0 once its pulse is clear."""
    seen = _sightings(samples, last.worker_id)
    if last.status in _FINISHED or (len(seen) > 1 and _advanced(seen[0][1], last)):
        return 0.0
    watched = (samples[-1].at - seen[0][0]).total_seconds()
    period = beat_seconds(last)
    age = last.seconds_ago if last.seconds_ago is not None and last.seconds_ago >= 0 else watched
    # Overdue already when we came: a little over one period of silence is enough. Else give it all its patience.
    return max(period * PATIENCE_BEATS - age, period * 1.2 - watched, 0.0)


def _sightings(samples: Sequence[Sample], worker_id: str) -> list[tuple[datetime, Heartbeat]]:
    return [
        (sample.at, heartbeat)
        for sample in samples
        for heartbeat in sample.heartbeats
        if heartbeat.worker_id == worker_id
    ]


def _still_seconds(seen: Sequence[tuple[datetime, Heartbeat]]) -> float:
    """How long a row has stood as it was last seen."""
    end, last = seen[-1]
    since = next((at for at, beat in seen if not _advanced(beat, last)), end)
    return (end - since).total_seconds()


def _advanced(first: Heartbeat, last: Heartbeat) -> bool:
    if first.beats is not None and last.beats is not None and last.beats != first.beats:
        return last.beats > first.beats
    if first.last_heartbeat_at is None or last.last_heartbeat_at is None:
        return False
    return last.last_heartbeat_at > first.last_heartbeat_at
