"""The guide's after-deploy checklist and monitoring chapter, as far as a program can run them. Pure.

A check passes only on evidence. Where a source is missing it is inconclusive, and so is the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property

from deploykit.errors import Exit
from deploykit.planning.connections import pool
from deploykit.planning.snapshot import LiveDeployment, LiveService
from deploykit.profile.schema import (
    DAEMON_FLAG,
    DAEMON_POLL,
    POOL_SIZE,
    WORKER_FLAG,
    WORKER_POLL,
    Profile,
    Service,
)
from deploykit.verification import log_lines
from deploykit.verification.census import (
    DAEMON,
    STARTING_SECONDS,
    WEB,
    WORKER,
    Census,
    Class,
    census,
    leaving,
    promised_poll_ms,
    starting,
    wants,
)
from deploykit.verification.evidence import Evidence

MAX_QUEUED_JOBS = 50
MAX_OLDEST_QUEUED_SECONDS = 3600
"""What the guide calls problem signs, where the profile expects nothing else."""
LONG_JOB_SECONDS = 3600.0
"""A job that runs longer is suspicious where the profile says nothing (``max_job_seconds``)."""
CONTROLS = (DAEMON_FLAG, WORKER_FLAG, DAEMON_POLL, WORKER_POLL, POOL_SIZE)
"""The variables of the guide's control panel: what they say decides what runs."""
CONNECTIONS_ALARM = 0.8
LOGS_KEPT = timedelta(days=6, hours=12)
"""Railway keeps logs for 7 days on Hobby (Railway docs: logs); the lines of an older start may be gone."""
OVERDUE_GRACE_SECONDS = 60.0
SKEW_ALARM_SECONDS = 5.0


class Verdict(StrEnum):
    """What a check says."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    SKIP = "skip"


class Health(StrEnum):
    """What all checks together say."""

    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Check:
    """One item of the checklist, with what it rests on."""

    id: str
    verdict: Verdict
    summary: str
    hint: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One profile held against one body of evidence."""

    profile: Profile
    evidence: Evidence
    starting_seconds: float = STARTING_SECONDS

    @cached_property
    def census(self) -> Census:
        return census(self.profile, self.evidence, starting_seconds=self.starting_seconds)

    def live(self, service: Service) -> LiveService | None:
        """The service on Railway, None when it is not there."""
        return self.evidence.snapshot.service(service.name) if self.evidence.snapshot else None

    def starting(self, live: LiveService | None) -> bool:
        """Whether a deployment of it is still coming up."""
        return starting(live, self._read_at, self.starting_seconds)

    def leaving(self, live: LiveService | None) -> bool:
        """Whether predecessors of its newest deployment may still be there."""
        return leaving(self.profile, live, self._read_at, self.starting_seconds)

    @property
    def _read_at(self) -> datetime | None:
        return self.evidence.snapshot.read_at if self.evidence.snapshot else None

    def current(self, service: Service) -> LiveDeployment | None:
        """The newest active deployment."""
        live = self.live(service)
        return max(live.active, key=lambda deployment: deployment.created_at, default=None) if live else None


@dataclass(frozen=True)
class Verification:
    """What a verification found: the census, the checks, and one verdict."""

    case: Case
    checks: tuple[Check, ...]

    @property
    def profile(self) -> Profile:
        return self.case.profile

    @property
    def evidence(self) -> Evidence:
        return self.case.evidence

    @property
    def census(self) -> Census:
        return self.case.census

    @property
    def health(self) -> Health:
        return health(self.checks)

    @property
    def exit_code(self) -> Exit:
        """0 healthy; 8 unhealthy; else 75 when a source does not answer, 4 when it refuses us, and otherwise 9."""
        if self.health is Health.HEALTHY:
            return Exit.OK
        if self.health is Health.UNHEALTHY:
            return Exit.UNHEALTHY
        reasons = {problem.why for problem in self.evidence.problems if problem.source in _SOURCES}
        if "unreachable" in reasons:
            return Exit.UNREACHABLE
        return Exit.AUTHENTICATION if "refused" in reasons else Exit.INCONCLUSIVE


