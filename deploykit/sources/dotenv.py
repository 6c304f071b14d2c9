"""A .env file as assignments with places: raw text, quotes, comments, duplicates; nothing is expanded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploykit.findings import Place
from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text

_KEY = pattern(r"(?P<export>export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_.\-]*)(?P<gap>[ \t]*)=")
_EXPANDED = pattern(r"\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*(?::?[-+?][^{}]*)?\})\Z")
_COMMENT = pattern(r"[ \t\u00a0]+#")
_BLANKS = " \t"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One ``KEY=value``: ``value`` as loaders agree to read it, ``raw`` as written, ``quote`` when it had one."""

    key: str
    value: str
    raw: str
    quote: str
    export: bool
    spaced: bool
    """Whether blanks stand around the ``=``."""
    comment_gap: str
    """The blanks between the value and a comment behind it; empty when there is none."""
    key_place: Place
    value_place: Place
    statement: Place
    """From the key (or ``export``) to the end of the value."""

    @property
    def expanded(self) -> bool:
        """Whether the value is another variable's, which is known only where the file is loaded."""
        return self.quote != "'" and bool(_EXPANDED.match(self.value))


@dataclass(frozen=True, slots=True)
class Broken:
    """A line that no loader understands."""

    message: str
    place: Place
    hint: str


@dataclass(frozen=True, slots=True)
class DotEnv:
    """What a .env file says, in order."""

    text: Text
    assignments: tuple[Assignment, ...]
    broken: tuple[Broken, ...]
    bom: bool


def parse(path: str, content: str) -> DotEnv:
    """Read a .env file. Nothing is raised: lines that cannot be read are listed in ``broken``."""
    text = Text(path, content)
    bom = content.startswith("\ufeff")
    assignments: list[Assignment] = []
    broken: list[Broken] = []
    at = 1 if bom else 0
    while at < len(content):
        end = content.find("\n", at)
        end = len(content) if end < 0 else end
        start = at
        while start < end and content[start] in _BLANKS:
            start += 1
        if start == end or content[start] in "#\r":
            at = end + 1
            continue
        found = _KEY.match(content, start, end)
        if not found:
            stop = end - 1 if content[end - 1 : end] == "\r" else end
            broken.append(
                Broken("this is no `KEY=value`", text.place(start, stop), "write KEY=value, or start the line with #")
            )
            at = end + 1
            continue
        at = _assignment(text, found, end, assignments, broken)
    return DotEnv(text, tuple(assignments), tuple(broken), bom)


def _assignment(
    text: Text, found: re.Match[str], line_end: int, assignments: list[Assignment], broken: list[Broken]
) -> int:
    """Read the value behind ``found``; returns where the next line starts."""
    content = text.text
    start = found.end()
    while start < line_end and content[start] in _BLANKS:
        start += 1
    quote = content[start] if start < line_end and content[start] in "\"'`" else ""
    gap = ""
    if quote:
        close = _closing(content, start + 1, quote)
        if close < 0:
            broken.append(
                Broken(
                    "the quote is never closed",
                    text.place(start, start + 1),
                    f"close it with {quote} or delete it",
                )
            )
            return line_end + 1
        value, stop = content[start + 1 : close], close + 1
        line_end = content.find("\n", stop)
        line_end = len(content) if line_end < 0 else line_end
        rest = content[stop:line_end]
        if rest.strip() and not rest.lstrip().startswith("#"):
            broken.append(
                Broken(
                    "text follows the closing quote",
                    text.place(stop, stop + len(rest.rstrip())),
                    "put all of the value inside the quotes",
                )
            )
    else:
        comment = _COMMENT.search(content, start, line_end)
        if comment is None and content[start:line_end].startswith("#") and start > found.end():
            stop = start  # `KEY= # comment`: an empty value
        else:
            stop = comment.start() if comment else line_end
        if comment:
            gap = content[comment.start() : comment.end() - 1]
        while stop > start and content[stop - 1] in " \t\r":
            stop -= 1
        value = content[start:stop]
    key_start = found.start("key")
    assignments.append(
        Assignment(
            key=found["key"],
            value=value,
            raw=content[start:stop],
            quote=quote,
            export=found["export"] is not None,
            spaced=bool(found["gap"]) or start > found.end(),
            comment_gap=gap,
            key_place=text.place(key_start, key_start + len(found["key"])),
            value_place=text.place(start, stop),
            statement=text.place(found.start(), stop),
        )
    )
    return line_end + 1


def _closing(content: str, at: int, quote: str) -> int:
    while at < len(content):
        if content[at] == "\\" and (quote == '"' or _escapes(content, at, quote)):
            at += 2
            continue
        if content[at] == quote:
            return at
        at += 1
    return -1


def _escapes(content: str, at: int, quote: str) -> bool:
    """Whether the quote behind a backslash is a part of the value, as to Node's dotenv, which looks for another one."""
    end = content.find("\n", at)
    return content[at + 1 : at + 2] == quote and quote in content[at + 2 : end if end >= 0 else len(content)]
