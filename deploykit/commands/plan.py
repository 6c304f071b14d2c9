"""Plan: what would change, in which order, at what cost. Reads Railway, changes nothing, saves what was seen."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploykit import __version__
from deploykit.errors import BudgetError, ConfigurationError, DeploykitError, StalePlanError
from deploykit.planning import plan as paper
from deploykit.planning.change import Change, change_set
from deploykit.planning.connections import connections
from deploykit.planning.cost import cost, cost_now, total
from deploykit.planning.diff import Values, autodeploy, deletion, diff, missing_secrets
from deploykit.planning.plan import Plan
from deploykit.planning.snapshot import LiveService, Snapshot
from deploykit.planning.view import observation, target
from deploykit.profile.schema import Profile, Secret, Service
from deploykit.railway import snapshot as reading
from deploykit.railway.answers import understood
from deploykit.railway.client import Railway

Report = Callable[[str], None]
EXPIRES_SECONDS = 24 * 3600
SCHEMA = "deploykit.plan/1"


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with what it was made from."""

    plan: Plan
    live: Snapshot
    key: bytes


def plan(
    profile: Profile,
    railway: Railway,
    *,
    secret: Values = lambda service, variable: None,
    remove: Iterable[str] = (),
    known: reading.Snapshots | None = None,
    report: Report = lambda text: None,
) -> Planned:
    """Compare ``profile`` with what is live. Raises ConfigurationError for a wrong environment or missing secret."""
    report(f"reading {profile.environment} from Railway")
    live = reading.read(railway, known)
    check_environment(profile, live)
    remove = check_removals(profile, live, remove)
    changes = found_changes(profile, railway, live, secret)
    changes += [deletion(name, f"service.{name}") for name in remove]
    now = observation(profile, live, changes)
    steps, hazards, blocked = paper.on_paper(now, target(profile, remove))
    for service, variable in missing_secrets(profile, live, secret):
        hazards.append(
            f"{service}.{variable} is a secret that Railway does not have yet: export {variable} and pass "
            f"--secret-from-env {variable}; apply refuses before it touches anything"
        )
    key = secrets.token_bytes(16)
    result = Plan(
        profile=profile.name,
        environment=live.environment_name,
        fingerprint=paper.fingerprint(profile),
        base_etag=live.etag,
        changes=tuple(changes),
        steps=tuple(steps),
        before=paper.census_before(now, live),
        after=paper.census_after(profile),
        cost_before=tuple(cost_now(profile, live)),
        cost_after=tuple(cost(profile)),
        connections=connections(profile),
        hazards=(*hazards, *paper.standing_hazards(profile, live, now)),
        api_requests=estimate_requests(len(steps)),
        api_requests_left=railway.budget.left,
        drift=paper.drift(key, live),
        blocked=blocked,
    )
    return Planned(result, live, key)


def found_changes(profile: Profile, railway: Railway, live: Snapshot, secret: Values) -> list[Change]:
    """The differences, those dropped that Railway itself calls none: it compares values we may not read."""
    # Whatever is answered from here on, a secret that is sent does not come back out in a message.
    given = {value for one in paper.secrets_of(profile) if (value := secret(*one))}
    railway.secrets.extend(given.difference(railway.secrets))
    changes = diff(profile, live, secret)
    if any(change.wire for change in changes):
        changes = _previewed(railway, changes)
    return changes + autodeploy_changes(profile, railway, live)


def _previewed(railway: Railway, changes: list[Change]) -> list[Change]:
    with understood(railway.endpoint):
        answer = railway.run("PreviewChangeSet", environmentId=railway.environment_id, input=change_set(changes))[
            "environmentPreviewChangeSet"
        ]
        for diagnostic in answer["diagnostics"] or []:
            if diagnostic.get("severity") == "error":
                raise ConfigurationError(
                    f"Railway refuses: {diagnostic.get('message')}", where=str(diagnostic.get("path") or ""),
                    hint="change the profile accordingly",
                )  # fmt: skip
        kept = {(one.get("kind"), one.get("path")) for one in (answer["changeSet"] or {}).get("changes") or []}
    return [change for change in changes if not change.wire or (change.kind, change.path) in kept]


def autodeploy_changes(profile: Profile, railway: Railway, live: Snapshot) -> list[Change]:
    """Push-to-deploy that stands otherwise than the profile says: no change set carries it (Railway API: auto deploy).

    Only a profile that says so aloud is worth a request for each of its services.
    """
    changes = []
    for service in profile.services.values():
        if service.source is None or service.source.repo is None or "autodeploy" not in service.model_fields_set:
            continue
        known = live.service(service.name)
        enabled = service.autodeploy != "after_ci" and (known is None or _pushes_deploy(railway, known, service))
        changes.append(autodeploy(service, enabled))
    return [change for change in changes if change is not None]


def _pushes_deploy(railway: Railway, known: LiveService, service: Service) -> bool:
    """Whether a push deploys the service now; as wanted where Railway has no repository to switch."""
    with understood(railway.endpoint):
        status = railway.run(
            "AutodeployStatus",
            projectId=railway.project_id,
            environmentId=railway.environment_id,
            serviceId=known.id,
        )["serviceInstanceAutoDeployStatus"]
        return bool(status["enabled"]) if status["canEnable"] else service.autodeploy == "on_push"


def check_environment(profile: Profile, live: Snapshot) -> None:
    """Raises ConfigurationError when the token leads to another environment than the profile is for."""
    if live.environment_name != profile.environment:
        raise ConfigurationError(
            f"the token leads to environment {live.environment_name!r}, the profile is for {profile.environment!r}",
            hint="use that environment's token, or change `environment:`",
        )
    if profile.project is not None and live.project_name != profile.project:
        raise ConfigurationError(
            f"the token leads to project {live.project_name!r}, the profile is for {profile.project!r}",
            hint="use that project's token, or change `project:`",
        )


