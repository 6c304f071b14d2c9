"""The next step towards the target, and nothing but the next: one action, a wait, or done.

Level-triggered: it looks only at what is, never at what was done, so that a crash at any moment costs nothing but the
time to run the same command again. The order of the rules is the safety argument (docs/apply.md):

1. nobody schedules whom the profile does not know, or nothing is touched until a person decides;
2. pushes no longer deploy where the profile says so: a push is a deploy that nobody here orders;
3. the database exists and runs;
4. a worker that is gained starts before one that is lost stops, unless two daemons are at large;
5. every service that must not schedule is *configured* not to: any redeploy takes the configuration;
6. every process that schedules elsewhere is **gone**, by Railway's word and by its heartbeat;
7. only then is the daemon configured and started.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploykit.planning.change import AUTODEPLOY_OFF
from deploykit.planning.observation import Deployed, Observation, Phase, Seen, Target, Wanted


@dataclass(frozen=True, slots=True)
class Configure:
    """Bring these services' stored configuration to the target in one commit; Railway deploys what it changes."""

    services: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Deploy:
    """Start a deployment of the configuration that is stored."""

    service: str
    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Remove a deployment, so that its process ends before another may start."""

    service: str
    deployment: str
    why: str


@dataclass(frozen=True, slots=True)
class Adjust:
    """Carry out the service's changes of one kind that no change set carries; nothing is deployed by it."""

    service: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a service that the profile does not know."""

    service: str
    why: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may be done now."""

    why: str
    service: str = ""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing may be done until a person decides."""

    why: str
    cure: str
    service: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The target is reached."""


Decision = Configure | Deploy | Stop | Adjust | Delete | Wait | Blocked | Done
Rule = Callable[[Observation, Target], Iterator[Decision]]
"""Yields the decision it insists on, or nothing."""


def decide(now: Observation, target: Target, rules: tuple[Rule, ...] | None = None) -> Decision:
    """The next step. Pure: the same observation and target always give the same decision.

    ``rules`` are those of this module in their order; the model checker tries others, to see them fail.
    """
    for rule in rules or RULES:
        decision = next(rule(now, target), None)
        if decision is not None:
            return decision
    return Done()


def _failed(now: Observation, target: Target) -> Iterator[Decision]:
    for service, reason in now.failed.items():
        yield Blocked(reason, f"read its logs: railway logs --service {service}", service)


def _stranger(now: Observation, target: Target) -> Iterator[Decision]:
    """Whoever schedules outside the profile, or cannot be judged, is a person's business before anything is touched."""
    for seen in now.services:
        if not seen.managed and seen.name not in target.remove and (seen.daemon or seen.scheduling):
            yield Blocked(
                f"{seen.name} schedules, or may, and the profile does not know it",
                f"set SCHEDULE_DAEMON_ENABLED=false on it, put it into the profile with that, or delete it: "
                f"--allow-destructive --remove {seen.name!r}",
                seen.name,
            )
        if seen.sealed:
            yield Blocked(
                f"SCHEDULE_DAEMON_ENABLED of {seen.name} is sealed: nobody can tell whether its processes schedule",
                "delete the variable in Railway's dashboard, then run the same command again: it is set in the open",
                seen.name,
            )


def _hold(now: Observation, target: Target) -> Iterator[Decision]:
    """A push would start a copy in the middle of everything that follows."""
    for seen in now.services:
        if AUTODEPLOY_OFF in seen.loose:
            yield Adjust(seen.name, AUTODEPLOY_OFF, "a push is a deploy, and nobody here would order it")


def _database(now: Observation, target: Target) -> Iterator[Decision]:
    for wanted in target.services:
        if not wanted.is_database:
            continue
        seen = now.service(wanted.name)
        if not seen.exists:
            yield Configure((wanted.name,), "the job tables live there")
        elif not any(one.phase is Phase.ACTIVE for one in seen.deployments):
            if seen.deployments:
                yield Wait("the database is starting", wanted.name)
            else:
                yield Deploy(wanted.name, "the database does not run")


def _evict(now: Observation, target: Target) -> Iterator[Decision]:
    """Delete what schedules and is not in the profile, where the operator agreed.

    Its processes end first: of a service that is deleted, Railway no longer tells whether they still drain.
    """
    for seen in now.services:
        if not seen.managed and seen.name in target.remove and (seen.daemon or seen.scheduling):
            for deployed in seen.scheduling:
                if deployed.phase is not Phase.LEAVING:
                    yield Stop(seen.name, deployed.id, "it schedules, and once it is deleted its end is not seen")
            if seen.scheduling:
                yield Wait("its daemon must be gone before it is deleted: afterwards nobody tells", seen.name)
            yield Delete(seen.name, "it schedules, the profile does not know it, and you agreed")


def _gain_workers(now: Observation, target: Target) -> Iterator[Decision]:
    """Start new workers before old ones stop. Skipped while two services schedule: that is worse than a pause."""
    losing = [one for one in target.services if not one.worker and _works(now.service(one.name))]
    gaining = [one for one in target.services if one.worker and not one.daemon and not _works(now.service(one.name))]
    if not losing or not gaining or len(_schedulers(now)) > 1:
        return
    if any(now.service(one.name).daemon or now.service(one.name).scheduling for one in gaining):
        return  # it also schedules: closing it comes first
    outdated = tuple(one.name for one in gaining if not now.service(one.name).matches)
    if outdated:
        yield Configure(
            outdated, "the new worker starts before the old one stops, so that the queue never stands still"
        )
        return
    for one in gaining:
        yield from _start(now.service(one.name), one, lambda deployed: deployed.worker)


