"""DK1: ghosts. Exactly one daemon, a worker somewhere, and no process that nobody meant to start."""

from __future__ import annotations

from collections.abc import Iterator

from deploykit.findings import Edit, Fix, Place, Severity
from deploykit.rules._edits import added_variable
from deploykit.rules._examples import swap
from deploykit.rules._names import DAEMON_FLAG, FLAGS, WORKER_FLAG
from deploykit.rules._rule import Report, replacement, rule
from deploykit.rules._system import ServiceView, System, related

_WORKER = """\
  job-worker:
    role: worker
    source: {repo: acme/app, branch: main}
    start: cd backend && exec node dist/jobWorker.js
    draining_seconds: 30
    limits: {memory_mb: 256, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      SCHEDULE_DAEMON_ENABLED: false
      EMBEDDED_JOB_WORKER: false
      JOB_WORKER_POLL_INTERVAL_MS: 30000
database:
"""
_COPY = """\
  daemon:
    role: other
    source: {repo: acme/app, branch: main}
    start: cd backend && exec node dist/scheduleDaemon.js
database:
"""


@rule(
    "DK101",
    Severity.ERROR,
    on="system",
    cure="Set SCHEDULE_DAEMON_ENABLED to false in every service but one.",
    bad=[swap("SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DAEMON_ENABLED: true")],
    good=[swap("SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DAEMON_ENABLED: false")],
    fix="unsafe",
)
def two_daemons(system: System) -> Iterator[Report]:
    """Two schedule daemons enqueue every scheduled job twice.

    Railway overlaps deployments, so `replicas: 1` alone does not help either: a lease or a volume must keep the second
    one out.
    """
    daemons = system.daemons
    none_wanted = system.get("expect.schedule_daemon") == 0
    if len(daemons) < (1 if none_wanted else 2):
        return
    owner = next((service for service in daemons if service.role == "daemon"), daemons[0])
    for service in daemons:
        if service is owner and not none_wanted:
            continue
        place = service.flag_place(DAEMON_FLAG)
        value = service.env.get(DAEMON_FLAG)
        fix = None
        if value and service.role != "daemon":
            title = f"turn the daemon off in {service.name}"
            fix = replacement(title, value.place, value.quoted("false"), safe=False)
        others = tuple(
            related(other, other.flag_place(DAEMON_FLAG), "and here, in `{service}`")
            for other in daemons
            if other is not service
        )
        message = (
            f"`{service.name}` runs a schedule daemon, but the profile expects none"
            if none_wanted
            else f"`{service.name}` would run a second schedule daemon beside `{owner.name}`"
        )
        yield Report(
            place, message, f"set {DAEMON_FLAG} to false in `{service.name}`", service.name, DAEMON_FLAG, others, fix
        )


@rule(
    "DK102",
    Severity.ERROR,
    on="system",
    cure="Set SCHEDULE_DAEMON_ENABLED to true in the daemon service, or say `expect: {schedule_daemon: 0}`.",
    bad=[swap("SCHEDULE_DAEMON_ENABLED: true", "SCHEDULE_DAEMON_ENABLED: false")],
    good=[swap("SCHEDULE_DAEMON_ENABLED: true", "SCHEDULE_DAEMON_ENABLED: true")],
    kinds=("profile", "iac"),
)
def no_daemon(system: System) -> Iterator[Report]:
    """Without a daemon no schedule ever fires, and nothing says so: every service looks healthy."""
    if not system.complete or not system.apps or system.daemons or system.get("expect.schedule_daemon") == 0:
        return
    if any(not service.complete for service in system.apps):
        return
    if system.kind == "iac" and not any(name in service.env for service in system.apps for name in FLAGS):
        return
    meant = next((service for service in system.services.values() if service.role == "daemon"), None)
    place = meant.flag_place(DAEMON_FLAG) if meant else system.services_place
    hint = f"set {DAEMON_FLAG} to true in `{meant.name}`" if meant else "add a service of role daemon"
    yield Report(
        place,
        "no service runs the schedule daemon: schedules would never fire",
        f"{hint}, or write `expect: {{schedule_daemon: 0}}`",
        meant.name if meant else None,
        DAEMON_FLAG if meant else None,
    )


@rule(
    "DK103",
    Severity.ERROR,
    on="service",
    cure="Set both flags in every web, daemon and worker service.",
    bad=[swap("      SCHEDULE_DAEMON_ENABLED: false\n", "")],
    good=[swap("SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DAEMON_ENABLED: false")],
    fix="safe",
)
def unset_flag(service: ServiceView) -> Iterator[Report]:
    """A flag that is not set falls back to a default, and the default may be on: that is how the guide's second ghost began."""
    if not service.is_app or not service.complete or service.kind == "config":
        return
    for flag in FLAGS:
        if flag in service.env:
            continue
        value = "true" if flag == DAEMON_FLAG and service.role == "daemon" else "false"
        hint = f"add `{flag}: {value}`" if service.kind != "env" else f"add `{flag}={value}`"
        yield Report(
            service.missing(),
            f"`{service.name}` does not set {flag}; unset may mean on",
            hint,
            service.name,
            flag,
            fix=added_variable(service, flag, value, f"set {flag} to {value} in {service.name}"),
        )


