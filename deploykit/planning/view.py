"""Profile and Snapshot → Target and Observation: what `decide` needs of them, every doubt on the unsafe side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from deploykit.planning.change import AUTODEPLOY_OFF, DOMAIN_CREATE, Change
from deploykit.planning.graph import volume_name
from deploykit.planning.observation import Deployed, Observation, Phase, Seen, Target, Wanted
from deploykit.planning.snapshot import LiveDeployment, LiveService, Possibly, Snapshot
from deploykit.profile.schema import DAEMON_FLAG, WORKER_FLAG, Profile, Service

KIND_OF_DAEMON = "schedule_daemon"
_ACTIVE = ("SUCCESS", "SLEEPING")
FRESH_SECONDS = 60.0
"""A heartbeat older than this proves nothing alive (RUNTIME: a beat every 10 s, a lease of 45 s) …"""
MISSED_BEATS = 3
"""… unless its process promised to beat more rarely: then so many beats must be missing."""


class Beat(Protocol):
    """What is needed of a heartbeat row."""

    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def seconds_ago(self) -> float | None: ...
    @property
    def service(self) -> str | None: ...
    @property
    def deployment(self) -> str | None: ...
    @property
    def heartbeat_interval_ms(self) -> int | None: ...


def target(profile: Profile, remove: Iterable[str] = ()) -> Target:
    """What ``profile`` wants, database first."""
    wanted = [_wanted(service) for service in profile.services.values() if service.role != "database"]
    names = [service.name for service in profile.services.values() if service.role == "database"]
    if profile.database and profile.database.service not in profile.services:
        names.append(profile.database.service)
    databases = [Wanted(name, is_database=True) for name in names]
    return Target((*databases, *wanted), frozenset(remove))


def _wanted(service: Service) -> Wanted:
    loose = {AUTODEPLOY_OFF} if service.autodeploy == "off" and service.source and service.source.repo else set()
    return Wanted(
        service.name,
        daemon=service.runs_daemon,
        worker=service.runs_worker,
        guard=service.guard or "none",
        deployable=service.source is not None and service.cron is None,
        loose=frozenset(loose | ({DOMAIN_CREATE} if service.domains else set())),
    )


def observation(
    profile: Profile,
    live: Snapshot,
    changes: Iterable[Change],
    beats: Iterable[Beat] | None = None,
    failed: Mapping[str, str] | None = None,
    stalled: Collection[str] = (),
) -> Observation:
    """The environment as `decide` sees it. ``changes`` are what `diff` found; ``beats`` None when not read.

    ``stalled`` names services whose active deployment `lags` behind the configured number of replicas for too long.
    """
    changes = tuple(changes)
    changed = {change.service for change in changes if change.wire and change.kind != "resource.delete"}
    volumes = {volume_name(service): name for name, service in profile.services.items()}
    changed = {volumes.get(name, name) for name in changed}
    databases = {one.name for one in target(profile).services if one.is_database}
    names = live.volume_names
    hearts = [beat for beat in beats or () if _is_daemons_heart(beat)]
    beating = {beat.deployment for beat in hearts if beat.deployment is not None}
    seen = tuple(
        replace(
            _seen(
                profile,
                _unmasked(profile, one, changes),
                one.name not in changed,
                databases,
                one.name in stalled,
                beating,
            ),
            exclusive=_keeps_volume(profile, one, names),
            loose=frozenset(change.kind for change in changes if change.own and change.service == one.name),
        )
        for one in live.services
    )
    return Observation(seen, _beating(live, hearts), dict(failed or {}), beats is None)


def _seen(
    profile: Profile, live: LiveService, matches: bool, databases: set[str], stalled: bool, beating: set[str]
) -> Seen:
    service = profile.services.get(live.name)
    is_database = live.name in databases
    return Seen(
        live.name,
        managed=service is not None or is_database,
        daemon=not is_database and configured_daemon(profile, live),
        worker=not is_database and configured_worker(profile, live),
        matches=matches or is_database,
        sealed=service is not None and service.is_app and _is_sealed(live, DAEMON_FLAG),
        deployments=tuple(
            replace(
                deployed,
                # A heart that beats outweighs every flag: a start command or a file may set what no variable says.
                daemon=deployed.daemon or one.id in beating,
                current=deployed.current and not (stalled and lags(live, one)),
            )
            for one in live.deployments
            if (deployed := _deployed(profile, live, one, is_database)) is not None
        ),
    )


def _keeps_volume(profile: Profile, live: LiveService, names: Mapping[str, str]) -> bool:
    """Whether a new copy mounts the volume that the old one has: only then does Railway end the old one first."""
    service = profile.services.get(live.name)
    if service is None or service.volume is None:
        return False
    mounted = {names.get(key, key) for key, entry in (live.config.get("volumeMounts") or {}).items() if entry}
    return volume_name(service) in mounted


def _unmasked(profile: Profile, live: LiveService, changes: Iterable[Change]) -> LiveService:
    """The service with values that we may not read, where Railway's preview called them equal to the profile's."""
    service = profile.services.get(live.name)
    differing = {change.path.rpartition(".")[2] for change in changes if change.service == live.name}
    told = {
        name: replace(variable, value=service.value(name))
        for name, variable in live.variables.items()
        if service is not None and variable.value is None and name not in differing
    }
    return replace(live, variables={**live.variables, **told})


def _is_sealed(live: LiveService, name: str) -> bool:
    variable = live.variables.get(name)
    return variable is not None and variable.sealed


def configured_daemon(profile: Profile, live: LiveService) -> bool:
    """Whether a redeploy of this service would start a daemon. A masked flag counts as on, and so does an unset one.

    An unset one only where our application runs: what its code makes of that is not known here, and one application's
    default is on (guide: ghost scenario 2).
    """
    return _flag(live, DAEMON_FLAG, _may_schedule(profile, live, live.start_command))


def configured_worker(profile: Profile, live: LiveService) -> bool:
    """Whether a redeploy of this service would start a worker."""
    return _runs(profile, live, "worker") or _flag(live, WORKER_FLAG, False)


def _flag(live: LiveService, name: str, absent: bool) -> bool:
    variable = live.variables.get(name)
    if variable is None:
        return absent
    return variable.value is None or may_be_on(variable.value, absent)


def may_be_on(value: str, absent: bool = False) -> bool:
    """Whether some application takes this value of a flag for true; an empty one is ``absent``, as good as unset.

    Railway renders a reference that leads nowhere as empty.
    """
    word = value.strip().lower()
    return word != "false" if word else absent


def _may_schedule(profile: Profile, live: LiveService, command: str | None) -> bool:
    """Whether a process without the flag may be a daemon: the application is known, or the command is a daemon's.

    A service made by hand that starts from the web server's source what the web server starts is the application too.
    """
    service = profile.services.get(live.name)
    if service is not None and service.is_app:
        return True
    return any(
        command is not None and command == one.start and (one.role == "daemon" or _same_source(one, live))
        for one in profile.services.values()
        if one.is_app
    )


def _same_source(service: Service, live: LiveService) -> bool:
    source = live.config.get("source") or {}
    wanted = service.source
    return wanted is not None and (source.get("repo"), source.get("image")) == (wanted.repo, wanted.image)


def _runs(profile: Profile, live: LiveService, role: str) -> bool:
    """Whether the service starts what the profile's service of that role starts: a forgotten copy."""
    command = live.start_command
    return command is not None and any(
        command == service.start for service in profile.services.values() if service.role == role
    )