def _close(now: Observation, target: Target) -> Iterator[Decision]:
    """No service but the target may be configured to schedule."""
    wanted = {one.name: one for one in target.services}
    daemon = target.daemon.name if target.daemon else None
    closing = tuple(
        seen.name
        for seen in now.services
        if seen.managed and seen.name != daemon and (seen.daemon or (_in_secret(seen) and not seen.matches))
    )
    if closing:
        others = tuple(
            name
            for name, one in wanted.items()
            if name not in closing and name != daemon and not now.service(name).matches and not one.is_database
        )
        yield Configure(closing + others, "no other service may start a daemon, whoever redeploys it")


def _gone(now: Observation, target: Target) -> Iterator[Decision]:
    """Nobody but the target schedules any more: by Railway's instances, and by the heartbeats."""
    daemon = target.daemon.name if target.daemon else None
    for seen in now.services:
        if seen.name == daemon or not seen.managed or not seen.scheduling:
            continue
        if _in_secret(seen):
            yield Blocked(
                f"a daemon's heart beats in {seen.name}, which is configured to start none",
                "deploykit ghosts names it; deploykit ghosts --kill ends it",
                seen.name,
            )
        if not any(not one.daemon for one in seen.deployments):
            yield Deploy(seen.name, "its running copy still schedules; a new copy takes the closed configuration")
        yield Wait("its old daemon is still there: waiting until it is gone, not until the new one is up", seen.name)
    for name in sorted(now.beating - {daemon}):
        yield Wait("a daemon's heart still beats there although Railway shows no process", name)


def _in_secret(seen: Seen) -> bool:
    """Whether processes of today's configuration schedule although it says that none does: another copy would, too."""
    return not seen.daemon and any(one.current for one in seen.scheduling)


def _open(now: Observation, target: Target) -> Iterator[Decision]:
    """Configure everything that is left, the daemon included: nobody else can schedule now."""
    outdated = [one for one in target.services if not now.service(one.name).matches and not one.is_database]
    if not outdated:
        return
    for one in outdated:
        yield from _empty(now, one)
    daemon = any(one.daemon for one in outdated)
    why = "nobody else schedules or can start to" if daemon else "it differs from the profile"
    yield Configure(tuple(one.name for one in outdated), why)


def _rest(now: Observation, target: Target) -> Iterator[Decision]:
    """Every service runs what is configured."""
    for one in target.services:
        if one.deployable and not one.is_database:
            seen = now.service(one.name)
            if not any(deployed.current for deployed in seen.deployments):
                yield from _empty(now, one)
            yield from _start(seen, one, lambda deployed: True)


def _adjust(now: Observation, target: Target) -> Iterator[Decision]:
    """What no change set carries and nothing waits for: domains, pushes that may deploy again."""
    for seen in now.services:
        for kind in sorted(seen.loose):
            yield Adjust(seen.name, kind, "no change set carries it, and nothing else waits for it")


def _tidy(now: Observation, target: Target) -> Iterator[Decision]:
    """Delete what else the operator agreed to, now that everything wanted runs: it may have been the last worker."""
    for seen in now.services:
        if not seen.managed and seen.name in target.remove:
            yield Delete(seen.name, "the profile does not know it, and you agreed")


def _settle(now: Observation, target: Target) -> Iterator[Decision]:
    for one in target.services:
        for deployed in now.service(one.name).deployments:
            if deployed.phase is not Phase.ACTIVE and one.deployable:
                yield Wait(f"a deployment is {deployed.phase}", one.name)
    daemon = target.daemon
    if daemon and daemon.deployable and len(now.service(daemon.name).scheduling) != 1:
        yield Wait("exactly one deployment may schedule", daemon.name)


def _empty(now: Observation, wanted: Wanted) -> Iterator[Decision]:
    """A daemon's place is emptied before its successor starts, unless a volume sees to that.

    A lease would make the successor stand by, but it ends what is begun; apply does not lean on it without need.
    """
    seen = now.service(wanted.name)
    if not wanted.daemon or seen.exclusive:
        return
    if seen.name in now.beating:
        # Before anything is stopped: a heart that never stops must not cost the daemon that is there.
        yield Wait("an old daemon's heart still beats there although Railway shows no process", seen.name)
    for deployed in seen.scheduling:
        if deployed.phase is Phase.LEAVING:
            yield Wait("the old daemon must be gone before the new one starts", seen.name)
        else:
            yield Stop(seen.name, deployed.id, "the old daemon ends before the new one starts")


def _start(seen: Seen, wanted: Wanted, fits: object) -> Iterator[Decision]:
    """A current deployment is active, or on its way, or is started now."""
    assert callable(fits)
    current = [one for one in seen.deployments if one.current and fits(one)]
    if any(one.phase is Phase.ACTIVE for one in current):
        return
    if any(one.phase in (Phase.PENDING, Phase.STARTED) for one in current):
        yield Wait("waiting until it is healthy", seen.name)
    elif any(one.phase is Phase.LEAVING for one in seen.deployments) and wanted.daemon:
        yield Wait("the old daemon must be gone first", seen.name)
    else:
        yield Deploy(seen.name, "no process runs what is configured")


def _works(seen: Seen) -> bool:
    return any(one.worker and _alive(one) for one in seen.deployments)


def _alive(deployed: Deployed) -> bool:
    return deployed.phase is Phase.ACTIVE


def _schedulers(now: Observation) -> set[str]:
    return {seen.name for seen in now.services if seen.daemon or seen.scheduling} | set(now.beating)


RULES: tuple[Rule, ...] = (
    _failed, _stranger, _hold, _database, _evict, _gain_workers, _close, _gone, _open, _rest, _adjust, _tidy, _settle,
)  # fmt: skip