@rule(
    "DK104",
    Severity.ERROR,
    on="service",
    cure="Give the daemon one replica in one region.",
    bad=[
        swap("guard: lease", "guard: lease\n    replicas: 2"),
        swap("guard: lease", "guard: lease\n    replicas: {us-west2: 1, europe-west4-drams3a: 1}"),
    ],
    good=[swap("guard: lease", "guard: lease\n    replicas: 1")],
    fix="safe",
)
def daemon_with_replicas(service: ServiceView) -> Iterator[Report]:
    """Every replica of a daemon is a daemon: two replicas, or two regions, are two daemons."""
    if not (service.role == "daemon" or service.runs_daemon) or service.total_replicas <= 1:
        return
    replicas = service.get("replicas")
    place = service.at("replicas")
    fix = replacement("one replica", place, "1") if isinstance(replicas, int) else None
    if isinstance(replicas, dict) and replicas and place.end_line == place.line and place.end_column > place.column + 1:
        fix = replacement("one replica in the first region", place, f"{{{next(iter(replicas))}: 1}}")
    where = f"in {len(replicas)} regions" if isinstance(replicas, dict) and len(replicas) > 1 else "as replicas"
    yield Report(
        place,
        f"`{service.name}` is a schedule daemon and would run {service.total_replicas} times {where}",
        "set replicas to 1",
        service.name,
        fix=fix if service.kind == "profile" else None,
    )


@rule(
    "DK105",
    Severity.WARNING,
    on="service",
    cure="Declare what keeps a second daemon out: `guard: lease`, or a volume.",
    bad=[swap("guard: lease", "guard: none"), swap("    guard: lease\n", "")],
    good=[
        swap("guard: lease", "guard: lease"),
        swap("guard: lease", "guard: volume\n    volume: {mount: /guard, size_mb: 1}"),
    ],
    fix="unsafe",
    kinds=("profile",),
)
def daemon_without_guard(service: ServiceView) -> Iterator[Report]:
    """During every deploy Railway runs the old and the new copy at once, and it may redeploy at any time.

    Only a lease in the database or a volume (Railway never mounts it twice) keeps the second daemon from scheduling.
    """
    if service.role != "daemon" or "volume" in service.settings:
        return
    guard = service.get("guard")
    if guard in ("lease", "recreate"):
        return
    if guard == "volume":
        message, hint = (
            f"`{service.name}` is guarded by a volume that it does not have",
            "add `volume: {mount: /guard}`",
        )
    else:
        message = f"nothing keeps a second `{service.name}` from scheduling during a deploy"
        hint = "write `guard: lease` when the application takes one, else add a volume"
    place = service.at("guard")
    yield Report(place, message, hint, service.name, fix=_volume(service, guard))


def _volume(service: ServiceView, guard: object) -> Fix | None:
    role = service.settings.get("role")
    if role is None or role.key.path != service.path or role.key.line <= service.place.line:
        return None
    indent = " " * (role.key.column - 1)
    after = (role.place.line + 1, 1)
    edits = [Edit(service.path, after, after, f"{indent}volume: {{mount: /guard, size_mb: 1}}\n")]
    if guard is None:
        edits = [Edit(service.path, after, after, f"{indent}guard: volume\n{edits[0].text}")]
    elif guard != "volume":
        place = service.at("guard")
        edits.append(Edit(place.path, (place.line, place.column), (place.end_line, place.end_column), "volume"))
    return Fix("guard it with a volume of 1 MB", tuple(edits), safe=False)


@rule(
    "DK106",
    Severity.ERROR,
    on="system",
    cure="Set EMBEDDED_JOB_WORKER to false in the daemon.",
    bad=[swap("EMBEDDED_JOB_WORKER: false", "EMBEDDED_JOB_WORKER: true")],
    good=[swap("EMBEDDED_JOB_WORKER: false", "EMBEDDED_JOB_WORKER: false")],
    fix="safe",
)
def worker_in_the_daemon(system: System) -> Iterator[Report]:
    """A daemon that also works on jobs misses its schedules while a job runs, and is a worker nobody counted."""
    dedicated = any(service.role == "daemon" for service in system.services.values())
    for service in system.services.values():
        if not service.embeds_worker or not (service.role == "daemon" or (service.runs_daemon and not dedicated)):
            continue
        value = service.env[WORKER_FLAG]
        yield Report(
            value.place,
            f"`{service.name}` is the schedule daemon and would also run an embedded job worker",
            f"set {WORKER_FLAG} to false",
            service.name,
            WORKER_FLAG,
            fix=replacement("turn the embedded worker off", value.place, value.quoted("false")),
        )


