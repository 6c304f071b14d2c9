"""TOML as values with places: the standard library decides what is valid, a small scanner says where things stand."""

from __future__ import annotations

import re
import tomllib

from deploykit.findings import Place
from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text
from deploykit.sources.yaml import MAX_BYTES, MAX_DEPTH, Entry, Mapping, Node, Plain, Scalar, Sequence, YamlError

_BARE = pattern(r"[A-Za-z0-9_-]+")
_PLAIN = pattern(r"[^\s,\]}#=]+(?: (?=[0-9]{2}:)[^\s,\]}#]+)?")
_AT = pattern(r"\(at line (\d+), column (\d+)\)|\(at end of document\)")
_MAX_NESTING = 100
_DEEP_KEY = pattern(rf"^[ \t]*\[{{0,2}}[ \t]*[\w-]{{1,200}}(?:\.[\w-]{{1,200}}){{{MAX_DEPTH},}}", re.MULTILINE)


def parse(path: str, content: str) -> Mapping:
    """The table of ``content``. Raises YamlError at the token that breaks it; duplicates are kept visible."""
    text = Text(path, content)
    if len(content) > MAX_BYTES:
        raise YamlError(f"the file is larger than {MAX_BYTES // 1_000_000} MB", Place(path), "split it")
    deep = content.count("[") + content.count("{") > _MAX_NESTING and _depth(content) > MAX_DEPTH
    if deep or _DEEP_KEY.search(content):
        raise YamlError(f"nested more than {MAX_DEPTH} levels deep", Place(path))
    body = content.removeprefix("\ufeff").replace("\r\n", "\n")
    duplicate, again = False, 1
    try:
        tomllib.loads(body)
    except tomllib.TOMLDecodeError as error:
        at = _AT.search(str(error))
        again = int(at[1]) if at and at[1] else 1
        duplicate = "overwrite a value" in str(error) or "twice" in str(error)
        if not duplicate:
            raise _explain(text, error) from None
    except (RecursionError, ValueError):
        raise YamlError("the file is no usable TOML", Place(path), "simplify it") from None
    reader = _Reader(text)
    try:
        tree = reader.document()
    except (_Lost, IndexError, ValueError):
        raise YamlError("the file is no usable TOML", Place(path), "simplify it") from None
    if duplicate and not any(table.duplicates for table in reader.tables):
        line = text.line(again)
        start = text.offset(again, 1) + len(line) - len(line.lstrip())
        head = text.place(start, text.offset(again, 1) + len(line.rstrip()))
        raise YamlError("a table is declared twice", head, "merge the two tables")
    return tree


def _depth(content: str) -> int:
    deepest = depth = 0
    for character in content:
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth = max(depth - 1, 0)
        elif character == "\n" and depth and deepest > MAX_DEPTH:
            break
    return deepest


def _explain(text: Text, error: tomllib.TOMLDecodeError) -> YamlError:
    found = _AT.search(str(error))
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    else:
        line, column = text.position(len(text.text.rstrip()))
    message = _AT.sub("", str(error)).strip()
    return YamlError(
        message[:1].lower() + message[1:],
        Place(text.path, line, column, line, column + 1),
        "texts need quotes, keys stand alone before `=`",
    )


class _Lost(Exception):
    """The scanner does not understand what the library accepts."""


class _Table:
    """A table while it grows: headers may come back to it."""

    def __init__(self, key: Scalar | None, place: Place, flow: bool = False) -> None:
        self.key, self.place, self.flow = key, place, flow
        self.entries: dict[str, tuple[Scalar, Node | _Table | list[_Table]]] = {}
        self.duplicates: list[tuple[Entry, Entry]] = []

    def node(self) -> Mapping:
        entries = []
        for key, value in self.entries.values():
            if isinstance(value, _Table):
                entries.append(Entry(key, value.node()))
            elif isinstance(value, list):
                items = tuple(table.node() for table in value)
                entries.append(Entry(key, Sequence(items, False, value[0].place)))
            else:
                entries.append(Entry(key, value))
        return Mapping(tuple(entries), tuple(self.duplicates), self.flow, self.place)


