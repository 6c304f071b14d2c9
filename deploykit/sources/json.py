"""JSON as values with places: the same nodes as YAML, duplicate keys kept visible."""

from __future__ import annotations

from json.decoder import scanstring  # type: ignore[attr-defined]  # the standard library's own string reader

from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text
from deploykit.sources.yaml import MAX_BYTES, MAX_DEPTH, Entry, Mapping, Node, Scalar, Sequence, YamlError

_BLANK = pattern(r"[ \t\r\n]*")
_NUMBER = pattern(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def parse(path: str, content: str) -> Node:
    """The value of ``content``. Raises YamlError, pointing at the token that breaks it."""
    reader = _Reader(Text(path, content))
    if len(content) > MAX_BYTES:
        raise YamlError(f"the file is larger than {MAX_BYTES // 1_000_000} MB", reader.text.place(0, 0), "split it")
    node = reader.value(0)
    reader.blank()
    if reader.at < len(content):
        raise reader.error("text follows the end of the value", "one file holds one JSON value")
    return node


class _Reader:
    def __init__(self, text: Text) -> None:
        self.text = text
        self.content = text.text
        self.at = 1 if self.content.startswith("\ufeff") else 0

    def blank(self) -> None:
        found = _BLANK.match(self.content, self.at)
        assert found
        self.at = found.end()

    def error(self, message: str, hint: str = "") -> YamlError:
        stop = min(self.at + 1, len(self.content))
        if self.content.startswith(("//", "/*"), self.at):
            message, hint = "JSON has no comments", "delete the comment"
        return YamlError(message, self.text.place(min(self.at, stop), max(stop, self.at)), hint)

    def value(self, depth: int) -> Node:
        self.blank()
        if depth > MAX_DEPTH:
            raise self.error(f"nested more than {MAX_DEPTH} levels deep")
        character = self.content[self.at : self.at + 1]
        if character == "{":
            return self.mapping(depth)
        if character == "[":
            return self.sequence(depth)
        if character == '"':
            return self.string()
        start = self.at
        for word, value in _WORDS.items():
            if self.content.startswith(word, start):
                self.at += len(word)
                return Scalar(value, word, True, None, self.text.place(start, self.at))
        number = _NUMBER.match(self.content, start)
        if number and len(number.group()) < 300:
            self.at = number.end()
            whole = number[2] is None and number[3] is None
            return Scalar(
                int(number.group()) if whole else float(number.group()),
                number.group(),
                True,
                None,
                self.text.place(start, self.at),
            )
        raise self.error("a value is missing here" if character in ",]}" else "this is no JSON value", "quote texts")

    def string(self) -> Scalar:
        start = self.at
        try:
            text, self.at = scanstring(self.content, start + 1, True)
        except ValueError:
            end = self.content.find("\n", start)
            self.at = start
            raise YamlError(
                "the text is never closed, or holds a character that needs an escape",
                self.text.place(start, len(self.content) if end < 0 else end),
                'close it with " on the same line',
            ) from None
        return Scalar(text, text, False, None, self.text.place(start, self.at), '"')

    def sequence(self, depth: int) -> Sequence:
        start = self.at
        self.at += 1
        items: list[Node] = []
        self.blank()
        if self.content[self.at : self.at + 1] == "]":
            self.at += 1
            return Sequence((), True, self.text.place(start, self.at))
        while True:
            items.append(self.value(depth + 1))
            if self.separator("]"):
                return Sequence(tuple(items), True, self.text.place(start, self.at))

    def mapping(self, depth: int) -> Mapping:
        start = self.at
        self.at += 1
        entries: dict[str, Entry] = {}
        duplicates: list[tuple[Entry, Entry]] = []
        self.blank()
        if self.content[self.at : self.at + 1] == "}":
            self.at += 1
            return Mapping((), (), True, self.text.place(start, self.at))
        while True:
            self.blank()
            if self.content[self.at : self.at + 1] != '"':
                raise self.error("a key in quotes is missing here", 'write "key": value')
            key = self.string()
            self.blank()
            if self.content[self.at : self.at + 1] != ":":
                raise self.error("a `:` is missing here", 'write "key": value')
            self.at += 1
            entry = Entry(key, self.value(depth + 1))
            if key.text in entries:
                duplicates.append((entries[key.text], entry))
            entries[key.text] = entry
            if self.separator("}"):
                return Mapping(tuple(entries.values()), tuple(duplicates), True, self.text.place(start, self.at))

    def separator(self, close: str) -> bool:
        """Step over a comma (False) or the closing bracket (True)."""
        self.blank()
        character = self.content[self.at : self.at + 1]
        if character == close:
            self.at += 1
            return True
        if character == ",":
            comma = self.at
            self.at += 1
            self.blank()
            if self.content[self.at : self.at + 1] == close:
                self.at = comma
                raise self.error("a comma before the closing bracket", "delete the comma")
            return False
        raise self.error(f"a comma or `{close}` is missing here", "separate entries with commas")