def check_budget(profile: Profile, *, allowed: bool) -> None:
    """Raises BudgetError when the profile's estimate is above its budget and that is not ``allowed``."""
    usd = total(cost(profile))
    if profile.budget and usd > profile.budget.monthly_usd and not allowed:
        raise BudgetError(
            f"about ${usd:.2f} a month, and the profile's budget is ${profile.budget.monthly_usd:.2f}",
            where=profile.name,
            hint="raise `budget.monthly_usd`, lower `resources`, or pass --allow-over-budget",
        )


def check_removals(profile: Profile, live: Snapshot, remove: Iterable[str]) -> list[str]:
    """The services to delete. Raises ConfigurationError for one that the profile wants or that is not there."""
    wanted = {one.name for one in target(profile).services}
    names = list(dict.fromkeys(remove))
    for name in names:
        if name in wanted:
            raise ConfigurationError(f"{name!r} is in the profile: it is not removed", hint="take it out there first")
    return [name for name in names if live.service(name) is not None]


def estimate_requests(steps: int) -> int:
    """API requests that applying a plan takes: one reading every few seconds while something starts."""
    return 3 + steps * 12


def secret_values(profile: Profile, names: Iterable[str], environ: Mapping[str, str] = os.environ) -> Values:
    """Where the values of secrets come from: variables the operator named, and those the profile names.

    Raises ConfigurationError for one that is not set.
    """
    wanted = set(names)
    given: dict[str, str] = {}
    for name in wanted:
        if not environ.get(name):
            raise ConfigurationError(f"{name} is not set in your environment", hint=f"export {name}=… first")
        given[name] = environ[name]

    def value(service: str, variable: str) -> str | None:
        if variable in given:
            return given[variable]
        declared = profile.services[service].env.get(variable)
        if isinstance(declared, Secret) and declared.operator_variable:
            return environ.get(declared.operator_variable) or None
        return None

    return value


# ---- the saved plan -------------------------------------------------------------------------------------------------


def save(path: Path, planned: Planned, *, profile_path: Path, remove: Iterable[str]) -> None:
    """Write the plan for its owner's eyes only; in one go, so that no half of it is ever read."""
    value = {
        **as_json(planned.plan),
        "tool_version": __version__,
        "profile_path": str(profile_path),
        "project_id": planned.live.project_id,
        "environment_id": planned.live.environment_id,
        "made_at_epoch_seconds": int(time.time()),
        "expires_at_epoch_seconds": int(time.time()) + EXPIRES_SECONDS,
        "key": planned.key.hex(),
        "drift": dict(planned.plan.drift),
        "remove": list(remove),
        "used": False,
    }
    write_private(path, _sealed(value))


def write_private(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON readable by its owner only, whole or not at all. Raises OSError."""
    write_private_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_private_text(path: Path, text: str) -> None:
    """Write a text readable by its owner only, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_saved(path: Path) -> dict[str, Any]:
    """The saved plan. Raises DeploykitError when there is none, StalePlanError when it may not run any more."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeploykitError(
            "no saved plan", where=str(path), hint="run `deploykit plan PROFILE` first, or `deploykit apply PROFILE`"
        ) from None
    except ValueError:
        raise StalePlanError("the saved plan is damaged", where=str(path), hint="plan again") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA or "checksum" not in value:
        raise StalePlanError("this is no saved plan", where=str(path), hint="plan again")
    if value != _sealed(value):
        raise StalePlanError("the saved plan was changed after it was reviewed", where=str(path), hint="plan again")
    if value.get("used"):
        raise StalePlanError("this plan was applied already; a plan runs once", where=str(path), hint="plan again")
    if value.get("tool_version") != __version__:
        raise StalePlanError("another version of deploykit made this plan", where=str(path), hint="plan again")
    if time.time() > float(value.get("expires_at_epoch_seconds", 0)):
        raise StalePlanError("this plan is older than a day", where=str(path), hint="plan again")
    return value


def mark_used(path: Path, value: Mapping[str, Any]) -> None:
    """From here on the plan does not run a second time."""
    write_private(path, _sealed({**value, "used": True}))


def _sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """The saved plan with its checksum: what was reviewed runs whole, or not at all."""
    content = {name: one for name, one in value.items() if name != "checksum"}
    written = json.dumps(content, sort_keys=True)
    return {**content, "checksum": hashlib.sha256(written.encode()).hexdigest()}


def _counts(census: paper.Census) -> dict[str, int]:
    return {"schedule_daemon": census.schedule_daemon, "job_worker": census.job_worker}


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan in its public shape; no value of a variable is in it."""
    return {
        "schema": SCHEMA,
        "profile": plan.profile,
        "environment": plan.environment,
        "fingerprint": plan.fingerprint,
        "base_etag": plan.base_etag,
        "changes": [
            {
                "address": change.address, "kind": change.kind, "path": change.path, "summary": change.summary,
                "destructive": change.destructive,
            }
            for change in plan.changes
        ],
        "steps": [asdict(step) for step in plan.steps],
        "census": {"before": _counts(plan.before), "after": _counts(plan.after)},
        "daemon_services": {
            "before": list(plan.before.daemon_services), "after": list(plan.after.daemon_services),
        },
        "cost": {
            "before_monthly_usd": total(plan.cost_before),
            "after_monthly_usd": total(plan.cost_after),
            "lines": [asdict(line) for line in plan.cost_after],
        },
        "connections": asdict(plan.connections),
        "hazards": list(plan.hazards),
        "blocked": plan.blocked,
        "api_requests": plan.api_requests,
        "api_requests_left": plan.api_requests_left[0] if plan.api_requests_left else None,
    }  # fmt: skip