def _deployed(profile: Profile, live: LiveService, deployment: LiveDeployment, is_database: bool) -> Deployed | None:
    phase = _phase(live, deployment)
    if phase is None:
        return None
    variables = deployment.variables
    if is_database:
        return Deployed(deployment.id, phase, daemon=False)
    if variables is None:
        # Nobody tells what it was started with: it may schedule.
        daemon = configured_daemon(profile, live) or live.name in {one.name for one in profile.daemons}
        return Deployed(deployment.id, phase, daemon=daemon, worker=configured_worker(profile, live))
    command = (deployment.settings or {}).get("startCommand") or live.start_command
    workers = {service.start for service in profile.services.values() if service.role == "worker"}
    return Deployed(
        deployment.id,
        phase,
        daemon=may_be_on(variables.get(DAEMON_FLAG, ""), _may_schedule(profile, live, command)),
        worker=command in workers or variables.get(WORKER_FLAG, "false").strip().lower() == "true",
        current=current(live, deployment),
    )


def current(live: LiveService, deployment: LiveDeployment) -> bool:
    """Whether a deployment was created from the configuration that is stored now.

    References are compared by presence only: their rendered value is the platform's business.
    """
    if deployment.variables is None:
        return True
    # Railway keeps its own RAILWAY_… variables, and the user's of that name, out of a deployment's copy.
    untold = {name for name, variable in live.variables.items() if variable.sealed or name.startswith("RAILWAY_")}
    if set(deployment.variables) - untold != set(live.variables) - untold:
        return False
    for name, variable in live.variables.items():
        if name in untold or variable.value is None or "${{" in variable.value:
            continue
        if deployment.variables.get(name) != variable.value:
            return False
    settings = deployment.settings
    if settings is None:
        return True
    stored = live.config.get("deploy") or {}
    return all(settings.get(key) == stored.get(key) for key in ("startCommand", "healthcheckPath", "cronSchedule"))


