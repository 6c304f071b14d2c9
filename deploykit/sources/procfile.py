"""A Procfile as process types with places."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploykit.findings import Place
from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text

_LINE = pattern(r"^(?P<name>[A-Za-z0-9_-]+)[ \t]*:[ \t]*(?P<command>[^\r\n]*?)[ \t\r]*$", re.MULTILINE)
_STARTS = pattern(r"[^\s#]")


@dataclass(frozen=True, slots=True)
class Process:
    """``name: command``."""

    name: str
    command: str
    name_place: Place
    command_place: Place


@dataclass(frozen=True, slots=True)
class Procfile:
    """All process types in order, and the lines nobody understands."""

    processes: tuple[Process, ...]
    broken: tuple[Place, ...]


def parse(path: str, content: str) -> Procfile:
    """Read a Procfile."""
    text = Text(path, content)
    processes, broken = [], []
    for number, start in enumerate(text.starts, 1):
        line = text.line(number)
        if number == 1:
            line = line.removeprefix("\ufeff")
        found = _LINE.match(line)
        shift = start + (1 if number == 1 and content.startswith("\ufeff") else 0)
        if found and found["command"]:
            processes.append(
                Process(
                    found["name"],
                    found["command"],
                    text.place(shift + found.start("name"), shift + found.end("name")),
                    text.place(shift + found.start("command"), shift + found.end("command")),
                )
            )
        elif (first := _STARTS.search(line)) and not line.lstrip().startswith("#"):
            broken.append(text.place(shift + first.start(), shift + len(line.rstrip())))
    return Procfile(tuple(processes), tuple(broken))
