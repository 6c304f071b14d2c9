"""The plan as a person reads it: what changes, in which order and why, and what it means."""

from __future__ import annotations

from collections.abc import Iterator

from deploykit.planning.plan import Census, Plan

_MARKS = {"resource.create": "+", "resource.delete": "-", "variable.delete": "-"}


def plan_text(plan: Plan) -> str:
    """The plan on one screen."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"Plan {plan.profile} → {plan.environment}   profile {plan.fingerprint}   base {plan.base_etag[:12]}"
    yield ""
    if plan.empty:
        yield "Nothing to do: what is live is what the profile says."
    else:
        yield from _changes(plan)
        yield from _steps(plan)
    yield "Processes"
    yield f"  schedule daemons {_daemons(plan.before)} → {_daemons(plan.after)}"
    yield f"  job workers      {plan.before.job_worker} → {plan.after.job_worker}"
    yield ""
    before = sum(line.monthly_usd for line in plan.cost_before)
    after = sum(line.monthly_usd for line in plan.cost_after)
    yield f"Cost about ${after:.2f} a month (now ${before:.2f})"
    yield from (f"  {line.service:<18} ${line.monthly_usd:>6.2f}  {line.why}" for line in plan.cost_after)
    yield f"Database connections: {plan.connections.peak} at the peak of a deploy, {plan.connections.limit} allowed"
    left = "; Railway allows {} more of {} now".format(*plan.api_requests_left) if plan.api_requests_left else ""
    yield f"API requests: about {plan.api_requests}{left}"
    if plan.hazards:
        yield ""
        yield "Know before you apply"
        yield from (f"  ! {hazard}" for hazard in plan.hazards)
    if plan.blocked:
        yield ""
        yield f"Blocked: {plan.blocked}"


def _daemons(census: Census) -> str:
    places = f" in {', '.join(census.daemon_services)}" if census.daemon_services else ""
    return f"{census.schedule_daemon}{places}"


def _changes(plan: Plan) -> Iterator[str]:
    if not plan.changes:
        return
    yield f"Changes ({len(plan.changes)})"
    for change in plan.changes:
        mark = _MARKS.get(change.kind, "~")
        yield f"  {mark} {change.summary}{'   (destructive)' if change.destructive else ''}"
    yield ""


def _steps(plan: Plan) -> Iterator[str]:
    if not plan.steps:
        return
    yield "Steps, in this order"
    for step in plan.steps:
        yield f"  {step.number}. {step.action} {step.service}".rstrip()
        yield f"     because {step.why}"
        yield f"     then {step.gate}"
    yield ""
