"""What ``render`` wrote, or found different, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_SIGN = {"written": "+", "removed": "-", "missing": "+", "differs": "~", "stale": "-"}
_WORDS = {
    "missing": "is missing",
    "differs": "differs from the profile",
    "stale": "belongs to a service that the profile no longer has",
}


def text(artefacts: Iterable[tuple[str, str, bool]], out: str, *, checked: bool) -> str:
    """One line for each artefact (path, state, edited) that changed, then a sentence."""
    rows = list(artefacts)
    lines = [_line(*row) for row in rows if row[1] != "unchanged"]
    same = len(rows) - len(lines)
    if checked:
        summary = f"{len(lines)} of {len(rows)} files in {out} differ" if lines else f"{same} files in {out} are fresh"
    else:
        summary = f"{len(lines)} files changed, {same} unchanged in {out}"
    return "\n".join([*lines, summary])


def _line(path: str, state: str, edited: bool) -> str:
    words = _WORDS.get(state)
    note = " (it had been edited by hand)" if edited else ""
    return f"{_SIGN[state]} {path}" + (f" {words}" if words else "") + note


def as_json(profile: str, out: str, artefacts: Iterable[tuple[str, str, bool]]) -> dict[str, Any]:
    """``deploykit.render/1``."""
    files = [{"path": path, "state": state, "edited": edited} for path, state, edited in artefacts]
    return {"schema": "deploykit.render/1", "profile": profile, "out": out, "files": files}
