"""GitLab's code quality report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from deploykit.findings import Finding, Severity

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.INFO: "info"}


def gitlab(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """One entry a finding (GitLab docs: code quality report format); fingerprints are unique and stable."""
    seen: Counter[str] = Counter()
    return [
        {
            "description": f"{finding.code}: {finding.message}",
            "check_name": finding.name,
            "fingerprint": fingerprint(finding, seen),
            "severity": _SEVERITIES[finding.severity],
            "location": {
                "path": finding.place.path,
                "positions": {
                    "begin": {"line": finding.place.line, "column": finding.place.column},
                    "end": {"line": finding.place.end_line, "column": finding.place.end_column},
                },
            },
        }
        for finding in findings
    ]


def fingerprint(finding: Finding, seen: Counter[str]) -> str:
    """A digest that survives other lines being added: no line number in it, equal ones are counted."""
    said = "\0".join((finding.code, finding.place.path, finding.service or "", finding.variable or "", finding.message))
    seen[said] += 1
    return hashlib.sha256(f"{said}\0{seen[said]}".encode()).hexdigest()
