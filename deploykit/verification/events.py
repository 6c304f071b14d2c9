"""What changed between two looks. Pure."""

from __future__ import annotations

from deploykit.verification.census import Class, Row
from deploykit.verification.checks import Verification


def events(before: Verification | None, now: Verification) -> list[str]:
    """One sentence for each process that came, went or changed its class, and for a change of the verdict."""
    if before is None:
        return [f"first look: {now.health}"]
    told = []
    was, are = _by_id(before), _by_id(now)
    for worker_id, row in are.items():
        old = was.get(worker_id)
        if old is None:
            told.append(f"{_name(row)} came as {row.class_}")
        elif old.class_ is not row.class_:
            told.append(f"{_name(row)}: {old.class_} → {row.class_}")
    told += [f"{_name(row)} went" for worker_id, row in was.items() if worker_id not in are]
    if before.health is not now.health:
        told.append(f"verdict: {before.health} → {now.health}")
    return told


def _by_id(found: Verification) -> dict[str, Row]:
    return {row.worker_id: row for row in found.census.rows if row.worker_id and row.class_ is not Class.STALE_ROW}


def _name(row: Row) -> str:
    return f"{row.kind} in {row.service or row.hostname or 'unknown'}"
