"""A Dockerfile as instructions with places."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from deploykit.findings import Place
from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text

_INSTRUCTION = pattern(r"[ \t]*([A-Za-z]+)(?=[ \t\r\n]|$)")
_HEREDOC = pattern(r"<<-?\s*[\"']?([A-Za-z_][A-Za-z0-9_]*)[\"']?")
EXPANSION = pattern(r"(?<!\\)\$\{?[A-Za-z_]")
"""What the builder replaces in a value."""
_PAIR = pattern(r"""(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]{0,200})=("(?:[^"\\]|\\.)*"|'[^']*'|[^\s]*)""")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word in capitals, its arguments as written, and where both stand."""

    word: str
    arguments: str
    place: Place
    arguments_place: Place
    start: int
    """Offset of the arguments."""

    @property
    def exec_form(self) -> tuple[str, ...] | None:
        """The words of ``["…", "…"]``, None for the shell form."""
        text = self.arguments.strip()
        if not text.startswith("["):
            return None
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return tuple(map(str, words)) if isinstance(words, list) else None


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """All instructions in order."""

    text: Text
    instructions: tuple[Instruction, ...]

    def effective(self, word: str) -> Instruction | None:
        """The instruction with that word that counts: the final stage's, else that of the stage it is built from."""
        stages = self.stages
        stage, seen = (len(stages) - 1 if stages else None), set[int]()
        while stage is not None and stage not in seen:
            seen.add(stage)
            found = next((each for each in reversed(stages[stage]) if each.word == word), None)
            if found:
                return found
            base = stages[stage][0].arguments.split()[:1]
            stage = next((at for at in range(stage) if base and self.stage_name(at) == base[0].lower()), None)
        return None

    @property
    def stages(self) -> list[tuple[Instruction, ...]]:
        """The instructions of each stage, from its ``FROM`` on."""
        starts = [index for index, each in enumerate(self.instructions) if each.word == "FROM"] or [0]
        ends = [*starts[1:], len(self.instructions)]
        found = [self.instructions[start:end] for start, end in zip(starts, ends, strict=True)]
        return [stage for stage in found if stage]

    def stage_name(self, stage: int) -> str | None:
        """What ``FROM … AS name`` calls a stage, in small letters as Docker compares it."""
        words = self.stages[stage][0].arguments.lower().split()
        return words[-1] if len(words) > 2 and words[-2] == "as" else None


def variables(text: Text, instruction: Instruction) -> list[tuple[str, str, Place, Place]]:
    """What an ``ENV`` or ``ARG`` sets: name, value without quotes, place of the name, place of the value."""
    found = []
    for pair in _PAIR.finditer(instruction.arguments):
        at = instruction.start
        raw = pair[2]
        value = raw[1:-1] if raw[:1] in ("'", '"') and len(raw) > 1 and raw[-1] == raw[0] else raw
        found.append(
            (
                pair[1],
                value,
                text.place(at + pair.start(1), at + pair.end(1)),
                text.place(at + pair.start(2), at + pair.end(2)),
            )
        )
    if not found and instruction.word == "ENV":
        legacy = re.match(r"([A-Za-z_][A-Za-z0-9_]*)[ \t]+([^\r\n]*\S)", instruction.arguments)
        if legacy:
            at = instruction.start
            found.append(
                (
                    legacy[1],
                    legacy[2],
                    text.place(at + legacy.start(1), at + legacy.end(1)),
                    text.place(at + legacy.start(2), at + legacy.end(2)),
                )
            )
    return found


def parse(path: str, content: str) -> Dockerfile:
    """Read a Dockerfile. Lines that are no instruction are left out: Docker itself refuses them at build time."""
    text = Text(path, content)
    instructions: list[Instruction] = []
    at = 1 if content.startswith("\ufeff") else 0
    while at < len(content):
        end = _line_end(content, at)
        found = _INSTRUCTION.match(content, at, end)
        if not found:
            at = end + 1
            continue
        end = _statement_end(content, at)
        start = found.end()
        while start < end and content[start] in " \t":
            start += 1
        stop = end
        while stop > start and content[stop - 1] in " \t\r\n":
            stop -= 1
        instructions.append(
            Instruction(
                found[1].upper(),
                content[start:stop],
                text.place(found.start(1), found.end(1)),
                text.place(start, stop),
                start,
            )
        )
        at = _after_heredocs(content, found[1].upper(), content[start:stop], end)
    return Dockerfile(text, tuple(instructions))


def _line_end(content: str, at: int) -> int:
    end = content.find("\n", at)
    return len(content) if end < 0 else end


def _statement_end(content: str, at: int) -> int:
    """Where a statement ends: lines that end with a backslash go on, comments between them do not count."""
    end = _line_end(content, at)
    while content[at:end].rstrip().endswith("\\") and end < len(content):
        at = end + 1
        end = _line_end(content, at)
        while content[at:end].lstrip().startswith("#") and end < len(content):
            at = end + 1
            end = _line_end(content, at)
        if not content[at:end].strip():
            break
    return end


def _after_heredocs(content: str, word: str, arguments: str, end: int) -> int:
    at = end + 1
    if word not in ("RUN", "COPY", "ADD"):
        return at
    for name in _HEREDOC.findall(arguments):
        closing = re.compile(rf"^[ \t]*{re.escape(name)}[ \t\r]*$", re.MULTILINE).search(content, min(at, len(content)))
        if not closing:
            return at
        at = closing.end() + 1
    return at