def judge(case: Case) -> Verification:
    """Run every check."""
    return Verification(case, tuple(check(case)))


def check(case: Case) -> list[Check]:
    """Every check, in the order in which a person would look."""
    return [result for function in _CHECKS for result in function(case)]


def health(checks: Sequence[Check]) -> Health:
    """One verdict: unhealthy beats inconclusive beats healthy; no evidence at all is inconclusive."""
    verdicts = {result.verdict for result in checks}
    if Verdict.FAIL in verdicts:
        return Health.UNHEALTHY
    if Verdict.INCONCLUSIVE in verdicts or Verdict.PASS not in verdicts:
        return Health.INCONCLUSIVE
    return Health.HEALTHY


# --- the sources ------------------------------------------------------------------------------------------------------


def _sources(case: Case) -> Iterator[Check]:
    evidence = case.evidence
    for source, there in (("railway", evidence.snapshot is not None), ("database", len(evidence.samples) > 1)):
        problem = evidence.problem(source)
        if problem is not None or not there:
            message = problem.message if problem else "it was not asked"
            hint = problem.hint if problem else ""
            yield Check(source, Verdict.INCONCLUSIVE, f"{_SOURCES[source]} could not be read: {message}", hint)
        elif source == "railway":
            assert evidence.snapshot is not None
            name = evidence.snapshot.environment_name
            yield Check(source, Verdict.PASS, f"Railway answers for environment {name}")
        else:
            yield _database(evidence)


_SOURCES = {"railway": "Railway", "database": "the job tables"}


def _database(evidence: Evidence) -> Check:
    if evidence.server is None:
        return Check("database", Verdict.PASS, "the job tables answer")
    facts = {"version": evidence.server.version, "read_only": evidence.server.read_only}
    if evidence.server.read_only:
        hint = "a failover may have left a former primary behind: connect through the proxy, or restart the database"
        return Check("database", Verdict.FAIL, "the database is read-only: nobody can beat or work", hint, facts)
    return Check("database", Verdict.PASS, f"the database answers ({evidence.server.version})", evidence=facts)


def _clock(case: Case) -> Iterator[Check]:
    skew = case.evidence.clock_skew_seconds
    if skew is not None:
        side = "ahead of" if skew > 0 else "behind"
        # Never more than a remark: every decision is taken on the database's clock alone.
        summary = f"the database's clock is {abs(skew):.1f} s {side} this machine's"
        if abs(skew) <= SKEW_ALARM_SECONDS:
            summary = "the database's clock agrees with this machine's"
        yield Check("clock", Verdict.PASS, summary, evidence={"skew_seconds": round(skew, 1)})


# --- Railway ----------------------------------------------------------------------------------------------------------


def _services(case: Case) -> Iterator[Check]:
    snapshot = case.evidence.snapshot
    if snapshot is None:
        return
    wanted = list(case.profile.services)
    if case.profile.database and case.profile.database.service not in wanted:
        wanted.append(case.profile.database.service)
    there = {service.name for service in snapshot.services}
    missing = [name for name in wanted if name not in there]
    extra = sorted(there - set(wanted))
    ghosts = {row.service for row in case.census.rows if row.class_ is Class.GHOST_SERVICE}
    facts = {"wanted": wanted, "missing": missing, "others": extra}
    if missing:
        hint = f"deploykit plan {case.profile.name}, then deploykit apply"
        yield Check("services", Verdict.FAIL, f"Railway has no service {_names(missing)}", hint, facts)
    elif ghosts:
        yield Check(
            "services",
            Verdict.FAIL,
            f"{_names(sorted(filter(None, ghosts)))} runs background processes and is not in the profile",
            "deploykit ghosts --kill ends it; the dashboard's way is Settings → Delete Service",
            facts,
        )
    else:
        beside = f", beside {_names(extra)}, which run no background processes of ours" if extra else ""
        yield Check("services", Verdict.PASS, f"{len(wanted)} of {len(wanted)} services are there{beside}", "", facts)


