"""The model of the lease against the real thing: random walks through the model, done with runtime's own functions.

Each step is one transaction; after each the tables must say what the model says. This ties `lease_model`, which
searches every interleaving, to the SQL that runs in production.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from runtime import lease, queries, schedules
from runtime.db import Database, Duplicate, connect, instant, stamp
from runtime.lease import Leadership
from runtime.migrations import migrate
from runtime.schedules import Schedule, StaleLeadership
from tests.model.lease_model import JOB, MISSED, NONE, Bounds, Guards, State, Step, initial, successors
from tests.mysql.fixtures import db, rival, url

__all__ = ["db", "rival", "url"]

BOUNDS = Bounds(due_times=6, tokens=8, setbacks=2, prunes=2, strangers=2, switches=3)
FIRST_DUE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EVERY = timedelta(seconds=60)
TTL_MS = 600_000
ENDED = "1970-01-02 00:00:00.000"
STATUS = {JOB: "QUEUED", MISSED: "CANCELLED"}
POLICY = {"ALL": "ALL", "LATEST": "ONCE"}


def _due(number: int) -> datetime:
    return FIRST_DUE + number * EVERY


@dataclass(slots=True)
class Actor:
    """A daemon as the replay drives it: its connection and what it believes."""

    db: Database
    leadership: Leadership | None = None
    schedule: Schedule | None = None
    now: datetime = FIRST_DUE


class Replay:
    """Does the model's steps on a database."""

    def __init__(self, a: Database, b: Database, policy: str) -> None:
        self.actors = {"A": Actor(a), "B": Actor(b)}
        self.db = a
        self.holders = 0
        a.change("DELETE FROM JobRun", {})
        a.change("DELETE FROM JobSchedule", {})
        a.change(f"UPDATE SchedulerLease SET holderId = NULL, token = 0, beats = 0, expiresAt = '{ENDED}'", {})
        a.change(
            "INSERT INTO JobSchedule (id, name, jobName, enabled, intervalSeconds, misfirePolicy, nextRunAt) VALUES "
            f"('s', 's', 'noop', true, 60, '{POLICY[policy]}', '{stamp(_due(0))}')",
            {},
        )

    def do(self, step: Step, before: State, after: State) -> None:
        if step.actor in self.actors:
            self._daemon(self.actors[step.actor], step.action, before)
            return
        match step.action:
            case "the lease ends":
                self.db.change(f"UPDATE SchedulerLease SET expiresAt = '{ENDED}'", {})
            case "prunes":
                self.db.change(f"DELETE FROM JobRun WHERE dueAt <= '{stamp(_due(before.mark))}'", {})
            case "switches off":
                self.db.change("UPDATE JobSchedule SET enabled = false, nextRunAt = NULL", {})
            case "switches on":
                self.db.change(f"UPDATE JobSchedule SET enabled = true, nextRunAt = '{stamp(_due(after.next))}'", {})
            case action if action.startswith("inserts"):
                due = stamp(_due(int(action.split()[-1])))
                self.db.change(
                    f"INSERT INTO JobRun (id, jobName, scheduleId, dueAt) VALUES ('n{due}', 'noop', 's', '{due}')", {}
                )

    def _daemon(self, actor: Actor, action: str, before: State) -> None:
        match action:
            case "takes the lease" | "takes the lease, and never hears of it":
                self.holders += 1
                leadership = lease.acquire(actor.db, f"holder-{self.holders}", TTL_MS)
                assert leadership is not None
                assert leadership.token == before.held_token + 1
                if action == "takes the lease":
                    actor.leadership = leadership
            case "reads the schedule":
                [actor.schedule] = schedules.read(actor.db)
                actor.now = _due(before.now) - EVERY / 2
            case "is refused by the token":
                with pytest.raises(StaleLeadership):
                    _fire(actor)
            case "is refused by the row":
                assert _fire(actor) is False
            case "finds nothing due":
                assert _fire(actor) is None
            case "commits":
                assert _fire(actor) is True
            case "resigns":
                assert actor.leadership is not None
                lease.resign(actor.db, actor.leadership)
            case "cannot renew":
                assert actor.leadership is not None
                assert not lease.renew(actor.db, actor.leadership, TTL_MS)

    def check(self, state: State) -> None:
        row = self.db.fetch("schedules.read")[0]
        assert bool(row["enabled"]) == state.enabled
        if state.enabled:
            assert instant(row["nextRunAt"]) == _due(state.next)
        assert instant(row["lastDueAt"]) == (None if state.mark < 0 else _due(state.mark))
        held = lease.read(self.db)
        assert held is not None
        assert (held.token, held.expires_in_seconds <= 0) == (state.held_token, state.ended)
        found = {instant(job["dueAt"]): job["status"] for job in self.db.rows("SELECT dueAt, status FROM JobRun", {})}
        assert found == {_due(due): STATUS[kind] for due, kind in enumerate(state.rows) if kind != NONE}


