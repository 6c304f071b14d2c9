"""What must be true of a history of faults, whatever happened in it. Pure: rows and log lines in, complaints out.

The promises (docs/runtime.md): every accepted job ends in exactly one state and is not lost; an attempt is executed
once, and again only if it was told to end and given back unfinished; what a job writes in its transaction is there
exactly once; a due time becomes one job at most; fencing tokens never decrease.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

ENDED = ("COMPLETED", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Execution:
    """A handler was entered (`begin`) or ran to its end (`end`); its worker ended it and gives it back (`told`)."""

    event: str
    job: str
    attempt: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ended:
    """What the table says of a job when everything is over."""

    status: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Fire:
    """A due time that a daemon says it fired, and its token."""

    schedule: str
    due: datetime
    token: int


@dataclass(frozen=True, slots=True)
class History:
    accepted: frozenset[str]
    """Ids of jobs whose enqueue was confirmed."""
    ended: Mapping[str, Ended]
    executions: tuple[Execution, ...] = ()
    effects: tuple[str, ...] = ()
    """One job id for each row that a job wrote in its transaction."""
    transactional: frozenset[str] = frozenset()
    """Accepted jobs that write such a row."""
    due_times: tuple[tuple[str, datetime], ...] = ()
    """(schedule, due time) of each row of JobRun that a schedule made."""
    fires: tuple[Fire, ...] = field(default=())


def complaints(history: History) -> list[str]:
    """Every promise that was broken; nothing when all were kept."""
    return [
        *_lost(history),
        *_executed_too_often(history),
        *_effects(history),
        *_double_fires(history),
        *_decreasing_tokens(history.fires),
    ]


def _lost(history: History) -> Iterable[str]:
    for job in sorted(history.accepted):
        row = history.ended.get(job)
        if row is None:
            yield f"job {job} was accepted and is gone"
        elif row.status not in ENDED:
            yield f"job {job} is still {row.status}"


def kept(executions: Iterable[Execution]) -> Counter[tuple[str, int]]:
    """How often each attempt was begun and not given back. `executions` in the order in which they were written down.

    Told to end before it had begun, an attempt has nothing to give back.
    """
    open_ones: Counter[tuple[str, int, int]] = Counter()
    for each in executions:
        key = (each.job, each.attempt, each.pid)
        if each.event == "begin":
            open_ones[key] += 1
        elif each.event == "told" and open_ones[key] > 0:
            open_ones[key] -= 1
    counted: Counter[tuple[str, int]] = Counter()
    for (job, attempt, _), count in open_ones.items():
        counted[job, attempt] += count
    return counted


def _executed_too_often(history: History) -> Iterable[str]:
    begun = kept(history.executions)
    # A job that completes in its own transaction may be told to end in the moment after its commit: it did run.
    committed = {each.job for each in history.executions if each.event == "begin"} & history.transactional
    runs: Counter[str] = Counter()
    for (job, attempt), count in sorted(begun.items()):
        runs[job] += count
        if count > 1:
            yield f"job {job} attempt {attempt} was begun {count} times"
    for job, row in sorted(history.ended.items()):
        if row.status != "CANCELLED" and runs[job] > row.attempt:
            yield f"job {job} ended in attempt {row.attempt}, but was begun {runs[job]} times"
        if (
            row.status == "COMPLETED"
            and job in history.accepted
            and history.executions
            and not runs[job]
            and job not in committed
        ):
            yield f"job {job} is completed and never ran"


def _effects(history: History) -> Iterable[str]:
    written = Counter(history.effects)
    for job in sorted(history.transactional):
        row = history.ended.get(job)
        expected = int(row is not None and row.status == "COMPLETED")
        if written[job] != expected:
            yield f"job {job} ({row.status if row else 'gone'}) has {written[job]} effects instead of {expected}"


def _double_fires(history: History) -> Iterable[str]:
    for (schedule, due), count in Counter(history.due_times).items():
        if count > 1:
            yield f"schedule {schedule} became {count} jobs at {due.isoformat()}"


def _decreasing_tokens(fires: Iterable[Fire]) -> Iterable[str]:
    """A schedule's due times are committed in their order (each names the one before), so tokens must follow it."""
    highest: dict[str, Fire] = {}
    for fire in sorted(fires, key=lambda each: each.due):
        before = highest.get(fire.schedule)
        if before is not None and fire.token < before.token:
            yield (
                f"schedule {fire.schedule} fired {fire.due.isoformat()} under token {fire.token}"
                f" after {before.due.isoformat()} under {before.token}"
            )
        else:
            highest[fire.schedule] = fire


def read_executions(file: Path) -> tuple[Execution, ...]:
    if not file.exists():
        return ()
    return tuple(Execution(**json.loads(line)) for line in file.read_text().splitlines())