def _active_deployments(case: Case) -> Iterator[Check]:
    snapshot = case.evidence.snapshot
    if snapshot is None:
        return
    holder = case.profile.database.service if case.profile.database else None
    live = snapshot.service(holder) if holder and holder not in case.profile.services else None
    if live is not None:
        yield _database_service(live)
    for service in _deployed(case.profile):
        live = case.live(service)
        if live is not None:
            yield _active_deployment(case, service, live)


def serves(live: LiveService) -> bool:
    """Whether some deployment of a service is up, as far as Railway tells."""
    return any(
        not deployment.stopped
        and deployment.status not in ("CRASHED", "FAILED", "REMOVED", "REMOVING", "SKIPPED")
        and (not deployment.instances or any(instance.status == "RUNNING" for instance in deployment.instances))
        for deployment in live.deployments
    )


def _database_service(live: LiveService) -> Check:
    identity = f"active-deployment:{live.name}"
    if serves(live):
        return Check(identity, Verdict.PASS, f"{live.name} has an active deployment")
    summary = f"{live.name}, which holds the job tables, has no running deployment"
    return Check(identity, Verdict.FAIL, summary, f"railway redeploy --service {live.name}")


def _active_deployment(case: Case, service: Service, live: LiveService) -> Check:
    identity = f"active-deployment:{service.name}"
    active = [deployment for deployment in live.active if deployment.status != "REMOVING"]
    facts = {"active": [{"id": d.id, "status": d.status, "stopped": d.stopped} for d in active]}
    coming = Verdict.INCONCLUSIVE if case.starting(live) else Verdict.FAIL
    going = Verdict.INCONCLUSIVE if case.leaving(live) else Verdict.FAIL
    if not active:
        summary = f"{service.name} has no active deployment"
        return Check(identity, coming, summary, f"deploykit plan {case.profile.name}, then deploykit apply", facts)
    if len(active) > 1:
        summary = f"{service.name} has {len(active)} active deployments, there should be one"
        return Check(identity, going, summary, "wait for the rollout to end; deploykit ghosts names what stays", facts)
    one = active[0]
    if one.status == "SLEEPING" and (wants(service, DAEMON) or wants(service, WORKER)):
        hint = f"set sleep: false for {service.name}: what sleeps neither schedules nor works"
        return Check(identity, Verdict.FAIL, f"{service.name} sleeps", hint, facts)
    if one.stopped and one.status != "SLEEPING":
        hint = "set restart: {policy: always}, so that an exit with status 0 starts it again; then deploy"
        return Check(identity, Verdict.FAIL, f"{service.name} ended by itself and says {one.status}", hint, facts)
    if one.status in ("SUCCESS", "SLEEPING"):
        return Check(identity, Verdict.PASS, f"{service.name} has exactly 1 active deployment", "", facts)
    bad = one.status in ("CRASHED", "FAILED")
    summary = f"{service.name}'s deployment is {one.status}"
    hint = f"read its log: railway logs --service {service.name}"
    return Check(identity, Verdict.FAIL if bad else Verdict.INCONCLUSIVE, summary, hint, facts)


def _latest_deployments(case: Case) -> Iterator[Check]:
    if case.evidence.snapshot is None:
        return
    for service in _deployed(case.profile):
        live = case.live(service)
        latest = live.latest if live else None
        if latest is None or latest.status not in ("FAILED", "CRASHED", "SKIPPED"):
            continue
        reason = f": {latest.reason}" if latest.reason else ""
        still = "; the one before still serves" if case.current(service) not in (None, latest) else ""
        yield Check(
            f"latest-deployment:{service.name}",
            Verdict.FAIL,
            f"the latest deployment of {service.name} is {latest.status}{reason}{still}",
            f"read its log: railway logs --deployment {latest.id}",
            {"id": latest.id, "status": latest.status},
        )


