"""Reference resolution: ``${{Service.NAME}}``, ``${{shared.NAME}}``, ``${{NAME}}`` (Railway docs: variables)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

REFERENCE = re.compile(r"\$\{\{\s*([^{}]+?)\s*\}\}")
SHARED = "shared"

# (scope, name) → unrendered value; the scope is a service's name or "shared". None: there is no such variable.
Lookup = Callable[[str, str], str | None]


def split(reference: str, own: str) -> tuple[str, str]:
    """Scope and variable name of what stands between the braces; service names may hold dots and spaces."""
    scope, dot, name = reference.rpartition(".")
    return (scope.strip(), name.strip()) if dot else (own, name.strip())


def referenced_services(values: Mapping[str, str], own: str) -> set[str]:
    """Names of the other services that these values refer to."""
    found = {split(match, own)[0] for value in values.values() for match in REFERENCE.findall(value)}
    return found - {own, SHARED}


def render(value: str, own: str, lookup: Lookup, _open: frozenset[tuple[str, str]] = frozenset()) -> str:
    """The value with every reference replaced.

    What cannot be resolved, and a circle, renders as nothing.
    """

    def replace(match: re.Match[str]) -> str:
        scope, name = split(match[1], own)
        found = None if (scope, name) in _open else lookup(scope, name)
        return "" if found is None else render(found, scope, lookup, _open | {(scope, name)})

    return REFERENCE.sub(replace, value)
