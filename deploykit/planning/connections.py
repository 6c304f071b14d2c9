"""How many database connections a profile may open at worst: during a deploy, old and new copies together."""

from __future__ import annotations

from dataclasses import dataclass

from deploykit.profile.schema import DEFAULT_MAX_CONNECTIONS, DEFAULT_POOL_SIZE, POOL_SIZE, Profile, Service

RESERVE = 5
"""Connections kept for migrations, verify and a person with a client."""
DEPLOY_OVERLAP = 2


@dataclass(frozen=True, slots=True)
class Connections:
    """``peak`` connections at the worst moment against the server's ``limit``."""

    peak: int
    limit: int


def connections(profile: Profile) -> Connections:
    """The peak over every service that opens a pool, plus the reserve."""
    limit = profile.database.max_connections if profile.database else DEFAULT_MAX_CONNECTIONS
    return Connections(sum(peak(service) for service in profile.services.values()) + RESERVE, limit)


def peak(service: Service) -> int:
    """Connections of one service while it is deployed; 0 when it has no database."""
    if not service.is_app and POOL_SIZE not in service.env:
        return 0
    alone = service.role == "daemon" and service.guard in ("volume", "recreate")
    return pool(service) * service.total_replicas * (1 if alone else DEPLOY_OVERLAP)


def pool(service: Service) -> int:
    """Connections one process of the service may open: what it says, or what its client takes by default."""
    size = service.value(POOL_SIZE) or ""
    return int(size) if size.isdigit() else DEFAULT_POOL_SIZE
