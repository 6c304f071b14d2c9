"""A steady load with faults in it, and afterwards the judgement of the history checker."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from runtime import jobs, schedules
from runtime.db import Database, DatabaseError, connect, instant
from runtime.handlers import ScheduleDefinition
from tests.chaos.history import ENDED, Ended, Fire, History, complaints, kept, read_executions
from tests.chaos.processes import Fleet, Process
from tests.runtime.support import eventually

WORKERS, DAEMONS = 5, 3
JOBS_A_SECOND = 40
MAX_ATTEMPTS = 50
"""So that no job fails merely because it was unlucky with its workers."""
SETTLE_SECONDS = 120.0
SCHEDULES = (
    ScheduleDefinition("tick", "work", every_seconds=1, enabled=True, misfire="ALL", misfire_max=1000),
    ScheduleDefinition("tock", "effect", every_seconds=1, enabled=True),
)


@dataclass(slots=True)
class Report:
    """The figures of one run, for docs/runtime.md."""

    accepted: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    executions: int = 0
    told: int = 0
    extra: int = 0
    """Executions beyond the first of each job that were not given back: each stands for an attempt taken away."""
    attempts_taken_away: int = 0
    effects: int = 0
    fired: int = 0
    missed: int = 0
    takeovers: int = 0
    refused_enqueues: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {name}" for name, count in sorted(self.faults.items()))
        ended = ", ".join(f"{count} {name}" for name, count in sorted(self.ended.items()))
        return (
            f"faults: {faults}\n"
            f"jobs: {self.accepted} accepted ({self.refused_enqueues} enqueues refused in outages); {ended}\n"
            f"executions: {self.executions} ({self.told} given back, {self.extra} extra of"
            f" {self.attempts_taken_away} attempts taken away)\n"
            f"effects in transactions: {self.effects}\n"
            f"schedules: {self.fired} fired, {self.missed} missed and noted, {self.takeovers} leaders\n"
            f"complaints: {self.complaints or 'none'}"
        )


class Soak:
    """Five workers, three daemons, a producer. `run` lets `faults` loose on them for a while and then judges."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.chance = random.Random(seed)
        self.report = Report()
        self._accepted: list[str] = []
        self._replaced: set[int] = set()
        self._over = threading.Event()
        self._producer = threading.Thread(target=self._produce, args=(random.Random(seed + 1),), daemon=True)

    def __enter__(self) -> Soak:
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        if self._producer.is_alive():
            self._producer.join()

    def start(self) -> None:
        with connect(self.fleet.url) as db:
            schedules.sync(db, SCHEDULES)
            db.change("UPDATE JobSchedule SET source = 'MANUAL'", {})
        for _ in range(DAEMONS):
            self.fleet.daemon()
        for _ in range(WORKERS):
            self.fleet.worker(JOB_WORKER_CONCURRENCY="4")
        self._producer.start()

    def ended(self) -> list[str]:
        """The last words of processes that are no more."""
        return [
            f"{each.kind} {each.popen.returncode}: {each.log[-800:]}" for each in self.fleet.processes if not each.alive
        ]

    def run(self, seconds: float, faults: list[Callable[[Soak], None]], between: tuple[float, float]) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._over.wait(self.chance.uniform(*between))
            self.chance.choice(faults)(self)
            self._replace_the_dead()

    def finish(self) -> Report:
        """Stop the load and the faults, let the queue run empty, and judge. Nobody lends a hand."""
        self._over.set()
        self._producer.join()
        for process in self.fleet.processes:
            process.thaw()
        self._replace_the_dead()
        with eventually(self._connected)[0] as db:
            db.change("UPDATE JobSchedule SET enabled = false, nextRunAt = NULL", {})
            self._settle(db)
            self._judge(db)
        return self.report

    # --- load -------------------------------------------------------------------------------------------------------

    def _produce(self, chance: random.Random) -> None:
        db: Database | None = None
        while not self._over.wait(1 / JOBS_A_SECOND):
            name = chance.choice(["work", "work", "effect"])
            payload = {"seconds": chance.choice([0, 0, 0.01, 0.05, 0.5])}
            try:
                db = db or connect(self.fleet.url)
                self._accepted.append(jobs.enqueue(db, name, payload, max_attempts=MAX_ATTEMPTS))
            except DatabaseError:
                self.report.refused_enqueues += 1
                if db is not None:
                    db.close()
        if db is not None:
            db.close()

    # --- faults -----------------------------------------------------------------------------------------------------

    def victim(self) -> Process:
        return self.chance.choice([process for process in self.fleet.processes if process.alive])

    def count(self, fault: str) -> None:
        self.report.faults[fault] += 1

    def _replace_the_dead(self) -> None:
        """As the platform does: a process that ended is started again."""
        for process in [each for each in self.fleet.processes if not each.alive and each.pid not in self._replaced]:
            self._replaced.add(process.pid)
            if process.kind == "daemon":
                self.fleet.daemon()
            else:
                self.fleet.worker(JOB_WORKER_CONCURRENCY="4")

    # --- judgement --------------------------------------------------------------------------------------------------

    def _connected(self) -> list[Database]:
        try:
            return [connect(self.fleet.url)]
        except DatabaseError:
            return []

    def _settle(self, db: Database) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while (summary := jobs.summary(db)).queued + summary.running + summary.scheduled:
            if time.monotonic() > deadline:
                return  # the checker says which
            time.sleep(0.1)

    def _judge(self, db: Database) -> None:
        rows = db.rows("SELECT id, jobName, status, attempt, scheduleId, dueAt FROM JobRun", {})
        names = {row["id"]: row["name"] for row in db.rows("SELECT id, name FROM JobSchedule", {})}
        ran = [row for row in rows if row["status"] != "CANCELLED"]
        due_times = [(names[row["scheduleId"]], _instant(row["dueAt"])) for row in ran if row["scheduleId"]]
        history = History(
            # An enqueue whose answer was lost may have happened: such jobs must end too.
            accepted=frozenset({*self._accepted, *(row["id"] for row in ran)}),
            ended={row["id"]: Ended(row["status"], row["attempt"]) for row in rows},
            executions=read_executions(self.fleet.executions),
            effects=tuple(row["jobId"] for row in db.rows("SELECT jobId FROM Effect", {})),
            transactional=frozenset(row["id"] for row in ran if row["jobName"] == "effect"),
            due_times=tuple(due_times),
            fires=_fires(self.fleet.processes),
        )
        report, begun = self.report, [each for each in history.executions if each.event == "begin"]
        report.accepted = len(self._accepted)
        report.ended = Counter(row["status"] for row in ran)
        report.executions = len(begun)
        report.told = len(begun) - kept(history.executions).total()
        report.extra = len(begun) - report.told - len({each.job for each in begun})
        report.attempts_taken_away = sum(row["attempt"] - 1 for row in ran if row["status"] in ENDED)
        report.effects = len(history.effects)
        report.fired = len(due_times)
        report.missed = len(rows) - len(ran)
        report.takeovers = int(db.rows("SELECT token FROM SchedulerLease", {})[0]["token"])
        report.complaints = complaints(history) + _crashes(self.fleet.processes)
        if report.extra > report.attempts_taken_away:
            report.complaints.append("more extra executions than attempts that were taken away")


