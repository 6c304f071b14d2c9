"""What ``init`` did, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_SIGN = {"created": "+", "extended": "~", "kept": "="}


def text(starts: Iterable[tuple[str, str, str]], files: Iterable[tuple[str, str, str]], steps: Sequence[str]) -> str:
    """``starts`` are (process, command, why), ``files`` (path, action, note), ``steps`` what comes next."""
    lines = ["Processes:"]
    for process, command, why in starts:
        lines += [f"  {process:<8} {command}", f"           {why}"]
    lines += ["", "Files:"]
    for path, action, note in files:
        first, *rest = note.split("\n")
        lines.append(f"  {_SIGN[action]} {path} {action}" + (f": {first}" if first else ""))
        lines += [f"      {line}" for line in rest]
    return "\n".join([*lines, "", "Next:", *(f"  {step}" for step in steps)])


def as_json(
    starts: Iterable[tuple[str, str, str]], files: Iterable[tuple[str, str, str]], steps: Sequence[str]
) -> dict[str, Any]:
    """``deploykit.init/1``."""
    return {
        "schema": "deploykit.init/1",
        "processes": [{"process": process, "command": command, "why": why} for process, command, why in starts],
        "files": [{"path": path, "action": action, "note": note} for path, action, note in files],
        "next": list(steps),
    }