class _Reader:
    def __init__(self, text: Text) -> None:
        self.text = text
        self.content = text.text
        self.at = 1 if self.content.startswith("\ufeff") else 0
        self.tables: list[_Table] = []

    def table(self, key: Scalar | None, place: Place, flow: bool = False) -> _Table:
        made = _Table(key, place, flow)
        self.tables.append(made)
        return made

    def document(self) -> Mapping:
        top = self.table(None, Place(self.text.path, 1, 1, 1, 2))
        current = top
        while True:
            self.skip(newlines=True)
            if self.at >= len(self.content):
                return top.node()
            if self.content[self.at] == "[":
                current = self.header(top)
            else:
                self.assignment(current)

    def skip(self, *, newlines: bool) -> None:
        while self.at < len(self.content):
            character = self.content[self.at]
            if character in " \t" or (newlines and character in "\r\n"):
                self.at += 1
            elif character == "#":
                end = self.content.find("\n", self.at)
                self.at = len(self.content) if end < 0 else end
            else:
                return

    def header(self, top: _Table) -> _Table:
        array = self.content.startswith("[[", self.at)
        self.at += 2 if array else 1
        keys = self.keys()
        self.skip(newlines=False)
        self.at += 2 if array else 1
        table = top
        for key in keys[:-1]:
            table = self.inside(table, key)
        last = keys[-1]
        known = table.entries.get(last.text)
        if array:
            made = self.table(last, last.place)
            if known and isinstance(known[1], list):
                known[1].append(made)
            else:
                table.entries[last.text] = (last, [made])
            return made
        if known and isinstance(known[1], _Table):
            return known[1]
        made = self.table(last, last.place)
        table.entries[last.text] = (last, made)
        return made

    def inside(self, table: _Table, key: Scalar) -> _Table:
        known = table.entries.get(key.text)
        if known and isinstance(known[1], _Table):
            return known[1]
        if known and isinstance(known[1], list):
            return known[1][-1]
        made = self.table(key, key.place)
        table.entries[key.text] = (key, made)
        return made

    def keys(self) -> list[Scalar]:
        found = []
        while True:
            self.skip(newlines=False)
            start = self.at
            if self.content[start] in "\"'":
                found.append(self.string())
            else:
                bare = _BARE.match(self.content, start)
                if not bare:
                    raise _Lost
                self.at = bare.end()
                found.append(Scalar(bare.group(), bare.group(), True, None, self.text.place(start, self.at)))
            self.skip(newlines=False)
            if self.content[self.at : self.at + 1] != ".":
                return found
            self.at += 1

    def assignment(self, table: _Table) -> None:
        keys = self.keys()
        for key in keys[:-1]:
            table = self.inside(table, key)
        if self.content[self.at] != "=":
            raise _Lost
        self.at += 1
        self.skip(newlines=False)
        value = self.value(0)
        last = keys[-1]
        known = table.entries.get(last.text)
        if known and not isinstance(known[1], _Table | list):
            table.duplicates.append((Entry(known[0], known[1]), Entry(last, value)))
        table.entries[last.text] = (last, value)

    def value(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise _Lost
        start = self.at
        character = self.content[start]
        if character in "\"'":
            return self.string()
        if character == "[":
            return self.array(depth)
        if character == "{":
            return self.inline(depth)
        plain = _PLAIN.match(self.content, start)
        if not plain:
            raise _Lost
        self.at = plain.end()
        return Scalar(_plain(plain.group()), plain.group(), True, None, self.text.place(start, self.at))

    def string(self) -> Scalar:
        start = self.at
        quote = self.content[start]
        triple = self.content.startswith(quote * 3, start)
        mark = quote * 3 if triple else quote
        at = start + len(mark)
        while not self.content.startswith(mark, at):
            at += 2 if self.content[at] == "\\" and quote == '"' else 1
        at += len(mark)
        while triple and self.content[at : at + 1] == quote:  # quotes may stand before the closing ones
            at += 1
        self.at = at
        raw = self.content[start:at].replace("\r\n", "\n")
        text = str(tomllib.loads(f"x = {raw}")["x"])
        return Scalar(text, text, False, None, self.text.place(start, at), quote)

    def array(self, depth: int) -> Sequence:
        start = self.at
        self.at += 1
        items: list[Node] = []
        while True:
            self.skip(newlines=True)
            if self.content[self.at] == "]":
                self.at += 1
                return Sequence(tuple(items), True, self.text.place(start, self.at))
            items.append(self.value(depth + 1))
            self.skip(newlines=True)
            if self.content[self.at] == ",":
                self.at += 1

    def inline(self, depth: int) -> Mapping:
        start = self.at
        self.at += 1
        table = self.table(None, self.text.place(start, start + 1), flow=True)
        while True:
            self.skip(newlines=True)
            if self.content[self.at] == "}":
                self.at += 1
                table.place = self.text.place(start, self.at)
                return table.node()
            self.assignment(table)
            self.skip(newlines=True)
            if self.content[self.at] == ",":
                self.at += 1


def _plain(text: str) -> Plain:
    value = tomllib.loads(f"x = {text}")["x"]
    return value if isinstance(value, bool | int | float) else text
