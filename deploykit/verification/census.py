"""The census: platform instances joined with heartbeats on deployment and replica id, every process in one class.

Pure. The platform knows what it started, the job tables know who beats; only both together tell a ghost from a guest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from deploykit.planning.snapshot import Instance, LiveDeployment, LiveService, Possibly
from deploykit.planning.view import may_be_on
from deploykit.profile.schema import DAEMON_FLAG, DAEMON_POLL, WORKER_FLAG, WORKER_POLL, Profile, Service
from deploykit.verification.evidence import Evidence, gone, home
from deploykit.verification.liveness import Life, Pulse, bare, beat_seconds, hung_seconds, lives
from runtime.heartbeats import Heartbeat

DAEMON = "schedule_daemon"
WORKER = "job_worker"
WEB = "web"
KINDS = (DAEMON, WORKER, WEB)
DEFAULT_POLL_MS = {DAEMON: 60_000, WORKER: 5_000}
STARTING_SECONDS = 60.0
"""How long after its creation a deployment may have processes that do not beat yet: Railway's private names may take
about a minute to resolve after the first start of a service."""


class Class(StrEnum):
    """What a process is to this profile."""

    EXPECTED = "expected"
    STANDBY = "standby"
    DRAINING = "draining"
    MISSING = "missing"
    SILENT = "silent"
    MISCONFIGURED = "misconfigured"
    DUPLICATE = "duplicate"
    GHOST_SERVICE = "ghost-service"
    ZOMBIE = "zombie"
    FOREIGN = "foreign"
    STALE_ROW = "stale-row"
    UNKNOWN = "unknown"
    """It may be what we expect, but the evidence to say so is missing."""


GHOSTS = frozenset({Class.DUPLICATE, Class.GHOST_SERVICE, Class.ZOMBIE, Class.FOREIGN})
"""Classes of processes that should not be there."""


@dataclass(frozen=True, slots=True)
class Row:
    """One process, or one that should be there, with the reason for its class."""

    kind: str
    class_: Class
    service: str | None = None
    deployment: str | None = None
    replica: str | None = None
    worker_id: str | None = None
    last_heartbeat_seconds_ago: float | None = None
    poll_interval_ms: int | None = None
    heartbeat_interval_ms: int | None = None
    status: str | None = None
    hostname: str | None = None
    pid: int | None = None
    why: str = ""
    starting: bool = False
    """Young enough that its silence means nothing yet."""
    unwanted: bool = False
    """Misconfigured in that the profile wants no such process in this service."""
    alive: bool = False

    @property
    def ghost(self) -> bool:
        """Whether it should not be there: a process of the wrong kind in the right service is one too."""
        return self.class_ in GHOSTS or self.unwanted


@dataclass(frozen=True, slots=True)
class Census:
    """All rows: the expected ones first, then what is missing, then what should not be there."""

    rows: tuple[Row, ...]
    wanted: dict[str, int] = field(default_factory=dict)

    def of(self, kind: str, *classes: Class) -> list[Row]:
        """The rows of a kind, of these classes or of all."""
        return [row for row in self.rows if row.kind == kind and (not classes or row.class_ in classes)]

    @property
    def ghosts(self) -> list[Row]:
        """What should not be there."""
        return [row for row in self.rows if row.ghost]

    def alive(self, kind: str) -> int:
        """How many processes of a kind live where the profile wants them, standing by or not."""
        return len(self.of(kind, Class.EXPECTED, Class.STANDBY))


def census(profile: Profile, evidence: Evidence, *, starting_seconds: float = STARTING_SECONDS) -> Census:
    """Put every process into its class. Nothing is guessed: without a source a process is ``unknown``."""
    rows: list[Row] = []
    everyone = lives(evidence.samples)
    for kind in (DAEMON, WORKER):
        rows.extend(_Kind(kind, profile, evidence, everyone, starting_seconds).rows())
    rows.extend(_web(profile, evidence, starting_seconds))
    wanted = {DAEMON: profile.expect.schedule_daemon, WORKER: profile.expected_workers}
    wanted[WEB] = sum(service.total_replicas for service in profile.services.values() if service.role == "web")
    return Census(tuple(sorted(rows, key=_order)), wanted)


def promised_poll_ms(service: Service, kind: str) -> int:
    """The poll interval that the profile promises for this kind of process."""
    value = service.value(DAEMON_POLL if kind == DAEMON else WORKER_POLL)
    return int(value) if value and value.isdigit() else DEFAULT_POLL_MS[kind]


def wants(service: Service, kind: str) -> int:
    """How many processes of a kind the profile wants in a service."""
    runs = service.runs_daemon if kind == DAEMON else service.runs_worker
    return service.total_replicas if runs and service.role != "database" else 0


def starting(live: LiveService | None, read_at: datetime | None, starting_seconds: float) -> bool:
    """Whether a deployment of the service is still coming up: in progress, or too young for its silence to count."""
    newest = max(live.deployments, key=lambda deployment: deployment.created_at, default=None) if live else None
    if newest is None or newest.stopped:
        return False
    if newest.status in _IN_PROGRESS:
        return True
    young = read_at is not None and (read_at - newest.created_at).total_seconds() < starting_seconds
    return newest.status == "SUCCESS" and young


def leaving(profile: Profile, live: LiveService | None, read_at: datetime | None, starting_seconds: float) -> bool:
    """Whether predecessors of the newest deployment may still be there: until overlap and draining have passed too."""
    wish = profile.services.get(live.name) if live else None
    grace = float((wish.overlap_seconds or 0) + (wish.draining_seconds or 0)) if wish else 0.0
    return starting(live, read_at, starting_seconds + grace)


HEALTHCHECK_SECONDS = 300
"""How long Railway waits for a health check where nothing else is said (Railway docs: healthchecks)."""
OLDER = "an older deployment of the service lives on"
IN_ONE_CONTAINER = "a second process in the same container"
OUTSIDE = "it names this deployment, and runs in none of its containers"
_IN_PROGRESS = frozenset({"QUEUED", "WAITING", "INITIALIZING", "BUILDING", "DEPLOYING"})
_BEGINNING = frozenset({"CREATED", "INITIALIZING"})


class _Kind:
    """The census of one kind of process: who beats, then which places stay empty."""

    def __init__(
        self, kind: str, profile: Profile, evidence: Evidence, everyone: Sequence[Life], starting_seconds: float
    ) -> None:
        self.kind = kind
        self.profile = profile
        self.evidence = evidence
        self.snapshot = evidence.snapshot
        self.starting_seconds = starting_seconds
        ours = [life for life in everyone if life.heartbeat.kind == kind]
        # By id, so that the same system always gets the same census, in whatever order its rows were read.
        self.lives = sorted(ours, key=lambda life: life.heartbeat.worker_id)
        self.candidates: dict[str, list[Heartbeat]] = {}

    def rows(self) -> Iterator[Row]:
        for life in self.lives:
            if life.pulse is Pulse.ALIVE:
                row = self._outsider(life.heartbeat)
                if row is not None:
                    yield row
        quiet = [life for life in self.lives if life.pulse is not Pulse.ALIVE]
        for service in self.profile.services.values():
            slots = wants(service, self.kind)
            if slots:
                yield from self._fill(service, slots, quiet)
        for life in quiet:
            class_ = Class.UNKNOWN if life.pulse is Pulse.UNDECIDED else Class.STALE_ROW
            yield self._row(life.heartbeat, class_, _silence(life), alive=False)
        yield from self._silent_ghosts()

    # --- who beats ----------------------------------------------------------------------------------------------

    def _outsider(self, beat: Heartbeat) -> Row | None:
        """The row of a living process that belongs nowhere; None when it is a candidate for a place in the profile."""
        if bare(beat):
            return self._nameless(beat)
        if beat.deployment is None:
            return self._row(beat, Class.FOREIGN, "it has no Railway deployment id: started by hand or on another host")
        if self.snapshot is None:
            return self._by_its_own_word(beat)
        if beat.deployment in self.evidence.elsewhere:
            where = self.evidence.elsewhere[beat.deployment]
            return self._row(beat, Class.FOREIGN, f"its deployment lives in another environment ({where})")
        found = home(self.evidence.after, beat.deployment) or home(self.evidence.before, beat.deployment)
        if found is None:
            return self._row(beat, Class.ZOMBIE, "Railway knows no such deployment here, and yet it beats")
        name = found.service.name
        wish = self.profile.services.get(name)
        if gone(self.evidence.before, beat.deployment) and gone(self.evidence.after, beat.deployment):
            status = "stopped" if found.deployment.status == "SUCCESS" else found.deployment.status
            return self._row(beat, Class.ZOMBIE, f"Railway says its deployment is {status}, and yet it beats", name)
        if wish is None:
            return self._row(beat, Class.GHOST_SERVICE, f"the profile has no service {name!r}", name)
        if not wants(wish, self.kind):
            return self._in_the_wrong_service(beat, name)
        self.candidates.setdefault(name, []).append(beat)
        return None

    def _by_its_own_word(self, beat: Heartbeat) -> Row | None:
        wish = self.profile.services.get(beat.service or "")
        if wish is None:
            return self._row(beat, Class.GHOST_SERVICE, f"the profile has no service {beat.service!r}")
        if not wants(wish, self.kind):
            return self._in_the_wrong_service(beat, wish.name)
        self.candidates.setdefault(wish.name, []).append(beat)
        return None

    def _nameless(self, beat: Heartbeat) -> Row | None:
        """A row with only the guide's columns: it counts for its kind, wherever there is room."""
        for service in self.profile.services.values():
            taken = self.candidates.setdefault(service.name, [])
            if len(taken) < wants(service, self.kind):
                taken.append(beat)
                return None
        return self._row(beat, Class.DUPLICATE, "one more than the profile wants, and its row does not say who it is")

    def _in_the_wrong_service(self, beat: Heartbeat, name: str) -> Row:
        flag = DAEMON_FLAG if self.kind == DAEMON else WORKER_FLAG
        word = "schedule daemon" if self.kind == DAEMON else "job worker"
        why = f"{name} runs a {word} ({flag}), and the profile says that it runs none"
        return replace(self._row(beat, Class.MISCONFIGURED, why, name), unwanted=True)

    # --- which places are filled --------------------------------------------------------------------------------

    def _fill(self, service: Service, slots: int, quiet: list[Life]) -> Iterator[Row]:
        live = self.snapshot.service(service.name) if self.snapshot else None
        everyone = sorted(self.candidates.get(service.name, ()), key=self._preference)
        candidates = [beat for beat in everyone if not self._nowhere(beat)]
        for beat in everyone:
            if beat not in candidates:
                yield self._row(beat, Class.DUPLICATE, OUTSIDE, service.name)
        taken: list[Heartbeat] = []
        for beat in candidates:
            if self._same_container(beat, taken) and not self._leaving(beat):
                yield self._row(beat, Class.DUPLICATE, IN_ONE_CONTAINER, service.name)
            elif self._leaving(beat) or self._superseded(live, beat) or len(taken) == slots:
                yield self._surplus(service, live, beat, taken)
            else:
                taken.append(beat)
                yield self._at_home(service, beat)
        yield from self._empty_places(service, live, slots - len(taken), candidates, quiet)

    def _preference(self, beat: Heartbeat) -> tuple[float, bool, float]:
        """Who takes a place first: the newest deployment, in it who works before who stands by, then the eldest."""
        started = beat.started_at or _EPOCH
        return -self._deployed_at(beat).timestamp(), beat.status != "RUNNING", started.timestamp()

    def _deployed_at(self, beat: Heartbeat) -> datetime:
        found = home(self.evidence.after, beat.deployment) or home(self.evidence.before, beat.deployment)
        return found.deployment.created_at if found else _EPOCH

    def _same_container(self, beat: Heartbeat, taken: Iterable[Heartbeat]) -> bool:
        return beat.replica is not None and any(
            (other.deployment, other.replica) == (beat.deployment, beat.replica) for other in taken
        )

    def _leaving(self, beat: Heartbeat) -> bool:
        found = home(self.evidence.after, beat.deployment)
        return beat.status == "DRAINING" or (found is not None and found.deployment.status == "REMOVING")

    def _superseded(self, live: LiveService | None, beat: Heartbeat) -> bool:
        """Whether a newer deployment serves: then this process holds no place of it, however alive it is."""
        serving = [one.created_at for one in live.active if one.status == "SUCCESS"] if live else []
        return not bare(beat) and self._deployed_at(beat) < max(serving, default=_EPOCH)

    def _nowhere(self, beat: Heartbeat) -> bool:
        """Whether a beat claims a deployment and is in none of its containers: somebody copied its variables.

        Told only by what others of the same deployment say, since whether Railway's instance ids are the replica ids
        that processes see is not documented.
        """
        found = home(self.evidence.after, beat.deployment)
        if bare(beat) or found is None:
            return False
        others = [life for life in self.lives if life.heartbeat.deployment == beat.deployment]
        if beat.replica is None:
            return any(life.heartbeat.replica is not None for life in others)
        there = {instance.id for instance in found.deployment.instances if instance.live}
        named = {life.heartbeat.replica for life in others if life.pulse is not Pulse.ENDED}
        return bool(there) and beat.replica not in there and there <= named

    def _at_home(self, service: Service, beat: Heartbeat) -> Row:
        promised = promised_poll_ms(service, self.kind)
        wish = service.value("DEPLOYKIT_PROFILE")
        hung = hung_seconds(beat, None if self.kind == DAEMON else beat.poll_interval_ms or promised)
        if hung is not None:
            return self._row(
                beat, Class.SILENT, f"it beats, and its loop has not turned for {hung:.0f} s", service.name
            )
        if beat.poll_interval_ms is not None and beat.poll_interval_ms != promised:
            why = f"polls every {beat.poll_interval_ms} ms, the profile says {promised} ms"
            return self._row(beat, Class.MISCONFIGURED, why, service.name)
        if beat.profile is not None and wish is not None and beat.profile != wish:
            why = f"was deployed from profile {beat.profile!r}, not {wish!r}"
            return self._row(beat, Class.MISCONFIGURED, why, service.name)
        if beat.status == "STANDBY":
            return self._row(beat, Class.STANDBY, "alive, and leaves the lease to another", service.name)
        return self._row(beat, Class.EXPECTED, "", service.name)

    def _surplus(self, service: Service, live: LiveService | None, beat: Heartbeat, taken: list[Heartbeat]) -> Row:
        newest = max(map(self._deployed_at, taken), default=_EPOCH)
        older = self._deployed_at(beat) < newest or self._superseded(live, beat)
        if self._leaving(beat) and not self._overstays(service, taken):
            return self._row(beat, Class.DRAINING, "it is on its way out", service.name)
        read_at = self.snapshot.read_at if self.snapshot else None
        if older and not self._leaving(beat) and leaving(self.profile, live, read_at, self.starting_seconds):
            return self._row(beat, Class.DRAINING, "its successor is young; it should leave soon", service.name)
        why = OLDER if older else "one more than the profile wants here"
        return self._row(beat, Class.DUPLICATE, why, service.name)

    def _overstays(self, service: Service, taken: list[Heartbeat]) -> bool:
        """Whether who is leaving should be gone, counted from when its successor registered: until it was healthy, then
        overlap and draining.
        """
        began = max((beat.started_at for beat in taken if beat.started_at), default=None)
        if began is None:
            return False
        healthy = (service.healthcheck_timeout_seconds or HEALTHCHECK_SECONDS) if service.healthcheck else 0
        grace = healthy + (service.overlap_seconds or 0) + (service.draining_seconds or 0) + self.starting_seconds
        return (self.evidence.samples[-1].at - began).total_seconds() > grace

    # --- which stay empty ---------------------------------------------------------------------------------------

    def _empty_places(
        self, service: Service, live: LiveService | None, empty: int, beats: list[Heartbeat], quiet: list[Life]
    ) -> Iterator[Row]:
        if empty <= 0:
            return
        read_at = self.snapshot.read_at if self.snapshot else None
        young = starting(live, read_at, self.starting_seconds)
        for deployment, instance in _running(live, beats):
            if empty == 0:
                return
            if "REMOVING" in (deployment.status, instance.status):
                continue
            empty -= 1
            yield self._without_a_beat(service, deployment, instance, quiet, young)
        for _ in range(empty):
            if self.snapshot is None:
                yield self._not_seen(service, quiet)
            else:
                why = "a rollout is under way" if young else "no process of it runs on Railway"
                yield Row(self.kind, Class.MISSING, service.name, why=why, starting=young)

    def _without_a_beat(
        self, service: Service, deployment: LiveDeployment, instance: Instance, quiet: list[Life], young: bool
    ) -> Row:
        """An instance runs, and nobody in it beats."""
        place = Row(self.kind, Class.SILENT, service.name, deployment.id, instance.id)
        if instance.status != "RUNNING":
            soon = young or instance.status in _BEGINNING
            return replace(place, class_=Class.MISSING, why=f"its instance is {instance.status}", starting=soon)
        if self.evidence.problem("database") is not None or len(self.evidence.samples) < 2:
            return replace(place, class_=Class.UNKNOWN, why="it runs on Railway; its heartbeats could not be read")
        row = _take(quiet, deployment.id, instance.id)
        if row is not None:
            seen = replace(self._row(row.heartbeat, Class.SILENT, "", service.name, alive=False), replica=instance.id)
            if row.pulse is Pulse.UNDECIDED or self._fresh_enough(service, row.heartbeat):
                return replace(seen, class_=Class.UNKNOWN, why="its row is fresh, but was not seen to advance")
            return replace(seen, why=f"its container runs on Railway, and {_silence(row)}")
        nobody = "it runs on Railway, and has never beaten into this database"
        return replace(place, why=nobody, starting=young)

    def _not_seen(self, service: Service, quiet: list[Life]) -> Row:
        for number, life in enumerate(quiet):
            if life.heartbeat.service == service.name and life.pulse is not Pulse.ENDED:
                del quiet[number]
                return self._row(life.heartbeat, Class.SILENT, "its heartbeat stands still", service.name, alive=False)
        if self.evidence.problem("database") is not None or len(self.evidence.samples) < 2:
            return Row(self.kind, Class.UNKNOWN, service.name, why="neither Railway nor the job tables could be read")
        return Row(self.kind, Class.MISSING, service.name, why="nobody beats for it")

    def _fresh_enough(self, service: Service, beat: Heartbeat) -> bool:
        """A table without beat intervals: a process may beat once per poll, and then an hour is no silence."""
        patience = promised_poll_ms(service, self.kind) / 1000 * 1.5 + 60
        age = beat.seconds_ago
        return beat.heartbeat_interval_ms is None and age is not None and age < patience

    def _silent_ghosts(self) -> Iterator[Row]:
        """Services outside the profile whose deployed flags run this kind, though nobody of them beats here.

        One that sleeps is among them: the next packet wakes it.
        """
        flag = DAEMON_FLAG if self.kind == DAEMON else WORKER_FLAG
        known = {life.heartbeat.deployment for life in self.lives if life.pulse is Pulse.ALIVE}
        for service in self.snapshot.services if self.snapshot else ():
            if service.name in self.profile.services or service.name == _database(self.profile):
                continue
            for deployment in service.deployments:
                asleep = deployment.status == "SLEEPING"
                if deployment.id in known or not (asleep or deployment.possibly is Possibly.RUNNING):
                    continue
                if _enabled(service, deployment, flag) or _same_start(self.profile, service, self.kind):
                    does = "sleeps, and wakes" if asleep else "runs"
                    why = f"the profile has no service {service.name!r}, and it {does} with {flag} or the same command"
                    replica = deployment.instances[0].id if deployment.instances else None
                    where = (service.name, deployment.id, replica)
                    yield Row(self.kind, Class.GHOST_SERVICE, *where, why=why, alive=not asleep)

    def _row(self, beat: Heartbeat, class_: Class, why: str, service: str | None = None, *, alive: bool = True) -> Row:
        return Row(
            kind=self.kind,
            class_=class_,
            service=service or beat.service,
            deployment=beat.deployment,
            replica=beat.replica,
            worker_id=beat.worker_id,
            last_heartbeat_seconds_ago=beat.seconds_ago,
            poll_interval_ms=beat.poll_interval_ms,
            heartbeat_interval_ms=round(beat_seconds(beat) * 1000) if not bare(beat) else None,
            status=beat.status,
            hostname=beat.hostname,
            pid=beat.pid,
            why=why,
            alive=alive,
        )


