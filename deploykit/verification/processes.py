"""Which processes a profile promises, and what each does: what the process map draws. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deploykit.profile.schema import DAEMON_FLAG, DAEMON_POLL, POOL_SIZE, WORKER_FLAG, WORKER_POLL, Profile, Service
from deploykit.verification.census import DAEMON, WEB, WORKER, promised_poll_ms, wants

FLAGS = (DAEMON_FLAG, WORKER_FLAG)
CONTROLS = (WORKER_FLAG, WORKER_POLL, DAEMON_FLAG, DAEMON_POLL, POOL_SIZE)
"""The guide's control panel, in its order."""
OTHER = "other"

_UNITS = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond"))


@dataclass(frozen=True, slots=True)
class Process:
    """Something that lives inside a container: ``steps`` say what it does again and again."""

    kind: str
    title: str
    steps: tuple[str, ...]
    poll_interval_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """One line of the control panel. ``critical``: were it missing, a ghost could start."""

    name: str
    value: str
    critical: bool


@dataclass(frozen=True, slots=True)
class Box:
    """One service with its containers and what runs in each of them."""

    number: int
    service: Service
    processes: tuple[Process, ...]
    controls: tuple[Control, ...]

    @property
    def command(self) -> str:
        """What starts the container, in words where the image brings it."""
        return self.service.start or "what its image starts"

    @property
    def containers(self) -> str:
        """``1 container, 1 process`` or ``3 containers, 1 process in each``."""
        count = self.service.total_replicas
        return "1 container, 1 process" if count == 1 else f"{count} containers, 1 process in each"


def boxes(profile: Profile) -> tuple[Box, ...]:
    """The services that start something of ours, in file order; databases are drawn apart."""
    wanted = [service for service in profile.services.values() if service.role != "database"]
    return tuple(_box(number, service) for number, service in enumerate(wanted, start=1))


def databases(profile: Profile) -> tuple[str, ...]:
    """The names of the databases: the one of the job tables first."""
    jobs = [profile.database.service] if profile.database else []
    others = [service.name for service in profile.services.values() if service.role == "database"]
    return tuple(dict.fromkeys([*jobs, *others]))


def flow(profile: Profile) -> tuple[str, ...]:
    """How a job comes to be done, as numbered sentences without their numbers."""
    sentences: list[str] = []
    for service in profile.daemons:
        period = spoken(promised_poll_ms(service, DAEMON))
        sentences += [
            f"Every {period}: {service.name} checks the schedules",
            "If one is due: it creates a JobRun with status QUEUED, once for each due time",
        ]
    periods = {service.name: spoken(promised_poll_ms(service, WORKER)) for service in profile.workers}
    sentences += [f"Every {period}: {name} looks for QUEUED jobs" for name, period in periods.items()]
    if periods:
        sentences += [
            "It locks a job atomically, so that nobody else runs it",
            "It executes the job",
            "It writes status COMPLETED, or FAILED after the last attempt",
        ]
    return tuple(sentences)


def spoken(milliseconds: int) -> str:
    """A duration as one says it after "every": ``30 seconds``, ``hour``, ``15 minutes``."""
    size, unit = next((pair for pair in _UNITS if milliseconds and milliseconds % pair[0] == 0), (1, "millisecond"))
    count = milliseconds // size
    return unit if count == 1 else f"{count} {unit}s"


def _box(number: int, service: Service) -> Box:
    controls = tuple(
        Control(name, value, critical=name in FLAGS and value == "false")
        for name in CONTROLS
        if (value := service.value(name)) is not None
    )
    return Box(number, service, _processes(service), controls)


def _processes(service: Service) -> tuple[Process, ...]:
    found: list[Process] = []
    if service.role == "web":
        health = (f"Is healthy when GET {service.healthcheck} answers 200",) if service.healthcheck else ()
        found.append(Process(WEB, "HTTP server", ("Answers requests", *health)))
    if wants(service, DAEMON):
        found.append(_daemon(service))
    if wants(service, WORKER):
        found.append(_worker(service))
    if not found:
        does = f"Runs at {service.cron} (UTC) and ends" if service.cron else "Runs until it is stopped"
        found.append(Process(OTHER, "Process", (does,)))
    return tuple(found)


def _daemon(service: Service) -> Process:
    poll = promised_poll_ms(service, DAEMON)
    guard = {
        "lease": "Holds the lease; a second daemon stands by",
        "volume": "Holds the volume; Railway starts no second one beside it",
        "recreate": "Is stopped before its successor starts",
    }.get(service.guard or "")
    steps = (
        f"Polls every {spoken(poll)}",
        "Checks: is a schedule due now?",
        "If yes: creates a JobRun with status QUEUED",
        "Updates nextRunAt",
    )
    return Process(DAEMON, "Schedule daemon", (*steps, guard) if guard else steps, poll)


def _worker(service: Service) -> Process:
    poll = promised_poll_ms(service, WORKER)
    title = "Job worker (embedded)" if service.role == "web" else "Job worker"
    steps = (
        f"Polls every {spoken(poll)}",
        "Finds QUEUED jobs",
        "Locks a job atomically",
        "Executes it",
        "Updates status to COMPLETED or FAILED",
    )
    return Process(WORKER, title, steps, poll)