def _instances(case: Case) -> Iterator[Check]:
    if case.evidence.snapshot is None:
        return
    for service in _deployed(case.profile):
        deployment = case.current(service)
        if deployment is None or deployment.stopped or deployment.status == "SLEEPING":
            continue
        running = sum(instance.status == "RUNNING" for instance in deployment.instances)
        facts = {"running": running, "wanted": service.total_replicas}
        if running == service.total_replicas:
            yield Check(f"instances:{service.name}", Verdict.PASS, f"{service.name}: {_count(running)}", "", facts)
            continue
        young = case.starting(case.live(service))
        yield Check(
            f"instances:{service.name}",
            Verdict.INCONCLUSIVE if young else Verdict.FAIL,
            f"{service.name} has {_count(running)} running, the profile wants {service.total_replicas}",
            f"deploykit plan {case.profile.name} shows what differs",
            facts,
        )


def _staged(case: Case) -> Iterator[Check]:
    snapshot = case.evidence.snapshot
    if snapshot is None:
        return
    staged = snapshot.staged
    if staged is None or staged.empty:
        yield Check("staged-changes", Verdict.PASS, "no edits wait in the dashboard")
        return
    touched = [name for name in staged.touches if name in case.profile.services]
    about = f" for {_names(list(staged.touches))}" if staged.touches else ""
    yield Check(
        "staged-changes",
        Verdict.FAIL if touched else Verdict.PASS,
        f"edits{about} wait in the dashboard: the next deploy there brings them along",
        "commit or discard them in the dashboard, then plan again",
        {"touches": list(staged.touches)},
    )


def _variables(case: Case) -> Iterator[Check]:
    """What a deployment was created with, what is configured now, what the profile says: all three must agree."""
    if case.evidence.snapshot is None:
        return
    for service in _deployed(case.profile):
        live, deployment = case.live(service), case.current(service)
        if service.is_app and live is not None and deployment is not None:
            yield _controls(case, service, live, deployment)


def _controls(case: Case, service: Service, live: LiveService, deployment: LiveDeployment) -> Check:
    identity = f"variables:{service.name}"
    if deployment.variables is None:
        summary = f"Railway does not show what {service.name} was deployed with"
        return Check(identity, Verdict.INCONCLUSIVE, summary, "use a token that may read variables")
    never_deployed, drifted = [], []
    for name in CONTROLS:
        wish, runs = service.value(name), deployment.variables.get(name)
        stored = live.variables.get(name)
        configured = None if stored is None else stored.value
        if stored is not None and (stored.sealed or configured is None):
            configured = runs  # Railway does not show it: nothing to hold against
        if configured != runs:
            never_deployed.append(f"{name} is {configured} since the last deploy, and still {runs} in the process")
        if wish != runs:
            drifted.append(f"{name} is {runs}, the profile says {wish}")
    facts = {"never_deployed": never_deployed, "differs_from_profile": drifted}
    if never_deployed:
        hint = f"redeploy {service.name}: a deployment keeps the variables it was created with"
        return Check(identity, Verdict.FAIL, f"{service.name}: {'; '.join(never_deployed)}", hint, facts)
    if drifted:
        hint = f"deploykit plan {case.profile.name}, then deploykit apply"
        return Check(identity, Verdict.FAIL, f"{service.name}: {'; '.join(drifted)}", hint, facts)
    return Check(identity, Verdict.PASS, f"{service.name} runs with the flags and intervals of the profile", "", facts)


# --- processes --------------------------------------------------------------------------------------------------------


def _daemons(case: Case) -> Iterator[Check]:
    yield from _processes(case, DAEMON, "schedule-daemon", "schedule daemons")


def _workers(case: Case) -> Iterator[Check]:
    yield from _processes(case, WORKER, "job-worker", "job workers")


