"""DK1: how a second daemon, a second worker or none at all come to be."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Edit, Place, Severity
from deploykit.rules import _commands, _known
from deploykit.rules._behind import started_behind
from deploykit.rules._known import DAEMON_FLAG, DAEMON_POLL, HEARTBEAT, WORKER_FLAG, WORKER_POLL
from deploykit.rules._rule import Report, files, profile, rule
from deploykit.rules._subjects import CONFIG, ENV, IAC, PROCESS, PROFILE, Service, System, Variables, fix, related
from deploykit.sources.pattern import pattern

_WHY_TWO = "every schedule would fire twice"


def the_daemon(system: System) -> Service | None:
    """The service that is meant to schedule: the one with the role, else the first that does."""
    daemons = system.daemons
    return next((service for service in daemons if service.role == "daemon"), daemons[0] if daemons else None)


@rule(
    "DK101",
    Severity.ERROR,
    of=System,
    title="two services run the schedule daemon",
    fix="unsafe",
    good=[profile()],
    bad=[
        profile(("web-server|SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DAEMON_ENABLED: «true»")),
        files(
            {
                "web.env": "NODE_ENV=production\nSCHEDULE_DAEMON_ENABLED=«true»\n",
                "daemon.env": "NODE_ENV=production\nSCHEDULE_DAEMON_ENABLED=true\n",
            }
        ),
    ],
)
def two_schedulers(system: System) -> Iterator[Report]:
    """Each schedule fires twice. `replicas: 1` does not help: it counts the copies of one service, and Railway
    overlaps deployments anyway. Exactly one service has `SCHEDULE_DAEMON_ENABLED: true`.
    """
    keeper = the_daemon(system)
    if keeper is None or system.kind == PROCESS or (system.kind == ENV and len(system.services) < 2):
        return
    for extra in system.daemons:
        if extra is keeper or (system.kind == ENV and extra.name == keeper.name):
            continue  # two .env files of one service are one daemon
        yield Report(
            extra.flag_place,
            f"`{extra.name}` runs the schedule daemon, and so does `{keeper.name}`: {_WHY_TWO}",
            f'set {DAEMON_FLAG} to "false" in `{extra.name}`',
            service=extra.name,
            variable=DAEMON_FLAG,
            related=related((keeper.flag_place, f"and in `{keeper.name}`")),
            fix=fix(f"switch the daemon off in `{extra.name}`", extra.set_env(DAEMON_FLAG, "false"), safe=False),
        )


@rule(
    "DK102",
    Severity.ERROR,
    of=System,
    title="no service runs the schedule daemon",
    good=[profile()],
    bad=[
        profile(
            (
                "schedule-daemon|SCHEDULE_DAEMON_ENABLED: true",
                "SCHEDULE_DAEMON_ENABLED: «false»",
            )
        )
    ],
)
def no_scheduler(system: System) -> Iterator[Report]:
    """No schedule ever fires, and nothing says so. A system that has no schedules declares
    `expect: {schedule_daemon: 0}`.
    """
    if system.kind in (CONFIG, ENV) or not system.closed or not system.speaks_of_jobs:
        return
    if system.daemons or system.expect_daemons == 0:
        return
    if system.kind == IAC and not any(DAEMON_FLAG in service.env for service in system.services):
        return
    meant = next((service for service in system.services if service.role == "daemon"), None)
    flags = [s.env[DAEMON_FLAG] for s in system.services if DAEMON_FLAG in s.env]
    at = meant.flag_place if meant else Place(system.path)
    yield Report(
        at,
        "no service runs the schedule daemon: no schedule would ever fire",
        f'set {DAEMON_FLAG} to "true" in exactly one service, or say `expect: {{schedule_daemon: 0}}`',
        service=meant.name if meant else None,
        variable=DAEMON_FLAG,
        related=related(*((flag.place, "off here") for flag in flags if flag.place != at)),
    )


@rule(
    "DK103",
    Severity.ERROR,
    of=Service,
    title="a flag is left to its default",
    fix="safe",
    good=[profile()],
    bad=[
        profile(("web-server|    env:", "    «env»:"), ("web-server|      SCHEDULE_DAEMON_ENABLED: false\n", "")),
        files({"web-server.env": "«»NODE_ENV=production\nEMBEDDED_JOB_WORKER=true\n"}),
    ],
)
def unset_flag(service: Service) -> Iterator[Report]:
    """Code that reads `process.env.SCHEDULE_DAEMON_ENABLED !== 'false'` starts a daemon when the variable is missing.
    Every web, daemon and worker service says both flags aloud.
    """
    system = service.system
    if system.kind == CONFIG or not service.is_app or not service.complete:
        return
    if system.kind != PROFILE and not any(name in service.env for name in _known.OURS):
        return
    for flag in (DAEMON_FLAG, WORKER_FLAG):
        if flag in service.env or (system.kind == ENV and not _owes(service, flag)):
            continue
        meant = "true" if flag == DAEMON_FLAG and service.role == "daemon" else "false"
        yield Report(
            service.missing,
            f"{flag} is not set in `{service.name}`: unset may mean on",
            f'set {flag} to "{meant}" in `{service.name}`',
            service=service.name,
            variable=flag,
            fix=fix(f"set {flag} to {meant}", service.insert(flag, meant, env=True))
            if _harmless(service, flag)
            else None,
        )


def _harmless(service: Service, flag: str) -> bool:
    """Whether writing the flag leaves a worker somewhere: where none runs, a person must say where (DK108)."""
    return flag == DAEMON_FLAG or bool(service.system.workers) or service.system.expect_workers == 0


def _owes(service: Service, flag: str) -> bool:
    """A .env file may be one of several: it owes the daemon's flag as soon as it speaks of jobs, the worker's never."""
    return flag == DAEMON_FLAG


@rule(
    "DK104",
    Severity.ERROR,
    of=Service,
    title="the daemon has more than one replica or region",
    fix="safe",
    good=[profile()],
    bad=[
        profile(("schedule-daemon|guard: lease", "guard: lease\n    replicas: «2»")),
        profile(
            (
                "schedule-daemon|guard: lease",
                "guard: lease\n    replicas: {us-west2: 1, «europe-west4-drams3a»: 1}",
            )
        ),
    ],
)
def replicated_scheduler(service: Service) -> Iterator[Report]:
    """Each replica is a daemon of its own. With a lease the others only stand by, and cost; without one they
    schedule.
    """
    if not service.runs_daemon or service.replicas <= 1 or service.system.kind == ENV:
        return
    edits = () if service.regions else service.remove("replicas")
    yield Report(
        service.replicas_place,
        f"`{service.name}` runs the schedule daemon with {service.replicas} replicas"
        + (f" in {len(service.regions)} regions" if len(service.regions) > 1 else ""),
        "run one replica in one region",
        service=service.name,
        fix=fix("run one replica", edits),
    )


@rule(
    "DK105",
    Severity.WARNING,
    of=Service,
    title="nothing keeps a second daemon from scheduling",
    fix="unsafe",
    good=[
        profile(),
        profile(("schedule-daemon|    guard: lease", "    volume: {mount: /guard}")),
        profile(("schedule-daemon|guard: lease", "guard: recreate")),
    ],
    bad=[profile(("schedule-daemon|guard: lease", "guard: «none»"))],
)
def unguarded_scheduler(service: Service) -> Iterator[Report]:
    """On Railway the new deployment starts before the old one stops, so for seconds or minutes there are two. Only the
    database (a lease), a volume, or stopping first keeps the second one from scheduling.
    """
    if service.system.kind != PROFILE or service.setting("volume") or the_daemon(service.system) is not service:
        return
    guard = service.text("guard")
    if guard in ("lease", "recreate"):
        return
    entry = service.setting("guard")
    edits = (*service.insert("volume", "{mount: /guard}"),)
    if entry and edits:
        edits = (*service.replace("guard", "volume"), *edits)
    missing = "asks for a volume and has none" if guard == "volume" else "has no guard"
    yield Report(
        entry.value.place if entry else service.key,
        f"`{service.name}` {missing}: two daemons may schedule during a deploy",
        "declare `guard: lease` if the daemon takes a lease in the database, else give it a volume",
        service=service.name,
        fix=fix("add a volume, Railway's own lock", edits, safe=False),
    )


@rule(
    "DK106",
    Severity.ERROR,
    of=Service,
    title="a job worker runs inside the daemon",
    fix="safe",
    good=[profile()],
    bad=[
        profile(("schedule-daemon|EMBEDDED_JOB_WORKER: false", "EMBEDDED_JOB_WORKER: «true»")),
        files({"schedule-daemon.env": "SCHEDULE_DAEMON_ENABLED=true\nEMBEDDED_JOB_WORKER=«true»\n"}),
    ],
)
def worker_in_scheduler(service: Service) -> Iterator[Report]:
    """A long job delays the schedules, a crashing one stops them, and nobody looks for a worker there."""
    if not service.runs_daemon or not service.embeds_worker or service.variables.laptop:
        return
    if service.role != "daemon" and the_daemon(service.system) is not service:
        return
    stage = service.env.get("NODE_ENV")
    if service.anonymous and service.system.kind == ENV and stage and stage.text in ("development", "test"):
        return  # everything in one process, on somebody's desk
    others = [other for other in service.system.workers if other is not service]
    own = service.role == "daemon"  # in a web server it is rather the daemon that does not belong
    yield Report(
        service.env[WORKER_FLAG].place,
        f"`{service.name}` runs the schedule daemon and a job worker in one process",
        f'set {WORKER_FLAG if own else DAEMON_FLAG} to "false" in `{service.name}`'
        + ("" if own else ", and run the daemon in a service of its own"),
        service=service.name,
        variable=WORKER_FLAG,
        fix=fix("switch the embedded worker off", service.set_env(WORKER_FLAG, "false"))
        if own and (others or service.system.kind == ENV)
        else None,
    )


@rule(
    "DK107",
    Severity.WARNING,
    of=System,
    title="an embedded and a dedicated worker, and the profile does not say so",
    fix="unsafe",
    good=[
        profile(worker=True),
        profile(
            ("web-server|EMBEDDED_JOB_WORKER: false", "EMBEDDED_JOB_WORKER: true"),
            ("EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: true\n      JOB_WORKER_POLL_INTERVAL_MS: 5000"),
            ("services:", "expect: {job_worker: 2}\nservices:"),
            worker=True,
        ),
    ],
    bad=[
        profile(
            ("web-server|EMBEDDED_JOB_WORKER: false", "EMBEDDED_JOB_WORKER: «true»"),
            worker=True,
        )
    ],
)
def undeclared_second_worker(system: System) -> Iterator[Report]:
    """The usual cause is a worker that moved to its own service while the old one was left on: it goes on taking
    jobs with the web server's memory. Say it in `expect: {job_worker: N}` when it is meant.
    """
    embedded = [service for service in system.services if service.embeds_worker and service.role != "daemon"]
    dedicated = [service for service in system.services if service.role == "worker"]
    if not embedded or not dedicated or system.declared_workers or system.kind in (CONFIG, ENV, PROCESS):
        return
    for service in embedded:
        yield Report(
            service.env[WORKER_FLAG].place,
            f"`{service.name}` embeds a job worker although `{dedicated[0].name}` is one",
            f'set {WORKER_FLAG} to "false" in `{service.name}`, or declare both with '
            f"`expect: {{job_worker: {sum(worker.replicas for worker in system.workers)}}}`",
            service=service.name,
            variable=WORKER_FLAG,
            related=related(*((worker.key, "a worker of its own") for worker in dedicated)),
            fix=fix("switch the embedded worker off", service.set_env(WORKER_FLAG, "false"), safe=False),
        )


@rule(
    "DK108",
    Severity.ERROR,
    of=System,
    title="no job worker anywhere",
    good=[profile(), profile(worker=True)],
    bad=[
        profile(
            ("web-server|EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: «false»"),
            ("      JOB_WORKER_POLL_INTERVAL_MS: 30000\n", ""),
        )
    ],
)
def no_worker(system: System) -> Iterator[Report]:
    """Jobs are queued and nobody takes them: they wait for ever, and every page looks healthy."""
    if system.kind in (CONFIG, ENV) or not system.closed or not system.speaks_of_jobs:
        return
    if system.workers or system.expect_workers == 0:
        return
    if any(service.is_app and WORKER_FLAG not in service.env and not service.complete for service in system.services):
        return
    if any(WORKER_FLAG in s.env and not s.env[WORKER_FLAG].literal for s in system.services):
        return
    if system.kind == IAC and not any(WORKER_FLAG in service.env for service in system.services):
        return
    web = next((service for service in system.services if service.role == "web" and WORKER_FLAG in service.env), None)
    others = [s.env[WORKER_FLAG] for s in system.services if s is not web and WORKER_FLAG in s.env]
    yield Report(
        web.env[WORKER_FLAG].place if web else Place(system.path),
        "no service works on jobs: every job would stay queued for ever",
        f'set {WORKER_FLAG} to "true" in the web service, or add a service with `role: worker`',
        service=web.name if web else None,
        variable=WORKER_FLAG if web else None,
        related=related(*((flag.place, "off here") for flag in others)),
    )


@rule(
    "DK109",
    Severity.ERROR,
    of=Service,
    title="an embedded worker in every replica, and the profile expects one",
    good=[
        profile(),
        profile(
            ("web-server|draining_seconds: 30", "draining_seconds: 30\n    replicas: 3"),
            ("services:", "expect: {job_worker: 3}\nservices:"),
        ),
    ],
    bad=[profile(("web-server|draining_seconds: 30", "draining_seconds: 30\n    replicas: «3»"))],
)
def replicated_embedded_worker(service: Service) -> Iterator[Report]:
    """The worker lives in the web process, so three replicas are three workers. Declare the number in
    `expect: {job_worker: N}` when it is meant.
    """
    system = service.system
    if not service.embeds_worker or service.replicas <= 1 or system.declared_workers or system.kind in (CONFIG, ENV):
        return
    total = sum(worker.replicas for worker in system.workers)
    said = system.expect_workers if system.expect_workers is not None else "no number"
    yield Report(
        service.replicas_place,
        f"`{service.name}` has {service.replicas} replicas, each with an embedded job worker; "
        f"the profile expects {said}",
        f"declare `expect: {{job_worker: {total}}}`, or move the worker to a service of its own",
        service=service.name,
        related=related((service.env[WORKER_FLAG].place, "the worker is switched on here")),
    )


@rule(
    "DK110",
    Severity.ERROR,
    of=System,
    title="two services start the daemon's command",
    good=[profile()],
    bad=[
        profile(
            (
                "  schedule-daemon:",
                """  daemon:
    role: other
    source: {repo: acme/app}
    start: «node backend/dist/scheduleDaemon.js»
  schedule-daemon:""",
            )
        )
    ],
)
def copied_scheduler(system: System) -> Iterator[Report]:
    """A forgotten copy of the daemon under another name: it starts the same process, whatever its flags say."""
    keeper = the_daemon(system)
    command = keeper.start if keeper else None
    if keeper is None or not command or system.kind not in (PROFILE, IAC):
        return
    starts_web = _commands.meaning(command, _commands.root_of(keeper), system.around)
    for copy in system.services:
        if copy is keeper or not copy.start or _commands.normal(copy.start) != _commands.normal(command):
            continue
        if _origin(copy) != _origin(keeper) or (starts_web and starts_web.role == "web"):
            continue
        if copy.role == "web" and starts_web is None:
            continue  # one command for all, steered by flags
        yield Report(
            copy.settings["start"].value.place,
            f"`{copy.name}` starts the same command as the daemon `{keeper.name}`: a forgotten copy",
            f"delete `{copy.name}`, or give it its own command",
            service=copy.name,
            related=related((keeper.settings["start"].value.place, f"the daemon's own in `{keeper.name}`")),
        )


def _origin(service: Service) -> tuple[str | None, ...]:
    return tuple(service.text(name) for name in ("source.repo", "source.image", "source.root"))


@rule(
    "DK111",
    Severity.ERROR,
    of=Variables,
    title="a literal database address that preview environments copy",
    fix="unsafe",
    good=[profile()],
    bad=[
        profile(("DATABASE_URL: ${{MySQL.MYSQL_URL}}", "DATABASE_URL: «mysql://app@db.acme.dev:3306/app»")),
    ],
)
def copied_database_address(variables: Variables) -> Iterator[Report]:
    """Railway copies variables into pull-request and duplicated environments. A reference leads to that environment's
    own database, a literal leads to production: its daemon then works on production data.
    """
    if variables.laptop or variables.example or (variables.kind == ENV and not variables.name):
        return
    for variable in variables:
        if not variable.literal or not _known.DATABASE_SCHEME.match(variable.text) or not _remote(variable.text):
            continue
        database = variables.service.system.database if variables.service else None
        edits: tuple[Edit, ...] = ()
        engine = _known.scheme_engine(variable.text)
        if database is None or _known.engine_of(database) not in (engine, None):
            database = next(name for name, each in _known.TEMPLATES.items() if each == engine)
        elif variables.service and engine:
            edits = variables.service.set_env(variable.name, _known.address_of(database, engine))
        yield Report(
            variable.place,
            f"{variable.name} is a literal database address: pull-request environments would copy it and work "
            "on this database",
            f"use a reference such as {_known.address_of(database, engine)}",
            variable=variable.name,
            fix=fix("use a reference", edits, safe=False),
        )


_HOST = pattern(r"[a-z0-9+]+://(?:[^@/]*@)?(\[[^\]]*\]|[^:/?,]*)", re.IGNORECASE)
_LOCAL = frozenset(
    {"localhost", "127.0.0.1", "[::1]", "0.0.0.0", "host.docker.internal", "db", "mysql", "postgres", ""}
)


def _remote(url: str) -> bool:
    host = _HOST.match(url)
    name = host[1].lower() if host else ""
    return name not in _LOCAL and not name.startswith(("<", "$", "example."))


@rule(
    "DK112",
    Severity.ERROR,
    of=Service,
    title="the web server's command starts the daemon too",
    good=[
        profile(),
        profile(("node backend/dist/index.js", "pm2-runtime backend/dist/index.js")),
        profile(("node backend/dist/index.js", "npm run build:assets && node backend/dist/index.js")),
    ],
    bad=[
        profile(("node backend/dist/index.js", "«pm2 start ecosystem.config.js»")),
        profile(("node backend/dist/index.js", "«node backend/dist/index.js & node backend/dist/scheduleDaemon.js»")),
    ],
)
def scheduler_behind_web(service: Service) -> Iterator[Report]:
    """A process manager or a single `&` starts several processes in one container: the daemon runs once for each web
    replica, is invisible to Railway, and doubles at every `pm2 restart`.
    """
    start = service.start
    if not start or service.role not in ("web", "") or service.system.kind == ENV:
        return
    found = started_behind(start, _commands.root_of(service), service)
    if found is None:
        return
    yield Report(
        service.settings["start"].value.place,
        f"`{service.name}` {found}",
        "start one process in each service: the daemon belongs in a service of its own",
        service=service.name,
    )


@rule(
    "DK113",
    Severity.WARNING,
    of=System,
    title="the daemon deploys on every push while others wait",
    fix="unsafe",
    good=[profile(), profile(("schedule-daemon|guard: lease", "guard: lease\n    autodeploy: after_ci"))],
    bad=[profile(("schedule-daemon|guard: lease", "guard: lease\n    autodeploy: «on_push»"))],
)
def unordered_scheduler(system: System) -> Iterator[Report]:
    """deploykit stops the old daemon before the new one starts and waits for its health; a push goes around that
    order and deploys untested code to the one service that must not double.
    """
    if system.kind not in (PROFILE, IAC):
        return
    ordered = any(s.text("autodeploy") in ("after_ci", "off") for s in system.apps if not s.runs_daemon)
    for service in system.daemons:
        entry = service.setting("autodeploy")
        said = service.text("autodeploy")
        if said != "on_push" and (said is not None or not ordered or not service.setting("source.repo")):
            continue
        edits = service.replace("autodeploy", "off") if entry else service.insert("autodeploy", "off")
        yield Report(
            entry.value.place if entry else service.key,
            f"`{service.name}` runs the schedule daemon and deploys on every push",
            "use `autodeploy: after_ci`, or `off` and deploy it with deploykit",
            service=service.name,
            fix=fix("let deploykit deploy it", edits, safe=False),
        )


@rule(
    "DK114",
    Severity.WARNING,
    of=Variables,
    title="a heartbeat that is too rare to tell life from death",
    good=[profile(("NODE_ENV: production", "NODE_ENV: production\n      HEARTBEAT_INTERVAL_MS: 15000"))],
    bad=[
        profile(("NODE_ENV: production", "NODE_ENV: production\n      HEARTBEAT_INTERVAL_MS: «3600000»")),
        profile(
            (
                "schedule-daemon|NODE_ENV: production",
                "NODE_ENV: production\n      HEARTBEAT_INTERVAL_MS: «${{SCHEDULE_POLL_INTERVAL_MS}}»",
            )
        ),
    ],
)
def rare_heartbeat(variables: Variables) -> Iterator[Report]:
    """With one beat per hourly poll a dead daemon looks alive for an hour. Beats have their own timer: every 10 to 30
    seconds, whatever the poll interval.
    """
    variable = variables.get(HEARTBEAT)
    if variable is None:
        return
    text = variable.text.strip()
    tied = re.search(rf"\b({DAEMON_POLL}|{WORKER_POLL})\b", text) if "${" in text else None
    if tied:
        message = f"{HEARTBEAT} is tied to {tied[1]}: it must not depend on how often the process polls"
    elif text.isdigit() and 60_000 < int(text[:15]) <= _known.LARGEST_TIMER_MS:
        message = f"{HEARTBEAT} is {text} ms: a dead process would look alive for more than a minute"
    else:
        return
    yield Report(variable.place, message, "write 10000 to 30000, or leave it out", variable=HEARTBEAT)
