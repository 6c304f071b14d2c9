"""GitHub: one annotation a finding in the log, and a summary page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from deploykit.findings import Finding, Severity
from deploykit.report.lint import LintReport

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "notice"}


def github(findings: Sequence[Finding]) -> str:
    """Workflow commands (GitHub docs: workflow commands, setting an error message)."""
    return "\n".join(_command(finding) for finding in findings)


def _command(finding: Finding) -> str:
    place = finding.place
    fields = {"file": place.path, "line": str(place.line), "endLine": str(place.end_line)}
    if place.line == place.end_line:
        # GitHub ignores columns that span lines.
        fields |= {"col": str(place.column), "endColumn": str(place.end_column)}
    fields["title"] = f"deploykit {finding.code} ({finding.name})"
    said = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    return f"::{_LEVELS[finding.severity]} {said}::{_data(f'{finding.message}{chr(10)}{finding.hint}'.strip())}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def step_summary(report: LintReport) -> str:
    """The page that GITHUB_STEP_SUMMARY shows."""
    lines = ["## deploykit lint", ""]
    if not report.findings:
        return "\n".join([*lines, f"No findings in {report.files} files.", ""])
    lines += ["| | rule | where | what |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {finding.severity.value} | {finding.code} | `{finding.place}` | {_cell(finding.message)} |"
        for finding in report.findings[:200]
    ]
    if len(report.findings) > 200:
        lines.append(f"\n… and {len(report.findings) - 200} more.")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