def _processes(case: Case, kind: str, identity: str, words: str) -> Iterator[Check]:
    wanted = case.census.wanted[kind]
    homed = [row for row in case.census.of(kind, Class.EXPECTED, Class.MISCONFIGURED) if not row.unwanted]
    standing_by = case.census.of(kind, Class.STANDBY)
    unknown = case.census.of(kind, Class.UNKNOWN)
    absent = case.census.of(kind, Class.MISSING, Class.SILENT)
    facts = {"alive": len(homed), "wanted": wanted, "standby": len(standing_by)}
    summary = f"{len(homed)} of {wanted} {words} alive"
    if len(homed) == wanted and not unknown and not absent:
        nameless = [row for row in homed if row.deployment is None]
        if nameless:
            hint = "let it write service, deployment, replica and beats into WorkerInstance (docs/verify.md)"
            why = f"{summary}, but their rows do not say which process they are"
            yield Check(identity, Verdict.INCONCLUSIVE, why, hint, facts)
        else:
            yield Check(identity, Verdict.PASS, summary, "", facts)
        return
    why = "; ".join(dict.fromkeys(f"{row.service}: {row.why}" for row in [*absent, *unknown] if row.why))
    summary += f" ({why})" if why else ""
    hint = f"deploykit doctor {case.profile.name} names the cause"
    if len(homed) > wanted or any(not row.starting for row in absent):
        yield Check(identity, Verdict.FAIL, summary, hint, facts)
    elif absent or unknown or len(homed) + len(standing_by) >= wanted:
        wait = "deploykit verify --wait 5m waits until it has settled"
        yield Check(identity, Verdict.INCONCLUSIVE, summary, wait, facts)
    else:
        yield Check(identity, Verdict.FAIL, summary, hint, facts)


def _web_processes(case: Case) -> Iterator[Check]:
    wanted = case.census.wanted[WEB]
    if not wanted or case.evidence.snapshot is None:
        return
    there = case.census.of(WEB, Class.EXPECTED)
    absent = case.census.of(WEB, Class.MISSING)
    summary = f"{len(there)} of {wanted} web processes run"
    if len(there) == wanted:
        yield Check("web", Verdict.PASS, summary)
    else:
        starting = all(row.starting for row in absent)
        hint = f"deploykit doctor {case.profile.name} names the cause"
        yield Check("web", Verdict.INCONCLUSIVE if starting else Verdict.FAIL, summary, hint)


def _others(case: Case) -> Iterator[Check]:
    ghosts = case.census.ghosts
    if ghosts:
        told = "; ".join(f"{row.class_} {_word(row.kind)}{_at(row.service)}: {row.why}" for row in ghosts)
        named: dict[str, object] = {
            "ghosts": [{"class": str(row.class_), "worker_id": row.worker_id} for row in ghosts]
        }
        yield Check("others", Verdict.FAIL, f"{len(ghosts)} that should not be there: {told}", _GHOST_HINT, named)
        return
    draining = [row for row in case.census.rows if row.class_ is Class.DRAINING]
    stale = [row for row in case.census.rows if row.class_ is Class.STALE_ROW]
    facts = {"draining": len(draining), "stale_rows": len(stale)}
    undecided = [row for row in case.census.rows if row.class_ is Class.UNKNOWN and row.kind != WEB]
    if len(case.evidence.samples) < 2 or case.evidence.snapshot is None:
        yield Check(
            "others", Verdict.INCONCLUSIVE, "whether there are others cannot be told from one source", "", facts
        )
    elif undecided:
        yield Check("others", Verdict.INCONCLUSIVE, f"{len(undecided)} could not be told apart yet", "", facts)
    else:
        leaving = f"; {len(draining)} on the way out" if draining else ""
        yield Check("others", Verdict.PASS, f"0 others{leaving}", "", facts)


_GHOST_HINT = "deploykit ghosts shows each with its evidence; deploykit ghosts --kill ends them the right way"


