"""One action → the mutation that carries it out, and waiting until Railway has really done it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from deploykit.errors import DeploykitError, UnreachableError
from deploykit.planning import change as kinds
from deploykit.planning.change import Change
from deploykit.railway.answers import OutcomeUnknownError, understood
from deploykit.railway.client import Railway

COMMIT_MESSAGE = "deploykit apply"
APPLY_PATIENCE_SECONDS = 180.0
POLL_SECONDS = 1.0
FAST_POLL_SECONDS = 0.1
Sleep = Callable[[float], None]


class ChangeSetFailedError(DeploykitError):
    """Railway accepted a change set and did not carry it out; ``applied`` are changes that it did all the same."""

    def __init__(self, message: str, *, where: str, hint: str, applied: tuple[str, ...] = ()) -> None:
        super().__init__(message, where=where, hint=hint)
        self.applied = applied


def apply_change_set(
    railway: Railway,
    change_set: dict[str, Any],
    etag: str,
    sleep: Sleep = time.sleep,
    accepted: Callable[[], None] = lambda: None,
) -> None:
    """Commit a change set on top of ``etag`` and wait until it is really applied; ``accepted`` is called in between.

    "applied" can be optimistic, so the commit's workflow is asked as well (Railway IaC: apply status). Raises
    StalePlanError, ChangeSetFailedError, OutcomeUnknownError and the client's other errors.
    """
    with understood(railway.endpoint, OutcomeUnknownError):
        answer = railway.run(
            "ApplyChangeSet",
            environmentId=railway.environment_id,
            input=change_set,
            commitMessage=COMMIT_MESSAGE,
            baseConfigEtag=etag,
        )["environmentApplyChangeSet"]
        accepted()
        deadline = time.monotonic() + APPLY_PATIENCE_SECONDS
        pause = FAST_POLL_SECONDS
        while answer["status"] == "applying":
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"Railway still applies change set {answer['id']} after {APPLY_PATIENCE_SECONDS:.0f} s",
                    where=railway.endpoint,
                    hint="run the same command again: it goes on from what is there",
                )
            sleep(pause)
            pause = min(POLL_SECONDS, pause * 2)
            answer = railway.run("ChangeSetStatus", environmentId=railway.environment_id, id=answer["id"])[
                "environmentChangeSetApply"
            ]
        _check_changes(railway, answer)
        if answer.get("stagedPatchId"):
            _await_workflow(railway, answer["stagedPatchId"], deadline, sleep)


def _check_changes(railway: Railway, answer: dict[str, Any]) -> None:
    failed, applied = (
        [change["summary"] for change in answer["changes"] or [] if change["status"] == status]
        for status in ("failed", "applied")
    )
    if answer["status"] == "applied" and not failed:
        return
    said = [str(one.get("message")) for one in answer.get("diagnostics") or [] if isinstance(one, dict)]
    why = "; ".join([*said, *failed]) or "it does not say why"
    raise ChangeSetFailedError(
        f"Railway did not apply the change set ({answer['status']}): {why}",
        where=railway.endpoint,
        hint="correct what Railway names, then run the same command again",
        applied=tuple(applied),
    )


def _await_workflow(railway: Railway, patch_id: str, deadline: float, sleep: Sleep) -> None:
    workflow = f"commitChanges/{railway.environment_id}/{patch_id}"
    while True:
        answer = railway.run("PatchOutcome", workflowId=workflow, patchId=patch_id)
        status = (answer["workflowStatus"] or {}).get("status")
        patch = answer["environmentPatch"] or {}
        error = (answer["workflowStatus"] or {}).get("error") or patch.get("lastAppliedError")
        if status == "Error" or error:
            raise ChangeSetFailedError(
                f"Railway called the change set applied, and then its commit failed: {error or 'it does not say why'}",
                where=railway.endpoint,
                hint="correct what Railway names, then run the same command again",
            )
        if status != "Running" or time.monotonic() > deadline:
            return
        sleep(POLL_SECONDS / 2)


def deploy(railway: Railway, service_id: str) -> str:
    """Start a deployment of the stored configuration; its id."""
    with understood(railway.endpoint, OutcomeUnknownError):
        answer = railway.run("DeployService", environmentId=railway.environment_id, serviceId=service_id)
        return str(answer["serviceInstanceDeployV2"])


def remove_deployment(railway: Railway, deployment_id: str) -> None:
    """End a deployment's processes and move it to history."""
    railway.run("RemoveDeployment", id=deployment_id)


def adjust(railway: Railway, service_id: str, change: Change) -> str:
    """Carry out a change that no change set carries. What is left for a person to do, or an empty string."""
    place = {"projectId": railway.project_id, "environmentId": railway.environment_id, "serviceId": service_id}
    match change.kind:
        case kinds.AUTODEPLOY_OFF | kinds.AUTODEPLOY_ON:
            railway.run("SetAutodeploy", input={**place, **change.own})
        case kinds.DOMAIN_CREATE:
            with understood(railway.endpoint, OutcomeUnknownError):
                answer = railway.run("CreateDomain", input={**place, **change.own})["customDomainCreate"]
                return _dns(change.own["domain"], answer["status"]["dnsRecords"])
        case kinds.DOMAIN_UPDATE:
            with understood(railway.endpoint):
                domains = railway.run("ServiceDomains", **place)["domains"]["customDomains"]
                ids = [domain["id"] for domain in domains if domain["domain"] == change.own["domain"]]
            for domain_id in ids:
                here = {"environmentId": railway.environment_id, "id": domain_id}
                railway.run("SetDomainPort", **here, targetPort=change.own["targetPort"])
    return ""


def _dns(domain: str, records: list[dict[str, str]]) -> str:
    """What a domain's owner has to set where the domain is registered."""
    wanted = ", ".join(
        f"{one['recordType'].removeprefix('DNS_RECORD_TYPE_')} {one['hostlabel'] or '@'} → {one['requiredValue']}"
        for one in records
    )
    return f"set at the registrar of {domain}: {wanted}" if wanted else ""
