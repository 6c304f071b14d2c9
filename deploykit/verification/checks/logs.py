"""The log lines that people grep for, and what a smoke test did. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deploykit.verification import log_lines
from deploykit.verification.checks.case import Case, Check, Verdict, quoted

LOGS_KEPT = timedelta(days=6, hours=12)
"""Railway keeps logs for 7 days on Hobby (Railway docs: logs); the lines of an older start may be gone."""


def _logs(case: Case) -> Iterator[Check]:
    snapshot = case.evidence.snapshot
    if snapshot is None:
        return
    for service in log_lines.services(case.profile):
        deployment = case.current(service)
        if deployment is None or not (log_lines.expected(service) or log_lines.forbidden(service)):
            continue
        identity = f"log-lines:{service.name}"
        lines = case.evidence.logs.get(deployment.id)
        reading = log_lines.read(service, lines or ())
        old = snapshot.read_at is not None and snapshot.read_at - deployment.created_at > LOGS_KEPT
        facts = {"expected": list(reading.expected), "missing": list(reading.missing), "starts": reading.starts}
        if reading.wrong:
            summary = f"{service.name} logged {quoted(list(reading.wrong))}, which is not what the profile says"
            yield Check(identity, Verdict.FAIL, summary, f"deploykit plan {case.profile.name}", facts)
        elif not reading.expected or not (reading.missing or lines is None):
            found = quoted(list(reading.expected)) or "nothing of a daemon or worker"
            yield Check(identity, Verdict.PASS, f"{service.name} logged {found}", "", facts)
        elif old:
            yield Check(
                identity, Verdict.SKIP, f"{service.name} started before what Railway keeps of its log", "", facts
            )
        elif lines is None:
            problem = case.evidence.problem("logs")
            why = f": {problem.message}" if problem else ""
            yield Check(identity, Verdict.INCONCLUSIVE, f"the log of {service.name} could not be read{why}", "", facts)
        else:
            summary = f"the log of {service.name} does not show {quoted(list(reading.missing))}"
            hint = f"railway logs --service {service.name}; docs/verify.md lists the lines that verify looks for"
            yield Check(identity, Verdict.INCONCLUSIVE, summary, hint, facts)


def _smoke(case: Case) -> Iterator[Check]:
    for step in case.evidence.smoke:
        yield Check(step.id, Verdict(step.verdict), step.summary, step.hint, step.evidence)


CHECKS = (_logs, _smoke)
