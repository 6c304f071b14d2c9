"""Runs the rules over what was read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from deploykit.findings import Finding
from deploykit.profile.load import Loaded
from deploykit.rules import _read_profile
from deploykit.rules._rule import CATALOGUE, Rule
from deploykit.rules._subjects import Service, System, Variables


def check_profile(loaded: Loaded) -> list[Finding]:
    """Structure and rules of one profile, each finding once, in the order of the file."""
    findings = list(loaded.findings)
    if loaded.tree is not None:
        findings.extend(run(_read_profile.system(loaded)))
    return distinct(findings)


def run(system: System) -> Iterator[Finding]:
    """Every finding of the rules about systems, services and variables in ``system``."""
    for rule in CATALOGUE.values():
        for subject in subjects(rule, system):
            yield from found(rule, subject)


def subjects(rule: Rule, system: System) -> Iterable[Any]:
    """What a rule looks at in a system."""
    if rule.of is System:
        return (system,)
    if rule.of is Service:
        return system.services
    if rule.of is Variables:
        return [service.variables for service in system.services]
    return ()


def found(rule: Rule, subject: Any) -> Iterator[Finding]:
    """The findings of one rule in one subject, named by the service they belong to."""
    if rule.check is None:
        return
    for report in rule.check(subject):
        if report.service is None and isinstance(subject, Variables):
            report = replace(report, service=subject.name)
        yield rule.finding(report)


def distinct(findings: Iterable[Finding]) -> list[Finding]:
    """Each offence once: a value shared by an anchor or a base is one mistake, however many services read it."""
    seen: dict[tuple[object, ...], Finding] = {}
    for finding in sorted(findings, key=lambda each: each.order):
        seen.setdefault((finding.code, finding.place, finding.variable, finding.message), finding)
    return list(seen.values())
