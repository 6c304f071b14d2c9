"""The plan: `decide` run to its end on paper, with what each step waits for, and what may go wrong meanwhile."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from deploykit.planning.change import AUTODEPLOY_OFF, AUTODEPLOY_ON, DOMAIN_CREATE, DOMAIN_UPDATE, Change
from deploykit.planning.connections import Connections
from deploykit.planning.cost import CostLine
from deploykit.planning.decide import Adjust, Blocked, Configure, Decision, Delete, Deploy, Done, Stop, Wait, decide
from deploykit.planning.diff import custom_domains, ports
from deploykit.planning.observation import Deployed, Observation, Phase, Seen, Target
from deploykit.planning.snapshot import Snapshot
from deploykit.profile.schema import Profile, Secret

MOST_STEPS = 200
ADJUSTMENTS = {
    AUTODEPLOY_OFF: "switch off pushes to",
    AUTODEPLOY_ON: "switch on pushes to",
    DOMAIN_CREATE: "add domains to",
    DOMAIN_UPDATE: "set the ports of domains of",
}
"""What a step says that no change set carries."""
AT_ONCE = "at once"
_STARTS = ("configure", "deploy")


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what is done to which service, why now, and what must be true before the next."""

    number: int
    action: str
    service: str
    why: str
    gate: str


