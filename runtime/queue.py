"""The job table as one worker sees it: promote, claim, complete, fail, release, in batches and fenced.

Every write names the owner and the attempt. A row that does not match was lost (the worker was declared dead and the
job given to another); then nothing changes, and that is not an error.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from runtime import retry
from runtime.db import Conflict, Database, Row, instant
from runtime.jobs import parse_payload

LONGEST_ERROR = 2000
LINES_AT_ONCE = 5000
HELD_MOST = 3
"""How many locked jobs one rescue waits for; each wait takes seconds."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run one attempt of a job, until the worker is declared dead."""

    job_id: str
    name: str
    payload: Any
    attempt: int
    max_attempts: int
    timeout_seconds: int | None
    schedule_id: str | None
    due_at: datetime | None
    worker_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended. `verdict`: done, failed, cancelled, released, or settled (written already)."""

    claim: Claim
    verdict: str
    error: str | None = None
    final: bool = False
    """Failed for good: another attempt would not help."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Glance:
    ready: bool
    next_due_seconds: float | None


class Queue:
    """One worker's hands on the table. Used from the worker's loop only, on its connection."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.fence_refusals = 0

    def glance(self) -> Glance:
        """What an idle poll asks: is there work, and when will there be?"""
        row = self._db.fetch("jobs.glance")[0]
        due = row["nextDueMs"]
        return Glance(bool(row["ready"]), None if due is None else max(0.0, float(due) / 1000))

    def promote(self) -> int:
        """Make future jobs ready whose time has come, 500 of each of the 100 most urgent priorities; how many."""
        return sum(self._promote(row["priority"]) for row in self._db.fetch("jobs.due_priorities"))

    def _promote(self, priority: int) -> int:
        def work() -> int:
            ids = sorted(row["id"] for row in self._db.fetch("jobs.promotable", priority=priority))
            return self._db.execute("jobs.promote", ids=ids) if ids else 0

        return self._db.transact(work)

    def turn_over(self, outcomes: Sequence[Outcome], names: Sequence[str], limit: int, worker_id: str) -> list[Claim]:
        """Write what was finished and claim what comes next, in one transaction: one commit for both.

        After a commit with an unknown outcome, calling this again is right: what was written counts the same. Jobs
        whose claim was committed without our hearing of it are found by `release_strays`.
        """
        if not outcomes and (limit <= 0 or not names):
            return []
        return self._db.transact(lambda: self._turn_over(outcomes, names, limit, worker_id))

    def held_among(self, outcomes: Sequence[Outcome]) -> set[str]:
        """The jobs among these whose rows somebody else has locked at this moment."""
        ids = sorted(outcome.claim.job_id for outcome in outcomes)

        def work() -> set[str]:
            present = {row["id"] for row in self._db.fetch("jobs.present_among", ids=ids)}
            return present - self._free_among(ids)

        return self._db.transact(work) if ids else set()

    def _free_among(self, ids: Iterable[str]) -> set[str]:
        """Those whose rows nobody else has locked; locked by us until the end of the transaction."""
        return {row["id"] for row in self._db.fetch("jobs.free_among", ids=sorted(ids))}

    def _turn_over(self, outcomes: Sequence[Outcome], names: Sequence[str], limit: int, worker_id: str) -> list[Claim]:
        refused = self._settle(outcomes)
        claims = self._claim(names, limit, worker_id) if limit > 0 and names else []
        self.fence_refusals += refused
        return claims

    def _claim(self, names: Sequence[str], limit: int, worker_id: str) -> list[Claim]:
        rows = self._db.tuples("jobs.claimable", names=list(names), limit=limit)
        if rows:
            self._db.execute("jobs.claim", ids=sorted(row[0] for row in rows), worker=worker_id)
        return [
            Claim(id_, name, parse_payload(payload), attempt, most, timeout, schedule, instant(due), worker_id)
            for id_, name, payload, attempt, most, timeout, schedule, due in rows
        ]

    def _settle(self, outcomes: Sequence[Outcome]) -> int:
        """Write outcomes; how many were refused because the job was no longer ours."""
        refused = 0
        for verdict, query in (("done", "jobs.complete"), ("released", "jobs.release")):
            refused += self._settle_alike(query, [each.claim for each in outcomes if each.verdict == verdict])
        for outcome in outcomes:
            if outcome.verdict in ("failed", "cancelled"):
                refused += 1 - self._settle_one(outcome)
        return refused

    def _settle_alike(self, query: str, claims: Sequence[Claim]) -> int:
        """One statement for all claims of the same attempt, of which nearly all batches have one; how many refused."""
        refused = 0
        for worker_id, attempt in sorted({(claim.worker_id, claim.attempt) for claim in claims}):
            held = (worker_id, attempt)
            ids = sorted(claim.job_id for claim in claims if (claim.worker_id, claim.attempt) == held)
            refused += len(ids) - self._db.execute(query, ids=ids, attempt=attempt, worker=worker_id)
        return refused

    def _settle_one(self, outcome: Outcome) -> int:
        claim = outcome.claim
        facts: dict[str, Any] = {"id": claim.job_id, "attempt": claim.attempt, "worker": claim.worker_id}
        facts["error"] = (outcome.error or "")[:LONGEST_ERROR]
        if outcome.verdict == "cancelled":
            return self._db.execute("jobs.acknowledge_cancel", **facts)
        if outcome.final or claim.attempt >= claim.max_attempts:
            return self._db.execute("jobs.fail", **facts)
        delay_ms = round(retry.delay_seconds(claim.attempt, random.random()) * 1000)
        return self._db.execute("jobs.retry", delay_ms=delay_ms, **facts)

    def release_strays(self, worker_id: str, in_hand: Sequence[Claim]) -> int:
        """After an outage: give back what the table says is ours but no hand of ours holds; how many.

        A row that somebody else has locked is passed over, to be found at the next look.
        """
        known = {(claim.job_id, claim.attempt) for claim in in_hand}
        rows = self._db.fetch("jobs.mine", worker=worker_id)
        strays = [row for row in rows if (row["id"], row["attempt"]) not in known]

        def work() -> int:
            free, released = self._free_among(row["id"] for row in strays), 0
            for attempt in sorted({row["attempt"] for row in strays}):
                ids = sorted(row["id"] for row in strays if row["attempt"] == attempt and row["id"] in free)
                released += self._db.execute("jobs.release", ids=ids, attempt=attempt, worker=worker_id) if ids else 0
            return released

        return self._db.transact(work) if strays else 0

    def complete_within(self, claim: Claim) -> bool:
        """Complete one job inside a transaction that the caller has open; False when it is no longer ours."""
        return self._settle_alike("jobs.complete", [claim]) == 0

    def cancelled_among(self, claims: Sequence[Claim]) -> set[str]:
        """Which of these running jobs somebody wants cancelled."""
        rows = self._db.fetch("jobs.cancelled_among", ids=[claim.job_id for claim in claims])
        return {row["id"] for row in rows}

    def write_lines(self, lines: Sequence[Row]) -> None:
        """Many log lines in one transaction, each fenced like a completion: a lost attempt says nothing more."""
        ids = sorted({line["id"] for line in lines})

        def work() -> None:
            running = {
                (row["id"], row["attempt"], row["workerId"]) for row in self._db.fetch("jobs.running_among", ids=ids)
            }
            ours = [line for line in lines if (line["id"], line["attempt"], line["worker"]) in running]
            self._db.insert_rows([("jobs.add_line", ours)] if ours else [])

        if lines:
            self._db.transact(work)

    def write_progress(self, notes: Sequence[Row]) -> None:
        """How far jobs are, fenced. A row that somebody else has locked is passed over: it will be said again."""

        def work() -> None:
            free = self._free_among(note["id"] for note in notes)
            for note in notes:
                if note["id"] in free:
                    self._db.execute("jobs.set_progress", **note)

        if notes:
            self._db.transact(work)

    def rescue_orphans(self) -> int:
        """Give the running jobs of ended processes a new attempt, or fail those that used them up; how many."""
        rescued = held = 0
        for row in self._db.fetch("jobs.orphans"):
            try:
                rescued += self._rescue(row)
            except Conflict:
                # Locked, perhaps by what is left of its worker's last transaction; found again at the next look.
                held += 1
                if held == HELD_MOST:
                    break
        return rescued

    def _rescue(self, row: Row) -> int:
        attempt, most = int(row["attempt"]), int(row["maxAttempts"])
        facts = {"id": row["id"], "attempt": attempt, "worker": row["workerId"]}
        if attempt >= most:
            return self._db.execute("jobs.fail_orphan", error="worker lost; no attempts left", **facts)
        delay_ms = round(retry.delay_seconds(attempt, random.random()) * 1000)
        return self._db.execute("jobs.requeue_orphan", delay_ms=delay_ms, error="worker lost", **facts)

    def prune(self, days: int) -> int:
        """Delete finished jobs older than `days`, and their logs: one batch of 500 of each status; how many rows.

        0 when nothing is left to delete. A job goes after the last of its log lines.
        """
        pruned = 0
        for status in ("COMPLETED", "CANCELLED", "FAILED"):
            ids = [row["id"] for row in self._db.fetch("jobs.finished_before", status=status, days=days)]
            if ids:
                lines = self._db.execute("jobs.prune_logs", ids=ids, most=LINES_AT_ONCE)
                pruned += lines if lines == LINES_AT_ONCE else self._db.execute("jobs.prune", ids=ids)
        return pruned
