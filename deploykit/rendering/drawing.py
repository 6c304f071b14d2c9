"""Where each box and line of the process map stands, in SVG units. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deploykit.profile.schema import Profile
from deploykit.verification.processes import Box, boxes, databases, flow

WIDTH = 720
_PAD = 16
_LINE = 20
_LETTERS = 82
"""Monospaced letters that fit into a box inside a box."""
TABLES = ("JobSchedule: schedules", "JobRun: jobs", "WorkerInstance: heartbeats", "JobLog: logs of jobs")


@dataclass(frozen=True, slots=True)
class Shape:
    """A rectangle of a class that the style sheet knows."""

    kind: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text of a class that the style sheet knows."""

    kind: str
    x: int
    y: int
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A finished drawing."""

    width: int
    height: int
    shapes: tuple[Shape, ...]
    lines: tuple[Line, ...]


def drawing(profile: Profile) -> Drawing:
    """The process map of ``profile``, from top to bottom: services, database, flow."""
    pen = _Pen()
    pen.heading(f"{profile.project or 'Railway project'} · {profile.environment} · profile {profile.name}")
    for box in boxes(profile):
        pen.service(box)
    for name in databases(profile):
        pen.panel("database", f"DATABASE: {name}", [("step", text) for text in TABLES])
    sentences = [("step", f"{number}. {text}") for number, text in enumerate(flow(profile), start=1)]
    if sentences:
        pen.panel("flow", "FLOW", sentences)
    return Drawing(WIDTH, pen.y, tuple(pen.shapes), tuple(pen.lines))


class _Pen:
    def __init__(self) -> None:
        self.y = _PAD
        self.shapes: list[Shape] = []
        self.lines: list[Line] = []

    def heading(self, text: str) -> None:
        self.write("heading", _PAD, text)
        self.y += _PAD // 2

    def write(self, kind: str, x: int, text: str) -> None:
        self.lines.append(Line(kind, x, self.y + 15, _clipped(text)))
        self.y += _LINE

    def service(self, box: Box) -> None:
        top, edge = self.y, len(self.shapes)
        self.y += _PAD // 2
        self.write("title", 2 * _PAD, f"SERVICE {box.number}: {box.service.name}")
        self.write("step", 2 * _PAD, box.containers)
        self.write("command", 2 * _PAD, f"$ {box.command}")
        self.y += _PAD // 2
        for process in box.processes:
            self.panel(process.kind, process.title, [("step", step) for step in process.steps], inset=2 * _PAD)
        for control in box.controls:
            kind = "critical" if control.critical else "control"
            self.write(kind, 2 * _PAD, f"{control.name}={control.value}{' (critical)' if control.critical else ''}")
        self.y += _PAD // 2
        self.shapes.insert(edge, Shape("service", _PAD, top, WIDTH - 2 * _PAD, self.y - top))
        self.y += _PAD

    def panel(self, kind: str, title: str, lines: list[tuple[str, str]], inset: int = _PAD) -> None:
        top, edge = self.y, len(self.shapes)
        self.y += _PAD // 2
        self.write("title", inset + _PAD, title)
        for line_kind, text in lines:
            self.write(line_kind, inset + _PAD, text)
        self.y += _PAD // 2
        self.shapes.insert(edge, Shape(kind, inset, top, WIDTH - 2 * inset, self.y - top))
        self.y += _PAD // 2


def _clipped(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= _LETTERS else shown[: _LETTERS - 1] + "…"