@dataclass(frozen=True, slots=True)
class Census:
    """Processes by kind, and the services in which daemons are."""

    schedule_daemon: int
    job_worker: int
    daemon_services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What was reviewed. Holds no value of a variable: ``fingerprints`` are keyed."""

    profile: str
    environment: str
    fingerprint: str
    base_etag: str
    changes: tuple[Change, ...]
    steps: tuple[Step, ...]
    before: Census
    after: Census
    cost_before: tuple[CostLine, ...]
    cost_after: tuple[CostLine, ...]
    connections: Connections
    hazards: tuple[str, ...]
    api_requests: int
    """What an apply takes, about."""
    api_requests_left: tuple[int, int] | None
    """(left, limit) of Railway's window, None where it does not tell (Railway docs: API rate limits)."""
    drift: Mapping[str, str]
    """Service → keyed fingerprint of its live configuration, as it was reviewed."""
    blocked: str | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do, and nothing that a person has to decide."""
        return not self.steps and not self.changes and self.blocked is None


def on_paper(now: Observation, target: Target) -> tuple[list[Step], list[str], str | None]:
    """Steps, hazards, and why it is blocked (None when it is not)."""
    steps: list[Step] = []
    hazards: list[str] = []
    open_daemons = _schedulers(now)
    waited = False
    for _ in range(MOST_STEPS):
        if len(open_daemons) > 1 and len(_schedulers(now)) <= 1:
            hazards.append(
                f"until step {len(steps)} is through, {_and(open_daemons)} schedule at the same time: "
                "this is how it is now, and only a lease or a unique due time in the application keeps jobs single"
            )
            open_daemons = set()
        decision = decide(now, target)
        if isinstance(decision, Done):
            return steps, [*hazards, *_pause(steps, target)], None
        if isinstance(decision, Blocked):
            return steps, hazards, f"{decision.why}: {decision.cure}"
        if isinstance(decision, Wait):
            settled = _settled(now)
            if settled == now:
                return steps, hazards, decision.why
            if steps:
                steps[-1] = replace(steps[-1], gate=_gate(decision))
            else:
                # Something is on its way already: the plan begins with waiting for it.
                steps.append(Step(1, "wait", decision.service, decision.why, _gate(decision)))
            now, waited = settled, True
            continue
        if isinstance(decision, Adjust) and steps and not waited:
            steps[-1] = replace(steps[-1], gate=AT_ONCE)
        waited = False
        steps.extend(_steps(decision, len(steps) + 1))
        now = _imagine(now, target, decision)
    return steps, hazards, "the plan does not come to an end; report this"


def _pause(steps: list[Step], target: Target) -> Iterator[str]:
    """When nobody schedules, and why that is meant."""
    if target.daemon is None:
        return
    begins = [
        step.number for step in steps
        if "gone" in step.gate and (step.action != "stop" or step.service == target.daemon.name)
    ]  # fmt: skip
    ends = [step.number for step in steps if step.service == target.daemon.name and step.action in _STARTS]
    if begins and ends and begins[0] < ends[-1]:
        yield (
            f"from step {begins[0]} until step {ends[-1]} is healthy nobody schedules: Railway by itself starts the "
            "new daemon before the old one ends. What falls due meanwhile is for each schedule's missed-run policy"
        )


def _steps(decision: Decision, number: int) -> list[Step]:
    match decision:
        case Configure(services, why):
            return [
                Step(number + index, "configure", service, why, _commit_gate(services, index, number))
                for index, service in enumerate(services)
            ]
        case Deploy(service, why):
            return [Step(number, "deploy", service, why, "wait until its new deployment is healthy")]
        case Stop(service, _, why):
            return [Step(number, "stop", service, why, "wait until its process is gone")]
        case Adjust(service, kind, why):
            return [Step(number, ADJUSTMENTS[kind], service, why, AT_ONCE)]
        case Delete(service, why):
            return [Step(number, "delete", service, why, "wait until its process is gone")]
    return []


def _commit_gate(services: tuple[str, ...], index: int, number: int) -> str:
    """All services of one commit go together; the next step waits for the last of them."""
    last = index == len(services) - 1
    return "wait until its new deployment is healthy" if last else f"at once: one commit with step {number + index + 1}"


def _gate(wait: Wait) -> str:
    if "gone" in wait.why or "beats" in wait.why:
        return f"wait until every process of {wait.service}'s old deployment is gone, by Railway and by heartbeat"
    return "wait until every new deployment is healthy"


def _imagine(now: Observation, target: Target, decision: Decision) -> Observation:
    """The observation right after an action, when everything goes well."""
    wanted = {one.name: one for one in target.services}
    services = {seen.name: seen for seen in now.services}
    match decision:
        case Configure(names, _):
            for name in names:
                one = wanted[name]
                seen = services.get(name) or Seen(name, matches=False)
                fresh = Deployed(f"new-{name}", Phase.PENDING, one.daemon, one.worker)
                older = tuple(replace(deployed, current=False) for deployed in seen.deployments)
                deployments = (fresh, *older) if one.deployable or one.is_database else older
                services[name] = replace(
                    seen, exists=True, daemon=one.daemon, worker=one.worker, matches=True, deployments=deployments
                )
                if name not in {before.name for before in now.services}:
                    services[name] = replace(services[name], loose=one.loose)
        case Deploy(name, _):
            seen = services[name]
            fresh = Deployed(f"new-{name}", Phase.PENDING, seen.daemon, seen.worker)
            services[name] = replace(seen, deployments=(fresh, *seen.deployments))
        case Stop(name, deployment, _):
            seen = services[name]
            services[name] = replace(seen, deployments=tuple(one for one in seen.deployments if one.id != deployment))
        case Adjust(name, kind, _):
            services[name] = replace(services[name], loose=services[name].loose - {kind})
        case Delete(name, _):
            services.pop(name)
    return replace(now, services=tuple(services.values()))


def _settled(now: Observation) -> Observation:
    """Everything that is on its way has arrived: the newest deployment is active, the others are gone."""
    services = []
    for seen in now.services:
        newest = next((one for one in seen.deployments if one.phase is not Phase.LEAVING), None)
        kept = (replace(newest, phase=Phase.ACTIVE),) if newest else ()
        services.append(replace(seen, deployments=kept))
    return replace(now, services=tuple(services), beating=frozenset())


def _schedulers(now: Observation) -> set[str]:
    return {seen.name for seen in now.services if seen.scheduling}


def _and(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return " and ".join(ordered) if len(ordered) < 3 else f"{', '.join(ordered[:-1])} and {ordered[-1]}"


def standing_hazards(profile: Profile, live: Snapshot, now: Observation) -> list[str]:
    """What a reader must know although no step changes it."""
    hazards = []
    for service in profile.daemons:
        if service.guard in (None, "none"):
            hazards.append(
                f"{service.name} has no guard: Railway's own redeploys overlap old and new copies, and nothing that "
                "deploykit does can close that; use guard: lease or a volume"
            )
        if service.autodeploy == "on_push" and service.source and service.source.repo:
            hazards.append(
                f"{service.name} deploys on every push, outside deploykit's order: set autodeploy: after_ci or off"
            )
    if live.staged is not None and not live.staged.empty:
        touched = f" ({', '.join(live.staged.touches)})" if live.staged.touches else ""
        hazards.append(f"the dashboard holds edits that nobody committed{touched}: whoever commits them changes this")
    hazards.extend(_unnamed_domains(profile, live))
    leftovers = [seen.name for seen in now.services if not seen.managed]
    if leftovers:
        hazards.append(
            f"{_and(leftovers)}: on Railway, not in the profile; left alone. Delete with --allow-destructive "
            f"--remove {leftovers[0]!r}"
        )
    if live.masked:
        hazards.append("this token may not read values: whether flags are off cannot be seen, so they count as on")
    return hazards


def _unnamed_domains(profile: Profile, live: Snapshot) -> Iterator[str]:
    for service in profile.services.values():
        known = live.service(service.name)
        if not service.domains or known is None:
            continue
        named = {domain for domain, _ in ports(service)}
        for domain in custom_domains(known):
            if domain not in named:
                yield f"{domain} leads to {service.name} and the profile does not name it; left alone"


def fingerprint(profile: Profile) -> str:
    """Identifies the content of a profile, secrets by name only."""
    content = profile.model_dump(mode="json")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def live_fingerprint(key: bytes, config: Mapping[str, Any], variables: Mapping[str, str | None]) -> str:
    """A keyed fingerprint of one service's stored configuration: tells a change, tells no value."""
    content = json.dumps([config, sorted(variables.items())], sort_keys=True, default=str)
    return hmac.new(key, content.encode(), hashlib.sha256).hexdigest()[:24]


