"""Apply: observe, decide, act, until done. Never more than one step ahead of what is seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import runtime.db
from deploykit.commands.plan import Report, check_environment, found_changes
from deploykit.errors import (
    ConfigurationError,
    DeploykitError,
    PartialApplyError,
    RateLimitedError,
    StalePlanError,
    UnreachableError,
)
from deploykit.planning import plan as paper
from deploykit.planning.change import Change, change_set
from deploykit.planning.decide import Adjust, Blocked, Configure, Decision, Delete, Deploy, Done, Stop, Wait, decide
from deploykit.planning.diff import Values, deletion, missing_secrets
from deploykit.planning.graph import volume_name
from deploykit.planning.snapshot import LiveService, Snapshot
from deploykit.planning.view import lags, observation, target
from deploykit.profile.schema import Profile
from deploykit.railway import execute, snapshot as reading
from deploykit.railway.answers import BusyError, OutcomeUnknownError, RefusedError, said, understood
from deploykit.railway.client import LONGEST_PAUSE_SECONDS, Railway
from runtime import heartbeats
from runtime.db import DatabaseError, MissingTable

PATIENCE_SECONDS = 900.0
"""How long one wait may last: a build, a health check (300 s by default) and draining."""
STALLED_SECONDS = 60.0
"""How long Railway may take to follow a new number of replicas before the service is deployed anew."""
MOST_RETRIES = 5
MOST_TIMES = 3
"""How often one apply does the same: more means that something else undoes it, and going on would cost money."""
POLL_SECONDS = 3.0
"""Between two looks at Railway: a ten-minute deploy costs 200 of a Hobby plan's 1,000 requests an hour."""
NEARBY_POLL_SECONDS = 0.25
_DEAD = ("FAILED", "CRASHED", "SKIPPED")


