"""The rules: everything deploykit knows to be wrong, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploykit.findings import Finding
from deploykit.rules import commands, database, files, ghosts, polling, variables
from deploykit.rules._rule import RULES, Rule
from deploykit.rules._system import System, from_tree

if TYPE_CHECKING:
    from deploykit.profile.load import Loaded

__all__ = ["RULES", "Rule", "check", "check_system", "system"]

_FAMILIES = (files, ghosts, polling, variables, database, commands)


def check(loaded: Loaded, settings: object = None) -> list[Finding]:
    """Everything wrong with one profile: its structure, and every rule that a profile alone can break."""
    findings = list(loaded.findings)
    view = system(loaded)
    if view is not None:
        findings.extend(check_system(view))
    return sorted(dict.fromkeys(findings), key=lambda finding: finding.order)


def system(loaded: Loaded) -> System | None:
    """What the rules look at in a profile; None when it cannot be read at all."""
    return from_tree(loaded.path, loaded.tree, loaded.text.splitlines()) if loaded.tree else None


def check_system(view: System) -> list[Finding]:
    """Every rule about services, on one system."""
    findings: list[Finding] = []
    for rule in RULES.values():
        if view.kind not in rule.kinds:
            continue
        if rule.on == "system":
            findings.extend(rule.run(view))
        elif rule.on == "service":
            for service in view.services.values():
                findings.extend(rule.run(service))
    return findings
