"""Rehearse: the whole main job against a local Railway with real processes, then clean up."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploykit.commands.apply import ApplyResult, apply
from deploykit.commands.plan import Planned, as_json, plan
from deploykit.commands.verify import verify
from deploykit.errors import DeploykitError
from deploykit.planning.plan import secrets_of
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway, connect
from deploykit.report.apply import apply_text
from deploykit.report.plan import plan_text
from deploykit.report.verify import as_json as verification_json, text as verification_text
from deploykit.sandbox import Sandbox
from deploykit.verification.checks import Health, Verification

Report = Callable[[str], None]
SCHEMA = "deploykit.rehearse/1"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What the rehearsal showed."""

    planned: Planned
    applied: ApplyResult
    second: Planned
    verified: Verification
    kept: Path | None

    @property
    def healthy(self) -> bool:
        """Whether the system was proved, and a second plan had nothing left to do."""
        return self.verified.health is Health.HEALTHY and self.second.plan.empty

    def as_json(self) -> dict[str, Any]:
        """The rehearsal as one object."""
        return {
            "schema": SCHEMA,
            "healthy": self.healthy,
            "plan": as_json(self.planned.plan),
            "apply": {"actions": list(self.applied.actions), "seconds": round(self.applied.seconds, 1)},
            "second_plan_empty": self.second.plan.empty,
            "verify": verification_json(self.verified),
            "kept": str(self.kept) if self.kept else None,
        }


def rehearse(
    profile: Profile,
    *,
    source_dir: Path,
    database: str,
    keep: bool,
    report: Report,
    show: Callable[[str], None],
) -> Rehearsal:
    """Start a sandbox, plan, apply and verify ``profile`` there, and end every process again.

    Secrets that the profile only names get random values: nothing real is at stake. Raises DeploykitError when a step
    cannot be done.
    """
    folder = Path(tempfile.mkdtemp(prefix="deploykit-rehearsal-"))
    report(f"starting a local Railway with {'SQLite' if database == 'sqlite' else 'its database'}")
    try:
        sandbox = Sandbox.start(
            folder, source_dir=source_dir, database=database, project=profile.project or "rehearsal", detach=keep
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finished = False
    try:
        outcome = _against(sandbox, profile, folder if keep else None, report, show)
        finished = True
        return outcome
    finally:
        if not (keep and finished):
            report("stopping every process")
            sandbox.stop()
            shutil.rmtree(folder, ignore_errors=True)


def _against(
    sandbox: Sandbox, profile: Profile, kept: Path | None, report: Report, show: Callable[[str], None]
) -> Rehearsal:
    wanted = profile.model_copy(update={"environment": "production"})
    railway = connect({"DEPLOYKIT_RAILWAY_URL": sandbox.endpoint, "RAILWAY_TOKEN": sandbox.token}, report=report)
    values = {one: secrets.token_urlsafe(16) for one in secrets_of(profile)}
    try:
        return _steps(sandbox, wanted, railway, values, kept, report, show)
    finally:
        railway.close()


def _steps(
    sandbox: Sandbox,
    profile: Profile,
    railway: Railway,
    values: dict[tuple[str, str], str],
    kept: Path | None,
    report: Report,
    show: Callable[[str], None],
) -> Rehearsal:
    def secret(service: str, variable: str) -> str | None:
        return values.get((service, variable))

    planned = plan(profile, railway, secret=secret, report=report)
    show(plan_text(planned.plan) + "\n")
    database_url = sandbox.database_url()
    applied = apply(
        profile,
        railway,
        reviewed=planned.plan.drift,
        key=planned.key,
        secret=secret,
        database_url=database_url,
        report=report,
    )
    show(
        apply_text(
            profile.name,
            applied.actions,
            seconds=applied.seconds,
            requests=applied.api_requests,
            heartbeats_read=applied.heartbeats_read,
        )
        + "\n"
    )
    second = plan(profile, railway, report=report)
    if not second.plan.empty:
        raise DeploykitError(
            f"the second plan is not empty: {'; '.join(change.summary for change in second.plan.changes)}",
            hint="report this: apply followed by plan must be empty",
        )
    show("A second plan has nothing to do.\n")
    if database_url is None:
        raise DeploykitError("the sandbox has no database", hint="report this")
    verified = verify(profile, railway, database_url, smoke=True, wait_seconds=60, report=report)
    show(verification_text(verified) + "\n")
    show(_last_words(verified))
    return Rehearsal(planned, applied, second, verified, kept)


def _last_words(verified: Verification) -> str:
    """The census in one line: what was asked for in one line of typing."""
    census, profile = verified.census, verified.profile
    daemons, workers = census.alive("schedule_daemon"), census.alive("job_worker")
    jobs = sum(step.verdict == "pass" for step in verified.evidence.smoke)
    return (
        f"{profile.name}: {daemons} of {profile.expect.schedule_daemon} schedule daemons, "
        f"{workers} of {profile.expected_workers} job workers, {len(census.ghosts)} others; "
        f"{'heartbeats advanced' if verified.health is Health.HEALTHY else 'not proved'}; "
        f"{jobs} job{'s' if jobs != 1 else ''} run to completion"
    )