def _web(profile: Profile, evidence: Evidence, starting_seconds: float) -> Iterator[Row]:
    """Web processes leave no heartbeat of their own: the platform's instances are all there is to count."""
    snapshot = evidence.snapshot
    for service in profile.services.values():
        if service.role != "web":
            continue
        live = snapshot.service(service.name) if snapshot else None
        if snapshot is None:
            for _ in range(service.total_replicas):
                yield Row(WEB, Class.UNKNOWN, service.name, why="Railway could not be asked")
            continue
        running = list(_running(live, ()))
        young = starting(live, snapshot.read_at, starting_seconds)
        rolling = leaving(profile, live, snapshot.read_at, starting_seconds)
        newest = running[0][0].id if running else None
        filled = 0
        asleep = next((one for one in live.active if one.status == "SLEEPING"), None) if live else None
        if asleep is not None and service.sleep and not running:
            filled = service.total_replicas
            place = Row(WEB, Class.EXPECTED, service.name, asleep.id, why="asleep until the next request")
            yield from [place] * filled
        for deployment, instance in running:
            place = Row(WEB, Class.EXPECTED, service.name, deployment.id, instance.id, alive=True)
            if deployment.status == "REMOVING" or instance.status == "REMOVING":
                yield replace(place, class_=Class.DRAINING, why="it is on its way out")
            elif instance.status != "RUNNING":
                continue
            elif deployment.id == newest and filled < service.total_replicas:
                filled += 1
                yield place
            elif deployment.id != newest and rolling:
                yield replace(place, class_=Class.DRAINING, why="its successor is young; it should leave soon")
            else:
                older = deployment.id != newest
                why = OLDER if older else "one more than the profile wants here"
                yield replace(place, class_=Class.DUPLICATE, why=why)
        for _ in range(service.total_replicas - filled):
            why = "a rollout is under way" if young else "no process of it runs on Railway"
            yield Row(WEB, Class.MISSING, service.name, why=why, starting=young)


