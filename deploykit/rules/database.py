"""DK5: the database. How many connections a deploy takes at its peak, and where they lead."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Place, Severity
from deploykit.rules._known import CONNECTION_RESERVE, DEFAULT_POOL_SIZE, POOL_SIZE
from deploykit.rules._rule import Report, profile, rule
from deploykit.rules._subjects import PROFILE, Service, System, related

_URL_LIMIT = re.compile(r"[?&](?:connection_limit|connectionLimit|pool_size)=([0-9]{1,6})\b")


def pool_of(service: Service) -> int | None:
    """Connections one process may hold; None when the service has no pool at all."""
    if service.role == "database" or not (service.is_app or POOL_SIZE in service.env or "DATABASE_URL" in service.env):
        return None
    said = service.env.get(POOL_SIZE)
    if said and said.literal and said.text.strip().isdigit():
        return int(said.text.strip()[:9])
    url = service.env.get("DATABASE_URL")
    match = _URL_LIMIT.search(url.text) if url else None
    return int(match[1]) if match else DEFAULT_POOL_SIZE


def _factor(service: Service) -> int:
    """How many copies live during a deploy: two, but one where the old copy stops first."""
    return 1 if service.role == "daemon" and service.text("guard") in ("volume", "recreate") else 2


@rule(
    "DK501",
    Severity.ERROR,
    of=System,
    title="a deploy takes more connections than the database allows",
    good=[profile(("DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: 20"))],
    bad=[
        profile(
            ("draining_seconds: 30", "draining_seconds: 30\n    replicas: 8"),
            ("DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: «10»"),
            ("services:", "expect: {job_worker: 8}\nservices:"),
        )
    ],
)
def connections_above_the_limit(system: System) -> Iterator[Report]:
    """During a deploy the old and the new copy hold their pools at once: twice pool × replicas, in every service."""
    if system.kind != PROFILE:
        return
    pools = [(service, pool) for service in system.services if (pool := pool_of(service)) is not None]
    peaks = {service.name: pool * service.replicas * _factor(service) for service, pool in pools}
    peak = sum(peaks.values()) + CONNECTION_RESERVE
    if peak <= system.max_connections:
        return
    largest = max((service for service, _ in pools), key=lambda service: peaks[service.name])
    terms = {service.name: f"{pool}×{service.replicas}×{_factor(service)}" for service, pool in pools}
    yield Report(
        _place(largest),
        f"a deploy takes up to {peak} connections ({' + '.join(terms.values())} + {CONNECTION_RESERVE} in reserve); "
        f"the database allows {system.max_connections}",
        f"lower {POOL_SIZE} or the replicas of `{largest.name}`, or raise max_connections",
        service=largest.name,
        variable=POOL_SIZE if POOL_SIZE in largest.env else None,
        related=related(
            *((_place(other), f"`{other.name}` takes {terms[other.name]}") for other, _ in pools if other is not largest)
        ),
    )


def _place(service: Service) -> Place:
    return service.env[POOL_SIZE].place if POOL_SIZE in service.env else service.missing
