"""An engine for Railway's own command line: one request, one response, the same safe order (Railway IaC: runner).

``railway config plan --runner deploykit-railway-runner`` asks for a plan; ``apply`` asks for a plan, asks the operator,
and then asks to apply. That last request carries no word of the consent: so what is applied is the plan that was
answered just before, exactly, and without one nothing is destroyed.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploykit.commands import database_url, lock, profiles
from deploykit.commands.applied import Attempt, Place
from deploykit.commands.apply import ApplyResult, apply
from deploykit.commands.evaluate import evaluate, find
from deploykit.commands.plan import (
    Planned,
    as_json,
    check_budget,
    check_environment,
    mark_used,
    plan,
    read_saved,
    save,
    secret_values,
)
from deploykit.errors import ConfigurationError, DeploykitError, UsageError
from deploykit.findings import Finding, Severity
from deploykit.planning.authored import authored, graph_of
from deploykit.planning.current import current_graph
from deploykit.planning.diff import missing_secrets
from deploykit.planning.graph import Graph, graph
from deploykit.planning.plan import fingerprint
from deploykit.planning.snapshot import Snapshot
from deploykit.profile import rendered
from deploykit.profile.load import Loaded, load
from deploykit.profile.schema import Profile
from deploykit.profile.validate import validate
from deploykit.profile.write import profile_text
from deploykit.railway import snapshot as reading
from deploykit.railway.answers import mask
from deploykit.railway.client import Railway, connected
from deploykit.report import runner as report_of
from deploykit.rules import check

COMMANDS = ("plan", "apply", "current")
SAVED = Path(".deploykit") / "runner-plan.json"
CONSENT_SECONDS = 3600.0
"""How long ago the plan may have been answered that an apply takes for the one the operator agreed to."""
AUTHORED = "railway"
"""The name of a profile that was made of an IaC file."""

Report = Callable[[str], None]
Response = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What Railway's command asks for. Its ``token`` is never shown."""

    command: str
    cwd: Path
    file: str | None
    reveal: bool
    pretty: bool
    endpoint: str | None
    token: str = field(repr=False)
    project_token: bool
    project_id: str
    environment_id: str


def parse(text: str) -> Request:
    """The request. Raises UsageError for anything that is none."""
    try:
        value = json.loads(text)
        backboard, context = value["backboard"], value.get("context") or {}
        request = Request(
            command=value["command"],
            cwd=Path(value.get("cwd") or "."),
            file=value.get("file"),
            reveal=value.get("revealValues") is True,
            pretty=value.get("pretty") is not False,
            endpoint=backboard.get("endpoint"),
            token=backboard["token"],
            project_token=backboard.get("authType") == "project-token",
            project_id=backboard.get("projectId") or context["projectId"],
            environment_id=backboard["environmentId"],
        )
        texts = (request.command, request.token, request.project_id, request.environment_id)
        if not all(isinstance(one, str) and one for one in texts):
            raise TypeError
        if not all(isinstance(one, str | None) for one in (request.file, request.endpoint)):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError("this is no request of Railway's command", hint="railway config plan --runner …") from None
    if request.command not in COMMANDS:
        raise UsageError(f"this runner does not know {request.command!r}", hint=f"it knows {', '.join(COMMANDS)}")
    return request