def _heartbeats(case: Case) -> Iterator[Check]:
    if len(case.evidence.samples) < 2:
        return
    alive = [row for row in case.census.rows if row.alive and row.worker_id]
    seconds = round(case.evidence.observed_seconds, 1)
    facts = {
        "observed_seconds": seconds,
        "samples": len(case.evidence.samples),
        "advanced": [row.worker_id for row in alive],
    }
    if alive:
        yield Check("heartbeats", Verdict.PASS, f"{len(alive)} heartbeats advanced within {seconds:g} s", "", facts)
    elif case.census.wanted[DAEMON] + case.census.wanted[WORKER]:
        summary = f"no heartbeat advanced within {seconds:g} s"
        yield Check("heartbeats", Verdict.FAIL, summary, "deploykit doctor names the cause", facts)


def _polls(case: Case) -> Iterator[Check]:
    if len(case.evidence.samples) < 2:
        return
    wrong, silent, right = [], [], []
    for row in case.census.rows:
        wish = case.profile.services.get(row.service or "")
        if not row.alive or row.kind == WEB or row.ghost or wish is None:
            continue
        promised = promised_poll_ms(wish, row.kind)
        if row.poll_interval_ms is None:
            silent.append(row)
        elif row.class_ is Class.MISCONFIGURED:
            wrong.append(f"{row.service}'s {_word(row.kind)} {row.why}")
        elif row.poll_interval_ms == promised:
            right.append(f"{_word(row.kind)} {promised} ms")
    if wrong:
        hint = f"deploykit plan {case.profile.name}, then deploykit apply; or redeploy the service"
        yield Check("poll-intervals", Verdict.FAIL, "; ".join(wrong), hint)
    elif silent:
        hint = "let it write pollIntervalMs into WorkerInstance (docs/verify.md)"
        yield Check("poll-intervals", Verdict.INCONCLUSIVE, "a process does not say how often it polls", hint)
    elif right:
        yield Check("poll-intervals", Verdict.PASS, f"as promised: {', '.join(dict.fromkeys(right))}")


def _lease(case: Case) -> Iterator[Check]:
    if len(case.evidence.samples) < 2 or not case.census.wanted[DAEMON]:
        return
    lease = case.evidence.lease
    if lease is None:
        if any(service.guard == "lease" for service in case.profile.daemons):
            hint = "the profile says guard: lease; the application keeps none in SchedulerLease"
            yield Check("lease", Verdict.INCONCLUSIVE, "there is no lease to look at", hint)
        else:
            yield Check("lease", Verdict.SKIP, "this application keeps no lease")
        return
    facts = {"holder": lease.holder_id, "token": lease.token, "expires_in_seconds": round(lease.expires_in_seconds, 1)}
    rows = case.census.of(DAEMON)
    holder = next((row for row in rows if row.worker_id == lease.holder_id and row.alive), None)
    changing = any(case.leaving(case.live(service)) for service in case.profile.daemons) or any(
        row.class_ is Class.DRAINING for row in rows
    )
    soft = Verdict.INCONCLUSIVE if changing else Verdict.FAIL
    if holder is not None and holder.ghost:
        summary = f"the lease is held by a {holder.class_} daemon{_at(holder.service)}: {holder.why}"
        yield Check("lease", Verdict.FAIL, summary, _GHOST_HINT, facts)
    elif lease.holder_id is None or lease.expires_in_seconds <= 0:
        yield Check("lease", soft, "nobody holds the daemon's lease", "deploykit doctor names the cause", facts)
    elif holder is None:
        seconds = f"{lease.expires_in_seconds:.0f} s"
        summary = f"the lease belongs to a process that no longer beats; it is free in {seconds}"
        # The next daemon takes over by itself; if there is none, the daemon's own check fails.
        yield Check("lease", Verdict.INCONCLUSIVE, summary, "deploykit verify --wait 2m", facts)
    else:
        summary = f"held by {holder.service}, token {lease.token}"
        yield Check("lease", Verdict.PASS, summary, "", facts)


# --- schedules, queue, connections, logs ------------------------------------------------------------------------------


