"""DK5: the database. How many connections a deploy takes at its peak, and where they lead."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Severity
from deploykit.rules._examples import swap
from deploykit.rules._names import (
    DATABASE_URL,
    DEFAULT_MAX_CONNECTIONS,
    DEFAULT_POOL_SIZE,
    POOL_SIZE,
    RESERVED_CONNECTIONS,
)
from deploykit.rules._rule import Report, rule
from deploykit.rules._system import ServiceView, System, related

_URL_LIMIT = re.compile(r"[?&](?:connection_limit|connectionLimit|pool_size|max_connections)=([0-9]{1,6})\b")


def pool_of(service: ServiceView) -> int | None:
    """Connections one process may hold; None when the service has no pool at all."""
    if not (service.is_app or POOL_SIZE in service.env or DATABASE_URL in service.env) or service.role == "database":
        return None
    size = service.pool_size
    if size is None:
        match = _URL_LIMIT.search(service.text(DATABASE_URL) or "")
        size = int(match.group(1)) if match else None
    return DEFAULT_POOL_SIZE if size is None else size


def peak_of(service: ServiceView) -> int:
    """Connections a service may hold during a deploy, when old and new copies both run."""
    pool = pool_of(service) or 0
    exclusive = service.role == "daemon" and service.get("guard") in ("volume", "recreate")
    return pool * service.total_replicas * (1 if exclusive else 2)


@rule(
    "DK501",
    Severity.ERROR,
    on="system",
    cure="Lower DATABASE_CONNECTION_LIMIT or the replicas, or raise max_connections on the server and in the profile.",
    bad=[
        swap(
            "replicas: 1",
            "replicas: 8",
            "DATABASE_CONNECTION_LIMIT: 5",
            "DATABASE_CONNECTION_LIMIT: 10",
            "  max_connections: 151",
            "  max_connections: 151\nexpect: {job_worker: 8}",
        )
    ],
    good=[swap("DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: 20")],
    kinds=("profile",),
)
def connections_above_the_limit(system: System) -> Iterator[Report]:
    """During a deploy the old and the new copy hold their pools at once: twice pool × replicas, in every service."""
    limit = system.get("database.max_connections", DEFAULT_MAX_CONNECTIONS)
    if not isinstance(limit, int) or isinstance(limit, bool):
        return
    pooled = [service for service in system.services.values() if pool_of(service) is not None]
    peak = sum(peak_of(service) for service in pooled) + RESERVED_CONNECTIONS
    if peak <= limit:
        return
    largest = max(pooled, key=peak_of)
    terms = " + ".join(_term(service) for service in pooled)
    yield Report(
        _place(largest),
        f"a deploy takes up to {peak} connections ({terms} + {RESERVED_CONNECTIONS} reserved); the database allows {limit}",
        f"lower {POOL_SIZE} or replicas in `{largest.name}`, or raise max_connections",
        largest.name,
        POOL_SIZE if POOL_SIZE in largest.env else None,
        tuple(
            related(other, _place(other), f"`{{service}}` takes {_term(other)}")
            for other in pooled
            if other is not largest
        ),
    )


def _term(service: ServiceView) -> str:
    pool, factor = pool_of(service) or 0, peak_of(service) // max((pool_of(service) or 0) * service.total_replicas, 1)
    return f"{pool}×{service.total_replicas}×{factor or 2}"


def _place(service: ServiceView):  # type: ignore[no-untyped-def]
    return service.env[POOL_SIZE].place if POOL_SIZE in service.env else service.missing()
