"""What Railway shows: services, deployments, instances, staged edits, variables. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deploykit.planning.snapshot import SHARED_VARIABLES, LiveDeployment, LiveService, StagedPatch
from deploykit.profile.schema import DAEMON_FLAG, DAEMON_POLL, POOL_SIZE, WORKER_FLAG, WORKER_POLL, Profile, Service
from deploykit.verification.census import DAEMON, WORKER, Class, wants
from deploykit.verification.checks.case import Case, Check, Verdict, deployed, quoted

CONTROLS = (DAEMON_FLAG, WORKER_FLAG, DAEMON_POLL, WORKER_POLL, POOL_SIZE)
"""The variables of the guide's control panel: what they say decides what runs."""


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
        yield Check("services", Verdict.FAIL, f"Railway has no service {quoted(missing)}", hint, facts)
    elif ghosts:
        yield Check(
            "services",
            Verdict.FAIL,
            f"{quoted(sorted(filter(None, ghosts)))} runs background processes and is not in the profile",
            "deploykit ghosts --kill ends it; the dashboard's way is Settings → Delete Service",
            facts,
        )
    else:
        beside = f", beside {quoted(extra)}, which run no background processes of ours" if extra else ""
        yield Check("services", Verdict.PASS, f"{len(wanted)} of {len(wanted)} services are there{beside}", "", facts)


def _active_deployments(case: Case) -> Iterator[Check]:
    snapshot = case.evidence.snapshot
    if snapshot is None:
        return
    holder = case.profile.database.service if case.profile.database else None
    live = snapshot.service(holder) if holder and holder not in case.profile.services else None
    if live is not None:
        yield _database_service(live)
    for service in deployed(case.profile):
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
    for service in deployed(case.profile):
        live = case.live(service)
        latest = live.latest if live else None
        if latest is None or latest.status not in ("FAILED", "CRASHED", "SKIPPED"):
            continue
        still = "; the one before still serves" if case.current(service) not in (None, latest) else ""
        yield Check(
            f"latest-deployment:{service.name}",
            Verdict.FAIL,
            f"the latest deployment of {service.name} is {latest.status}{still}",
            f"read its log: railway logs --deployment {latest.id}",
            {"id": latest.id, "status": latest.status},
        )


def _instances(case: Case) -> Iterator[Check]:
    if case.evidence.snapshot is None:
        return
    for service in deployed(case.profile):
        deployment = case.current(service)
        if deployment is None or deployment.stopped or deployment.status == "SLEEPING":
            continue
        running = sum(instance.status == "RUNNING" for instance in deployment.instances)
        others = sum(instance.live for instance in deployment.instances) - running
        facts = {"running": running, "wanted": service.total_replicas, "others": others}
        if running == service.total_replicas and others:
            # A replica that starts may be one too many in a moment, one that is removed may be gone.
            summary = f"{service.name}: {_count(running)}, and {others} more that come or go"
            yield Check(f"instances:{service.name}", Verdict.INCONCLUSIVE, summary, "deploykit verify --wait 5m", facts)
            continue
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
    about = f" for {quoted(list(staged.touches))}" if staged.touches else ""
    yield Check(
        "staged-changes",
        Verdict.FAIL if touches_us(case.profile, staged) else Verdict.PASS,
        f"edits{about} wait in the dashboard: the next deploy there brings them along",
        "commit or discard them in the dashboard, then plan again",
        {"touches": list(staged.touches)},
    )


def _variables(case: Case) -> Iterator[Check]:
    """What a deployment was created with, what is configured now, what the profile says: all three must agree."""
    if case.evidence.snapshot is None:
        return
    for service in deployed(case.profile):
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
        now = configured(live, deployment, name)
        if now != runs:
            never_deployed.append(f"{name} is {now} since the last deploy, and still {runs} in the process")
        if not agrees(wish, runs):
            drifted.append(f"{name} is {runs}, the profile says {wish}")
    facts = {"never_deployed": never_deployed, "differs_from_profile": drifted}
    if never_deployed:
        hint = f"redeploy {service.name}: a deployment keeps the variables it was created with"
        return Check(identity, Verdict.FAIL, f"{service.name}: {'; '.join(never_deployed)}", hint, facts)
    if drifted:
        hint = f"deploykit plan {case.profile.name}, then deploykit apply"
        return Check(identity, Verdict.FAIL, f"{service.name}: {'; '.join(drifted)}", hint, facts)
    return Check(identity, Verdict.PASS, f"{service.name} runs with the flags and intervals of the profile", "", facts)


def configured(live: LiveService, deployment: LiveDeployment, name: str) -> str | None:
    """What a variable is configured as now; as deployed where Railway does not show it, or shows a reference only."""
    stored = live.variables.get(name)
    if stored is None:
        return None
    if deployment.variables is None:
        return stored.value
    runs = deployment.variables.get(name)
    hidden = stored.sealed or stored.value is None
    return runs if hidden or (stored.value != runs and agrees(stored.value, runs)) else stored.value


def agrees(wish: str | None, runs: str | None) -> bool:
    """Whether a process runs with what was wished. What a reference stands for is seen in its place: it may be that."""
    refers = wish is not None and "${{" in wish
    return wish == runs or (refers and runs is not None and "${{" not in runs)


def touches_us(profile: Profile, staged: StagedPatch) -> bool:
    """Whether staged edits would change what the profile's services run with: theirs, or what they may refer to."""
    return SHARED_VARIABLES in staged.touches or bool(set(staged.touches) & profile.services.keys())


def _count(number: int) -> str:
    return f"{number} instance" if number == 1 else f"{number} instances"


CHECKS = (_services, _active_deployments, _latest_deployments, _instances, _staged, _variables)
