"""Who lives: daemons, workers, web processes, others, their beats and polls, and who holds the lease. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deploykit.profile.schema import Service
from deploykit.verification.census import DAEMON, WEB, WORKER, Class, promised_poll_ms
from deploykit.verification.checks.case import Case, Check, Verdict, deployed, word
from deploykit.verification.liveness import DEFAULT_BEAT_SECONDS, LEASE_BEATS, beat_seconds
from runtime.heartbeats import Heartbeat

RESTARTS_ALARM = 3
RESTARTS_WITHIN_SECONDS = 600.0
LEASE_SURELY_SECONDS = 60.0
"""Beyond the longest lease that a daemon asks for nobody can have it for good reasons."""
_GHOST_HINT = "deploykit ghosts shows each with its evidence; deploykit ghosts --kill ends them the right way"


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
    if standing_by:
        summary += f", {len(standing_by)} standing by"
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
        told = "; ".join(f"{row.class_} {word(row.kind)}{_at(row.service)}: {row.why}" for row in ghosts)
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
            wrong.append(f"{row.service}'s {word(row.kind)} {row.why}")
        elif row.poll_interval_ms == promised:
            right.append(f"{word(row.kind)} {promised} ms")
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
    elif holder is None and lease_is_stuck(case):
        summary = f"nobody who beats holds the lease, and nobody can take it for {lease.expires_in_seconds:.0f} s"
        yield Check("lease", Verdict.FAIL, summary, "deploykit doctor brings the cure", facts)
    elif holder is None:
        seconds = f"{lease.expires_in_seconds:.0f} s"
        summary = f"the lease belongs to a process that no longer beats; it is free in {seconds}"
        # The next daemon takes over by itself; if there is none, the daemon's own check fails.
        yield Check("lease", Verdict.INCONCLUSIVE, summary, "deploykit verify --wait 2m", facts)
    else:
        summary = f"held by {holder.service}, token {lease.token}"
        yield Check("lease", Verdict.PASS, summary, "", facts)


def _at(service: str | None) -> str:
    return f" in {service}" if service else ""


def lease_is_stuck(case: Case) -> bool:
    """Whether the lease lasts for longer than any daemon that left a row would have asked for it."""
    lease, samples = case.evidence.lease, case.evidence.samples
    beats = [beat_seconds(beat) for beat in samples[-1].heartbeats if beat.kind == DAEMON] if samples else []
    longest = LEASE_BEATS * max(beats, default=DEFAULT_BEAT_SECONDS) + LEASE_SURELY_SECONDS
    return lease is not None and lease.holder_id is not None and lease.expires_in_seconds > longest


def falls(case: Case, service: Service) -> list[Heartbeat]:
    """Processes of the newest deployment that began a short while ago and ended without a goodbye."""
    deployment, samples = case.current(service), case.evidence.samples
    if deployment is None or not samples:
        return []
    since = samples[-1].at - timedelta(seconds=RESTARTS_WITHIN_SECONDS)
    return [
        beat
        for beat in samples[-1].heartbeats
        if beat.deployment == deployment.id
        and beat.status == "DEAD"
        and beat.started_at is not None
        and beat.started_at > since
    ]


def falls_often(case: Case, service: Service) -> bool:
    """Whether it fell more often than one mishap explains: each replica three times."""
    return len(falls(case, service)) >= RESTARTS_ALARM * max(1, service.total_replicas)


def _restarts(case: Case) -> Iterator[Check]:
    for service in deployed(case.profile):
        if falls_often(case, service):
            seconds = f"{RESTARTS_WITHIN_SECONDS:.0f} s"
            summary = f"{service.name} fell {len(falls(case, service))} times within {seconds}, and was started again"
            hint = f"railway logs --service {service.name}"
            yield Check(f"restarts:{service.name}", Verdict.FAIL, summary, hint)


CHECKS = (_daemons, _workers, _web_processes, _others, _heartbeats, _polls, _restarts, _lease)
