"""What ghosts found and did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deploykit.report import census as census_report
from deploykit.verification.census import Census, Row
from deploykit.verification.ending import Act

SCHEMA = "deploykit.ghosts/1"
Plan = Sequence[tuple[Row, Sequence[Act]]]


def text(plan: Plan, *, verdict: str, certain: bool, color: bool = False) -> str:
    """Each ghost with its evidence and what ends it."""
    if not plan:
        return "no ghosts" if certain else f"no ghosts seen, but the evidence is incomplete ({verdict})"
    lines = [census_report.table(Census(tuple(row for row, _ in plan)), color=color), ""]
    before: Sequence[Act] = ()
    for row, acts in plan:
        place = row.service or row.hostname or "unknown"
        lines.append(f"{row.class_} {row.kind} in {place}: {row.why}")
        lines += [f"  → {act}" for act in acts] if acts != before else ["  → the same"]
        before = acts
    return "\n".join(lines)


def as_json(plan: Plan, *, verdict: str, done: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON result: ``done`` is what was carried out before this last look."""
    return {
        "schema": SCHEMA,
        "verdict": verdict,
        "ghosts": [
            {**census_report.as_json(Census((row,)))[0], "endings": [str(act) for act in acts]} for row, acts in plan
        ],
        "done": list(done),
    }
