"""List every process that should not be there, and end each the right way for its class."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import runtime.db
from deploykit.commands.observe import NoTables, Report, Tables
from deploykit.commands.platform import RailwayPlatform
from deploykit.commands.verify import look_twice, source
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway
from deploykit.verification.census import STARTING_SECONDS, Row
from deploykit.verification.checks import Verification
from deploykit.verification.ending import (
    Act,
    Advise,
    DeleteService,
    Fence,
    RemoveDeployment,
    RestartDeployment,
    SwitchOff,
    Terminate,
    destructive,
    endings,
)
from runtime import heartbeats
from runtime.db import DatabaseError

GONE_AT_MOST_SECONDS = 120.0
LOOK_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Haunting:
    """What should not be there, what would end it, and what was seen."""

    found: Verification
    plan: tuple[tuple[Row, tuple[Act, ...]], ...]

    @property
    def destructive(self) -> bool:
        """Whether ending them needs something that cannot be undone."""
        return any(destructive(acts) for _, acts in self.plan)

    @property
    def deleted(self) -> tuple[str, ...]:
        """The services that ending them deletes."""
        acts = (act for _, acts in self.plan for act in acts)
        return tuple(dict.fromkeys(act.service for act in acts if isinstance(act, DeleteService)))


@dataclass(frozen=True, slots=True)
class Exorcism:
    """What was done, and what was left at the last look."""

    done: tuple[str, ...]
    left: Haunting


def ghosts(
    profile: Profile,
    railway: Railway,
    database_url: str | None,
    *,
    tables: Tables | None = None,
    starting_seconds: float = STARTING_SECONDS,
    report: Report = lambda text: None,
) -> Haunting:
    """Look for what should not be there. Reads only; raises what verify raises."""
    platform = RailwayPlatform(railway)
    with source(profile, platform, database_url, tables) as (_, opened):
        return _look(profile, platform, opened, starting_seconds, report)


def end(
    profile: Profile,
    railway: Railway,
    database_url: str | None,
    haunting: Haunting,
    *,
    tables: Tables | None = None,
    starting_seconds: float = STARTING_SECONDS,
    patience_seconds: float = GONE_AT_MOST_SECONDS,
    report: Report = lambda text: None,
) -> Exorcism:
    """End what ``haunting`` lists, then look until all that something was done about is gone, or the time has passed.

    Raises the client's errors; what was done before stays done, and running it again goes on from there.
    """
    done: dict[Act, str | None] = {}
    platform = RailwayPlatform(railway)
    with source(profile, platform, database_url, tables) as (url, opened):
        for act in (act for _, acts in haunting.plan for act in acts):
            if act not in done:
                done[act] = (
                    _fence(act, url, report) if isinstance(act, Fence) else _carry_out(railway, haunting, act, report)
                )
        ending = {_who(row) for row, acts in haunting.plan if any(done[act] for act in acts)}
        report("looking whether they are gone")
        deadline = time.monotonic() + patience_seconds
        while True:
            left = _look(profile, platform, opened, starting_seconds, lambda text: None)
            waiting = ending & {_who(row) for row, _ in left.plan}
            if not waiting or time.monotonic() > deadline:
                return Exorcism(tuple(told for told in done.values() if told), left)
            report(f"{len(waiting)} still there; looking again")
            time.sleep(LOOK_EVERY_SECONDS)


def _who(row: Row) -> tuple[str | None, ...]:
    """What a ghost is known by from one look to the next: not its row, for one that is started again has another."""
    return (row.kind, row.service, row.deployment, row.replica, row.hostname)


def _look(
    profile: Profile, platform: RailwayPlatform, tables: Tables | NoTables, starting_seconds: float, report: Report
) -> Haunting:
    found = look_twice(profile, platform, tables, report=report, starting_seconds=starting_seconds)
    return Haunting(found, tuple(endings(profile, found.census, found.evidence.snapshot)))


def _carry_out(railway: Railway, haunting: Haunting, act: Act, report: Report) -> str | None:
    """Do one thing; what was done, None when there was nothing to do from here."""
    environment = railway.environment_id
    if isinstance(act, Advise):
        return None
    if isinstance(act, Terminate):
        return _terminate(act, haunting, report)
    report(str(act))
    if isinstance(act, SwitchOff):
        variables = {"projectId": railway.project_id, "environmentId": environment, "serviceId": act.service_id,
                     "variables": {act.flag: "false"}, "skipDeploys": True}  # fmt: skip
        railway.run("UpsertVariables", input=variables)
        railway.run("DeployService", environmentId=environment, serviceId=act.service_id)
    elif isinstance(act, RemoveDeployment):
        railway.run("RemoveDeployment", id=act.deployment)
    elif isinstance(act, RestartDeployment):
        railway.run("RestartDeployment", id=act.deployment)
    elif isinstance(act, DeleteService):
        railway.run("DeleteService", id=act.service_id, environmentId=environment)
    return str(act)


def _fence(act: Fence, url: str | None, report: Report) -> str | None:
    if url is None:
        report("a status URL can only be read: nobody is fenced")
        return None
    try:
        with runtime.db.connect(url) as db:
            there = heartbeats.fence(db, act.worker_id)
    except DatabaseError as error:
        report(f"worker {act.worker_id} could not be fenced: {error.message}")
        return None
    return f"fenced worker {act.worker_id} in the database" if there else None


def _terminate(act: Terminate, haunting: Haunting, report: Report) -> str | None:
    beats = haunting.found.evidence.samples[-1].heartbeats if haunting.found.evidence.samples else ()
    beat = next((beat for beat in beats if beat.worker_id == act.worker_id), None)
    if beat is None or beat.started_at is None or act.hostname != socket.gethostname():
        return None
    if not _is_the_one(act.pid, beat.started_at):
        return None
    report(f"ending process {act.pid}")
    try:
        os.kill(act.pid, signal.SIGTERM)
    except OSError:
        return None
    return f"sent SIGTERM to process {act.pid} on this machine"


def _is_the_one(pid: int, registered_at: datetime, proc: Callable[[int], float | None] | None = None) -> bool:
    """Whether that pid is still the process that registered: a later start means that the number was given anew."""
    began = (proc or _started_at)(pid)
    return began is not None and began <= registered_at.astimezone(UTC).timestamp() + 1.0


def _started_at(pid: int) -> float | None:
    """When a process started, seconds since the epoch; None where that cannot be known (Linux: proc(5))."""
    try:
        ticks = int(Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19])
        booted = next(
            int(line.split()[1])
            for line in Path("/proc/stat").read_text("utf-8").splitlines()
            if line.startswith("btime")
        )
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return booted + ticks / os.sysconf("SC_CLK_TCK")
