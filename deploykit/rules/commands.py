"""DK6: commands and builds. What a start command really starts, and whether SIGTERM reaches it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Severity
from deploykit.rules._examples import swap
from deploykit.rules._names import DAEMON_FLAG
from deploykit.rules._rule import Report, rule
from deploykit.rules._system import ServiceView, System, related
from deploykit.rules.ghosts import bare, same_process

_DAEMON = re.compile(
    r"daemon:schedul|schedule[-_:]?daemon|scheduleDaemon|\bschedule[rd]?:(?:daemon|start)\b|-m runtime daemon\b|daemon:start|\bstart:daemon\b|[/ ]daemon\.(?:js|ts|mjs|cjs|py)\b"
)
_WORKER = re.compile(
    r"worker:jobs?|job[-_:]?worker|jobWorker|-m runtime worker\b|\bworker:start\b|\bstart:worker\b|[/ ]worker\.(?:js|ts|mjs|cjs|py)\b"
)


@rule(
    "DK601",
    Severity.ERROR,
    on="system",
    cure="Make command, role and flag say the same.",
    bad=[
        swap("SCHEDULE_DAEMON_ENABLED: true", "SCHEDULE_DAEMON_ENABLED: false"),
        swap("start: cd backend && exec node dist/scheduleDaemon.js", "start: node backend/dist/index.js"),
    ],
    good=[swap("start: cd backend && exec node dist/scheduleDaemon.js", "start: cd backend && pnpm daemon:schedules")],
)
def command_against_the_role(system: System) -> Iterator[Report]:
    """The flag says one thing and the command another: the daemon refuses to start, or a second web server runs unseen."""
    for service in system.services.values():
        if not service.start or service.role not in ("web", "daemon", "worker"):
            continue
        problem = _contradiction(system, service)
        if problem:
            yield problem


def _contradiction(system: System, service: ServiceView) -> Report | None:
    is_daemon, is_worker = bool(_DAEMON.search(service.start)), bool(_WORKER.search(service.start))
    at = service.at("start")
    if service.role == "daemon":
        if service.flag(DAEMON_FLAG) is False:
            value = service.env[DAEMON_FLAG]
            return Report(
                value.place,
                f"`{service.name}` starts the schedule daemon, and {DAEMON_FLAG} is {value.text}: it refuses to start",
                f"set {DAEMON_FLAG} to true, or remove the service",
                service.name,
                DAEMON_FLAG,
                (related(service, at, "the start command of `{service}`"),),
            )
        web = next((s for s in system.services.values() if s.role == "web" and same_process(s, service)), None)
        if web is not None and not is_daemon:
            return _runs(service, f"the command of the web service `{web.name}`", "the daemon's own command", web)
        if is_worker and not is_daemon:
            return _runs(service, "a job worker", "the daemon's command")
        return None
    if is_daemon and not is_worker:
        return _runs(service, "the schedule daemon", f"the command of a {service.role} service")
    web = next(
        (s for s in system.services.values() if s.role == "web" and s is not service and same_process(s, service)), None
    )
    if service.role == "worker" and web is not None and not is_worker:
        return _runs(service, f"the command of the web service `{web.name}`", "the worker's own command", web)
    if service.role == "web" and is_worker and bare(service.start):
        return _runs(service, "a job worker", "the web server's command")
    return None


def _runs(service: ServiceView, what: str, wanted: str, other: ServiceView | None = None) -> Report:
    return Report(
        service.at("start"),
        f"`{service.name}` has the role {service.role}, but starts {what}",
        f"write {wanted}, or correct the role",
        service.name,
        related=(related(other, other.at("start"), "`{service}` starts it too"),) if other else (),
    )
