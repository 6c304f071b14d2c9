"""What doctor found, for a person and for a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploykit.report.verify import sentence
from deploykit.verification.checks import Verification
from deploykit.verification.diagnosis import Diagnosis, Rank

SCHEMA = "deploykit.doctor/1"


def text(found: Verification, causes: Sequence[Diagnosis], *, color: bool = False) -> str:
    """The causes, root first, each with its evidence and its cure; one sentence on the whole."""
    lines: list[str] = []
    sick = [cause for cause in causes if cause.rank is not Rank.REMARK]
    for number, cause in enumerate(sick, 1):
        lines += [_bold(f"{number}. {cause.cause}", color, "31"), f"   because {cause.because}", *_cure(cause), ""]
    for cause in causes:
        if cause.rank is Rank.REMARK:
            lines += [_bold(f"Note: {cause.cause}", color, "33"), f"   because {cause.because}", *_cure(cause), ""]
    if not sick:
        lines.append(f"nothing is wrong that can be seen ({found.health}): {sentence(found)}")
    else:
        lines.append(f"{found.health}: {sentence(found)}")
    return "\n".join(lines)


def as_json(found: Verification, causes: Sequence[Diagnosis]) -> dict[str, Any]:
    """The JSON result."""
    return {
        "schema": SCHEMA,
        "profile": found.profile.name,
        "verdict": str(found.health),
        "causes": [
            {
                "id": cause.id,
                "kind": cause.rank.name.lower(),
                "service": cause.service,
                "cause": cause.cause,
                "because": cause.because,
                "cure": list(cause.cure),
            }
            for cause in causes
        ],
    }


def _cure(cause: Diagnosis) -> list[str]:
    return [f"   {'cure:' if not number else '     '} {line}" for number, line in enumerate(cause.cure)]


def _bold(line: str, color: bool, code: str) -> str:
    return f"\x1b[1;{code}m{line}\x1b[0m" if color else line
