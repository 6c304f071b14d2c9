"""Two daemons, one lease, one schedule, as a pure state machine: every statement a step, every fault a step.

It says what runtime/lease.py and runtime/schedules.py do, at the grain at which databases and machines interleave them.
A daemon may stop between any two steps for any length of time (the other simply goes on), may crash, may lose its
connection before or after a commit took effect; the lease may end at any moment; the clock of a new primary may be
behind; people edit, prune and insert beside it. `Guards` are the clauses that make this safe; leave one out and
`search` finds how it goes wrong.

Due times are the numbers 0, 1, …; due time i has come when `now` > i.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

NONE, JOB, MISSED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Guards:
    """What the fire transaction relies on. Each is one clause, lock or key in runtime/sql."""

    token: bool = True
    """`lease.guard`: the holder's token, and that the lease has not ended."""
    lock: bool = True
    """LOCK IN SHARE MODE on the lease row: nobody takes over between the look and the commit."""
    compare: bool = True
    """`schedules.advance`: enabled, and nextRunAt is what was read."""
    watermark: bool = True
    """`schedules.attend` and `schedules.advance`: what lies at or before lastDueAt is never decided about again."""
    unique: bool = True
    """UNIQUE (scheduleId, dueAt)."""
    atomic: bool = True
    """Watermark and job are written in one transaction."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may happen, so that the search ends."""

    due_times: int = 2
    tokens: int = 3
    setbacks: int = 1
    """How often the database's clock may fall back by one due time (a failover)."""
    prunes: int = 1
    strangers: int = 1
    """How often another program inserts the job of a due time itself."""
    switches: int = 1
    """How often the schedule is switched off and on."""


Where = Literal["standby", "leading", "read", "guarded", "advanced", "written"]


class Daemon(NamedTuple):
    where: Where = "standby"
    token: int = 0
    next: int = 0
    """nextRunAt as it was read."""
    now: int = 0
    """The database's clock as it was read."""
    mark: int = -1
    """lastDueAt as it was read."""
    inserts: tuple[int, ...] = ()
    """What the open transaction will have written for each due time."""


class State(NamedTuple):
    now: int
    held_token: int
    ended: bool
    """The lease has run out, or was given back."""
    enabled: bool
    next: int
    """nextRunAt."""
    mark: int
    """lastDueAt, the watermark."""
    rows: tuple[int, ...]
    """JobRun for each due time, as it can be read now."""
    fired: tuple[int, ...]
    """How many jobs were ever committed for each due time (nobody can read this)."""
    covered: tuple[bool, ...]
    """Whether a daemon's transaction counted this due time as dealt with (nobody can read this)."""
    daemons: tuple[Daemon, ...]
    setbacks: int
    prunes: int
    strangers: int
    switches: int
    fault: str = ""
    """Set by a step that breaks a promise."""


class Step(NamedTuple):
    actor: str
    action: str


def initial(bounds: Bounds, daemons: int = 2) -> State:
    none = (NONE,) * bounds.due_times
    return State(
        now=0,
        held_token=0,
        ended=True,
        enabled=True,
        next=0,
        mark=-1,
        rows=none,
        fired=none,
        covered=(False,) * bounds.due_times,
        daemons=(Daemon(),) * daemons,
        setbacks=bounds.setbacks,
        prunes=bounds.prunes,
        strangers=bounds.strangers,
        switches=bounds.switches,
    )


def successors(state: State, guards: Guards, bounds: Bounds, policy: str) -> Iterator[tuple[Step, State]]:
    """Everything that can happen next."""
    yield from _world(state, guards, bounds)
    for index, daemon in enumerate(state.daemons):
        for action, after in _daemon(state, index, daemon, guards, bounds, policy):
            yield Step("AB"[index], action), after


# --- the world ------------------------------------------------------------------------------------------------------