def drift(key: bytes, live: Snapshot) -> dict[str, str]:
    """Keyed fingerprint of every service, shared variables under an empty name."""
    prints = {
        service.name: live_fingerprint(
            key, _authored(service.config), {name: variable.value for name, variable in service.variables.items()}
        )
        for service in live.services
    }
    shared = {name: variable.value for name, variable in live.shared_variables.items()}
    return {**prints, "": live_fingerprint(key, {}, shared)}


def _authored(config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration without the commit that Railway notes at a push: that is no edit (Railway IaC: source)."""
    source = {key: value for key, value in (config.get("source") or {}).items() if key != "commitSha"}
    return {**config, "source": source}


def census_before(now: Observation, live: Snapshot) -> Census:
    """Processes that run now, replicas counted."""
    daemons = workers = 0
    places = []
    for seen in now.services:
        service = live.service(seen.name)
        for deployed in seen.deployments:
            if deployed.phase in (Phase.PENDING, Phase.BROKEN) or service is None:
                continue
            real = next((one for one in service.deployments if one.id == deployed.id), None)
            replicas = sum(instance.live for instance in real.instances) if real else 0
            daemons += replicas * deployed.daemon
            workers += replicas * deployed.worker
            places += [seen.name] if replicas and deployed.daemon else []
    return Census(daemons, workers, tuple(dict.fromkeys(places)))


def census_after(profile: Profile) -> Census:
    """Processes that should run afterwards."""
    daemons = sum(service.total_replicas for service in profile.daemons)
    workers = sum(service.total_replicas for service in profile.workers)
    return Census(daemons, workers, tuple(service.name for service in profile.daemons))


def secrets_of(profile: Profile) -> list[tuple[str, str]]:
    """(service, variable) of every ``!secret``."""
    return [
        (service.name, name)
        for service in profile.services.values()
        for name, value in service.env.items()
        if isinstance(value, Secret)
    ]
