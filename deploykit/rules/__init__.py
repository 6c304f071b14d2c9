"""The rules: everything deploykit knows to be wrong, offline."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from deploykit.rules import _engine
from deploykit.rules._engine import Outcome, Sources, lint, with_suppressions_of
from deploykit.rules._rule import CATALOGUE, Example, Rule
from deploykit.rules._settings import Settings, expand, matches, read_settings

if TYPE_CHECKING:
    from deploykit.findings import Finding
    from deploykit.profile.load import Loaded

__all__ = [
    "CATALOGUE",
    "Example",
    "Outcome",
    "Rule",
    "Settings",
    "Sources",
    "check",
    "expand",
    "lint",
    "matches",
    "read_settings",
    "with_suppressions_of",
]

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")


def check(loaded: Loaded, settings: Settings | None = None) -> list[Finding]:
    """Everything wrong with one profile: its structure, and every rule that a profile alone can break."""
    return _engine.check_profile(loaded, settings)
