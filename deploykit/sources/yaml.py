"""A YAML file as values with places: YAML 1.2 scalars, anchors, merge keys and tags, duplicates kept visible.

PyYAML's C composer supplies the marks; scalars are resolved by the YAML 1.2 core schema, so ``yes`` and ``12:30:00``
stay strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from deploykit.findings import Place
from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text

MAX_DEPTH = 60
MAX_NODES = 200_000
MAX_BYTES = 4_000_000

Plain = str | int | float | bool | None

_INT = pattern(r"[-+]?[0-9]+\Z")
_OCTAL = pattern(r"0o[0-7]+\Z")
_HEX = pattern(r"0x[0-9a-fA-F]+\Z")
_FLOAT = pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITE = pattern(r"[-+]?\.(inf|Inf|INF)\Z")
_NAN = pattern(r"\.(nan|NaN|NAN)\Z")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_MERGE = "<<"
_ANCHOR = pattern(r"&[^\s,\[\]{}]+[ \t]+")
_ODD_BREAKS = pattern("\r(?!\n)|[\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A leaf: ``value`` by YAML 1.2, ``text`` as written without quotes, ``plain`` when it had none."""

    value: Plain
    text: str
    plain: bool
    tag: str | None
    place: Place
    style: str = ""
    """The quote it was written with: nothing, ``'``, ``"``, or ``|`` and ``>`` for block text."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list; ``flow`` when written with brackets."""

    items: tuple[Node, ...]
    flow: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key: value`` of a mapping."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map with its entries in order, after merge keys; ``duplicates`` are later entries for a key seen before."""

    entries: tuple[Entry, ...]
    duplicates: tuple[tuple[Entry, Entry], ...]
    flow: bool
    place: Place

    def entry(self, name: str) -> Entry | None:
        """The entry for ``name``, or None."""
        return next((entry for entry in self.entries if entry.key.text == name), None)

    def get(self, name: str) -> Node | None:
        """The value for ``name``, or None."""
        entry = self.entry(name)
        return entry.value if entry else None


Node = Scalar | Sequence | Mapping