def lags(live: LiveService, deployment: LiveDeployment) -> bool:
    """Whether an active deployment has another number of replicas than is configured.

    Railway follows a new number without a deployment (Railway docs: scaling). A deployment that was on its way at that
    moment may come up with the old one, though.
    """
    staying = sum(one.live and one.status != "REMOVING" for one in deployment.instances)
    return deployment.status == "SUCCESS" and deployment.id in live.active_ids and staying != live.replicas


def _phase(live: LiveService, deployment: LiveDeployment) -> Phase | None:
    possibly = deployment.possibly
    if possibly is Possibly.GONE:
        return None
    if deployment.status == "REMOVING":
        return Phase.LEAVING
    if deployment.status in _ACTIVE and deployment.id in live.active_ids:
        newest = next((one.id for one in live.deployments if one.id in live.active_ids and one.status in _ACTIVE), None)
        if newest != deployment.id:
            return Phase.LEAVING
        if deployment.status == "SLEEPING":
            return Phase.ACTIVE  # no process now, but the next packet wakes it
        complete = all(one.status == "RUNNING" for one in deployment.instances if one.live)
        return Phase.ACTIVE if complete and not lags(live, deployment) else Phase.STARTED
    if possibly is Possibly.PENDING:
        return Phase.PENDING
    if deployment.status in ("REMOVED", "FAILED", "SKIPPED"):
        return Phase.LEAVING  # a process lives on in what Railway calls ended
    return Phase.STARTED


def _is_daemons_heart(beat: Beat) -> bool:
    """Whether a row is a schedule daemon's that was alive a moment ago."""
    patience = max(FRESH_SECONDS, MISSED_BEATS * (beat.heartbeat_interval_ms or 0) / 1000)
    fresh = beat.seconds_ago is not None and beat.seconds_ago < patience
    return beat.kind == KIND_OF_DAEMON and beat.status in ("RUNNING", "STANDBY", "DRAINING") and fresh


def _beating(live: Snapshot, hearts: Iterable[Beat]) -> frozenset[str]:
    """Services whose daemon beats from a deployment that Railway does not list as running."""
    running = {one.id for service in live.services for one in service.deployments if one.possibly is not Possibly.GONE}
    return frozenset(
        beat.service or "an unknown service"
        for beat in hearts
        if beat.deployment is not None and beat.deployment not in running
    )