def _instant(value: str | datetime) -> datetime:
    found = instant(value)
    assert found is not None
    return found


def _fires(processes: list[Process]) -> tuple[Fire, ...]:
    found = (re.findall(r"Schedule (\S+) fired due=(\S+) jobs=\d+ token=(\d+)", each.log) for each in processes)
    return tuple(Fire(name, datetime.fromisoformat(due), int(token)) for each in found for name, due, token in each)


def _crashes(processes: list[Process]) -> list[str]:
    """What no fault excuses: a traceback, or an exit status of our own making."""
    return [
        f"{process.kind} {process.pid}: {line}"
        for process in processes
        for line in process.log.splitlines()
        if line.startswith("Traceback") or "turn failed" in line
    ]


# --- the faults -----------------------------------------------------------------------------------------------------


def kill(soak: Soak) -> None:
    soak.victim().kill()
    soak.count("SIGKILL")


def terminate(soak: Soak) -> None:
    process = soak.victim()
    process.terminate()
    process.wait()
    soak.count("SIGTERM")


def freeze(soak: Soak) -> None:
    """For less, or for more, than the time after which it counts as dead."""
    process = soak.victim()
    process.freeze()
    threading.Timer(soak.chance.uniform(0.2, 3.0), process.thaw).start()
    soak.count("SIGSTOP")