def _running(live: LiveService | None, beats: Iterable[Heartbeat]) -> Iterator[tuple[LiveDeployment, Instance]]:
    """Live instances that none of these heartbeats accounts for, of the newest deployment first."""
    beats = list(beats)
    for deployment in sorted(live.deployments if live else (), key=lambda d: d.created_at, reverse=True):
        here = [beat for beat in beats if beat.deployment == deployment.id]
        instances = [instance for instance in deployment.instances if instance.live]
        named = {beat.replica for beat in here} & {instance.id for instance in instances}
        # Whether a replica id is Railway's instance id is not documented: who does not match by name matches by count.
        by_count = sum(beat.replica not in named for beat in here) + sum(beat.deployment is None for beat in beats)
        for instance in instances:
            if instance.id in named:
                continue
            if by_count:
                by_count -= 1
                continue
            yield deployment, instance


def _take(quiet: list[Life], deployment: str, replica: str) -> Life | None:
    """The row that the process of that instance left, taken out of the list: one that claims to run before one that
    ended, since a process that stopped beating is soon declared dead by the others. Nameless rows fit any instance.
    """

    def fit(life: Life) -> int:
        beat, ended = life.heartbeat, life.pulse is Pulse.ENDED
        if (beat.deployment, beat.replica) == (deployment, replica):
            return 2 if ended else 4
        same = beat.deployment == deployment or bare(beat)
        return 3 if same and not ended else 1 if beat.deployment == deployment else 0

    best = max(quiet, key=fit, default=None)
    if best is None or fit(best) == 0:
        return None
    quiet.remove(best)
    return best


