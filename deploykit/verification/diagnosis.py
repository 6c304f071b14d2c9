"""From symptoms to cause: why a system is sick, and the command or setting that cures it. Pure.

Causes come root first: a flag that was never deployed explains a missing daemon, and not the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from deploykit.planning.connections import pool
from deploykit.planning.snapshot import LiveDeployment, LiveService
from deploykit.profile.schema import DAEMON_FLAG, DEFAULT_MAX_CONNECTIONS, POOL_SIZE, WORKER_FLAG, Service
from deploykit.verification.census import (
    DAEMON,
    IN_ONE_CONTAINER,
    OLDER,
    OUTSIDE,
    WEB,
    WORKER,
    Class,
    Row,
    promised_poll_ms,
)
from deploykit.verification.checks import Case, Health, Verdict, Verification, check
from deploykit.verification.checks.platform import CONTROLS, agrees, configured, serves, touches_us
from deploykit.verification.checks.processes import RESTARTS_WITHIN_SECONDS, falls, falls_often, lease_is_stuck
from deploykit.verification.checks.tables import (
    CONNECTIONS_ALARM,
    LONG_TRANSACTION_SECONDS,
    SKEW_ALARM_SECONDS,
    forgotten_seconds,
    longest_job_seconds,
    planned_connections,
)
from deploykit.verification.evidence import home
from deploykit.verification.log_lines import read as read_lines
from runtime.lease import LeaseState

CRASH_LOOP_STARTS = 3
SMALL_POOL = 5
"""The guide's own cure: half of what Prisma takes by default."""


