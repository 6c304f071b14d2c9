"""Whether the sources could be read: Railway, the database. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from deploykit.verification.checks.case import SOURCES, Case, Check, Verdict
from deploykit.verification.evidence import Evidence


def _sources(case: Case) -> Iterator[Check]:
    evidence = case.evidence
    for source, there in (("railway", evidence.snapshot is not None), ("database", len(evidence.samples) > 1)):
        problem = evidence.problem(source)
        if problem is not None or not there:
            message = problem.message if problem else "it was not asked"
            hint = problem.hint if problem else ""
            yield Check(source, Verdict.INCONCLUSIVE, f"{SOURCES[source]} could not be read: {message}", hint)
        elif source == "railway":
            assert evidence.snapshot is not None
            name = evidence.snapshot.environment_name
            yield Check(source, Verdict.PASS, f"Railway answers for environment {name}")
        else:
            yield _database(evidence)


def _database(evidence: Evidence) -> Check:
    if evidence.server is None:
        return Check("database", Verdict.PASS, "the job tables answer")
    facts = {"version": evidence.server.version, "read_only": evidence.server.read_only}
    if evidence.server.read_only:
        hint = "a failover may have left a former primary behind: connect through the proxy, or restart the database"
        return Check("database", Verdict.FAIL, "the database is read-only: nobody can beat or work", hint, facts)
    return Check("database", Verdict.PASS, f"the database answers ({evidence.server.version})", evidence=facts)


CHECKS = (_sources,)