def respond(request: Request, *, report: Report = lambda text: None, stopping: Callable[[], bool]) -> Response:
    """The response. Raises DeploykitError for what ends before there is anything to show."""
    file = find(request.cwd, request.file)
    railway = connected(
        request.endpoint or os.environ.get("DEPLOYKIT_RAILWAY_URL"),
        request.token,
        project_token=request.project_token,
        project_id=request.project_id,
        environment_id=request.environment_id,
        report=report,
    )
    try:
        live = reading.read(railway)
        response: Response = {
            "command": request.command,
            "file": str(file),
            "mode": "real",
            "currentEnvironment": {
                "projectId": live.project_id, "projectName": live.project_name,
                "environmentId": live.environment_id, "environmentName": live.environment_name,
                "configEtag": live.etag,
            },
            "currentGraph": report_of.graph(current_graph(live, reveal=request.reveal), reveal=request.reveal),
            "diagnostics": [],
        }  # fmt: skip
        if request.command == "current":
            return {"ok": True, **response}
        wanted = _wanted(file, live)
        response["diagnostics"] += wanted.diagnostics
        if wanted.loaded is None or wanted.broken:
            return {"ok": False, **response}
        work = _Work(request, railway, live, wanted, wanted.loaded, response, report, stopping)
        return work.plan() if request.command == "plan" else work.apply()
    finally:
        railway.close()


def failure(message: str, *, command: str = "", file: str = "", where: str | None = None, hint: str = "") -> Response:
    """The response to a request that could not be carried out at all."""
    return {"ok": False, "command": command, "file": file, "diagnostics": [_diagnostic(message, where or "", hint)]}


def _diagnostic(message: str, path: str, hint: str | None = None, severity: str = "error") -> dict[str, str]:
    return {"severity": severity, "path": path, "message": f"{message} ({hint})" if hint else message}


def _missing(service: str, name: str) -> dict[str, str]:
    hint = f"set it on Railway, or write `!secret {name}` in the profile and export {name}"
    return _diagnostic("Railway has no value for this secret", f"resources.service.{service}.variables.{name}", hint)


# ---- what is wanted -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """The profile behind an IaC file. ``loaded`` is None when no profile says what the file says."""

    root: Path
    path: Path
    loaded: Loaded | None
    diagnostics: list[dict[str, str]]
    own: bool
    """Whether it is a profile of the operator's own, not one that was made of the file."""

    @property
    def broken(self) -> bool:
        """Whether a rule, or the way into a profile, forbids to go on."""
        return any(one["severity"] == "error" for one in self.diagnostics)