@rule(
    "DK107",
    Severity.WARNING,
    on="system",
    cure="Turn the embedded worker off, or declare the number of workers in `expect.job_worker`.",
    bad=[swap("database:\n", _WORKER)],
    good=[swap("database:\n", _WORKER, "  max_connections: 151", "  max_connections: 151\nexpect: {job_worker: 2}")],
    fix="unsafe",
    kinds=("profile", "env"),
)
def two_kinds_of_worker(system: System) -> Iterator[Report]:
    """An embedded worker beside a dedicated one is easily forgotten: jobs then run where nobody looks."""
    dedicated = [service for service in system.services.values() if service.role == "worker"]
    if not dedicated or system.get("expect.job_worker") == system.worker_count:
        return
    for service in system.services.values():
        if not service.embeds_worker or service.role == "daemon":
            continue
        value = service.env[WORKER_FLAG]
        yield Report(
            value.place,
            f"`{service.name}` runs an embedded job worker beside the dedicated `{dedicated[0].name}`",
            f"set {WORKER_FLAG} to false here, or declare `expect: {{job_worker: {system.worker_count}}}`",
            service.name,
            WORKER_FLAG,
            tuple(related(other, other.at("role"), "the dedicated worker `{service}`") for other in dedicated),
            replacement("turn the embedded worker off", value.place, value.quoted("false"), safe=False),
        )


@rule(
    "DK108",
    Severity.ERROR,
    on="system",
    cure="Turn EMBEDDED_JOB_WORKER on in the web service, or add a service of role worker.",
    bad=[swap("EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: false")],
    good=[swap("EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: true")],
    kinds=("profile", "iac"),
)
def no_worker(system: System) -> Iterator[Report]:
    """Without a worker jobs stay QUEUED for ever, while every service looks healthy."""
    if not system.complete or not system.apps or system.workers or system.get("expect.job_worker") == 0:
        return
    if any(not service.complete for service in system.apps):
        return
    flagged = [service for service in system.apps if WORKER_FLAG in service.env]
    if system.kind == "iac" and not flagged:
        return
    web = next((service for service in flagged if service.role == "web"), None)
    place = web.env[WORKER_FLAG].place if web else system.services_place
    yield Report(
        place,
        "no service works on jobs: they would be queued for ever",
        f"set {WORKER_FLAG} to true in the web service, or add a service of role worker",
        web.name if web else None,
        WORKER_FLAG if web else None,
    )


@rule(
    "DK109",
    Severity.ERROR,
    on="system",
    cure="Declare the workers in `expect.job_worker`, or give them a service of their own.",
    bad=[swap("replicas: 1", "replicas: 3")],
    good=[
        swap("replicas: 1", "replicas: 3", "  max_connections: 151", "  max_connections: 151\nexpect: {job_worker: 3}")
    ],
    kinds=("profile",),
)
def embedded_worker_with_replicas(system: System) -> Iterator[Report]:
    """Each replica of a web service with an embedded worker is one more worker."""
    expected = system.get("expect.job_worker")
    if expected == system.worker_count:
        return
    for service in system.services.values():
        if not service.embeds_worker or service.role == "daemon" or service.total_replicas <= 1:
            continue
        said = "one worker is expected" if expected is None else f"`expect.job_worker` says {expected}"
        also: tuple[tuple[Place, str], ...] = ((service.env[WORKER_FLAG].place, "each replica embeds a worker"),)
        yield Report(
            service.at("replicas"),
            f"`{service.name}` would run {service.total_replicas} embedded job workers, one a replica; {said}",
            f"declare `expect: {{job_worker: {system.worker_count}}}`, or move the worker to a service of its own",
            service.name,
            related=tuple(related(service, place, message) for place, message in also),
        )


@rule(
    "DK110",
    Severity.ERROR,
    on="system",
    cure="Delete the forgotten copy.",
    bad=[swap("database:\n", _COPY)],
    good=[swap("database:\n", _COPY.replace("scheduleDaemon.js", "mailer.js"))],
)
def copied_daemon(system: System) -> Iterator[Report]:
    """Two services with the daemon's start command are two daemons, whatever the flags say: usually a renamed copy."""
    daemons = [service for service in system.services.values() if service.role == "daemon" and service.start]
    seen: set[tuple[str, str]] = set()
    for daemon in daemons:
        for other in system.services.values():
            pair = (min(daemon.name, other.name), max(daemon.name, other.name))
            # The daemon that runs web's command, or web that runs the daemon's, is DK601's.
            if other is daemon or other.role == "web" or pair in seen or not same_process(daemon, other):
                continue
            seen.add(pair)
            yield Report(
                other.at("start"),
                f"`{other.name}` has the start command of the schedule daemon `{daemon.name}`",
                f"delete `{other.name}` when it is a forgotten copy, else give it a command of its own",
                other.name,
                related=(related(daemon, daemon.at("start"), "the daemon `{service}`"),),
            )


def same_process(first: ServiceView, second: ServiceView) -> bool:
    """Whether two services start the same program from the same source."""
    return (
        bool(first.start)
        and bare(first.start) == bare(second.start)
        and all(
            first.get(key) == second.get(key) or None in (first.get(key), second.get(key))
            for key in ("source.repo", "source.image", "source.root")
        )
    )


def bare(start: str) -> str:
    """A start command without the words that change nothing: ``exec``."""
    return " ".join(word for word in start.split() if word != "exec")
