"""Pull: write the profile that says what is live. Reads Railway, changes nothing there, loses nothing in silence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from deploykit.errors import AuthenticationError, DeploykitError, UsageError
from deploykit.findings import Finding
from deploykit.planning import pull as paper
from deploykit.planning.pull import Pulled, Values
from deploykit.planning.snapshot import LiveService, Snapshot
from deploykit.profile.load import load
from deploykit.profile.shape import PROFILE_NAME
from deploykit.railway import snapshot as reading
from deploykit.railway.answers import RefusedError, understood
from deploykit.railway.client import Railway

Report = Callable[[str], None]
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Result:
    """A pull: the account, where the profile was written (None when it was not), and what lint says of it."""

    pulled: Pulled
    environment: str
    path: Path | None
    findings: tuple[Finding, ...]


def pull(
    project_dir: Path,
    railway: Railway,
    *,
    name: str | None = None,
    out: Path | None = None,
    write: bool = True,
    force: bool = False,
    values: Values = "safe",
    without: Iterable[str] = (),
    report: Report = lambda text: None,
) -> Result:
    """Write what is live into ``out``, or profiles/NAME.yaml; nothing is written while something cannot be said.

    Raises UsageError for an unknown service, for a name that is none or not the file's, DeploykitError for a file that
    is there.
    """
    if name and out and out.stem != name:
        raise UsageError(f"the profile {name!r} cannot stand in {out.name}", hint=f"--out {name}.yaml, or no --name")
    name = name or (out.stem if out else None)
    if name and not PROFILE_NAME.match(name):
        raise UsageError(f"{name!r} is no name for a profile", hint=f"letters, digits and ._- only: {safe_name(name)}")
    if name and write:
        _refuse_overwriting(out or _place(project_dir, name), force)
    report("reading what is live from Railway")
    live = complete(reading.read(railway), railway)
    _check_names(live, without)
    name = name or safe_name(live.environment_name)
    path = out or _place(project_dir, name)
    pulled = paper.pull(live, name, values=values, without=without)
    if pulled.problems or not write:
        return Result(pulled, live.environment_name, None, _lint(pulled, path, project_dir))
    _refuse_overwriting(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
        file.write(pulled.text)
    return Result(pulled, live.environment_name, path, _lint(pulled, path, project_dir))


def complete(live: Snapshot, railway: Railway) -> Snapshot:
    """The snapshot with what the one reading does not tell: whether a push deploys, and values that were withheld."""
    services = tuple(_complete(one, live.masked, railway) for one in live.services)
    told = any(variable.value is not None for one in services for variable in one.variables.values())
    return replace(live, services=services, masked=live.masked and not told)


def _complete(service: LiveService, masked: bool, railway: Railway) -> LiveService:
    place = {"projectId": railway.project_id, "environmentId": railway.environment_id, "serviceId": service.id}
    if (service.config.get("source") or {}).get("repo"):
        try:
            with understood(railway.endpoint):
                status = railway.run("AutodeployStatus", **place)["serviceInstanceAutoDeployStatus"]
                service = replace(service, autodeploy=bool(status["enabled"]))
        except (RefusedError, AuthenticationError):
            pass  # not told: the profile says nothing about it
    if not masked:
        return service
    try:
        with understood(railway.endpoint):
            values = dict(railway.run("Variables", **place)["variables"] or {})
    except (RefusedError, AuthenticationError):
        return service
    railway.secrets += [str(value) for value in values.values() if value and len(str(value)) >= 8]
    variables = {
        key: replace(one, value=None if one.sealed or values.get(key) is None else str(values[key]))
        for key, one in service.variables.items()
    }
    return replace(service, variables=variables)


def safe_name(environment: str) -> str:
    """A profile's name for an environment: what a file may be called everywhere."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", environment).strip("-._")[:_LONGEST_NAME] or "pulled"


def _place(project_dir: Path, name: str) -> Path:
    return project_dir / "profiles" / f"{name}.yaml"


def _refuse_overwriting(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise DeploykitError("this file is there already", where=str(path), hint="--name another one, or --force")


def _check_names(live: Snapshot, without: Iterable[str]) -> None:
    for name in without:
        if live.service(name) is None:
            known = ", ".join(service.name for service in live.services)
            raise UsageError(f"no service {name!r} in {live.environment_name}", hint=f"there are: {known or 'none'}")


def _lint(pulled: Pulled, path: Path, project_dir: Path) -> tuple[Finding, ...]:
    from deploykit.rules import check

    found = check(load(path.with_name(f"{pulled.name}.yaml"), root=project_dir, text=pulled.text))
    return tuple(sorted(found, key=lambda finding: finding.order))
