"""DK8: what it costs, by Railway's prices (Railway docs: pricing): $10 a GB and $20 a vCPU a month."""

from __future__ import annotations

from collections.abc import Iterator

from deploykit.findings import Severity
from deploykit.rules._known import DAEMON_POLL, DEFAULT_DAEMON_POLL_MS, DEFAULT_WORKER_POLL_MS, WORKER_POLL
from deploykit.rules._rule import Report, profile, rule
from deploykit.rules._subjects import PROFILE, Service, System, related

GB_MONTH_USD = 10.0
VCPU_MONTH_USD = 20.0
VOLUME_GB_MONTH_USD = 0.15
SLEEP_AFTER_MS = 600_000
"""A serverless service sleeps after ten minutes without outbound packets (Railway docs: serverless)."""


def monthly_usd(service: Service) -> float:
    """What a service costs a month by its expected averages; 0 when the profile does not say them."""
    memory = service.number("resources.memory_mb") or 0
    vcpu = service.number("resources.vcpu") or 0
    volume = service.number("volume.size_mb") or 0
    return (
        service.replicas * (memory / 1000 * GB_MONTH_USD + vcpu * VCPU_MONTH_USD) + volume / 1000 * VOLUME_GB_MONTH_USD
    )


_PRICED = (
    ("web-server|draining_seconds: 30", "draining_seconds: 30\n    resources: {memory_mb: 350, vcpu: 0.05}"),
    ("schedule-daemon|draining_seconds: 30", "draining_seconds: 30\n    resources: {memory_mb: 128, vcpu: 0.02}"),
)


@rule(
    "DK801",
    Severity.WARNING,
    of=System,
    title="the estimated cost is above the budget",
    good=[profile(("services:", "budget: {monthly_usd: 15}\nservices:"), *_PRICED)],
    bad=[profile(("services:", "budget: {monthly_usd: «5»}\nservices:"), *_PRICED)],
)
def above_the_budget(system: System) -> Iterator[Report]:
    """The sum of the expected averages, at Railway's prices, is more than the profile allows."""
    if system.kind != PROFILE or system.budget_usd is None or system.budget_place is None:
        return
    costs = {service.name: monthly_usd(service) for service in system.services}
    total = sum(costs.values())
    if total <= system.budget_usd + 0.005 or not costs:
        return
    driver = max(system.services, key=lambda service: costs[service.name])
    place = driver.setting("resources")
    yield Report(
        system.budget_place,
        f"the services cost about ${total:.2f} a month, above the budget of ${system.budget_usd:g}; "
        f"`{driver.name}` alone costs ${costs[driver.name]:.2f}",
        f"lower the resources or replicas of `{driver.name}`, or raise the budget",
        related=related((place.key.place, f"`{driver.name}`")) if place else (),
    )


@rule(
    "DK802",
    Severity.INFO,
    of=System,
    title="the same work for less",
    good=[profile(name="pre-launch")],
    bad=[
        profile(
            ("  job-worker:", "  «job-worker»:"),
            (
                "job-worker|draining_seconds: 30",
                "draining_seconds: 30\n    resources: {memory_mb: 256, vcpu: 0.05}",
            ),
            ("JOB_WORKER_POLL_INTERVAL_MS: 5000", "JOB_WORKER_POLL_INTERVAL_MS: 30000"),
            name="pre-launch",
            worker=True,
        )
    ],
)
def cheaper_equivalent(system: System) -> Iterator[Report]:
    """Before launch and with a hundred users a worker inside the web server does the same work without the memory of a
    process of its own.
    """
    if system.kind != PROFILE or system.name not in ("pre-launch", "100-users"):
        return
    webs = [service for service in system.services if service.role == "web"]
    for worker in system.services:
        saved = monthly_usd(worker)
        if worker.role != "worker" or worker.replicas > 1 or saved <= 0 or len(webs) != 1 or webs[0].replicas > 1:
            continue
        yield Report(
            worker.key,
            f"`{worker.name}` costs about ${saved:.2f} a month; embedded in `{webs[0].name}` its work costs no more",
            f"set EMBEDDED_JOB_WORKER to true in `{webs[0].name}` and remove `{worker.name}`",
            service=worker.name,
            related=related((webs[0].key, "could embed it")),
        )


@rule(
    "DK804",
    Severity.WARNING,
    of=System,
    title="polling keeps a serverless database awake",
    good=[profile()],
    bad=[
        profile(
            (
                "services:\n",
                "services:\n  MySQL:\n    role: database\n    source: {image: mysql:9}\n    sleep: «true»\n",
            )
        )
    ],
)
def sleepless_database(system: System) -> Iterator[Report]:
    """A database sleeps after ten minutes without traffic, and a poll every 30 seconds never lets it: it is billed all
    the time, and the setting promises otherwise.
    """
    if system.kind != PROFILE:
        return
    pollers: list[tuple[int, Service, str]] = []
    for service in system.services:
        if service.runs_worker:
            pollers.append((service.milliseconds(WORKER_POLL) or DEFAULT_WORKER_POLL_MS, service, WORKER_POLL))
        if service.runs_daemon:
            pollers.append((service.milliseconds(DAEMON_POLL) or DEFAULT_DAEMON_POLL_MS, service, DAEMON_POLL))
    for service in system.services:
        entry = service.setting("sleep")
        if service.role != "database" or entry is None or not service.on("sleep"):
            continue
        users = [poller for poller in pollers if _uses(poller[1], service, system)]
        fastest = min(users, key=lambda poller: poller[0], default=None)
        if fastest is None or fastest[0] >= SLEEP_AFTER_MS:
            continue
        variable = fastest[1].env.get(fastest[2])
        yield Report(
            entry.value.place,
            f"`{service.name}` may sleep after ten minutes; `{fastest[1].name}` polls it every {fastest[0] / 1000:g} s",
            "remove `sleep`, or poll more rarely than every ten minutes",
            service=service.name,
            related=related((variable.place, "polls it")) if variable else (),
        )


def _uses(poller: Service, database: Service, system: System) -> bool:
    variable = poller.env.get("DATABASE_URL")
    reference = variable.reference if variable else None
    if reference and reference[1]:
        return reference[1] == database.name
    return system.database == database.name
