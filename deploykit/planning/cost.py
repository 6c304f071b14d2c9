"""What a profile costs a month, from the averages it expects. Prices: Railway docs, pricing plans."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from deploykit.planning.snapshot import Snapshot
from deploykit.profile.schema import Profile, Service

RAM_USD_PER_GB_MONTH = 10.0
CPU_USD_PER_VCPU_MONTH = 20.0
VOLUME_USD_PER_GB_MONTH = 0.15
USUAL = {
    "web": (350.0, 0.05),
    "daemon": (60.0, 0.01),
    "worker": (120.0, 0.03),
    "database": (400.0, 0.02),
    "other": (128.0, 0.02),
}
"""MB of RAM and vCPUs that a quiet process of a role takes, where the profile names no averages."""


@dataclass(frozen=True, slots=True)
class CostLine:
    """One service's share."""

    service: str
    monthly_usd: float
    why: str


def cost(profile: Profile) -> list[CostLine]:
    """The lines of the bill after ``profile`` is applied, its database included."""
    lines = [_line(service) for service in profile.services.values()]
    if profile.database and profile.database.service not in profile.services:
        lines.append(_usual(profile.database.service, "database"))
    return lines


def cost_now(profile: Profile, live: Snapshot) -> list[CostLine]:
    """The lines of today's bill: what is active, with the profile's averages where it knows the service."""
    lines = []
    for seen in live.services:
        if not seen.active_ids:
            continue
        wanted = profile.services.get(seen.name)
        is_database = profile.database is not None and seen.name == profile.database.service
        lines.append(_line(wanted) if wanted else _usual(seen.name, "database" if is_database else "other"))
    return lines


def total(lines: Iterable[CostLine]) -> float:
    """US dollars a month, rounded to cents."""
    return round(sum(line.monthly_usd for line in lines), 2)


def _line(service: Service) -> CostLine:
    memory, vcpu = USUAL[service.role]
    if service.resources.memory_mb is not None:
        memory = service.resources.memory_mb
    if service.resources.vcpu is not None:
        vcpu = service.resources.vcpu
    volume = (service.volume.size_mb or 0) if service.volume else 0
    return _priced(service.name, memory, vcpu, service.total_replicas, volume)


def _usual(name: str, role: str) -> CostLine:
    memory, vcpu = USUAL[role]
    return _priced(name, memory, vcpu, 1, 0)


def _priced(name: str, memory_mb: float, vcpu: float, replicas: int, volume_mb: float) -> CostLine:
    each = memory_mb / 1000 * RAM_USD_PER_GB_MONTH + vcpu * CPU_USD_PER_VCPU_MONTH
    usd = each * replicas + volume_mb / 1000 * VOLUME_USD_PER_GB_MONTH
    times = f"{replicas} × " if replicas > 1 else ""
    return CostLine(name, round(usd, 2), f"{times}{memory_mb:g} MB and {vcpu:g} vCPU on average")