def _world(state: State, guards: Guards, bounds: Bounds) -> Iterator[tuple[Step, State]]:
    if state.now < bounds.due_times:
        yield Step("clock", "a due time comes"), state._replace(now=state.now + 1)
    if not state.ended:
        yield Step("clock", "the lease ends"), state._replace(ended=True)
    if state.setbacks and state.now:
        yield Step("clock", "falls back"), state._replace(now=state.now - 1, setbacks=state.setbacks - 1)
    if state.prunes and any(state.rows[: state.mark + 1]):
        # Days later: nothing that the schedule has not passed yet is old enough.
        rest = (NONE,) * (state.mark + 1) + state.rows[state.mark + 1 :]
        yield Step("retention", "prunes"), state._replace(rows=rest, prunes=state.prunes - 1)
    if _schedule_locked(state):
        return
    if state.switches and state.enabled:
        yield Step("operator", "switches off"), state._replace(enabled=False)
    if not state.enabled:
        # First due time from now on, by the clock of the database (`schedules.enable`).
        after = state._replace(enabled=True, next=state.now, switches=state.switches - 1)
        yield Step("operator", "switches on"), after
    if state.strangers:
        for due in range(state.mark + 1, state.now):
            if state.rows[due] != NONE and guards.unique:
                continue  # the key refuses it
            after = _insert(state, due, JOB)._replace(strangers=state.strangers - 1)
            yield Step("stranger", f"inserts the job of due time {due}"), _judged(after)


def _schedule_locked(state: State) -> bool:
    return any(daemon.where in ("advanced", "written") for daemon in state.daemons)


def _lease_locked(state: State, guards: Guards) -> bool:
    return guards.lock and any(daemon.where in ("guarded", "advanced", "written") for daemon in state.daemons)


# --- a daemon -------------------------------------------------------------------------------------------------------


def _daemon(
    state: State, index: int, daemon: Daemon, guards: Guards, bounds: Bounds, policy: str
) -> Iterator[tuple[str, State]]:
    def put(after: Daemon, base: State = state) -> State:
        return base._replace(daemons=(*base.daemons[:index], after, *base.daemons[index + 1 :]))

    if daemon.where != "standby":
        yield "crashes", put(Daemon())
    if daemon.where in ("guarded", "advanced", "written"):
        yield "loses its connection", put(Daemon("leading", daemon.token))
    match daemon.where:
        case "standby":
            if state.ended and state.held_token < bounds.tokens and not _lease_locked(state, guards):
                taken = state._replace(held_token=state.held_token + 1, ended=False)
                yield "takes the lease", put(Daemon("leading", taken.held_token), taken)
                yield "takes the lease, and never hears of it", taken
        case "leading":
            if state.enabled:
                yield "reads the schedule", put(Daemon("read", daemon.token, state.next, state.now, state.mark))
            if state.held_token == daemon.token and not state.ended:
                yield "resigns", put(Daemon(), state._replace(ended=True))
            else:
                yield "cannot renew", put(Daemon())
        case "read":
            if not _decide(daemon, guards, policy):
                yield "finds nothing due", put(Daemon("leading", daemon.token))
            elif guards.token and not _holds(state, daemon):
                yield "is refused by the token", put(Daemon())
            else:
                yield "begins, and leads", put(daemon._replace(where="guarded"))
        case "guarded":
            if not _schedule_locked(state):
                yield from _advance(state, daemon, guards, bounds, put)
        case "advanced":
            yield "writes the jobs", put(_written(state, daemon, guards, policy))
        case "written":
            after = _committed(state, index, daemon, guards)
            leading = Daemon("leading", daemon.token)
            yield "commits", put(leading, after)


def _holds(state: State, daemon: Daemon) -> bool:
    return state.held_token == daemon.token and not state.ended


def _decide(daemon: Daemon, guards: Guards, policy: str) -> dict[int, int]:
    """What to write for each due time that has passed: ALL runs each, LATEST the last and notes the others."""
    first = max(daemon.next, daemon.mark + 1) if guards.watermark else daemon.next
    passed = range(first, daemon.now)
    if policy == "ALL":
        return dict.fromkeys(passed, JOB)
    return {due: JOB if due == passed[-1] else MISSED for due in passed}


def _advance(
    state: State, daemon: Daemon, guards: Guards, bounds: Bounds, put: Callable[..., State]
) -> Iterator[tuple[str, State]]:
    seen = state.enabled and state.next == daemon.next
    fresh = state.mark < daemon.now - 1
    if (guards.compare and not seen) or (guards.watermark and not fresh):
        yield "is refused by the row", put(Daemon("leading", daemon.token))
        return
    after = daemon._replace(where="advanced", inserts=(NONE,) * bounds.due_times)
    if guards.atomic:
        yield "advances the schedule", put(after)
    else:
        yield "advances the schedule, and commits that", put(after, _cover(state, daemon))