def _silence(life: Life) -> str:
    """Why a row is no sign of life."""
    if life.pulse is Pulse.UNDECIDED:
        return "it was watched for too short a time to tell"
    if life.pulse is Pulse.FROZEN:
        return "its beat did not advance while we watched"
    return "it said goodbye" if life.heartbeat.status == "STOPPED" else "it was declared dead"


def _enabled(service: LiveService, deployment: LiveDeployment, flag: str) -> bool:
    if deployment.variables is not None:
        value = deployment.variables.get(flag)
    else:
        variable = service.variables.get(flag)
        value = variable.value if variable else None
    # Whose code it is nobody knows; that of the guide starts a daemon unless it is told "false".
    return value is not None and (may_be_on(value) if flag == DAEMON_FLAG else value == "true")


def _same_start(profile: Profile, service: LiveService, kind: str) -> bool:
    """Whether a stranger runs the very command that the profile uses for a process of this kind alone."""
    role = "daemon" if kind == DAEMON else "worker"
    commands = {wish.start for wish in profile.services.values() if wish.role == role and wish.start}
    flag = service.variables.get(DAEMON_FLAG if kind == DAEMON else WORKER_FLAG)
    return service.start_command in commands and not (flag is not None and flag.value == "false")


def _database(profile: Profile) -> str | None:
    return profile.database.service if profile.database else None


def _order(row: Row) -> tuple[int, int, str, str, str]:
    return (_RANK[row.class_], KINDS.index(row.kind), row.service or "~", row.deployment or "", row.worker_id or "")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANK = {class_: number for number, class_ in enumerate(Class)}
