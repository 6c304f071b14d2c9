"""JUnit XML: a suite a file, a failed case a finding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from xml.etree import ElementTree

from deploykit.findings import Finding, Severity

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(findings: Sequence[Finding], files: Iterable[str]) -> str:
    """A file without findings is a case that passes; warnings and notes are told as failures of their own type."""
    top = ElementTree.Element("testsuites", name="deploykit lint")
    found = {path: list(group) for path, group in groupby(findings, key=lambda finding: finding.place.path)}
    failures = 0
    for path in sorted({*files, *found}):
        cases = found.get(path, [])
        suite = ElementTree.SubElement(
            top, "testsuite", name=path, tests=str(max(len(cases), 1)), failures=str(len(cases)), errors="0"
        )
        failures += len(cases)
        if not cases:
            ElementTree.SubElement(suite, "testcase", name="lint", classname=path)
        for finding in cases:
            case = ElementTree.SubElement(
                suite, "testcase", name=f"{finding.code} {finding.place.line}:{finding.place.column}", classname=path
            )
            kind = "error" if finding.severity is Severity.ERROR else finding.severity.value
            failure = ElementTree.SubElement(case, "failure", message=_clean(finding.message), type=kind)
            failure.text = _clean(f"{finding.place}: {finding.message}\n{finding.hint}".strip())
    top.set("tests", str(sum(int(suite.get("tests", "0")) for suite in top)))
    top.set("failures", str(failures))
    ElementTree.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(top, encoding="unicode")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