class Rank(IntEnum):
    """How near to the root a cause lies; the lowest comes first."""

    BLIND = 0
    DATABASE = 1
    SETTING = 2
    GHOST = 3
    PLATFORM = 4
    PROCESS = 5
    QUEUE = 6
    REMARK = 9


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One cause: ``because`` is the evidence, ``cure`` what to type or to set, step by step."""

    id: str
    rank: Rank
    cause: str
    because: str
    cure: tuple[str, ...]
    service: str | None = None


def diagnose(found: Verification) -> list[Diagnosis]:
    """Every cause, the root first; empty when nothing is wrong."""
    causes = [cause for look in _LOOKS for cause in look(found.case)]
    unique = {(cause.id, cause.service): cause for cause in reversed(causes)}
    ordered = sorted(unique.values(), key=lambda cause: (cause.rank, causes.index(cause)))
    if not any(cause.rank < Rank.REMARK for cause in ordered) and found.health is not Health.HEALTHY:
        ordered = [*_unexplained(found), *ordered]
    return ordered


# --- what cannot be seen ----------------------------------------------------------------------------------------------


def _blind(case: Case) -> Iterator[Diagnosis]:
    railway = case.evidence.problem("railway")
    if railway is not None:
        if railway.why == "refused":
            cure: tuple[str, ...] = ("create a project token for this environment (Railway: project settings → Tokens)",
                    "export RAILWAY_TOKEN=…")  # fmt: skip
            yield Diagnosis("token-refused", Rank.BLIND, "Railway refuses the token", railway.message, cure)
        else:
            cure = (
                railway.hint or "try again in a minute",
                f"status.railway.com tells about outages; afterwards: deploykit doctor {case.profile.name}",
            )
            yield Diagnosis("railway-unreachable", Rank.BLIND, "Railway does not answer us", railway.message, cure)
    database = case.evidence.problem("database")
    if database is not None and database.why == "missing":
        cure = (database.hint,)
        yield Diagnosis("database-unknown", Rank.BLIND, "the job tables are out of sight", database.message, cure)


def _database(case: Case) -> Iterator[Diagnosis]:
    problem = case.evidence.problem("database")
    name = case.profile.database.service if case.profile.database else "the database"
    live = case.evidence.snapshot.service(name) if case.evidence.snapshot else None
    newest = live.deployments[0] if live and live.deployments else None
    down = live is not None and not serves(live)
    if down:
        state = "has no running deployment" if newest is None else f"is {_state(newest)}"
        cure = (_redeploy(name), f"railway logs --service {name}")
        yield Diagnosis("database-down", Rank.DATABASE, "the database is down", f"{name} {state}", cure, name)
    elif problem is not None and "oo many connections" in problem.message:
        yield _too_many(case, problem.message)
    elif problem is not None and problem.why == "unreachable":
        cure = (
            "check the host, port and password in DEPLOYKIT_DATABASE_URL",
            f"open a way in: enable Public Access on {name}, or name a tunnel (docs/verify.md)",
        )
        yield Diagnosis("database-unreachable", Rank.BLIND, "the database does not answer us", problem.message, cure)
    elif problem is not None and problem.why == "schema":
        cure = ("check that the URL names the application's database", "python -m runtime migrate")
        yield Diagnosis("no-tables", Rank.DATABASE, "the database lacks the job tables", problem.message, cure)
    server = case.evidence.server
    if server is not None and server.read_only:
        cure = (
            "connect through the HA proxy service, which follows the primary",
            f"or restart {name} so that it joins again: railway restart --service {name}",
        )
        why = "read_only is on: after a failover the former primary answers, and nobody can write"
        yield Diagnosis("database-read-only", Rank.DATABASE, "the database is read-only", why, cure, name)
    if server is None or not server.max_connections or not server.connections_in_use:
        return
    if server.connections_in_use >= server.max_connections * CONNECTIONS_ALARM:
        planned = planned_connections(case.profile)
        used = f"{server.connections_in_use} of {server.max_connections}"
        yield _too_many(case, f"{used} are in use; our processes may open {planned}")


def _forgotten(case: Case) -> Iterator[Diagnosis]:
    """Its snapshot keeps every version of every row since, and each look at the queue reads past them."""
    server = case.evidence.server
    age = server.oldest_foreign_trx_seconds if server else None
    if server is None or age is None or age <= LONG_TRANSACTION_SECONDS:
        return
    thread, waiting = server.oldest_foreign_trx_thread, server.history_list_length
    because = (
        f"connection {thread} began it {age:.0f} s ago, and {waiting or 'many'} row versions wait to be cleaned away"
    )
    cure = (
        f"whose it is: SELECT * FROM information_schema.PROCESSLIST WHERE id = {thread}",
        f"end it: KILL {thread}",
        "a client that forgets to commit: set autocommit, or close its transactions",
    )
    rank = Rank.QUEUE if age > forgotten_seconds(case.profile) else Rank.REMARK
    yield Diagnosis("old-transaction", rank, "an old transaction keeps the queue slow", because, cure)


def _too_many(case: Case, because: str) -> Diagnosis:
    ours = [service for service in case.profile.services.values() if service.is_app]
    processes = sum(service.total_replicas for service in ours)
    then = f"{processes} processes open {processes * SMALL_POOL}, well under MySQL's {DEFAULT_MAX_CONNECTIONS}"
    larger = [service for service in ours if pool(service) > SMALL_POOL]
    cure: tuple[str, ...] = (f"{POOL_SIZE}={SMALL_POOL} holds in every service: {then}, so others hold the rest",)
    if larger:
        cure = (f"set {POOL_SIZE}={SMALL_POOL} in {_names(larger)} (profile): {then}", *_apply(case))
    who = "SELECT user, host, COUNT(*) FROM information_schema.PROCESSLIST GROUP BY user, host"
    cure = (*cure, f"look for clients that are not ours: {who}")
    return Diagnosis("too-many-connections", Rank.DATABASE, "too many database connections", because, cure)


# --- settings ---------------------------------------------------------------------------------------------------------


def _settings(case: Case) -> Iterator[Diagnosis]:
    """Flags and intervals: configured and never deployed, or deployed and not what the profile says."""
    for service in case.profile.services.values():
        live, deployment = case.live(service), case.current(service) or _latest(case.live(service))
        if not service.is_app or live is None or deployment is None:
            continue
        for name in CONTROLS:
            wish, now = service.value(name), configured(live, deployment, name)
            # What a deployment that ended was created with is not told: then what is configured now has to do.
            runs = now if deployment.variables is None else deployment.variables.get(name)
            if name == DAEMON_FLAG and runs == "true" != wish:
                yield _two_daemons(case, service)
            elif now != runs:
                yield Diagnosis(
                    "never-deployed",
                    Rank.SETTING,
                    f"{name} of {service.name} was changed and never deployed",
                    f"it is configured as {now}; the running deployment was created with {runs}",
                    (_redeploy(service.name),) if now == wish else _apply(case),
                    service.name,
                )
            elif not agrees(wish, runs) and (runs is not None or deployment.variables is not None):
                yield _wrong_setting(case, service, name, runs, wish)


def _wrong_setting(case: Case, service: Service, name: str, runs: str | None, wish: str | None) -> Diagnosis:
    identity = {DAEMON_FLAG: "daemon-flag-off", WORKER_FLAG: "worker-flag"}.get(name, "wrong-interval")
    cause = f"{service.name} runs with {name}={runs}; the profile says {wish}"
    if identity == "wrong-interval" and name == POOL_SIZE:
        identity = "wrong-pool"
    because = "its deployment was created with that value: edited in the dashboard, or brought back by a rollback"
    cure = (f"set {name}={wish} in {service.name}", _redeploy(service.name), f"or both: {_both(case)}")
    return Diagnosis(identity, Rank.SETTING, cause, because, cure, service.name)


def _two_daemons(case: Case, service: Service) -> Diagnosis:
    deployment = case.current(service)
    rolled_back = deployment is not None and deployment.reason == "rollback"
    how = " by a rollback on Railway, which restores the variables of then" if rolled_back else ""
    return Diagnosis(
        "two-daemons",
        Rank.SETTING,
        f"{service.name} is a second schedule daemon",
        f"it was deployed with {DAEMON_FLAG}=true{how}; only {_names(case.profile.daemons)} should schedule",
        (f"set {DAEMON_FLAG}=false in {service.name}", _redeploy(service.name), f"or both: {_both(case)}"),
        service.name,
    )


def _interval_seen(case: Case) -> Iterator[Diagnosis]:
    for row in case.census.rows:
        wish = case.profile.services.get(row.service or "")
        if row.class_ is not Class.MISCONFIGURED or wish is None or row.unwanted:
            continue
        promised = promised_poll_ms(wish, row.kind)
        because = f"the process says so itself in its heartbeat ({row.why})"
        cure = (_redeploy(row.service), *_apply(case))
        if row.poll_interval_ms != promised:
            cause = f"{row.service} polls every {row.poll_interval_ms} ms where the profile says {promised} ms"
            yield Diagnosis("wrong-interval", Rank.SETTING, cause, because, cure, row.service)
        else:
            cause = f"{row.service} runs another profile"
            yield Diagnosis("wrong-profile", Rank.SETTING, cause, because, cure, row.service)


def _staged(case: Case) -> Iterator[Diagnosis]:
    staged = case.evidence.snapshot.staged if case.evidence.snapshot else None
    if staged is not None and not staged.empty:
        touched = f" for {', '.join(staged.touches)}" if staged.touches else ""
        rank = Rank.SETTING if touches_us(case.profile, staged) else Rank.REMARK
        cure = ("in the dashboard: Details → Discard, or Deploy", *_apply(case))
        because = "they were made in the dashboard and not committed; the next commit there deploys them"
        yield Diagnosis("staged-changes", rank, f"edits{touched} wait in the dashboard", because, cure)


# --- ghosts -----------------------------------------------------------------------------------------------------------


def _ghosts(case: Case) -> Iterator[Diagnosis]:
    for row in case.census.ghosts:
        yield _ghost(case, row)


def _ghost(case: Case, row: Row) -> Diagnosis:
    word = "schedule daemon" if row.kind == DAEMON else "job worker" if row.kind == WORKER else "web process"
    kill = "deploykit ghosts --kill"
    if row.unwanted:
        service = case.profile.services[row.service or ""]
        if row.kind == DAEMON:
            return _two_daemons(case, service)
        off = (f"set {WORKER_FLAG}=false in {row.service}", kill)
        return Diagnosis("worker-flag", Rank.SETTING, f"{row.service} runs a job worker", row.why, off, row.service)
    cure: tuple[str, ...]
    if row.class_ is Class.FOREIGN and row.deployment is not None:
        cure = ("give that environment a database of its own, or set SCHEDULE_DAEMON_ENABLED=false there", kill)
        cause = f"a {word} of another environment works on this database"
        return Diagnosis("other-environment", Rank.GHOST, cause, row.why, cure, row.service)
    if row.class_ is Class.FOREIGN:
        where = f"{row.hostname}, pid {row.pid}" if row.hostname else "a host that does not say its name"
        cure = (f"on {row.hostname or 'that host'}: kill {row.pid or 'the process'}", kill,
                "give it a DATABASE_URL of its own before it starts again")  # fmt: skip
        cause = f"a {word} that Railway does not run works on this database ({where})"
        return Diagnosis("foreign-process", Rank.GHOST, cause, row.why, cure, row.worker_id)
    if row.class_ is Class.GHOST_SERVICE:
        cure = (f"Railway dashboard → {row.service} → Settings → Delete Service", kill)
        return Diagnosis("ghost-service", Rank.GHOST, f"service {row.service} is a ghost", row.why, cure, row.service)
    if row.class_ is Class.ZOMBIE:
        cure = (kill, "if it lives on: rotate the database's password, so that it is locked out")
        cause = f"a {word} outlived its deployment"
        return Diagnosis("zombie", Rank.GHOST, cause, row.why, cure, row.service or row.worker_id)
    if row.why == OLDER:
        cause = f"an old deployment of {row.service} is still alive"
        cure = (f"Railway dashboard → {row.service} → Deployments → ⋮ of {row.deployment} → Remove", kill)
        return Diagnosis("old-deployment", Rank.GHOST, cause, row.why, cure, row.service)
    if row.why == OUTSIDE:
        where = f"{row.hostname}, pid {row.pid}" if row.hostname else "a host that does not say its name"
        cause = f"a {word} outside of Railway says that it is {row.service} ({where})"
        cure = (f"on {row.hostname or 'that host'}: kill {row.pid or 'the process'}", kill,
                "keep RAILWAY_DEPLOYMENT_ID and DATABASE_URL from that place")  # fmt: skip
        return Diagnosis("foreign-process", Rank.GHOST, cause, row.why, cure, row.worker_id)
    if row.why == IN_ONE_CONTAINER:
        cause = f"{row.service} starts its {word} twice in one container"
        cure = (f"railway restart --service {row.service}", "start it once: look at the start command", kill)
        return Diagnosis("started-twice", Rank.GHOST, cause, f"there is {row.why}", cure, row.service)
    cause = f"{row.service} runs more {word}s than the profile wants"
    cure = ("set the service's replicas back to the profile's number", *_apply(case))
    return Diagnosis("too-many-replicas", Rank.GHOST, cause, row.why, cure, row.service)


# --- who is not there -------------------------------------------------------------------------------------------------


def _absent(case: Case) -> Iterator[Diagnosis]:
    if case.evidence.snapshot is None:
        return
    for service in case.profile.services.values():
        rows = [
            row
            for row in case.census.rows
            if row.service == service.name and row.class_ in (Class.MISSING, Class.SILENT)
        ]
        live = case.live(service)
        if live is None:
            because = f"Railway has no service of that name in {case.evidence.snapshot.environment_name}"
            yield Diagnosis(
                "service-missing", Rank.PLATFORM, f"{service.name} does not exist", because, _apply(case), service.name
            )
        elif rows:
            cause = _why_absent(case, service, live, rows)
            # A flag that is off explains a process that never came, or refuses to start: then nothing else has to.
            if cause.id not in ("wrong-database", "crash-loop") or not _flag_is_off(case, service):
                yield cause
        elif falls_often(case, service):
            yield _falling(case, service)
        if live is not None and case.current(service) is not None:
            yield from _failed_deploy(case, service, live)


def _falling(case: Case, service: Service) -> Diagnosis:
    """It lives at this moment, as it did before each of its falls."""
    minutes = RESTARTS_WITHIN_SECONDS / 60
    because = f"{len(falls(case, service))} of its processes ended without a goodbye within {minutes:.0f} minutes"
    cure = (f"railway logs --service {service.name}", f"railway restart --service {service.name}")
    return Diagnosis("crash-loop", Rank.PLATFORM, f"{service.name} crashes", because, cure, service.name)


def _flag_is_off(case: Case, service: Service) -> bool:
    deployment = case.current(service)
    runs = deployment.variables if deployment else None
    return runs is not None and any(
        service.value(name) == "true" != runs.get(name) for name in (DAEMON_FLAG, WORKER_FLAG)
    )


def _why_absent(case: Case, service: Service, live: LiveService, rows: Sequence[Row]) -> Diagnosis:
    name = service.name
    deployment = case.current(service)
    logs = f"railway logs --service {name}"
    restart = f"railway restart --service {name}"
    if deployment is None:
        return _no_deployment(case, service, live)
    said = _last_words(case, deployment)
    if _runs_something_else(service, deployment):
        return _wrong_command(case, service, deployment)
    if deployment.status == "SLEEPING":
        because = "serverless is on: without outbound traffic Railway put it to sleep, and nothing wakes it"
        cure: tuple[str, ...] = (f"set sleep: false for {name}", *_apply(case))
        return Diagnosis("asleep", Rank.PLATFORM, f"{name} sleeps", because, cure, name)
    if deployment.stopped:
        return _ended(case, service, deployment, said)
    starts = read_lines(service, case.evidence.logs.get(deployment.id, ())).starts
    seen = [found.deployment for found in (home(case.evidence.before, deployment.id),) if found] + [deployment]
    # A process that ends at once is seen running at one look and starting again at the other.
    restarting = any(instance.status in ("RESTARTING", "CRASHED") for one in seen for instance in one.instances)
    if deployment.status == "CRASHED" or restarting or starts >= CRASH_LOOP_STARTS:
        often = f"its log shows {starts} starts" if starts > 1 else "its process ends and is started again"
        because = f"its deployment is {_state(deployment)}, and {often}{said}"
        return Diagnosis("crash-loop", Rank.PLATFORM, f"{name} crashes", because, (logs, restart), name)
    if all(row.starting for row in rows):
        because = "its deployment is young, and its processes do not beat yet"
        cure = (f"deploykit verify {case.profile.name} --wait 5m",)
        return Diagnosis("starting", Rank.PROCESS, f"{name} is starting", because, cure, name)
    frozen = [row for row in rows if row.worker_id is not None]
    if frozen:
        because = f"its container runs, and its heartbeat stands still since {_ago(frozen[0])}"
        if frozen[0].alive:
            because = frozen[0].why
        return Diagnosis("stuck", Rank.PROCESS, f"{name} is stuck", because, (restart, logs), name)
    if any(row.kind == WEB for row in rows):
        return Diagnosis("no-instance", Rank.PLATFORM, f"{name} does not run", rows[0].why, (logs, restart), name)
    if all(row.class_ is Class.MISSING for row in rows):
        because = f"Railway shows {_state(deployment)}, and {rows[0].why}"
        return Diagnosis("no-instance", Rank.PLATFORM, f"{name} does not run", because, (restart, logs), name)
    url = (deployment.variables or {}).get("DATABASE_URL")
    wish = service.value("DATABASE_URL")
    because = "its container runs, and it has never beaten into the database that we read"
    if url is not None and wish is not None and "${{" in url and url != wish:
        because += f"; its DATABASE_URL is {url}, the profile says {wish}"
    cure = (f"set DATABASE_URL of {name} to {wish}", *_apply(case), logs)
    return Diagnosis("wrong-database", Rank.PROCESS, f"{name} uses another database", because, cure, name)


def _runs_something_else(service: Service, deployment: LiveDeployment) -> bool:
    command = (deployment.settings or {}).get("startCommand")
    return bool(command and service.start and command != service.start)


def _wrong_command(case: Case, service: Service, deployment: LiveDeployment) -> Diagnosis:
    command = (deployment.settings or {}).get("startCommand")
    because = f"it was deployed with the start command {command!r}; the profile says {service.start!r}"
    cause = f"{service.name} runs something else"
    return Diagnosis("wrong-command", Rank.SETTING, cause, because, _apply(case), service.name)


def _ended(case: Case, service: Service, deployment: LiveDeployment, said: str) -> Diagnosis:
    """An exit with status 0 under SUCCESS: Railway starts it again only under ALWAYS (Railway docs: restart policy)."""
    because = f"Railway says {deployment.status}, and its process ended with status 0{said}"
    policy = (deployment.settings or {}).get("restartPolicyType")
    cure: tuple[str, ...] = (_redeploy(service.name),)
    if policy == "ALWAYS":
        because += "; its restart policy is ALWAYS, so somebody stopped it"
    elif service.restart.policy == "always":
        because += f"; the profile wants restart policy ALWAYS, it was deployed with {policy or 'another'}"
        cure = (*_apply(case), f"until then: {_redeploy(service.name)}")
    else:
        always = f"set restart: {{policy: always}} for {service.name} in the profile: then an exit starts it again"
        cure = (always, *_apply(case), f"until then: {_redeploy(service.name)}")
    name = service.name
    return Diagnosis("ended-by-itself", Rank.PLATFORM, f"{name} ended by itself", because, cure, name)


def _no_deployment(case: Case, service: Service, live: LiveService) -> Diagnosis:
    latest = _latest(live)  # not `live.latest`: that passes a removed one over for an older one that failed
    if latest is not None and latest.status in ("FAILED", "SKIPPED"):
        return _failed(case, service, latest, "and none serves before it")
    if latest is not None and latest.status in ("QUEUED", "WAITING", "INITIALIZING", "BUILDING", "DEPLOYING"):
        cure: tuple[str, ...] = (f"deploykit verify {case.profile.name} --wait 10m",)
        because = f"its first deployment is {latest.status}"
        return Diagnosis("starting", Rank.PROCESS, f"{service.name} is starting", because, cure, service.name)
    if latest is not None and latest.status == "CRASHED" and _runs_something_else(service, latest):
        return _wrong_command(case, service, latest)
    if latest is not None and latest.status == "CRASHED":
        because = f"its latest deployment is CRASHED{_last_words(case, latest)}"
        logs = f"railway logs --service {service.name}"
        return Diagnosis(
            "crash-loop",
            Rank.PLATFORM,
            f"{service.name} crashed",
            because,
            (logs, _redeploy(service.name)),
            service.name,
        )
    because = "all its deployments were removed" if latest is None else f"its latest deployment is {latest.status}"
    cure = (_redeploy(service.name), *_apply(case))
    return Diagnosis("not-deployed", Rank.PLATFORM, f"{service.name} is not deployed", because, cure, service.name)


def _failed_deploy(case: Case, service: Service, live: LiveService) -> Iterator[Diagnosis]:
    latest = live.latest
    if latest is not None and latest.status in ("FAILED", "CRASHED"):
        yield _failed(case, service, latest, "the one before still serves")


def _failed(case: Case, service: Service, latest: LiveDeployment, then: str) -> Diagnosis:
    because = f"{latest.status}, {then}{_last_words(case, latest)}"
    cure = (f"railway logs --deployment {latest.id}", *_apply(case))
    cause = f"the latest deployment of {service.name} failed"
    return Diagnosis("deploy-failed", Rank.PLATFORM, cause, because, cure, service.name)


# --- queue, schedules, lease ------------------------------------------------------------------------------------------


def _jobs(case: Case) -> Iterator[Diagnosis]:
    queue = case.evidence.queue
    if queue is None:
        return
    for job_id, name, seconds in case.evidence.stuck_jobs:
        if seconds > longest_job_seconds(case.profile):
            cure: tuple[str, ...] = (
                f"python -m runtime jobs cancel {job_id}",
                *(f"railway restart --service {s.name}" for s in case.profile.workers),
            )
            because = f"job {job_id} runs for {seconds:.0f} s"
            yield Diagnosis("stuck-job", Rank.QUEUE, f"a worker is stuck on one {name} job", because, cure, job_id)
    workers = case.census.of(WORKER, Class.EXPECTED, Class.MISCONFIGURED)
    oldest, patience = queue.oldest_queued_seconds, _patience(case)
    if workers and oldest is not None and oldest > patience and not queue.running and case.evidence.waiting_for_handler:
        waiting = ", ".join(f"{name} ({count})" for name, count in case.evidence.waiting_for_handler.items())
        because = f"workers live, none runs a job, and these wait for {oldest:.0f} s: {waiting}"
        cure = ("deploy a worker whose JOBS_MODULE declares these jobs, or cancel them",
                "python -m runtime jobs list")  # fmt: skip
        yield Diagnosis("no-handler", Rank.QUEUE, "no worker knows the jobs that wait", because, cure)
    elif workers and "queue" in _failed_checks(case):
        because = f"{queue.queued} jobs are queued, the oldest for {oldest or 0:.0f} s, and {len(workers)} workers live"
        cure = (
            f"deploykit advise {case.profile.name}: whether a larger profile fits, and why",
            "or raise JOB_WORKER_CONCURRENCY or the worker's replicas in the profile, or lower its poll interval",
            *_apply(case),
        )
        yield Diagnosis("backlog", Rank.QUEUE, "more jobs come than are done", because, cure)


def _patience(case: Case) -> float:
    polls = [promised_poll_ms(service, WORKER) / 1000 for service in case.profile.workers]
    return 2 * max(polls, default=5.0) + 60


def _schedules(case: Case) -> Iterator[Diagnosis]:
    failed = _failed_checks(case)
    daemons = [row for row in case.census.of(DAEMON) if row.alive and not row.ghost]
    if "schedules" in failed and daemons:
        cure: tuple[str, ...] = (*(f"railway restart --service {service.name}" for service in case.profile.daemons),)
        because = "a daemon beats, and due times pass without a job"
        yield Diagnosis("overdue", Rank.QUEUE, "the daemon does not fire its schedules", because, cure)
    lease = case.evidence.lease
    # A ghost that leads is named as the ghost that it is.
    known = {row.worker_id for row in (*daemons, *case.census.ghosts)}
    if "lease" in failed and lease is not None and daemons and lease.holder_id not in known:
        yield _no_leader(case, lease)
    schedules = case.evidence.schedules
    if schedules and not any(schedule.enabled for schedule in schedules):
        cure = (f"python -m runtime schedules enable {schedules[0].name}",)
        because = f"{len(schedules)} schedules are known, and all are switched off"
        yield Diagnosis("none-enabled", Rank.REMARK, "no schedule is enabled", because, cure)


def _no_leader(case: Case, lease: LeaseState) -> Diagnosis:
    cure: tuple[str, ...]
    if lease_is_stuck(case):
        cure = (
            "in the database: UPDATE SchedulerLease SET expiresAt = '1970-01-02' WHERE name = 'scheduler'",
            f"deploykit verify {case.profile.name}: a daemon that stands by takes it within seconds",
        )
        because = (
            f"{lease.holder_id} holds it for another {lease.expires_in_seconds:.0f} s, which no daemon asks for, and"
            " does not beat: the row was edited, or the database's clock was set back"
        )
        return Diagnosis("lease-stuck", Rank.DATABASE, "no daemon can take the lease", because, cure)
    cure = (*(f"railway restart --service {service.name}" for service in case.profile.daemons),)
    free = "free" if lease.holder_id is None else "over"
    because = f"the lease is {free}, and the daemon that lives does not take it"
    return Diagnosis("no-leader", Rank.PROCESS, "no daemon leads", because, cure)


def _clock(case: Case) -> Iterator[Diagnosis]:
    skew = case.evidence.clock_skew_seconds
    if skew is not None and abs(skew) > SKEW_ALARM_SECONDS:
        cure = (
            "set this machine's clock (timedatectl set-ntp true)",
            "if it is the database's: tell Railway's support",
        )
        because = f"the database's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
        cause = "two clocks disagree; the runtime trusts the database's alone"
        yield Diagnosis("clock-skew", Rank.REMARK, cause, because, cure)


# --- words ------------------------------------------------------------------------------------------------------------


def _unexplained(found: Verification) -> Iterator[Diagnosis]:
    for result in found.checks:
        if result.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            cure = (result.hint or "deploykit verify -v shows every check",)
            why = f"check {result.id} did not pass"
            yield Diagnosis(f"check:{result.id}", Rank.PROCESS, result.summary, why, cure)


def _failed_checks(case: Case) -> set[str]:
    return {result.id for result in check(case) if result.verdict is Verdict.FAIL}


def _apply(case: Case) -> tuple[str, ...]:
    return (f"deploykit plan {case.profile.name}", "deploykit apply")


def _both(case: Case) -> str:
    return " && ".join(_apply(case))


def _redeploy(service: str | None) -> str:
    return f"railway redeploy --service {service}"


def _latest(live: LiveService | None) -> LiveDeployment | None:
    return max(live.deployments, key=lambda d: d.created_at, default=None) if live else None


def _names(services: Sequence[Service]) -> str:
    return ", ".join(service.name for service in services) or "no service"


def _state(deployment: LiveDeployment) -> str:
    return f"{deployment.status} (ended)" if deployment.stopped else deployment.status


def _ago(row: Row) -> str:
    return "a while" if row.last_heartbeat_seconds_ago is None else f"{row.last_heartbeat_seconds_ago:.0f} s"


def _last_words(case: Case, deployment: LiveDeployment) -> str:
    tail = case.evidence.tails.get(deployment.id)
    return f"; its last words: {tail[-1]}" if tail else ""


_LOOKS: tuple[Callable[[Case], Iterator[Diagnosis]], ...] = (
    _blind,
    _database,
    _settings,
    _interval_seen,
    _staged,
    _ghosts,
    _absent,
    _jobs,
    _schedules,
    _forgotten,
    _clock,
)
