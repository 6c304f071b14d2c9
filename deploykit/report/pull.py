"""What ``pull`` wrote, what it could not say, and what stays outside the profile: as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploykit.findings import Finding, Severity
from deploykit.planning.pull import Pulled


def text(pulled: Pulled, environment: str, path: Path | None, findings: Sequence[Finding]) -> str:
    """The account on one screen; no value of a secret is in it."""
    return "\n".join(_lines(pulled, environment, path, findings))


def _lines(pulled: Pulled, environment: str, path: Path | None, findings: Sequence[Finding]) -> Iterator[str]:
    if pulled.problems:
        yield f"Nothing was written: {_count(len(pulled.problems), 'thing')} live in {environment} cannot be said"
        for problem in pulled.problems:
            yield f"  ✗ {problem.service or environment}  {problem.message}"
            yield f"    cure: {problem.hint}"
        return
    yield f"Wrote {path} from what is live in {environment}" if path else f"What is live in {environment}"
    yield ""
    for name, role in pulled.roles.items():
        yield f"  {name:<18} {role.role:<9} {role.why}{'' if role.sure else ' (look at it)'}"
    if pulled.secrets:
        yield ""
        yield "Secrets, whose values stay in Railway"
        yield from (f"  {service}.{variable}" for service, variable in pulled.secrets)
    if pulled.unmanaged:
        yield ""
        yield f"Not in the profile ({len(pulled.unmanaged)}; comments in it say what becomes of each)"
        for item in pulled.unmanaged:
            yield f"  {item.service or environment:<18} {item.path}"
    if pulled.notes:
        yield ""
        yield "Know before you apply"
        yield from (f"  ! {note}" for note in pulled.notes)
    yield ""
    yield f"Lint: {_lint(findings)}{f': deploykit lint {path}' if findings and path else ''}"
    if any(finding.severity is Severity.ERROR for finding in findings):
        yield "Next: mend the errors; `deploykit plan` refuses a profile that has any"
    elif path:
        yield f"Next: deploykit plan {pulled.name if path.parent.name == 'profiles' else path}"


def _lint(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    return ", ".join(_count(counts[one], str(one)) for one in Severity if counts[one]) or "nothing to say"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def as_json(pulled: Pulled, environment: str, path: Path | None, findings: Sequence[Finding]) -> dict[str, Any]:
    """``deploykit.pull/1``."""
    counts = Counter(finding.severity for finding in findings)
    return {
        "schema": "deploykit.pull/1",
        "profile": pulled.name,
        "environment": environment,
        "path": str(path) if path else None,
        "text": None if pulled.problems else pulled.text,
        "services": [{"service": name, **asdict(role)} for name, role in pulled.roles.items()],
        "secrets": [{"service": service, "variable": variable} for service, variable in pulled.secrets],
        "unmanaged": [asdict(item) for item in pulled.unmanaged],
        "problems": [asdict(problem) for problem in pulled.problems],
        "notes": list(pulled.notes),
        "lint": {f"{severity}s": counts[severity] for severity in Severity},
    }