def _written(state: State, daemon: Daemon, guards: Guards, policy: str) -> Daemon:
    wanted = _decide(daemon, guards, policy)
    inserts = tuple(
        NONE if guards.unique and state.rows[due] != NONE else wanted.get(due, NONE) for due in range(len(state.rows))
    )
    return daemon._replace(where="written", inserts=inserts)


def _committed(state: State, index: int, daemon: Daemon, guards: Guards) -> State:
    fault = state.fault
    if state.held_token != daemon.token:
        fault = "a fire was committed under a token that was no longer the newest"
    elif not state.enabled:
        fault = "a schedule fired after it was switched off"
    for due, kind in enumerate(daemon.inserts):
        if kind != NONE:
            state = _insert(state, due, kind)
    if guards.atomic:
        state = _cover(state, daemon)
    return _judged(state._replace(fault=fault))


def _cover(state: State, daemon: Daemon) -> State:
    covered = tuple(was or daemon.next <= due < daemon.now for due, was in enumerate(state.covered))
    return state._replace(next=daemon.now, mark=daemon.now - 1, covered=covered)


def _insert(state: State, due: int, kind: int) -> State:
    rows = (*state.rows[:due], kind, *state.rows[due + 1 :])
    count = state.fired[due] + (kind == JOB)
    return state._replace(rows=rows, fired=(*state.fired[:due], count, *state.fired[due + 1 :]))


def _judged(state: State) -> State:
    if not state.fault and any(count > 1 for count in state.fired):
        return state._replace(fault="a due time became two jobs")
    return state


# --- the search -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counterexample:
    """How a promise was broken, step by step; the shortest way there is."""

    fault: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.fault}:", *(f"  {step.actor} {step.action}" for step in self.steps)])


@dataclass(frozen=True, slots=True)
class Result:
    states: int
    steps: int
    counterexample: Counterexample | None


def search(guards: Guards, bounds: Bounds, policy: str) -> Result:
    """Visit every state, nearest first, until a promise is broken or nothing new can happen."""
    start = initial(bounds)
    came_from: dict[State, tuple[State, Step] | None] = {start: None}
    queue, steps = deque([start]), 0
    while queue:
        state = queue.popleft()
        for step, after in successors(state, guards, bounds, policy):
            steps += 1
            if after in came_from:
                continue
            came_from[after] = (state, step)
            fault = after.fault or _lost(after)
            if fault:
                return Result(len(came_from), steps, Counterexample(fault, _path(came_from, after)))
            queue.append(after)
    return Result(len(came_from), steps, None)


def _lost(state: State) -> str:
    """A due time that counts as dealt with, but for which no row was ever written, once nobody is at work on it."""
    if _schedule_locked(state) or state.prunes == 0:
        return ""
    for due, covered in enumerate(state.covered):
        if covered and state.rows[due] == NONE:
            return "a due time counts as dealt with, and nothing was written for it"
    return _stuck(state)


def _stuck(state: State) -> str:
    """Whatever happened before: if from here on nothing fails, one daemon alone deals with everything that is due."""
    if not state.enabled or state.next >= state.now or state.mark >= state.now - 1:
        return ""
    none = (False,) * len(state.rows)
    calm = state._replace(daemons=(Daemon(), Daemon()), held_token=0, ended=True, covered=none, fired=(0,) * len(none))
    return _ends_stuck(calm._replace(setbacks=0, prunes=0, strangers=0, switches=0))


@cache
def _ends_stuck(calm: State) -> str:
    for _ in range(8):
        for step, after in successors(calm, Guards(), Bounds(due_times=len(calm.rows), tokens=1), "ALL"):
            if step.actor == "A" and step.action not in _FAULTS:
                calm = after
                break
    return "" if calm.mark >= calm.now - 1 else "a due time waits for ever"


_FAULTS = ("crashes", "loses its connection", "resigns", "takes the lease, and never hears of it")


def _path(came_from: dict[State, tuple[State, Step] | None], state: State) -> tuple[Step, ...]:
    steps: list[Step] = []
    while (origin := came_from[state]) is not None:
        state, step = origin
        steps.append(step)
    return tuple(reversed(steps))
