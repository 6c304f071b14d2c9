"""How to end what should not be there, by its class: what to do, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deploykit.planning.snapshot import Snapshot
from deploykit.profile.schema import DAEMON_FLAG, WORKER_FLAG, Profile
from deploykit.verification.census import DAEMON, IN_ONE_CONTAINER, OUTSIDE, Census, Class, Row


@dataclass(frozen=True, slots=True)
class SwitchOff:
    """Set a flag to ``false``, then deploy the service once: its next deployment lacks the process."""

    service: str
    service_id: str
    flag: str

    def __str__(self) -> str:
        return f"set {self.flag}=false on {self.service} and redeploy it"


@dataclass(frozen=True, slots=True)
class RemoveDeployment:
    """Remove one deployment: Railway stops its containers."""

    service: str
    deployment: str

    def __str__(self) -> str:
        return f"remove deployment {self.deployment} of {self.service}"


@dataclass(frozen=True, slots=True)
class RestartDeployment:
    """Restart the containers of one deployment: what is in them twice comes back once."""

    service: str
    deployment: str

    def __str__(self) -> str:
        return f"restart deployment {self.deployment} of {self.service}"


@dataclass(frozen=True, slots=True)
class DeleteService:
    """Delete a service with everything that belongs to it. Cannot be undone."""

    service: str
    service_id: str

    def __str__(self) -> str:
        return f"delete service {self.service} (cannot be undone)"


@dataclass(frozen=True, slots=True)
class Terminate:
    """Ask a process to end, if it runs on this machine."""

    worker_id: str
    hostname: str
    pid: int

    def __str__(self) -> str:
        return f"end process {self.pid} on {self.hostname} (SIGTERM; only if that is this machine)"


@dataclass(frozen=True, slots=True)
class Fence:
    """Tell a process through its row in the job tables to end: it does so at its next beat, wherever it runs."""

    worker_id: str

    def __str__(self) -> str:
        return (
            f"fence worker {self.worker_id} in the database: it ends at its next beat (needs UPDATE on WorkerInstance)"
        )


@dataclass(frozen=True, slots=True)
class Advise:
    """Nothing that deploykit can do from here: what a person should."""

    text: str

    def __str__(self) -> str:
        return self.text


Act = SwitchOff | RemoveDeployment | RestartDeployment | DeleteService | Terminate | Fence | Advise


def endings(profile: Profile, census: Census, snapshot: Snapshot | None) -> list[tuple[Row, tuple[Act, ...]]]:
    """What to do about each ghost, in the order of the census. One act may be the end of several."""
    return [(row, _acts(profile, row, snapshot)) for row in census.ghosts]


def destructive(acts: tuple[Act, ...]) -> bool:
    """Whether any of them cannot be undone."""
    return any(isinstance(act, DeleteService) for act in acts)


def _acts(profile: Profile, row: Row, snapshot: Snapshot | None) -> tuple[Act, ...]:
    live = snapshot.service(row.service) if snapshot and row.service else None
    here: tuple[Act, ...] = (*_terminate(row), *_fence(row))
    if row.class_ is Class.GHOST_SERVICE and live is not None:
        return (DeleteService(live.name, live.id),)
    if row.unwanted and live is not None:
        return (SwitchOff(live.name, live.id, DAEMON_FLAG if row.kind == DAEMON else WORKER_FLAG),)
    if row.class_ is Class.DUPLICATE and row.deployment is not None and row.service is not None:
        return _duplicate(profile, row, snapshot)
    if row.class_ is Class.ZOMBIE and row.deployment is not None:
        known = snapshot is not None and any(
            deployment.id == row.deployment for service in snapshot.services for deployment in service.deployments
        )
        remove = (RemoveDeployment(row.service or "a service", row.deployment),) if known else ()
        return (*remove, *here, Advise("if it lives on: rotate the database's password, so that it is locked out"))
    if row.class_ is Class.FOREIGN and row.deployment is not None:
        return (Advise("give that environment a database of its own, or delete it: its process is not ours to end"),)
    where = f"on {row.hostname}: kill {row.pid}" if row.hostname and row.pid else "end it where it was started"
    return (*here, Advise(f"if it runs elsewhere, {where}; then keep {_url_of(profile)} from that place"))


def _duplicate(profile: Profile, row: Row, snapshot: Snapshot | None) -> tuple[Act, ...]:
    assert row.service is not None
    assert row.deployment is not None
    live = snapshot.service(row.service) if snapshot else None
    newest = max(live.active, key=lambda deployment: deployment.created_at, default=None) if live else None
    if newest is not None and newest.id != row.deployment:
        return (RemoveDeployment(row.service, row.deployment),)
    if row.why == OUTSIDE:
        return (
            *_terminate(row),
            *_fence(row),
            Advise(f"if it runs elsewhere, on {row.hostname or 'that host'}: kill {row.pid}"),
        )
    if row.why == IN_ONE_CONTAINER:
        return (RestartDeployment(row.service, row.deployment),)
    name = profile.name
    return (Advise(f"deploykit plan {name}, then deploykit apply: it sets the replicas back to the profile's number"),)


def _terminate(row: Row) -> tuple[Terminate, ...]:
    if row.worker_id is None or row.hostname is None or row.pid is None:
        return ()
    return (Terminate(row.worker_id, row.hostname, row.pid),)


def _fence(row: Row) -> tuple[Fence, ...]:
    return () if row.worker_id is None else (Fence(row.worker_id),)


def _url_of(profile: Profile) -> str:
    name = profile.database.service if profile.database else "the database"
    return f"{name}'s DATABASE_URL"
