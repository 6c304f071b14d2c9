"""What was applied from a folder, and what to know before going back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploykit.report.census import columns

Record = Mapping[str, Any]
_HEADERS = ("id", "profile", "environment", "reached", "at", "by", "steps")
_WIDTH = 120

BUTTON = (
    "Railway's own rollback button differs: it restores the variables of then, service by service, and so can\n"
    "bring back SCHEDULE_DAEMON_ENABLED=true where it has been closed since. After the button: deploykit verify"
)


def list_text(records: Sequence[Record]) -> str:
    """All records, the newest first."""
    if not records:
        return "Nothing was applied from this folder yet."
    return "\n".join(columns([_HEADERS, *(_cells(one) for one in reversed(records))], _WIDTH))


def _cells(record: Record) -> tuple[str, ...]:
    if record["damage"]:
        return (str(record["id"]), "-", "-", "damaged", "-", "-", record["damage"])
    steps = ", ".join(record["steps"]) or "nothing to do"
    return (str(record["id"]), record["profile"], record["environment"], "yes" if record["reached"] else "no",
            record["at"], record["by"], steps)  # fmt: skip


def heading(record: Record) -> str:
    """Which record a plan goes back to."""
    return f"Back to record {record['id']}: {record['profile']}, applied {record['at']} by {record['by']}"
