"""Faults on request: what can go wrong at Railway, by name, aimed at a service or a root field, a number of times."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from deploykit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kind:
    """What a fault is: ``aim`` says what ``service`` and ``field`` mean, ``parameters`` are its own with defaults.

    ``at_once`` faults act when they are added; the others wait for their occasion.
    """

    meaning: str
    aim: str  # "request": a GraphQL request · "service", "environment", or "apply": of a change set
    parameters: dict[str, Any] = field(default_factory=dict)
    at_once: bool = False


KINDS: dict[str, Kind] = {
    # in front of the API
    "rate-limited": Kind(
        "429, with Retry-After unless retry_after_seconds is null", "request", {"retry_after_seconds": 1}
    ),
    "server-error": Kind("an HTML page with status 502, 503 or 504", "request", {"status": 502}),
    "timeout-before-effect": Kind("no answer, nothing done", "request", {"hang_seconds": 0.0}),
    "timeout-after-effect": Kind("done, but the answer is lost", "request", {"hang_seconds": 0.0}),
    "duplicate": Kind("the request is carried out twice", "request"),
    "delay": Kind("the answer comes late", "request", {"seconds": 1.0}),
    "problem-processing": Kind("`Problem processing request`", "request"),
    "error": Kind("any GraphQL error", "request", {"message": "Problem processing request", "code": None}),
    "lag": Kind("objects created from now on become visible late", "request", {"seconds": 1.0}),
    "page-limit": Kind("connections answer at most this many edges", "request", {"size": 1}),
    "unknown-status": Kind("an enum value nobody knows yet in every `status`", "request", {"value": "PAUSED"}),
    "extra-keys": Kind("unknown keys inside JSON answers", "request", {"key": "futureField"}),
    # the change-set protocol
    "stale-etag": Kind("the base is declared stale; nothing is applied", "apply"),
    "slow-apply": Kind("stays `applying`", "apply", {"seconds": 2.0}),
    "apply-fails-after-applied": Kind("`applied`, then the commit workflow ends in Error; nothing changed", "apply"),
    "apply-failed-empty-changes": Kind("`failed` with no changes, the reason only in diagnostics", "apply"),
    "apply-fails-halfway": Kind("the changes after the first `applied` ones fail", "apply", {"applied": 1}),
    # deployments and processes
    "build-failure": Kind("the build fails", "service"),
    "healthcheck-failure": Kind("the health check never passes", "service"),
    "slow-build": Kind("the build takes longer", "service", {"seconds": 2.0}),
    "slow-start": Kind("containers run for a while before the deployment becomes active", "service", {"seconds": 2.0}),
    "crash": Kind("the start command ends at once", "service", {"code": 1}),
    "zombie": Kind("the next removed or replaced deployment is called REMOVED, its processes live on", "service"),
    "redeploy": Kind("Railway redeploys by itself (host maintenance)", "service", at_once=True),
    "push": Kind(
        "somebody pushes code; checks: success or failure", "environment", {"checks": "success"}, at_once=True
    ),
    "dashboard-edit": Kind(
        "somebody edits a service in the dashboard: variable and value, setting and value, or replicas",
        "service",
        {"variable": None, "setting": None, "value": None, "replicas": None, "deploy": True, "staged": False},
        at_once=True,
    ),
    "stuck-process": Kind("SIGSTOP to every process of the service; clearing sends SIGCONT", "service", at_once=True),
    "kill-process": Kind("SIGKILL to every start command of the service", "service", at_once=True),
    "kill-guard": Kind("SIGKILL to the containers themselves: a host failure", "service", at_once=True),
    "sleep": Kind("serverless sleep: no process, status SLEEPING", "service", at_once=True),
    # limits
    "budget": Kind("rate limits, in requests", "request", {"per_hour": 1000, "per_second": 10}, at_once=True),
}


@dataclass(slots=True)
class Fault:
    """One injected fault. ``remaining`` counts down; None means until cleared. ``skip`` lets occasions pass first."""

    id: int
    name: str
    service: str | None
    field: str | None
    remaining: int | None
    skip: int
    parameters: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        return {
            "id": self.id, "name": self.name, "service": self.service, "field": self.field,
            "remaining": self.remaining, "skip": self.skip, **self.parameters,
        }  # fmt: skip


class Faults:
    """The faults that wait for their occasion."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._waiting: list[Fault] = []

    def create(self, request: dict[str, Any]) -> Fault:
        """A fault from its JSON form, not yet waiting. Raises UsageError for an unknown name or parameter."""
        options = dict(request)
        name = str(options.pop("name", ""))
        kind = KINDS.get(name)
        if kind is None:
            raise UsageError(f"unknown fault {name!r}", hint="one of: " + ", ".join(KINDS))
        service, aimed = options.pop("service", None), options.pop("field", None)
        count, skip = options.pop("count", 1), options.pop("skip", 0)
        if unknown := [key for key in options if key not in kind.parameters]:
            known = ", ".join(["service", "field", "count", "skip", *kind.parameters])
            raise UsageError(f"fault {name} has no parameter {unknown[0]!r}", hint=f"parameters: {known}")
        if kind.aim == "service" and kind.at_once and not service:
            raise UsageError(f"fault {name} needs a service")
        for key, value in options.items():
            default = kind.parameters[key]
            if _is_number(default) and value is not None and not _is_number(value):
                raise UsageError(f"fault {name}: {key} must be a number, not {value!r}")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
            raise UsageError(f"fault {name}: count must be a whole number from 1, or null for no end")
        return Fault(next(self._ids), name, service, aimed, count, int(skip), {**kind.parameters, **options})

    def wait(self, fault: Fault) -> None:
        """Let the fault wait for its occasion."""
        self._waiting.append(fault)

    def take(self, name: str, *, service: str | None = None, fields: tuple[str, ...] = ()) -> Fault | None:
        """The waiting fault that fits this occasion, used up once; None when there is none."""
        for fault in self._waiting:
            fits_service = fault.service is None or fault.service == service
            fits_field = fault.field is None or fault.field in fields
            if fault.name != name or not fits_service or not fits_field:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            if fault.remaining is not None:
                fault.remaining -= 1
                if fault.remaining == 0:
                    self._waiting.remove(fault)
            return fault
        return None

    def listing(self) -> list[dict[str, Any]]:
        return [fault.describe() for fault in self._waiting]

    def clear(self, fault_id: int | None = None) -> list[Fault]:
        """Drop one fault, or all of them; returns what was dropped."""
        dropped = [fault for fault in self._waiting if fault_id in (None, fault.id)]
        self._waiting = [fault for fault in self._waiting if fault not in dropped]
        return dropped


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