def _fire(actor: Actor) -> bool | None:
    """None when nothing was due, else whether the due times were this daemon's to deal with."""
    assert actor.leadership is not None
    assert actor.schedule is not None
    _, decision = schedules.attend(actor.db, actor.leadership, actor.schedule, actor.now, FIRST_DUE - EVERY)
    if decision is not None:
        return True
    planned, settled = actor.schedule.next_run_at, actor.schedule.last_due_at or FIRST_DUE - EVERY
    assert planned is not None
    return None if max(planned, settled + EVERY) > actor.now else False


def _walks(seed: int, policy: str, count: int) -> Iterator[list[tuple[Step, State, State]]]:
    """Random paths through the model in which every fire is one step: refused, or begun and committed at once."""
    chance = random.Random(seed)
    for _ in range(count):
        state, path = initial(BOUNDS), []
        for _ in range(40):
            choices = list(_whole_steps(state, policy))
            if not choices:
                break
            [(step, after)] = chance.choices(choices, [_weight(step) for step, _ in choices])
            path.append((step, state, after))
            state = after
        yield path


def _weight(step: Step) -> float:
    """Left alone, daemons would spend the walk losing their lease: mostly they should get to fire."""
    return 0.15 if step.action in _SELDOM else 3.0 if step.action == "reads the schedule" else 1.0


_SELDOM = {
    "the lease ends",
    "crashes",
    "resigns",
    "takes the lease, and never hears of it",
    "switches off",
    *(f"inserts the job of due time {due}" for due in range(BOUNDS.due_times)),
}


def _whole_steps(state: State, policy: str) -> Iterator[tuple[Step, State]]:
    for step, after in successors(state, Guards(), BOUNDS, policy):
        if step.action != "begins, and leads":
            yield step, after
            continue
        while step.action not in ("commits", "is refused by the row"):
            step, after = next(
                (then, state)
                for then, state in successors(after, Guards(), BOUNDS, policy)
                if then.actor == step.actor and then.action not in ("crashes", "loses its connection")
            )
        yield step, after


@pytest.mark.parametrize("policy", ["ALL", "LATEST"])
def test_the_runtime_does_what_the_model_says(db: Database, rival: Database, policy: str) -> None:
    seen = _replay_all(db, rival, policy)
    assert {"commits", "is refused by the row", "is refused by the token", "prunes", "cannot renew"} <= seen


def _replay_all(db: Database, rival: Database, policy: str) -> set[str]:
    """Walk and compare; the actions that occurred."""
    seen: set[str] = set()
    for path in _walks(1, policy, 60):
        replay = Replay(db, rival, policy)
        for step, before, after in path:
            replay.do(step, before, after)
            replay.check(after)
            seen.add(step.action)
    return seen


MUTATIONS = {
    "schedules.advance": ("enabled = true AND nextRunAt = :expected AND", ""),
    "lease.guard": ("AND token = :token\n  AND expiresAt > strftime('%Y-%m-%d %H:%M:%f', 'now')", ""),
    "lease.acquire": ("token = token + 1", "token = token"),
}


@pytest.mark.parametrize("query", MUTATIONS)
def test_a_clause_left_out_of_the_sql_does_not_go_unnoticed(
    query: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the test above could fail."""
    url = f"sqlite://{tmp_path_factory.mktemp('replay')}/jobs.db"
    with connect(url, create=True) as db, connect(url, create=True) as rival:
        migrate(db)
        original, (clause, instead) = queries.find, MUTATIONS[query]
        assert clause in original("sqlite", query)

        def mutated(dialect: str, name: str) -> str:
            text = original(dialect, name)
            return text.replace(clause, instead) if name == query else text

        monkeypatch.setattr(queries, "find", mutated)
        with pytest.raises((AssertionError, Duplicate, pytest.fail.Exception)):
            _replay_all(db, rival, "ALL")