class YamlError(Exception):
    """The text is no usable YAML: ``message`` says why and ``hint`` what to do, ``place`` is the offending token."""

    def __init__(self, message: str, place: Place, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint


def resolve(text: str) -> Plain:
    """The value of a plain scalar by the YAML 1.2 core schema."""
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.match(text):
        # Past 4,300 digits Python refuses the conversion; nobody means a number there.
        return int(text) if len(text) < 100 else text
    if _OCTAL.match(text):
        return int(text[2:], 8) if len(text) < 100 else text
    if _HEX.match(text):
        return int(text[2:], 16) if len(text) < 100 else text
    if _FLOAT.match(text):
        return float(text)
    if _INFINITE.match(text):
        return float("-inf" if text.startswith("-") else "inf")
    if _NAN.match(text):
        return float("nan")
    return text


def parse(path: str, text: str) -> Node | None:
    """The only document of ``text``, or None when it is empty. Raises YamlError."""
    if len(text) > MAX_BYTES:
        raise YamlError(
            f"the file is larger than {MAX_BYTES // 1_000_000} MB", Place(path), "split it; a profile is small"
        )
    try:
        root = _compose(text)
    except yaml.MarkedYAMLError as error:
        raise _explain(path, text, error) from None
    except yaml.reader.ReaderError as error:
        line, column = _position(text, error.position if isinstance(error.position, int) else 0)
        raise YamlError(
            f"character #x{ord(str(error.character)[:1] or chr(0)):04x} is not allowed in YAML"
            if isinstance(error.character, str)
            else "the file holds a character that YAML does not allow",
            Place(path, line, column, line, column + 1),
            "delete the character, and save the file as UTF-8",
        ) from None
    except RecursionError:
        raise YamlError("the file is nested too deeply", Place(path), f"keep it under {MAX_DEPTH} levels") from None
    return None if root is None else _Builder(path, text).build(root, 0)


def walk(node: Node) -> Iterator[Node]:
    """Every node below and including ``node``, each shared node once."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, Mapping):
            for entry in reversed(current.entries):
                waiting.extend((entry.value, entry.key))
        elif isinstance(current, Sequence):
            waiting.extend(reversed(current.items))


_OPENERS = pattern(r"^[ \-?:\t]+", re.MULTILINE)
_SAFE_NESTING = 1_000


def _compose(text: str) -> yaml.Node | None:
    loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if _may_nest_deeply(text):
        _refuse_deep_nesting(loader_class, text)
    loader = loader_class(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _may_nest_deeply(text: str) -> bool:
    """Whether the text could nest deeper than the composer stands: an upper bound that is cheap to have."""
    widest = max((len(match.group()) for match in _OPENERS.finditer(text)), default=0)
    return 2 * widest + text.count("[") + text.count("{") > _SAFE_NESTING


def _refuse_deep_nesting(loader_class: Any, text: str) -> None:
    # The C parser recurses without a bound while composing; count the nesting first.
    depth = 0
    loader = loader_class(text)
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise yaml.composer.ComposerError(
                        None,
                        None,
                        f"nested more than {MAX_DEPTH} levels deep",
                        event.start_mark,  # type: ignore[arg-type]
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        loader.dispose()


def _explain(path: str, text: str, error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    # By the mark's offset, not its line: libyaml also counts lone CR, NEL, LS and PS as line ends.
    line, column = Text(path, text).position(min(mark.index, len(text))) if mark else (1, 1)
    shown = Text(path, text)
    if mark and _ODD_BREAKS.search(text):
        line, column = shown.position(min(mark.index, len(text)))
    row = shown.line(line)
    problem = (error.problem or "it is not valid YAML").strip()
    hint = ""
    if "${{" in row and "{" in row.replace("${{", ""):
        hint = "quote the reference: inside { } a ${{…}} needs quotes"
    elif "\t" in row[: max(column, 1)]:
        hint = "indent with spaces: YAML does not allow tabs"
    elif "found duplicate anchor" in problem or "undefined alias" in problem:
        hint = "define the anchor (&name) once, above its first use"
    elif "expected a single document" in (error.context or "") or "but found another document" in problem:
        hint = "one file holds one profile: remove the `---`"
    if error.context and "while" in error.context:
        problem = f"{problem} ({error.context.strip()})"
    return YamlError(problem, Place(path, line, column, line, column + 1), hint)


def _position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    line = before.count("\n") + 1
    return line, offset - (before.rfind("\n") + 1) + 1


class _Builder:
    """Turns composed nodes into ours. An anchor's node is built once and shared, so a bomb of aliases stays small."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        # libyaml counts lone CR, NEL, LS and PS as line ends; editors and our edits do not.
        self.lines = Text(path, text) if _ODD_BREAKS.search(text) else None
        self.built: dict[int, tuple[Node, int]] = {}
        self.open: set[int] = set()

    def build(self, node: yaml.Node, depth: int) -> Node:
        return self._build(node, depth)[0]

    def _build(self, node: yaml.Node, depth: int) -> tuple[Node, int]:
        """The node and its weight: how many nodes it stands for once aliases are expanded."""
        known = self.built.get(id(node))
        if known:
            return known
        place = self.place(node)
        if id(node) in self.open:
            raise YamlError("an anchor contains itself", place, "remove the alias from inside its own anchor")
        if depth > MAX_DEPTH:
            raise YamlError(f"nested more than {MAX_DEPTH} levels deep", place)
        self.open.add(id(node))
        try:
            result = self._convert(node, place, depth)
        finally:
            self.open.discard(id(node))
        if result[1] > MAX_NODES:
            raise YamlError("aliases expand to an unreasonable size", place, "write the values out")
        self.built[id(node)] = result
        return result

    def _convert(self, node: yaml.Node, place: Place, depth: int) -> tuple[Node, int]:
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, place), 1
        if isinstance(node, yaml.SequenceNode):
            built = [self._build(item, depth + 1) for item in node.value]
            sequence = Sequence(tuple(item for item, _ in built), bool(node.flow_style), place)
            return sequence, 1 + sum(weight for _, weight in built)
        assert isinstance(node, yaml.MappingNode)
        return self.mapping(node, place, depth)

    def scalar(self, node: yaml.ScalarNode, place: Place) -> Scalar:
        plain = not node.style  # the C parser says "", the Python one None
        tag = node.tag if node.tag.startswith("!") else None
        text = str(node.value)
        return Scalar(resolve(text) if plain and tag is None else text, text, plain, tag, place, node.style or "")

    def mapping(self, node: yaml.MappingNode, place: Place, depth: int) -> tuple[Node, int]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        duplicates: list[tuple[Entry, Entry]] = []
        weight = 1
        for key_node, value_node in node.value:
            key = self.build(key_node, depth + 1)
            if not isinstance(key, Scalar):
                raise YamlError("a key must be a plain word", key.place, "quote the key")
            value, value_weight = self._build(value_node, depth + 1)
            weight += 1 + value_weight
            if key.plain and key.text == _MERGE:
                for source in value.items if isinstance(value, Sequence) else (value,):
                    if not isinstance(source, Mapping):
                        raise YamlError("<< merges maps only", source.place, "point it at an anchor of a map")
                    for inherited in source.entries:
                        merged.setdefault(inherited.key.text, inherited)
                continue
            entry = Entry(key, value)
            if key.text in own:
                duplicates.append((own[key.text], entry))
            own[key.text] = entry
        entries = {**{name: entry for name, entry in merged.items() if name not in own}, **own}
        return Mapping(tuple(entries.values()), tuple(duplicates), bool(node.flow_style), place), weight

    def place(self, node: yaml.Node) -> Place:
        start, end = node.start_mark, node.end_mark
        if self.text[start.index : start.index + 1] == "&" and isinstance(node, yaml.ScalarNode):
            # The anchor belongs to the file, not to the value: a fix must not take it away.
            anchor = _ANCHOR.match(self.text, start.index)
            if anchor and anchor.end() <= end.index:
                shift = anchor.end() - start.index
                if self.lines:
                    return self.lines.place(start.index + shift, end.index)
                return Place(self.path, start.line + 1, start.column + 1 + shift, end.line + 1, end.column + 1)
        if self.lines:
            whole = isinstance(node, yaml.ScalarNode) or getattr(node, "flow_style", False)
            return self.lines.place(start.index, end.index if whole else start.index + 1)
        if isinstance(node, yaml.ScalarNode) or getattr(node, "flow_style", False):
            return Place(self.path, start.line + 1, start.column + 1, end.line + 1, end.column + 1)
        # A block collection ends where the next token starts; its first line is what a reader looks at.
        return Place(self.path, start.line + 1, start.column + 1, start.line + 1, start.column + 2)
