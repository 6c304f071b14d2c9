"""Railway as an adversary, exhaustively: every interleaving of an apply with what the platform may do.

The world is small and complete: per service a stored configuration and the deployments of it. The platform may let
builds and health checks fail, redeploy any service at any moment with the configuration of that moment, and leave
processes behind that it calls removed. A client looks, decides, and acts later; it may die in between. Nothing is
sampled: every state that can be reached is visited, and from each one the goal must still be reachable.

What looks is production code: a world becomes a `Snapshot`, and from there on `diff`, `view` and `decide` are those
that apply uses. So flags, start commands and replicas are seen here as they are seen there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from deploykit.planning.decide import Configure, Decision, Delete, Deploy, Done, Stop, decide
from deploykit.planning.diff import deletion, diff, stored
from deploykit.planning.graph import graph
from deploykit.planning.observation import Observation, Target
from deploykit.planning.snapshot import Instance, LiveDeployment, LiveService, LiveVariable, LiveVolume, Snapshot
from deploykit.planning.view import configured_daemon, configured_worker, observation, target
from deploykit.profile.schema import Profile

PENDING, STARTED, ACTIVE, LEAVING, ZOMBIE = "pending", "started", "active", "leaving", "zombie"
RUNNING = frozenset({STARTED, ACTIVE, LEAVING, ZOMBIE})
"""Phases in which a process exists."""
ABSENT = "absent"
"""The configuration of a service that does not exist."""
WHEN = datetime(2026, 1, 1, tzinfo=UTC)

Decide = Callable[[Observation, Target], Decision]


class Copy(NamedTuple):
    """One deployment: its phase, the name of the configuration it was created with, and how many replicas run."""

    phase: str
    config: str
    up: int = 1


class Site(NamedTuple):
    """One service: the name of its stored configuration, and its deployments."""

    config: str
    copies: tuple[Copy, ...] = ()


class World(NamedTuple):
    """Everything Railway holds."""

    sites: tuple[Site, ...]
    redeploys: int = 0
    zombies: int = 0

    @property
    def etag(self) -> tuple[str, ...]:
        """The stored configuration itself: a weaker guard than a counter, since it cannot see A → B → A."""
        return tuple(site.config for site in self.sites)


class Client(NamedTuple):
    """One operator: what it has decided and not yet done, and the etag it looked at."""

    held: Decision | None = None
    etag: tuple[str, ...] = ()
    crashes: int = 0


class State(NamedTuple):
    world: World
    clients: tuple[Client, ...]
    armed: bool


@dataclass(frozen=True)
class Scene:
    """What is searched: services, how they may be configured, who wants what, and what the adversary may do.

    ``configs`` maps service → configuration name → what is stored; each operator's profile adds its own as
    ``target0``, ``target1`` …. ``start`` is the first world. ``exclusive`` names services with a volume, of which
    Railway starts a new copy only when the old one is gone.
    """

    names: tuple[str, ...]
    profiles: tuple[Profile, ...]
    configs: Mapping[str, Mapping[str, LiveService]]
    start: tuple[Site, ...]
    exclusive: frozenset[str] = frozenset()
    redeploys: int = 0
    crashes: int = 0
    zombies: int = 0
    hearts: bool = True
    """Whether the client reads heartbeats."""
    cas: bool = True
    """Whether a commit carries the etag it was decided on."""
    armed: bool = True
    """False when the start is not clean: then only what was clean once must stay clean."""
    remove: tuple[str, ...] = ()
    known: tuple[Profile, ...] = ()
    """Profiles that only tell what a start command means, for services that the wanted profile does not know."""
    decide: Decide = decide
    applying: bool = True
    hasty: bool = False
    """Whether the client takes every number of replicas that is not the configured one for one that stays so."""
    merge_equal: bool = False
    """Whether equal deployments of a service count as one. Two operators can queue them without end; for what happens
    between services (XS, CC) one says as much as many."""


@dataclass
class Found:
    """What a search found. A violation comes with the shortest way to it."""

    states: int = 0
    violated: dict[str, list[str]] = field(default_factory=dict)
    stuck: list[str] | None = None
    """The way to a state from which the goal cannot be reached any more, None when there is none."""

    @property
    def goal_reachable_from_all(self) -> bool:
        return self.stuck is None


class Beat(NamedTuple):
    """A heartbeat row, as far as apply reads it."""

    service: str
    deployment: str
    kind: str = "schedule_daemon"
    status: str = "RUNNING"
    seconds_ago: float = 1.0
    heartbeat_interval_ms: int | None = None


def stored_services(profile: Profile) -> dict[str, LiveService]:
    """What Railway would have stored after ``profile`` was applied, by service."""
    return {
        node["name"]: LiveService(
            id=node["name"],
            name=node["name"],
            config={
                "source": {key: value for key, value in node.get("source", {}).items() if key != "type"},
                "deploy": node.get("deploy", {}),
                "volumeMounts": {
                    volume: {"mountPath": entry["mountPath"]}
                    for volume, entry in node.get("volumeAttachments", {}).items()
                },
            },
            variables={name: LiveVariable(name, stored(value)) for name, value in node.get("variables", {}).items()},
        )
        for node in graph(profile)["resources"]
        if node["type"] == "service"
    }


def changed(service: LiveService, **variables: str | None) -> LiveService:
    """A stored configuration with other variables; None takes one away."""
    kept = {name: value for name, value in service.variables.items() if name not in variables}
    given = {name: LiveVariable(name, value) for name, value in variables.items() if value is not None}
    return LiveService(service.id, service.name, service.config, {**kept, **given})


class Search:
    """One breadth-first search over a scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.configs = {name: dict(scene.configs.get(name, {})) for name in scene.names}
        for index, profile in enumerate(scene.profiles):
            for name, service in stored_services(profile).items():
                self.configs[name][f"target{index}"] = service
        self._volumes = tuple(
            LiveVolume(node["name"], node["name"], None, None)
            for profile in scene.profiles
            for node in graph(profile)["resources"]
            if node["type"] == "volume"
        )
        self._decided: dict[tuple[Any, ...], Decision] = {}
        self._runs: dict[tuple[str, str], tuple[bool, bool]] = {}
        for name, variants in self.configs.items():
            for key, service in variants.items():
                profiles = (*scene.profiles, *scene.known)
                self._runs[name, key] = (
                    any(configured_daemon(profile, service) for profile in profiles),
                    any(configured_worker(profile, service) for profile in profiles),
                )

    # ---- the search -----------------------------------------------------------------------------------------------

    def run(self, *, goal: bool = True, until: str | None = None) -> Found:
        """Visit every reachable state, or those up to the first in which the promise ``until`` is broken."""
        world = World(self.scene.start, self.scene.redeploys, self.scene.zombies)
        clients = tuple(Client(crashes=self.scene.crashes) for _ in self.scene.profiles if self.scene.applying)
        first = State(world, clients, self.scene.armed)
        came_from: dict[State, tuple[State, str] | None] = {first: None}
        back: dict[State, list[State]] = {}
        found = Found()
        waiting = deque([first])
        while waiting:
            state = waiting.popleft()
            for name in self.broken(state):
                if name not in found.violated:
                    found.violated[name] = _way(came_from, state)
            if until in found.violated:
                break
            for label, after in self.steps(state):
                after = self._armed(after)
                if goal:
                    back.setdefault(after, []).append(state)
                if after not in came_from:
                    came_from[after] = (state, label)
                    waiting.append(after)
        found.states = len(came_from)
        if goal:
            found.stuck = self._stuck(came_from, back)
        return found

    def _stuck(
        self, came_from: Mapping[State, tuple[State, str] | None], back: Mapping[State, list[State]]
    ) -> list[str] | None:
        reached = {state for state in came_from if self.is_goal(state)}
        waiting = deque(reached)
        while waiting:
            for before in back.get(waiting.popleft(), ()):
                if before not in reached:
                    reached.add(before)
                    waiting.append(before)
        lost = next((state for state in came_from if state not in reached), None)
        return None if lost is None else _way(came_from, lost)

    def _armed(self, state: State) -> State:
        return state if state.armed or not self._clean(state.world) else state._replace(armed=True)

    def _clean(self, world: World) -> bool:
        """At most one service schedules or ever will without somebody configuring it, and never in two replicas."""
        scheduling = [
            (name, {site.config, *(copy.config for copy in site.copies)})
            for name, site in zip(self.scene.names, world.sites, strict=True)
        ]
        daemons = [(name, config) for name, configs in scheduling for config in configs if self._daemon(name, config)]
        return len({name for name, _ in daemons}) <= 1 and all(self._replicas(*daemon) == 1 for daemon in daemons)

    # ---- what must hold -------------------------------------------------------------------------------------------

    def broken(self, state: State) -> Iterator[str]:
        """The invariants that do not hold in a state, once it was clean."""
        if not state.armed:
            return
        running = [
            sum(copy.up for copy in site.copies if copy.phase in RUNNING and self._daemon(name, copy.config))
            for name, site in zip(self.scene.names, state.world.sites, strict=True)
        ]
        if sum(count > 0 for count in running) > 1:
            yield "XS"
        meant = {daemon.name for profile in self.scene.profiles for daemon in profile.daemons}
        if any(count > 1 for name, count in zip(self.scene.names, running, strict=True) if name in meant):
            yield "IS"
        if sum(self._daemon(name, site.config) for name, site in self._named(state.world)) > 1:
            yield "CC"
        if not any(
            copy.phase == ACTIVE and self._worker(name, copy.config)
            for name, site in self._named(state.world)
            for copy in site.copies
        ):
            yield "W"

    def is_goal(self, state: State) -> bool:
        """Exactly what the profile wants runs, for one of the operators, and nothing else schedules."""
        held = any(client.held for client in state.clients)
        zombie = any(copy.phase == ZOMBIE for _, site in self._named(state.world) for copy in site.copies)
        return not held and not zombie and any(self._reached(state.world, index) for index in self._operators())

    def _operators(self) -> range:
        return range(len(self.scene.profiles))

    def _reached(self, world: World, index: int) -> bool:
        wanted = stored_services(self.scene.profiles[index])
        for name, site in self._named(world):
            if name in wanted:
                if [copy.phase for copy in site.copies] != [ACTIVE]:
                    return False
                if site.copies[0].up != self._replicas(name, site.config):
                    return False
                if diff(self.scene.profiles[index], self.snapshot(world)):
                    return False
                if self._runs[name, site.copies[0].config] != self._runs[name, site.config]:
                    return False
            elif any(self._daemon(name, copy.config) for copy in site.copies) or self._daemon(name, site.config):
                return False
        return True

    # ---- what may happen ------------------------------------------------------------------------------------------

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Every next state, with the words for what happened."""
        for index, client in enumerate(state.clients):
            for label, world, after in self._client(state.world, client, index):
                clients = (*state.clients[:index], after, *state.clients[index + 1 :])
                yield label, State(world, clients, state.armed)
        for label, world in self._platform(state.world):
            yield label, State(world, state.clients, state.armed)

    def _client(self, world: World, client: Client, index: int) -> Iterator[tuple[str, World, Client]]:
        who = f"operator {index}"
        if client.held is None:
            decision = self.decision(world, index)
            if isinstance(decision, Configure | Deploy | Stop | Delete):
                yield f"{who} decides: {_words(decision)}", world, client._replace(held=decision, etag=world.etag)
            return
        if client.crashes:
            yield f"{who} dies", world, client._replace(held=None, etag=(), crashes=client.crashes - 1)
        stale = self.scene.cas and client.etag != world.etag
        label = f"{who} does: {_words(client.held)}" + (" (refused: stale)" if stale else "")
        commits = isinstance(client.held, Configure | Delete)
        after = world if stale and commits else self._act(world, client.held, index)
        yield label, after, client._replace(held=None, etag=())

    def decision(self, world: World, index: int) -> Decision:
        """What an operator decides on looking at this world: production code from the snapshot on."""
        key = (world.sites, index)
        if key not in self._decided:
            self._decided[key] = self._look_and_decide(world, index)
        return self._decided[key]

    def _look_and_decide(self, world: World, index: int) -> Decision:
        profile, live = self.scene.profiles[index], self.snapshot(world)
        changes = diff(profile, live)
        remove = [name for name in self.scene.remove if live.service(name)]
        changes += [deletion(name, f"service.{name}") for name in remove]
        beats = self._beats(world) if self.scene.hearts else None
        stalled = self.scene.names if self.scene.hasty else ()
        now = observation(profile, live, changes, beats, stalled=stalled)
        return self.scene.decide(now, target(profile, remove))

    def _act(self, world: World, decision: Decision, index: int) -> World:
        sites = dict(self._named(world))
        if isinstance(decision, Configure):
            for name in decision.services:
                site, wanted = sites[name], f"target{index}"
                if self.configs[name].get(site.config) == self.configs[name][wanted]:
                    continue
                if self._only_scales(name, site.config, wanted):
                    sites[name] = Site(wanted, tuple(self._scaled(name, site.copies, wanted)))
                    continue
                sites[name] = Site(wanted, (*site.copies, Copy(PENDING, wanted)))
            return self._world(world, sites)
        if isinstance(decision, Deploy):
            site = sites[decision.service]
            if site.config != ABSENT:
                sites[decision.service] = site._replace(copies=(*site.copies, Copy(PENDING, site.config)))
        elif isinstance(decision, Stop):
            site = sites[decision.service]
            config = decision.deployment.split(":")[1]
            going = next((c for c in site.copies if c.config == config and c.phase not in (LEAVING, ZOMBIE)), None)
            if going is not None:
                kept = _without(site.copies, going)
                left = () if going.phase == PENDING else (going._replace(phase=LEAVING),)
                sites[decision.service] = site._replace(copies=(*kept, *left))
        elif isinstance(decision, Delete):
            site = sites[decision.service]
            going_on = tuple(
                copy if copy.phase == ZOMBIE else copy._replace(phase=LEAVING)
                for copy in site.copies
                if copy.phase != PENDING
            )
            sites[decision.service] = Site(ABSENT, going_on)
            return self._world(world, sites)
        return self._world(world, sites)

    def _platform(self, world: World) -> Iterator[tuple[str, World]]:
        for name, site in self._named(world):
            for copy in sorted(set(site.copies)):
                for label, copies in self._life(name, site.copies, copy):
                    yield f"{name}: {label}", self._world(world, {name: site._replace(copies=copies)})
                if copy.phase == LEAVING and world.zombies and self._daemon(name, copy.config):
                    copies = (*_without(site.copies, copy), Copy(ZOMBIE, copy.config))
                    after = self._world(world, {name: site._replace(copies=copies)})
                    yield f"{name}: called removed, its process lives on", after._replace(zombies=world.zombies - 1)
            if world.redeploys and any(copy.phase == ACTIVE for copy in site.copies) and site.config != ABSENT:
                copies = (*site.copies, Copy(PENDING, site.config))
                after = self._world(world, {name: site._replace(copies=copies)})
                yield f"{name}: Railway redeploys by itself", after._replace(redeploys=world.redeploys - 1)

    def _life(self, name: str, copies: tuple[Copy, ...], copy: Copy) -> Iterator[tuple[str, tuple[Copy, ...]]]:
        """The next moments of one deployment."""
        others = _without(copies, copy)
        match copy.phase:
            case "pending":
                yield "build fails", others
                blocking = [one for one in others if one.phase in (STARTED, ACTIVE, LEAVING)]
                if name not in self.scene.exclusive or not blocking:
                    yield "container starts", (*others, Copy(STARTED, copy.config))
                elif any(one.phase == ACTIVE for one in blocking):
                    yield "the volume is taken from the old copy", (*_superseded(others), copy)
            case "started":
                yield "health check fails", others
                yield "becomes active", (*_superseded(others), copy._replace(phase=ACTIVE))
            case "leaving":
                yield (
                    "one replica of the old copy is gone" if copy.up > 1 else "old copy is gone",
                    (
                        *others,
                        *([copy._replace(up=copy.up - 1)] if copy.up > 1 else []),
                    ),
                )
            case "zombie":
                yield "left-over process ends", others
        if copy.phase in (STARTED, ACTIVE) and copy.up < self._replicas(name, copy.config):
            yield "another replica starts", (*others, copy._replace(up=copy.up + 1))

    def _replicas(self, name: str, config: str) -> int:
        return self.configs[name][config].replicas

    def _only_scales(self, name: str, before: str, after: str) -> bool:
        """Whether nothing but the number of replicas differs: then Railway deploys nothing (Railway docs: scaling)."""
        one, other = self.configs[name].get(before), self.configs[name][after]
        return one is not None and one.variables == other.variables and _unscaled(one) == _unscaled(other)

    def _scaled(self, name: str, copies: tuple[Copy, ...], wanted: str) -> Iterator[Copy]:
        """The active copy takes the new number: replicas too many leave, missing ones start by and by."""
        for copy in copies:
            if copy.phase != ACTIVE:
                yield copy
                continue
            kept = min(copy.up, self._replicas(name, wanted))
            yield Copy(ACTIVE, wanted, kept)
            if copy.up > kept:
                yield Copy(LEAVING, copy.config, copy.up - kept)

    # ---- between the model and production -------------------------------------------------------------------------

    def snapshot(self, world: World) -> Snapshot:
        """The world as Railway would answer it: zombies do not show."""
        services = []
        for name, site in self._named(world):
            if site.config == ABSENT:
                continue
            stored_now = self.configs[name][site.config]
            deployments = [self._live(name, copy) for copy in site.copies if copy.phase != ZOMBIE]
            active = tuple(f"{name}:{c.config}:{c.phase}" for c in site.copies if c.phase in (ACTIVE, LEAVING))
            services.append(
                LiveService(name, name, stored_now.config, stored_now.variables, tuple(deployments), active, None, None)
            )
        return Snapshot("p", "shop", "e", "production", "/".join(world.etag), tuple(services), self._volumes)

    def _live(self, name: str, copy: Copy) -> LiveDeployment:
        created_from = self.configs[name][copy.config]
        status = {PENDING: "BUILDING", STARTED: "DEPLOYING", ACTIVE: "SUCCESS", LEAVING: "REMOVING"}[copy.phase]
        here = 0 if copy.phase == PENDING else copy.up
        wanted = self._replicas(name, copy.config)
        coming = 0 if copy.phase in (PENDING, LEAVING) else wanted - copy.up
        words = ["REMOVING" if copy.phase == LEAVING else "RUNNING"] * here + ["INITIALIZING"] * coming
        return LiveDeployment(
            id=f"{name}:{copy.config}:{copy.phase}",
            service_id=name,
            status=status,
            stopped=False,
            created_at=WHEN,
            instances=tuple(Instance(f"i{number}", word) for number, word in enumerate(words)),
            variables={key: value.value or "" for key, value in created_from.variables.items()},
            settings=created_from.config.get("deploy"),
        )

    def _beats(self, world: World) -> list[Beat]:
        return [
            Beat(name, f"{name}:{copy.config}:{copy.phase}")
            for name, site in self._named(world)
            for copy in site.copies
            if copy.phase in RUNNING and self._daemon(name, copy.config)
        ]

    def _daemon(self, name: str, config: str) -> bool:
        return config != ABSENT and self._runs[name, config][0]

    def _worker(self, name: str, config: str) -> bool:
        return config != ABSENT and self._runs[name, config][1]

    def _named(self, world: World) -> Iterable[tuple[str, Site]]:
        return zip(self.scene.names, world.sites, strict=True)

    def _world(self, world: World, sites: Mapping[str, Site]) -> World:
        merged = {**dict(self._named(world)), **sites}
        ordered = tuple(Site(merged[n].config, self._copies(merged[n].copies)) for n in self.scene.names)
        return world._replace(sites=ordered)

    def _copies(self, copies: tuple[Copy, ...]) -> tuple[Copy, ...]:
        return tuple(sorted(set(copies) if self.scene.merge_equal else copies))


def _unscaled(service: LiveService) -> dict[str, Any]:
    deploy = service.config.get("deploy") or {}
    kept = {key: value for key, value in deploy.items() if key not in ("numReplicas", "multiRegionConfig")}
    return {**service.config, "deploy": kept}


def _superseded(copies: tuple[Copy, ...]) -> tuple[Copy, ...]:
    return tuple(copy._replace(phase=LEAVING) if copy.phase == ACTIVE else copy for copy in copies)


def search(scene: Scene, *, goal: bool = True) -> Found:
    """Search a scene to its end."""
    return Search(scene).run(goal=goal)


def counterexample(scene: Scene, promise: str) -> list[str]:
    """The shortest way to a broken ``promise``; empty when it is kept everywhere."""
    return Search(scene).run(goal=False, until=promise).violated.get(promise, [])


def _words(decision: Decision) -> str:
    if isinstance(decision, Configure):
        return f"configure {', '.join(decision.services)}"
    return f"{type(decision).__name__.lower()} {getattr(decision, 'service', '')}".strip()


def _without(copies: tuple[Copy, ...], one: Copy) -> tuple[Copy, ...]:
    left = list(copies)
    left.remove(one)
    return tuple(left)


def _way(came_from: Mapping[State, tuple[State, str] | None], state: State) -> list[str]:
    """The shortest way to a state, in words."""
    words: list[str] = []
    while (step := came_from[state]) is not None:
        state, label = step
        words.append(label)
    return words[::-1]


__all__ = [
    "ABSENT",
    "ACTIVE",
    "Copy",
    "Done",
    "Found",
    "Scene",
    "Site",
    "changed",
    "counterexample",
    "search",
    "stored_services",
]
