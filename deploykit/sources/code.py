"""Railway's infrastructure as code, read and never executed: the calls that declare resources, with their literals.

Strings, numbers, lists, maps, names bound once to such values, references and ``preserve()`` are understood. Everything
else is a scalar with the tag ``!unknown``: it has a place and no value. Loops and spreads are not guessed at.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploykit.findings import Place
from deploykit.sources.yaml import MAX_BYTES, Entry, Mapping, Node, Scalar, YamlError

RESOURCES = frozenset(
    {"service", "fn", "database", "mysql", "postgres", "redis", "mongo", "volume", "bucket", "project", "group"}
)
MAX_VALUES = 50_000
"""Values read in one file: names that stand for lists of names would otherwise grow without a bound."""
SPREAD = "..."
"""The key of an entry that stands for what a spread brings in."""


@dataclass(frozen=True, slots=True)
class Call:
    """``service("web", …)``: what is called, the resource's name, and its options."""

    name: str
    label: str | None
    place: Place
    """Where the resource's name stands, else the called name."""
    options: Mapping | None
    complete: bool = True
    """Whether every option can be read."""
    repeated: bool = False
    """Whether the call stands in a loop."""


def read(path: str, content: str) -> list[Call]:
    """The declaring calls of a ``.py`` or ``.ts`` file, in order. Raises YamlError when the file cannot be read."""
    if len(content) > MAX_BYTES:
        raise YamlError(f"the file is larger than {MAX_BYTES // 1_000_000} MB", Place(path), "split it")
    if path.endswith(".py"):
        from deploykit.sources import python

        return python.calls(path, content)
    from deploykit.sources import typescript

    return typescript.calls(path, content)


def unknown(place: Place, style: str = "") -> Scalar:
    """A value that is there and cannot be read."""
    return Scalar(None, "", True, "!unknown", place, style)


def reference(resource: str, variable: str, place: Place) -> Scalar:
    """A reference to another resource's variable, in Railway's own notation."""
    text = f"${{{{{resource}.{variable}}}}}"
    return Scalar(text, text, False, "!ref", place)


def text(value: str, place: Place, style: str) -> Scalar:
    """A string literal."""
    return Scalar(value, value, False, None, place, style)


def mapping(pairs: list[tuple[Scalar, Node]], place: Place, *, flow: bool = True) -> Mapping:
    """A map; later entries for a key replace earlier ones. Two that are written here are duplicates; what a spread
    brought in from elsewhere is there to be replaced.
    """
    entries: dict[str, Entry] = {}
    duplicates: list[tuple[Entry, Entry]] = []
    for key, value in pairs:
        entry = Entry(key, value)
        first = entries.get(key.text)
        if first and key.text != SPREAD and _within(first.key.place, place) and _within(key.place, place):
            duplicates.append((first, entry))
        entries[key.text] = entry
    return Mapping(tuple(entries.values()), tuple(duplicates), flow, place)


def _within(inner: Place, outer: Place) -> bool:
    start, end = (outer.line, outer.column), (outer.end_line, outer.end_column)
    return start <= (inner.line, inner.column) <= end


def source(kind: str, name: Scalar, more: Mapping | None, place: Place) -> Mapping:
    """``github("owner/app", …)`` and ``image("…")`` as a map with ``repo`` or ``image``."""
    key = Scalar(kind, kind, True, None, name.place)
    rest = [(entry.key, entry.value) for entry in more.entries] if more else []
    return mapping([(key, name), *rest], place)
