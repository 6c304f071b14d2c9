"""Text as lines and columns: where an offset stands, and text edits that touch nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from deploykit.findings import Edit, Place


class Text:
    """A file's text with the way from an offset to a place and back. Lines end at ``\\n`` only."""

    __slots__ = ("path", "starts", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.starts = [0]
        at = text.find("\n")
        while at >= 0:
            self.starts.append(at + 1)
            at = text.find("\n", at + 1)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 1."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def place(self, start: int, end: int) -> Place:
        """The place from ``start`` to ``end`` (exclusive)."""
        return Place(self.path, *self.position(start), *self.position(end))

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column; past the end of the text, the end."""
        if line > len(self.starts):
            return len(self.text)
        return min(self.starts[line - 1] + column - 1, len(self.text))

    def line(self, number: int) -> str:
        """A line without its ending; empty when there is no such line."""
        if not 1 <= number <= len(self.starts):
            return ""
        start = self.starts[number - 1]
        end = self.starts[number] - 1 if number < len(self.starts) else len(self.text)
        return self.text[start:end].removesuffix("\r")

    @property
    def newline(self) -> str:
        """The line ending that most of the file uses."""
        return "\r\n" if self.text.count("\r\n") * 2 > self.text.count("\n") else "\n"


def edit(place: Place, text: str) -> Edit:
    """The edit that puts ``text`` in place of what stands at ``place``."""
    return Edit(place.path, (place.line, place.column), (place.end_line, place.end_column), text)


def apply(text: str, edits: Iterable[Edit]) -> str:
    """``text`` after all edits. They must not overlap; several insertions at one spot keep their order."""
    source = Text("", text)
    spans = [(source.offset(*each.start), source.offset(*each.end), each.text) for each in edits]
    parts: list[str] = []
    at = 0
    for start, end, new in sorted(spans, key=lambda span: span[:2]):
        parts.extend((text[at:start], new))
        at = end
    return "".join((*parts, text[at:]))


def overlap(first: Edit, second: Edit) -> bool:
    """Whether two edits of one file touch the same text."""
    if first.path != second.path:
        return False
    if first.start == first.end or second.start == second.end:
        return first.start < second.end and second.start < first.end
    return first.start < second.end and second.start < first.end
