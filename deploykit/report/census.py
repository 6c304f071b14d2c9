"""The census as a table."""

from __future__ import annotations

from collections.abc import Sequence

from deploykit.verification.census import Census, Class, Row

HEADERS = ("kind", "class", "service", "deployment", "beat", "poll", "why")
_COLOURS = {Class.EXPECTED: "32", Class.STANDBY: "32", Class.DRAINING: "36", Class.STALE_ROW: "2", Class.UNKNOWN: "33"}
_ALARM = "31"


def table(census: Census, *, color: bool = False, width: int = 120) -> str:
    """One line a process; rows of processes that ended are only counted, they are nobody."""
    shown = [row for row in census.rows if row.class_ is not Class.STALE_ROW]
    lines = columns([HEADERS, *(_cells(row) for row in shown)], width)
    if color:
        painted = [
            f"\x1b[{_COLOURS.get(row.class_, _ALARM)}m{line}\x1b[0m" for row, line in zip(shown, lines[1:], strict=True)
        ]
        lines = [f"\x1b[1m{lines[0]}\x1b[0m", *painted]
    stale = len(census.rows) - len(shown)
    if stale:
        lines.append(f"({stale} {'row' if stale == 1 else 'rows'} of processes that no longer beat)")
    return "\n".join(lines)


def as_json(census: Census) -> list[dict[str, object]]:
    """The census of the JSON result; a row says no more than the process itself wrote down."""
    return [
        {
            "kind": row.kind,
            "class": str(row.class_),
            "service": row.service,
            "deployment": row.deployment,
            "replica": row.replica,
            "worker_id": row.worker_id,
            "last_heartbeat_seconds_ago": _rounded(row.last_heartbeat_seconds_ago),
            "poll_interval_ms": row.poll_interval_ms,
            "heartbeat_interval_ms": row.heartbeat_interval_ms,
            "status": row.status,
            "hostname": row.hostname,
            "pid": row.pid,
            "why": row.why,
        }
        for row in census.rows
    ]


def columns(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Left-aligned columns, cut at ``width``."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [line if len(line) <= width else line[: width - 1] + "…" for line in lines]


def short(identity: str | None) -> str:
    """An id as a person reads it."""
    return "-" if identity is None else identity[:8]


def interval(milliseconds: int | None) -> str:
    """Milliseconds in the unit that people think in."""
    if milliseconds is None:
        return "-"
    seconds = milliseconds / 1000
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _cells(row: Row) -> tuple[str, ...]:
    ago = row.last_heartbeat_seconds_ago
    beat = "-" if ago is None else f"{max(0.0, ago):.0f} s ago"
    place = row.service or (f"{row.hostname}:{row.pid}" if row.hostname else "-")
    return (row.kind, str(row.class_), place, short(row.deployment), beat, interval(row.poll_interval_ms), row.why)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