def _schedules(case: Case) -> Iterator[Check]:
    schedules, samples = case.evidence.schedules, case.evidence.samples
    if not samples or not case.census.wanted[DAEMON]:
        return
    if schedules is None:
        yield _unread("schedules", case, "JobSchedule")
        return
    now = samples[-1].at
    polls = [promised_poll_ms(service, DAEMON) / 1000 for service in case.profile.daemons]
    patience = timedelta(seconds=max(polls, default=60.0) + OVERDUE_GRACE_SECONDS)
    enabled = [schedule for schedule in schedules if schedule.enabled]
    overdue = [
        schedule
        for schedule in enabled
        if schedule.next_run_at is not None
        and schedule.next_run_at + patience < now
        and (schedule.paused_until is None or schedule.paused_until <= now)
    ]
    facts = {
        "schedules": len(schedules),
        "enabled": [
            {
                "name": schedule.name,
                "last_run_at": schedule.last_run_at.isoformat() if schedule.last_run_at else None,
                "next_run_at": schedule.next_run_at.isoformat() if schedule.next_run_at else None,
            }
            for schedule in enabled
        ],
    }
    if overdue:
        summary = f"overdue: {', '.join(schedule.name for schedule in overdue)}"
        yield Check("schedules", Verdict.FAIL, summary, f"deploykit doctor {case.profile.name} names the cause", facts)
    else:
        summary = f"{len(schedules)} schedules, {len(enabled)} enabled, none overdue"
        yield Check("schedules", Verdict.PASS, summary, "", facts)


def _unread(identity: str, case: Case, table: str) -> Check:
    problem = case.evidence.problem(identity)
    why = problem.message if problem else "it was not asked"
    return Check(identity, Verdict.INCONCLUSIVE, f"{table} could not be read: {why}", problem.hint if problem else "")


def _queue(case: Case) -> Iterator[Check]:
    queue = case.evidence.queue
    if queue is None:
        if case.evidence.samples:
            yield _unread("queue", case, "JobRun")
        return
    expect = case.profile.expect
    most = MAX_QUEUED_JOBS if expect.max_queued_jobs is None else expect.max_queued_jobs
    oldest_most = expect.max_oldest_queued_seconds
    oldest_most = MAX_OLDEST_QUEUED_SECONDS if oldest_most is None else oldest_most
    oldest = queue.oldest_queued_seconds
    facts = {"queued": queue.queued, "running": queue.running, "failed": queue.failed, "oldest_queued_seconds": oldest}
    problems = []
    if queue.queued > most:
        problems.append(f"{queue.queued} jobs are queued, more than {most}")
    if oldest is not None and oldest > oldest_most:
        problems.append(f"the oldest waits for {oldest:.0f} s, longer than {oldest_most} s")
    if problems:
        hint = f"deploykit doctor {case.profile.name} names the cause"
        yield Check("queue", Verdict.FAIL, "; ".join(problems), hint, facts)
    else:
        waits = f", the oldest for {oldest:.0f} s" if oldest is not None else ""
        yield Check("queue", Verdict.PASS, f"{queue.queued} queued{waits}; {queue.running} running", "", facts)


def _running_jobs(case: Case) -> Iterator[Check]:
    longest = longest_job_seconds(case.profile)
    stuck = [(name, seconds) for _, name, seconds in case.evidence.stuck_jobs if seconds > longest]
    if stuck:
        told = ", ".join(f"{name} for {seconds:.0f} s" for name, seconds in stuck)
        hint = f"deploykit doctor {case.profile.name} names the job"
        yield Check("running-jobs", Verdict.FAIL, f"running longer than {longest:.0f} s: {told}", hint)


def longest_job_seconds(profile: Profile) -> float:
    """How long a job may run before it counts as stuck: thrice what the profile says, since it may be retried."""
    limits = [service.max_job_seconds for service in profile.workers if service.max_job_seconds]
    return 3.0 * max(limits) if limits else LONG_JOB_SECONDS


