"""What lint found, in words and in the formats that other tools read: values in, text out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploykit.findings import Finding, Place, Severity
from deploykit.report.diagnostic import WIDTH, Style, diagnostic


@dataclass(frozen=True, slots=True)
class LintReport:
    """All that a format may want to say."""

    findings: Sequence[Finding]
    skipped: Sequence[tuple[str, str]] = ()
    hidden: int = 0
    files: int = 0
    fixed: int = 0
    texts: Mapping[str, str] = None  # type: ignore[assignment]

    def count(self, severity: Severity) -> int:
        """How many findings have that weight."""
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def fixable(self) -> tuple[int, int]:
        """How many findings have a safe fix, and how many an unsafe one."""
        fixes = [finding.fix for finding in self.findings if finding.fix]
        safe = sum(fix.safe for fix in fixes)
        return safe, len(fixes) - safe


def text(report: LintReport, style: Style, width: int = WIDTH) -> str:
    """Every finding with its source line, then one line of summary."""
    blocks = [diagnostic(finding, report.texts or {}, style, width) for finding in report.findings]
    return "\n\n".join([*blocks, summary(report, style)])


def concise(report: LintReport) -> str:
    """One line a finding: ``path:line:column: CODE severity: message``."""
    return "\n".join(
        f"{finding.place}: {finding.code} {finding.severity.value}: {finding.message}"
        + (" [*]" if finding.fix and finding.fix.safe else "")
        for finding in report.findings
    )


def summary(report: LintReport, style: Style) -> str:
    """What it comes to, and what to do next."""
    errors, warnings, infos = (report.count(severity) for severity in Severity)
    looked = _many(report.files, "file")
    lines = []
    if report.fixed:
        lines.append(f"{_many(report.fixed, 'finding')} fixed.")
    if not report.findings:
        lines.append(style.paint(f"No findings in {looked}.", "32"))
        if report.files == 0:
            lines = [
                "Nothing to check here: no profile, .env file or Railway file. `deploykit init` writes a first profile."
            ]
    else:
        counts = [_many(errors, "error"), _many(warnings, "warning")] + ([_many(infos, "note")] if infos else [])
        lines.append(f"{', '.join(counts)} in {looked}. `deploykit explain {report.findings[0].code}` says more.")
        safe, unsafe = report.fixable
        if safe:
            lines.append(
                f"{safe} fixable with `--fix`" + (f", {unsafe} more with `--unsafe-fixes`." if unsafe else ".")
            )
        elif unsafe:
            lines.append(f"{unsafe} fixable with `--fix --unsafe-fixes`.")
    if report.hidden:
        lines.append(f"{_many(report.hidden, 'finding')} suppressed.")
    if report.skipped:
        reasons = Counter(reason for _, reason in report.skipped)
        lines.extend(style.dim(f"{_many(count, 'rule')} skipped: {reason}.") for reason, count in reasons.items())
    return "\n".join(lines)


def statistics(findings: Iterable[Finding]) -> str:
    """How often each rule found something, most often first."""
    findings = list(findings)
    counts = Counter(finding.code for finding in findings)
    names = {finding.code: finding.name for finding in findings}
    fixes = {finding.code for finding in findings if finding.fix}
    width = len(str(max(counts.values(), default=0)))
    return "\n".join(
        f"{count:>{width}}  {code}  {'[*]' if code in fixes else '   '} {names[code]}"
        for code, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def as_json(report: LintReport) -> dict[str, Any]:
    """``deploykit.lint/1`` (docs: lint, JSON)."""
    return {
        "schema": "deploykit.lint/1",
        "findings": [finding_json(finding) for finding in report.findings],
        "skipped": [{"code": code, "reason": reason} for code, reason in report.skipped],
        "summary": {
            "files": report.files,
            "errors": report.count(Severity.ERROR),
            "warnings": report.count(Severity.WARNING),
            "infos": report.count(Severity.INFO),
            "fixed": report.fixed,
            "suppressed": report.hidden,
        },
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """One finding as other tools read it."""
    fix = finding.fix
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity.value,
        "message": finding.message,
        "hint": finding.hint,
        **_place(finding.place),
        "service": finding.service,
        "variable": finding.variable,
        "related": [{**_place(each.place), "message": each.message} for each in finding.related],
        "fix": fix
        and {
            "safe": fix.safe,
            "title": fix.title,
            "edits": [
                {"path": edit.path, "start": list(edit.start), "end": list(edit.end), "text": edit.text}
                for edit in fix.edits
            ],
        },
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "path": place.path,
        "line": place.line,
        "column": place.column,
        "end_line": place.end_line,
        "end_column": place.end_column,
    }


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