def _wanted(file: Path, live: Snapshot) -> Wanted:
    root = file.parent.parent if file.parent.name == ".railway" else file.parent
    try:
        header = rendered.read_header(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError("the file cannot be read as text", where=str(file), hint="check it") from None
    path = _profile_behind(root, header) if header else None
    if header is None or header.edited or path is None:
        told = [_diagnostic("this file was edited after deploykit rendered it: what it says now is what counts",
                            str(file), "change the profile and render again", "warning")] if path else []  # fmt: skip
        return _made_of(root, file, live, told)
    loaded = load(path, root=root)
    if loaded.profile is not None and rendered.fingerprint(loaded.profile) != header.profile_digest:
        raise ConfigurationError(
            f"{header.source} changed since this file was rendered", where=str(file),
            hint=f"deploykit render {loaded.profile.name} --out . --only .railway/{file.name}",
        )  # fmt: skip
    return Wanted(root, path, loaded, [_of_finding(one, str(one.place)) for one in _told(loaded)], own=True)


def _profile_behind(root: Path, header: rendered.Header) -> Path | None:
    """The profile that the header names, where there is one."""
    with suppress(ConfigurationError):
        return profiles.find(root, Path(header.source).stem)
    return None


def _made_of(root: Path, file: Path, live: Snapshot, told: list[dict[str, str]]) -> Wanted:
    """Run the file, and make a profile of what it returns."""
    try:
        made = authored(
            graph_of(evaluate(file)), current_graph(live, reveal=True), name=AUTHORED, environment=live.environment_name
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ConfigurationError("what the file returns is no project", where=str(file), hint="see its SDK") from None
    told = [*told, *(_diagnostic(one.message, one.path) for one in made.refusals)]
    problems: list[Finding] = []
    profile = validate(str(file), made.data, {}, problems)
    told += [_of_finding(one, _address(one)) for one in problems]
    if profile is None:
        return Wanted(root, file, None, told, own=False)
    loaded = load(Path(f"{AUTHORED}.yaml"), text=profile_text(profile))
    told += [_of_finding(one, _address(one)) for one in _told(loaded)]
    return Wanted(root, file, loaded, told, own=False)


def _told(loaded: Loaded) -> list[Finding]:
    return [one for one in check(loaded) if one.severity in (Severity.ERROR, Severity.WARNING)]


def _of_finding(finding: Finding, path: str) -> dict[str, str]:
    return _diagnostic(f"{finding.code} {finding.message}", path, finding.hint, str(finding.severity))


def _address(finding: Finding) -> str:
    """Where a finding stands in the graph: the profile that was made of the file has no lines of its own."""
    if not finding.service:
        return "resources"
    return f"resources.service.{finding.service}" + (f".variables.{finding.variable}" if finding.variable else "")


# ---- plan and apply -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Work:
    """One plan, or one apply."""

    request: Request
    railway: Railway
    live: Snapshot
    wanted: Wanted
    loaded: Loaded
    response: Response
    report: Report
    stopping: Callable[[], bool]

    @property
    def profile(self) -> Profile:
        assert self.loaded.profile is not None
        return self.loaded.profile

    @property
    def remove(self) -> list[str]:
        """Services that are live and not in the file: Railway's engine deletes them. Databases are left alone."""
        said = {*self.profile.services, *([self.profile.database.service] if self.profile.database else [])}
        nodes = current_graph(self.live)["resources"]
        return [node["name"] for node in nodes if node["type"] == "service" and node["name"] not in said]

    def plan(self) -> Response:
        """What would be done, in the response's own words; kept for the apply that may follow."""
        planned = self._planned()
        with suppress(OSError):  # a folder that may not be written to can be planned for all the same
            save(self._saved, planned, profile_path=self.wanted.path, remove=self.remove)
        return self._shown(planned)

    def apply(self) -> Response:
        """Do what was planned just before; or plan now, where nothing is destroyed by it."""
        url = database_url.checked(os.environ.get("DEPLOYKIT_DATABASE_URL"))
        saved = self._reviewed()
        planned = self._planned()
        response = self._shown(planned)
        if not response["ok"] or planned.plan.empty:
            return response
        if saved is None and any(entry["severity"] == "destructive" for entry in response["changeSet"]["changes"]):
            message = "this destroys something, and no plan of it was shown"
            return self._refused(response, message, "railway config plan, then apply with --confirm-destructive")
        check_budget(self.profile, allowed=False)
        reviewed = saved["drift"] if saved else dict(planned.plan.drift)
        key = bytes.fromhex(saved["key"]) if saved else planned.key
        if saved:
            mark_used(self._saved, saved)
        try:
            done = self._carried_out(planned, reviewed, key, url)
        except (DeploykitError, KeyboardInterrupt) as error:
            return self._failed(response, error)
        return {**response, "applyResult": _result("applied", [
            *({**_brief(entry), "status": "applied"} for entry in response["changeSet"]["changes"]),
            *({"kind": report_of.STEP, "path": None, "summary": action, "status": "applied", "outputs": None}
              for action in (*done.actions, *done.notes)),
        ])}  # fmt: skip

    @property
    def _saved(self) -> Path:
        return self.wanted.root / SAVED

    def _planned(self) -> Planned:
        check_environment(self.profile, self.live)
        secret = secret_values(self.profile, ())
        return plan(self.profile, self.railway, secret=secret, remove=self.remove, report=self.report)

    def _reviewed(self) -> dict[str, Any] | None:
        """The plan that was answered last, when it is of this very file and place."""
        try:
            saved = read_saved(self._saved)
        except DeploykitError:
            return None
        same = {
            "fingerprint": fingerprint(self.profile), "project_id": self.live.project_id,
            "environment_id": self.live.environment_id,
        }  # fmt: skip
        fresh = time.time() - float(saved["made_at_epoch_seconds"]) < CONSENT_SECONDS
        return saved if fresh and all(saved.get(name) == value for name, value in same.items()) else None

    def _shown(self, planned: Planned) -> Response:
        found, reveal = planned.plan, self.request.reveal
        entries = report_of.changes(found, self.profile, reveal=reveal)
        missing = missing_secrets(self.profile, planned.live, secret_values(self.profile, ()))
        told = [_missing(service, name) for service, name in missing]
        spoken = tuple(f"{service}.{name} " for service, name in missing)
        told += [_diagnostic(one, "", severity="warning") for one in found.hazards if not one.startswith(spoken)]
        told += [_diagnostic(found.blocked, "")] if found.blocked else []
        diagnostics = self.response["diagnostics"] + told
        return {
            "ok": not any(one["severity"] == "error" for one in diagnostics),
            **self.response,
            "desiredGraph": report_of.graph(self._desired(), reveal=reveal),
            "changeSet": {"version": 1, "changes": entries, "diagnostics": []},
            "diff": report_of.diff_text(entries),
            "diagnostics": diagnostics,
            "deploykit": as_json(found),
        }

    def _desired(self) -> Graph:
        return graph(self.profile.model_copy(update={"project": self.profile.project or self.live.project_name}))

    def _carried_out(self, planned: Planned, reviewed: Mapping[str, str], key: bytes, url: str | None) -> ApplyResult:
        place = Place(self.railway.project_id, self.railway.environment_id)
        # A profile that was made of a file holds its literal values, secrets among them: no record is made of it.
        attempt = (
            Attempt(self.wanted.root, self.loaded, self.wanted.path, place, as_json(planned.plan))
            if self.wanted.own
            else None
        )
        with lock.held(url, report=self.report) as check_lock:

            def stopping() -> bool:
                check_lock()
                return self.stopping()

            done = apply(
                self.profile,
                self.railway,
                reviewed=reviewed,
                key=key,
                secret=secret_values(self.profile, ()),
                remove=self.remove,
                database_url=url,
                report=self.report,
                stopping=stopping,
                begun=attempt.begun if attempt else lambda: None,
            )
        if attempt:
            attempt.reached()
        return done

    def _failed(self, response: Response, error: BaseException) -> Response:
        """Nothing is called done that is not: what still differs has failed, the rest was applied."""
        known = isinstance(error, DeploykitError)
        message = error.message if isinstance(error, DeploykitError) else "interrupted"
        hint = error.hint if isinstance(error, DeploykitError) else None
        try:
            left = {change.path for change in self._planned().plan.changes}
            status = {True: "failed", False: "applied"}
        except DeploykitError:
            left, status = set(), {False: "unknown"}
        entries = [
            {**_brief(entry), "status": status[entry["path"] in left]} for entry in response["changeSet"]["changes"]
        ]
        refused = self._refused(response, message, hint or "run the same command again: it goes on from what is there")
        where = [{"severity": "error", "path": "", "message": message}]
        return {
            **refused,
            "applyResult": {**_result("failed" if known else "interrupted", entries), "diagnostics": where},
        }

    def _refused(self, response: Response, message: str, hint: str) -> Response:
        told = _diagnostic(f"APPLY_FAILED: {message}", "", hint)
        return {**response, "ok": False, "diagnostics": [*response["diagnostics"], told]}


def _brief(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": entry["kind"], "path": entry["path"], "summary": entry["summary"], "outputs": None}


def _result(status: str, changes: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()), "status": status, "changes": changes, "diagnostics": [], "deploymentId": None,
        "stagedPatchId": None,
    }  # fmt: skip


def to_json(response: Response, request: Request | None) -> str:
    """The response as it is written, the token masked wherever it should have got into it."""
    text = json.dumps(
        response, indent=2 if request is None or request.pretty else None, ensure_ascii=False, default=str
    )
    return mask(text, (request.token,)) if request else text