def _connections(case: Case) -> Iterator[Check]:
    server = case.evidence.server
    if server is None or server.max_connections is None or server.connections_in_use is None:
        return
    budget = planned_connections(case.profile)
    used, most = server.connections_in_use, server.max_connections
    facts = {"in_use": used, "max_connections": most, "planned": budget}
    if used >= most * CONNECTIONS_ALARM:
        hint = f"set {POOL_SIZE} to 5 in every service, and look for clients that are not ours"
        summary = f"{used} of {most} database connections are in use"
        yield Check("connections", Verdict.FAIL, summary, hint, facts)
    else:
        beyond = f", more than the {budget} our processes may open" if used > budget else ""
        yield Check("connections", Verdict.PASS, f"{used} of {most} connections in use{beyond}", "", facts)


def planned_connections(profile: Profile) -> int:
    """How many connections all processes of the profile may open together, outside of a rollout."""
    return sum(service.total_replicas * pool(service) for service in profile.services.values() if service.is_app)


def _logs(case: Case) -> Iterator[Check]:
    snapshot = case.evidence.snapshot
    if snapshot is None:
        return
    for service in log_lines.services(case.profile):
        deployment = case.current(service)
        if deployment is None or not (log_lines.expected(service) or log_lines.forbidden(service)):
            continue
        identity = f"log-lines:{service.name}"
        lines = case.evidence.logs.get(deployment.id)
        reading = log_lines.read(service, lines or ())
        old = snapshot.read_at is not None and snapshot.read_at - deployment.created_at > LOGS_KEPT
        facts = {"expected": list(reading.expected), "missing": list(reading.missing), "starts": reading.starts}
        if reading.wrong:
            summary = f"{service.name} logged {_names(list(reading.wrong))}, which is not what the profile says"
            yield Check(identity, Verdict.FAIL, summary, f"deploykit plan {case.profile.name}", facts)
        elif not reading.expected or not (reading.missing or lines is None):
            found = _names(list(reading.expected)) or "nothing of a daemon or worker"
            yield Check(identity, Verdict.PASS, f"{service.name} logged {found}", "", facts)
        elif old:
            yield Check(
                identity, Verdict.SKIP, f"{service.name} started before what Railway keeps of its log", "", facts
            )
        elif lines is None:
            problem = case.evidence.problem("logs")
            why = f": {problem.message}" if problem else ""
            yield Check(identity, Verdict.INCONCLUSIVE, f"the log of {service.name} could not be read{why}", "", facts)
        else:
            summary = f"the log of {service.name} does not show {_names(list(reading.missing))}"
            hint = f"railway logs --service {service.name}; docs/verify.md lists the lines that verify looks for"
            yield Check(identity, Verdict.INCONCLUSIVE, summary, hint, facts)


def _smoke(case: Case) -> Iterator[Check]:
    for step in case.evidence.smoke:
        yield Check(step.id, Verdict(step.verdict), step.summary, step.hint, step.evidence)


# --- words ------------------------------------------------------------------------------------------------------------


def _deployed(profile: Profile) -> list[Service]:
    """The services whose deployments must be active all the time: a cron service comes and goes."""
    return [service for service in profile.services.values() if service.cron is None]


def _names(names: list[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)


def _word(kind: str) -> str:
    return {DAEMON: "schedule daemon", WORKER: "job worker"}.get(kind, kind)


def _at(service: str | None) -> str:
    return f" in {service}" if service else ""


def _count(number: int) -> str:
    return f"{number} instance" if number == 1 else f"{number} instances"


_CHECKS: tuple[Callable[[Case], Iterator[Check]], ...] = (
    _sources,
    _services,
    _active_deployments,
    _latest_deployments,
    _instances,
    _staged,
    _variables,
    _daemons,
    _workers,
    _web_processes,
    _others,
    _heartbeats,
    _polls,
    _lease,
    _schedules,
    _queue,
    _running_jobs,
    _connections,
    _clock,
    _logs,
    _smoke,
)