class InterruptedApplyError(KeyboardInterrupt):
    """The operator asked to stop; the step in flight was finished."""


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What apply did: the actions in order, what is left for a person to do, and what is live now."""

    profile: str
    actions: tuple[str, ...]
    notes: tuple[str, ...]
    live: Snapshot
    api_requests: int
    seconds: float
    heartbeats_read: bool


@dataclass(slots=True)
class _Run:
    """One apply."""

    profile: Profile
    railway: Railway
    reviewed: Mapping[str, str]
    key: bytes
    secret: Values
    remove: frozenset[str]
    database_url: str | None
    report: Report
    stopping: Callable[[], bool]
    begun: Callable[[], None]
    sleep: Callable[[float], None]
    actions: list[str] = field(default_factory=list)
    under_way: str = ""
    """What of the step in flight was done or taken on by Railway already; empty before, and once all of it was."""
    notes: list[str] = field(default_factory=list)
    known: reading.Snapshots = field(default_factory=dict)
    touched: dict[str, set[str]] = field(default_factory=dict)
    previewed: tuple[str, list[Change]] | None = None
    lagging: dict[str, float] = field(default_factory=dict)
    retries: int = 0
    refused: set[Adjust] = field(default_factory=set)
    beats: list[heartbeats.Heartbeat] | None = None


def apply(
    profile: Profile,
    railway: Railway,
    *,
    reviewed: Mapping[str, str],
    key: bytes,
    secret: Values = lambda service, variable: None,
    remove: Iterable[str] = (),
    database_url: str | None = None,
    report: Report = lambda text: None,
    stopping: Callable[[], bool] = lambda: False,
    begun: Callable[[], None] = lambda: None,
    patience_seconds: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> ApplyResult:
    """Bring the environment to ``profile`` and wait until it is healthy.

    ``reviewed`` are the keyed fingerprints of what the operator saw: whatever moved since, other than towards the
    target, stops the run with StalePlanError. ``begun`` is called before anything is done, and never when there is
    nothing to do. Raises PartialApplyError once something was done and the rest cannot be.
    """
    started = time.monotonic()
    run = _Run(profile, railway, reviewed, key, secret, frozenset(remove), database_url, report, stopping, begun, sleep)
    try:
        live = _until_done(run, patience_seconds)
    except (StalePlanError, KeyboardInterrupt):
        raise
    except DeploykitError as error:
        done = "; ".join([*run.actions, *filter(None, [run.under_way])])
        if not done:
            raise
        raise PartialApplyError(
            f"{error.message} — done so far: {done}", where=error.where, hint=error.hint or "run the same command again"
        ) from error
    seconds = time.monotonic() - started
    return ApplyResult(
        profile.name, tuple(run.actions), tuple(run.notes), live, railway.requests, seconds, run.beats is not None
    )


def _until_done(run: _Run, patience_seconds: float) -> Snapshot:
    goal = target(run.profile, run.remove)
    waiting: tuple[str, float] | None = None
    pause = _poll_seconds(run.railway)
    while True:
        live = reading.read(run.railway, run.known)
        check_environment(run.profile, live)
        changes = _changes(run, live)
        _check_drift(run, live, changes)
        now = observation(run.profile, live, changes, _beats(run), _failed(run, live), _stalled(run, live))
        decision = decide(now, goal)
        if isinstance(decision, Done):
            return live
        if isinstance(decision, Blocked):
            raise DeploykitError(decision.why, where=decision.service, hint=decision.cure)
        if run.stopping():
            raise InterruptedApplyError
        if isinstance(decision, Wait):
            words = f"{decision.service}: {decision.why}" if decision.service else decision.why
            if waiting is None or waiting[0] != words:
                run.report(words)
                waiting = (words, time.monotonic())
            elif time.monotonic() - waiting[1] > patience_seconds:
                raise UnreachableError(f"gave up after {patience_seconds:.0f} s: {words}", hint=_stuck_hint(decision))
            run.sleep(pause)
            continue
        waiting = None
        _act(run, decision, live, changes)


def _poll_seconds(railway: Railway) -> float:
    return NEARBY_POLL_SECONDS if urlsplit(railway.endpoint).scheme == "http" else POLL_SECONDS


def _stuck_hint(wait: Wait) -> str:
    return f"deploykit doctor tells why; railway logs --service {wait.service} shows its last words"


def _changes(run: _Run, live: Snapshot) -> list[Change]:
    """What still differs. Railway is asked about phantoms once per state of its configuration."""
    if run.previewed is None or run.previewed[0] != live.etag:
        if not run.actions:
            missing = missing_secrets(run.profile, live, run.secret)
            if missing:
                names = ", ".join(f"{service}.{name}" for service, name in missing)
                raise ConfigurationError(
                    f"Railway has no value for {names}; nothing was changed",
                    hint=f"export {missing[0][1]}=… and pass --secret-from-env {missing[0][1]}, or set it on Railway",
                )
        run.previewed = (live.etag, found_changes(run.profile, run.railway, live, run.secret))
    return run.previewed[1]


def _check_drift(run: _Run, live: Snapshot, changes: list[Change]) -> None:
    """Everything is as it was reviewed, or already as it is wanted. Raises StalePlanError."""
    differing = {change.service for change in changes if change.wire}
    wanted = {one.name for one in target(run.profile).services}
    prints = paper.drift(run.key, live)
    moved = {
        name: "changed" if name in run.reviewed else "new"
        for name, print_ in prints.items()
        if run.reviewed.get(name) != print_ and not (name in wanted and name not in differing)
    }
    moved |= {name: "deleted" for name in run.reviewed if name not in prints and name not in run.remove}
    if moved:
        authors = _authors(run, live)
        told = [f"{name or 'shared variables'} ({how}{authors.get(name, '')})" for name, how in sorted(moved.items())]
        raise StalePlanError(
            f"moved since the plan was reviewed: {', '.join(told)}",
            hint="run `deploykit plan` again and look at the difference",
        )


def _authors(run: _Run, live: Snapshot) -> dict[str, str]:
    """Who committed last to each service, in words; empty where Railway does not tell (variables set one by one)."""
    with suppress(DeploykitError), understood(run.railway.endpoint):
        answer = run.railway.run("RecentPatches", environmentId=run.railway.environment_id)
        patches = reading.commits(answer, live)
        return {name: said(words, tuple(run.railway.secrets)) for name, words in patches.items()}
    return {}


def _beats(run: _Run) -> list[heartbeats.Heartbeat] | None:
    """Heartbeat rows, None when they were never read. A database that is away for a moment stops no heart.

    So what was seen last counts until there is another look: a heart that beat then holds everything back.
    """
    if run.database_url:
        with suppress(DatabaseError):
            run.beats = _read_beats(run.database_url)
    return run.beats


def _read_beats(url: str) -> list[heartbeats.Heartbeat]:
    """Heartbeat rows; no tables yet means that nothing ever beat. Raises DatabaseError."""
    database = runtime.db.connect(url, connect_timeout_seconds=3.0)
    try:
        return heartbeats.read(database)
    except MissingTable:
        return []
    finally:
        with suppress(DatabaseError):
            database.close()


def _failed(run: _Run, live: Snapshot) -> dict[str, str]:
    """Deployments of this run that did not start."""
    failed = {}
    for name, before in run.touched.items():
        service = live.service(name)
        newest = service.deployments[0] if service and service.deployments else None
        if newest is None or newest.id in before:
            continue
        if newest.stopped and _ends_by_itself(run.profile, name):
            continue  # a run of its schedule came and went, well or badly, while we waited for others
        if newest.status in _DEAD:
            failed[name] = f"the new deployment of {name} is {newest.status}{_last_words(run, newest.id)}"
        elif newest.status == "SUCCESS" and newest.stopped:
            failed[name] = f"the process of {name} ended by itself with status 0: a service must keep running"
    return failed


def _ends_by_itself(profile: Profile, name: str) -> bool:
    service = profile.services.get(name)
    return service is not None and service.cron is not None


def _stalled(run: _Run, live: Snapshot) -> set[str]:
    """Services that have had another number of replicas than is configured for longer than it takes to start them."""
    moment = time.monotonic()
    lagging = {one.name for one in live.services if any(lags(one, deployment) for deployment in one.deployments)}
    run.lagging = {name: run.lagging.get(name, moment) for name in lagging}
    return {name for name, since in run.lagging.items() if moment - since > STALLED_SECONDS}


def _last_words(run: _Run, deployment: str) -> str:
    lines: list[str] = []
    for operation, field_name in (("Logs", "deploymentLogs"), ("BuildLogs", "buildLogs")):
        with suppress(DeploykitError), understood(run.railway.endpoint):
            answer = run.railway.run(operation, deploymentId=deployment, limit=5)
            lines = [str(line["message"]).strip() for line in answer[field_name]][-3:]
        if lines:
            break
    return ": " + said(" | ".join(lines), tuple(run.railway.secrets)) if lines else ""


def _act(run: _Run, decision: Decision, live: Snapshot, changes: list[Change]) -> None:
    words = _words(decision)
    run.begun()
    run.report(words)
    try:
        _send(run, decision, live, changes)
    except execute.ChangeSetFailedError as error:
        run.under_way = f"{words} (in part: {', '.join(error.applied)})" if error.applied else ""
        raise
    except (OutcomeUnknownError, StalePlanError, RefusedError, RateLimitedError) as error:
        if isinstance(error, RefusedError) and not isinstance(error, BusyError) and not _first_refusal(run, decision):
            raise
        _look_again(run, error)
        if isinstance(error, OutcomeUnknownError):
            run.actions.append(f"{words} (answer lost)")
        elif run.under_way:
            run.actions.append(run.under_way)
        run.under_way = ""
        return
    run.actions.append(words)
    run.under_way = ""


def _look_again(run: _Run, error: DeploykitError) -> None:
    """Pause before the next look, where it is seen whether it happened and what moved.

    Raises ``error`` when it was looked often enough, or Railway asks for a longer pause than is worth waiting for.
    """
    run.retries += 1
    pause = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
    if run.retries > MOST_RETRIES or (pause is not None and pause > LONGEST_PAUSE_SECONDS):
        raise error
    run.report(f"{error.message}; looking again")
    run.previewed = None
    run.sleep(min(5.0, 0.2 * 2**run.retries) if pause is None else pause)


def _first_refusal(run: _Run, decision: Decision) -> bool:
    """Whether a refusal may mean that it is done already: a proxy that sends twice is told no the second time."""
    if not isinstance(decision, Adjust) or decision in run.refused:
        return False
    run.refused.add(decision)
    return True


def _send(run: _Run, decision: Decision, live: Snapshot, changes: list[Change]) -> None:
    def accepted() -> None:
        run.under_way = f"{_words(decision)} (not seen to its end)"

    match decision:
        case Configure(names, _):
            what = ", ".join(names)
            _check_progress(run, f"configure {what}:", f"{what}: configured, and Railway still stores something else")
            for name in names:
                run.touched[name] = _ids(live.service(name))
            wanted = {*names, *_volumes(run.profile, names)}
            chosen = [change for change in changes if change.service in wanted]
            execute.apply_change_set(run.railway, change_set(chosen), live.etag, run.sleep, accepted)
        case Deploy(name, _):
            service = _service(live, name)
            _check_progress(run, f"deploy {name}:", f"{name} was deployed and does not run what is configured")
            run.touched[name] = _ids(service)
            execute.deploy(run.railway, service.id)
        case Stop(_, deployment, _):
            execute.remove_deployment(run.railway, deployment)
        case Adjust(name, kind, _):
            service = _service(live, name)
            for change in changes:
                if change.service == name and change.kind == kind:
                    todo = execute.adjust(run.railway, service.id, change)
                    accepted()
                    if todo:
                        run.report(todo)
                        run.notes.append(todo)
            run.previewed = None
        case Delete(name, _):
            deletions = change_set([deletion(name, f"service.{name}")])
            execute.apply_change_set(run.railway, deletions, live.etag, run.sleep, accepted)


def _volumes(profile: Profile, names: Iterable[str]) -> set[str]:
    return {volume_name(profile.services[name]) for name in names if name in profile.services}


def _check_progress(run: _Run, action: str, otherwise: str) -> None:
    """Raises DeploykitError for an action that was done before and did not help."""
    if sum(done.startswith(action) for done in run.actions) >= MOST_TIMES:
        raise DeploykitError(
            f"{otherwise}, {MOST_TIMES} times now", hint="deploykit doctor tells why; report this if it finds nothing"
        )


def _ids(service: LiveService | None) -> set[str]:
    return {one.id for one in service.deployments} if service else set()


def _service(live: Snapshot, name: str) -> LiveService:
    service = live.service(name)
    if service is None:
        raise StalePlanError(f"service {name} is gone", hint="plan again")
    return service


def _words(decision: Decision) -> str:
    match decision:
        case Configure(names, why):
            return f"configure {', '.join(names)}: {why}"
        case Deploy(name, why):
            return f"deploy {name}: {why}"
        case Stop(name, _, why):
            return f"stop {name}: {why}"
        case Adjust(name, kind, why):
            return f"{paper.ADJUSTMENTS[kind]} {name}: {why}"
        case Delete(name, why):
            return f"delete {name}: {why}"
    return str(decision)
