"""What the runbook of a profile needs to say: its own names, numbers and log lines in the guide's checklists. Pure."""

from __future__ import annotations

import shlex
from typing import Any

from deploykit.planning.connections import RESERVE, connections, peak
from deploykit.profile.schema import DEFAULT_POOL_SIZE, POOL_SIZE, Profile, Secret
from deploykit.verification import log_lines
from deploykit.verification.census import DAEMON, promised_poll_ms
from deploykit.verification.checks.tables import MAX_OLDEST_QUEUED_SECONDS, MAX_QUEUED_JOBS
from deploykit.verification.processes import boxes, databases, spoken


def runbook(profile: Profile) -> dict[str, Any]:
    """The values of ``RUNBOOK.md.j2``."""
    services = [box.service for box in boxes(profile)]
    daemons = [service.name for service in profile.daemons]
    workers = [service for service in profile.workers if service.role != "database"]
    queued, oldest = profile.expect.max_queued_jobs, profile.expect.max_oldest_queued_seconds
    return {
        "boxes": boxes(profile),
        "databases": databases(profile),
        "services": len(services) + len(databases(profile)),
        "secrets": {
            service.name: [name for name, value in service.env.items() if isinstance(value, Secret)]
            for service in services
        },
        "logs": [
            {"service": service.name, "phrases": log_lines.expected(service)}
            for service in services
            if log_lines.expected(service)
        ],
        "daemons": profile.expect.schedule_daemon,
        "workers": profile.expected_workers,
        "daemon_names": daemons,
        "not_daemons": [service.name for service in services if service.is_app and service.name not in daemons],
        "worker_names": [service.name for service in workers],
        "embedded_names": [service.name for service in workers if service.role == "web"],
        "daemon_period": spoken(promised_poll_ms(profile.daemons[0], DAEMON)) if daemons else None,
        "max_queued": MAX_QUEUED_JOBS if queued is None else queued,
        "max_oldest": spoken_seconds(MAX_OLDEST_QUEUED_SECONDS if oldest is None else oldest),
        "connections": connections(profile),
        "reserve": RESERVE,
        "pools": [
            (service.name, service.total_replicas, service.value(POOL_SIZE) or DEFAULT_POOL_SIZE)
            for service in services
            if peak(service)
        ],
        "default_pool": DEFAULT_POOL_SIZE,
        "commands": commands,
        "lines_of": lines_of,
    }


def spoken_seconds(seconds: int) -> str:
    """A duration with its number: ``1 hour``, ``90 seconds``."""
    words = spoken(seconds * 1000) if seconds else "0 seconds"
    return words if words[0].isdigit() else f"1 {words}"


def commands(start: str, services: list[str]) -> str:
    """The same command for each service, one a line."""
    return "\n".join(f"{start} {shlex.quote(service)}" for service in services)


def lines_of(phrase: str, services: list[str]) -> str:
    """Commands that show the lines of each service's log which hold ``phrase``."""
    return "\n".join(f"railway logs --service {shlex.quote(name)} | grep {shlex.quote(phrase)}" for name in services)
