"""The process map of a profile in a terminal, with box drawing, and as JSON. Values in, strings out."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from deploykit.profile.schema import Profile
from deploykit.verification.processes import Box, Process, boxes, databases, flow

WIDTH = 78
_TABLES = (
    "JobSchedule: schedule definitions and when each is due",
    "JobRun: single jobs (SCHEDULED → QUEUED → RUNNING → COMPLETED)",
    "WorkerInstance: who is alive (heartbeats)",
    "JobLog: what jobs logged",
)


def text(profile: Profile) -> str:
    """The whole map: services with what runs in each container, the database, and how a job comes to be done."""
    inner = WIDTH - 4
    services = [line for box in boxes(profile) for line in ["", *_service(box, inner)]]
    title = f"RAILWAY PROJECT {profile.project or ''}".rstrip()
    heading = f"{title} · environment {profile.environment} · profile {profile.name}"
    parts = [_frame(WIDTH, heading, [*services[1:]])]
    for name in databases(profile):
        parts.append(_frame(WIDTH, f"DATABASE {name}", _bullets(_TABLES, inner)))
    sentences = flow(profile)
    if sentences:
        parts.append(["FLOW:", *(f"{number}. {sentence}" for number, sentence in enumerate(sentences, start=1))])
    return "\n\n".join("\n".join(part) for part in parts)


def as_json(profile: Profile) -> dict[str, Any]:
    """``deploykit.map/1``."""
    return {
        "schema": "deploykit.map/1",
        "profile": profile.name,
        "environment": profile.environment,
        "services": [_service_json(box) for box in boxes(profile)],
        "databases": list(databases(profile)),
        "flow": list(flow(profile)),
    }


def _service(box: Box, width: int) -> list[str]:
    inner = width - 4
    lines = _wrapped(f"Container: {box.containers}", inner) + _wrapped(f"Command: {box.command}", inner, "  ")
    for process in box.processes:
        lines += ["", *_process(process, inner)]
    if box.controls:
        lines += ["", "Variables:"]
        for control in box.controls:
            mark = " ⚠ CRITICAL" if control.critical else ""
            lines += _bullets([f"{control.name}={control.value}{mark}"], inner)
    return _frame(width, f"SERVICE {box.number}: {box.service.name}", lines)


def _process(process: Process, width: int) -> list[str]:
    lines: list[str] = []
    for number, step in enumerate(process.steps, start=1):
        last = number == len(process.steps)
        first, *rest = _wrapped(step, width - 7)
        lines.append(f"{'└─' if last else '├─'} {first}")
        lines += [f"{'  ' if last else '│ '} {line}" for line in rest]
    return _frame(width, process.title, lines)


def _service_json(box: Box) -> dict[str, Any]:
    return {
        "name": box.service.name,
        "role": box.service.role,
        "command": box.service.start,
        "containers": box.service.total_replicas,
        "processes": [
            {"kind": process.kind, "title": process.title, "poll_interval_ms": process.poll_interval_ms}
            for process in box.processes
        ],
        "variables": {control.name: control.value for control in box.controls},
    }


def _frame(width: int, title: str, lines: Sequence[str]) -> list[str]:
    """A box of ``width`` columns with a title and, under a rule, its lines."""
    rule = "─" * (width - 2)
    head = [_row(line, width) for line in _wrapped(title, width - 4)]
    body = [_row(line, width) for line in lines]
    return [f"┌{rule}┐", *head, f"├{rule}┤", *body, f"└{rule}┘"]


def _row(line: str, width: int) -> str:
    return f"│ {line}{' ' * (width - 4 - columns(line))} │"


def _bullets(items: Iterable[str], width: int) -> list[str]:
    lines: list[str] = []
    for item in items:
        first, *rest = _wrapped(item, width - 2)
        lines += [f"• {first}", *(f"  {line}" for line in rest)]
    return lines


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """``text`` in lines of at most ``width`` columns; a word too long for one line is cut."""
    lines, line = [], ""
    for word in " ".join("".join(c if c.isprintable() else " " for c in text).split()).split(" "):
        rest = word
        while columns(rest) > width - len(indent):
            cut = _cut(rest, width - columns(line) - (1 if line.strip() else 0))
            lines.append(f"{line} {rest[:cut]}" if line.strip() else f"{line}{rest[:cut]}")
            line, rest = indent, rest[cut:]
        joined = f"{line} {rest}" if line.strip() else f"{line}{rest}"
        if columns(joined) > width:
            lines.append(line)
            joined = f"{indent}{rest}"
        line = joined
    return [*lines, line]


def _cut(text: str, width: int) -> int:
    """How many characters of ``text`` fit into ``width`` columns."""
    used = 0
    for index, character in enumerate(text):
        used += columns(character)
        if used > width:
            return index
    return len(text)


def columns(text: str) -> int:
    """How many columns a terminal gives to ``text``."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
