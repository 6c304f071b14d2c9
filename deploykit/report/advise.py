"""The advice as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from deploykit.planning.advice import Advice

_WORDS = {
    "stay": "stay with {profile}",
    "up": "move up: {profile} → {to}",
    "down": "move down: {profile} → {to}",
    "inconclusive": "inconclusive: {profile}",
}


def text(advice: Advice) -> str:
    """The verdict, why, and what a move would change."""
    return "\n".join(_lines(advice))


def _lines(advice: Advice) -> Iterator[str]:
    yield _WORDS[advice.verdict].format(profile=advice.profile, to=advice.to)
    yield from (f"  because {reason}" for reason in advice.reasons)
    if advice.differences:
        yield ""
        yield "What would change"
        yield from (f"  {difference}" for difference in advice.differences)
    if advice.next:
        yield ""
        yield f"Next: {advice.next}"


def as_json(advice: Advice) -> dict[str, Any]:
    """``deploykit.advise/1``."""
    return {"schema": "deploykit.advise/1", **asdict(advice)}
