"""A profile file → Profile, with the place of every key and value, through ``extends`` and anchors.

Nothing here raises for what a file says: problems come back as findings, each on its token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploykit.findings import Edit, Finding, Fix, Place, Related, Severity
from deploykit.profile.shape import is_sound
from deploykit.sources.text import Text
from deploykit.sources.yaml import Entry, Mapping, Node, Scalar, Sequence, YamlError, parse, walk

if TYPE_CHECKING:
    from deploykit.profile.schema import Profile

Trail = tuple[str | int, ...]
"""The way to a value: ``("services", "web", "env", "PORT")``."""

Read = Callable[[Path], str]
"""Reads a file as text; raises OSError or UnicodeDecodeError."""

_PROFILE_ENV = "env"
_STRUCTURE_CODES = {
    "parse": ("DK001", "unparsable-file"),
    "duplicate": ("DK002", "duplicate-key"),
    "unknown": ("DK003", "unknown-key"),
    "value": ("DK004", "invalid-value"),
    "base": ("DK008", "broken-extends"),
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A profile file as read: the profile when it is valid, the merged tree, and what is wrong with its structure."""

    path: str
    text: str
    tree: Mapping | None
    profile: Profile | None
    findings: tuple[Finding, ...]
    bases: tuple[str, ...] = ()
    places: dict[Trail, tuple[Place, Place]] = field(default_factory=dict)

    def key(self, *trail: str | int) -> Place:
        """Where the key of a value stands; the nearest enclosing key when it is absent."""
        return self._nearest(trail)[0]

    def value(self, *trail: str | int) -> Place:
        """Where a value stands; the nearest enclosing *key* when it is absent."""
        if trail in self.places:
            return self.places[trail][1]
        return self.key(*trail)

    def has(self, *trail: str | int) -> bool:
        """Whether the file, or one of its bases, writes this value."""
        return trail in self.places

    def _nearest(self, trail: Trail) -> tuple[Place, Place]:
        while trail:
            if trail in self.places:
                return self.places[trail]
            trail = trail[:-1]
        top = Place(self.path)
        return (top, top)


def load(
    path: Path,
    *,
    root: Path | None = None,
    text: str | None = None,
    read: Read | None = None,
    known: Callable[[Path], list[str]] | None = None,
    findings_only: bool = False,
) -> Loaded:
    """Read, merge and validate the profile at ``path``.

    ``root`` is the folder that places are relative to. ``text`` stands for the file's content when it comes from
    elsewhere (standard input, an editor). Bases are looked up beside the file; ``known`` names the profiles of a
    folder. With ``findings_only`` a valid profile is not built, which is quicker. Raises OSError when ``path`` itself
    cannot be read.
    """
    return _Loader(root or Path(), read or _read_text, known or _profiles_in, findings_only).load(path, text)


def _profiles_in(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _read_text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


class _Loader:
    def __init__(self, root: Path, read: Read, known: Callable[[Path], list[str]], findings_only: bool) -> None:
        self.root = root.resolve()
        self.read = read
        self.known = known
        self.findings_only = findings_only

    def load(self, path: Path, text: str | None) -> Loaded:
        shown = self.shown(path)
        findings: list[Finding] = []
        if text is None:
            try:
                text = self.read(path)
            except UnicodeDecodeError:
                finding = structural("parse", "the file is not UTF-8 text", Place(shown), "save it as UTF-8")
                return Loaded(shown, "", None, None, (finding,))
        tree, bases = self.merged(path, text, findings, ())
        if tree is None:
            return Loaded(shown, text, None, None, tuple(findings), bases)
        places: dict[Trail, tuple[Place, Place]] = {}
        data = _plain(tree, (), places, Place(shown))
        findings.extend(_name_finding(path, shown, data, places))
        profile = None
        if not (self.findings_only and is_sound(data)):
            from deploykit.profile.validate import validate

            profile = validate(shown, data, places, findings)
        return Loaded(shown, text, tree, profile, tuple(findings), bases, places)

    def shown(self, path: Path) -> str:
        try:
            return path.resolve().relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()

    def merged(
        self, path: Path, text: str, findings: list[Finding], chain: tuple[str, ...]
    ) -> tuple[Mapping | None, tuple[str, ...]]:
        """The tree of ``path`` with its bases merged in, and the names of the bases, nearest first."""
        shown = self.shown(path)
        try:
            root = parse(shown, text)
        except YamlError as error:
            findings.append(structural("parse", error.message, error.place, error.hint or "correct the YAML here"))
            return None, ()
        if not isinstance(root, Mapping):
            message = "the file is empty" if root is None else "a profile is a map of keys"
            findings.append(structural("parse", message, Place(shown), "start with `version: 1`"))
            return None, ()
        findings.extend(_duplicates(shown, text, root))
        base = root.get("extends")
        if not isinstance(base, Scalar) or base.value is None:
            return root, ()
        name = base.text
        base_path = path.parent / f"{name}.yaml"
        if name in (*chain, path.stem):
            message = f"{path.stem} extends itself through {' → '.join((*chain, path.stem, name))}"
            findings.append(structural("base", message, base.place, "break the circle: one of them must stand alone"))
            return None, ()
        try:
            base_text = self.read(base_path) if "/" not in name and "\\" not in name else None
        except (OSError, UnicodeDecodeError):
            base_text = None
        if base_text is None:
            findings.append(self.unknown_base(path, base))
            return None, ()
        base_tree, bases = self.merged(base_path, base_text, findings, (*chain, path.stem))
        if base_tree is None:
            return None, (name,)
        return _merge(base_tree, root), (name, *bases)

    def unknown_base(self, path: Path, base: Scalar) -> Finding:
        known = [name for name in self.known(path.parent) if name != path.stem]
        import difflib

        near = difflib.get_close_matches(base.text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known) or 'none'}"
        fix = Fix(f"extend {near[0]}", (replacing(base.place, near[0]),)) if near and base.plain else None
        return structural("base", f"no profile {base.text!r} to extend", base.place, hint, fix=fix)


def _merge(base: Mapping, own: Mapping) -> Mapping:
    """``own`` over ``base``: maps merge, lists and scalars replace, null removes. Places stay where values stand."""
    entries = {entry.key.text: entry for entry in base.entries}
    for entry in own.entries:
        name = entry.key.text
        inherited = entries.get(name)
        if isinstance(entry.value, Mapping) and inherited and isinstance(inherited.value, Mapping):
            entries[name] = Entry(entry.key, _merge(inherited.value, entry.value))
        elif isinstance(entry.value, Scalar) and entry.value.value is None and entry.value.tag is None:
            entries.pop(name, None)
        else:
            entries[name] = entry
    return Mapping(tuple(entries.values()), (), own.flow, own.place)


def _plain(tree: Mapping, trail: Trail, places: dict[Trail, tuple[Place, Place]], top: Place) -> dict[str, Any]:
    """The tree as plain data for pydantic, recording where each value stands. Keys ``x-…`` and nulls are left out."""
    result: dict[str, Any] = {}
    for entry in tree.entries:
        name = entry.key.text
        if not trail and name.startswith("x-"):
            continue
        value = entry.value
        if isinstance(value, Scalar) and value.value is None and value.tag is None:
            continue
        places[(*trail, name)] = (entry.key.place, value.place)
        result[name] = _plain_value(value, (*trail, name), places, top)
    return result


def _plain_value(value: Node, trail: Trail, places: dict[Trail, tuple[Place, Place]], top: Place) -> Any:
    if isinstance(value, Mapping):
        return _plain(value, trail, places, top)
    if isinstance(value, Sequence):
        items = []
        for index, item in enumerate(value.items):
            places[(*trail, index)] = (item.place, item.place)
            items.append(_plain_value(item, (*trail, index), places, top))
        return items
    in_env = len(trail) == 4 and trail[0] == "services" and trail[2] == _PROFILE_ENV
    if value.tag == "!secret":
        return {"operator_variable": value.text or None} if in_env else {"!secret": value.text}
    if value.tag is not None:
        return {value.tag: value.text}
    # A variable is a string on the wire: what stands in the file is what the process reads.
    return value.text if in_env else value.value


def _name_finding(
    path: Path, shown: str, data: dict[str, Any], places: dict[Trail, tuple[Place, Place]]
) -> Iterator[Finding]:
    name = data.get("name")
    if path.suffix in (".yaml", ".yml") and isinstance(name, str) and name != path.stem:
        place = places[("name",)][1]
        fix = Fix(f"name it {path.stem}", (replacing(place, path.stem),), safe=False)
        yield structural(
            "value", f"name {name!r} differs from the file's name", place, f"write `name: {path.stem}`", fix=fix
        )


def _duplicates(path: str, text: str, root: Mapping) -> Iterator[Finding]:
    if not any(isinstance(node, Mapping) and node.duplicates for node in walk(root)):
        return
    lines = Text(path, text)
    for node in walk(root):
        if not isinstance(node, Mapping):
            continue
        for first, second in node.duplicates:
            yield structural(
                "duplicate",
                f"`{second.key.text}` is given twice; YAML keeps only the last",
                second.key.place,
                "delete one of the two",
                related=(Related(first.key.place, "first given here"),),
                fix=_keep_last(lines, node, first),
            )


def _keep_last(lines: Text, node: Mapping, first: Entry) -> Fix | None:
    """Delete the line of the entry that does not count, when it is one line of its own."""
    key, value = first.key.place, first.value
    alone = not lines.line(key.line)[: key.column - 1].strip()
    if node.flow or not isinstance(value, Scalar) or value.place.end_line != key.line or not alone:
        return None
    edit = Edit(key.path, (key.line, 1), (key.line + 1, 1), "")
    return Fix("keep the last one", (edit,), safe=False)


def replacing(place: Place, text: str) -> Edit:
    return Edit(place.path, (place.line, place.column), (place.end_line, place.end_column), text)


def structural(kind: str, message: str, place: Place, hint: str, **more: Any) -> Finding:
    code, name = _STRUCTURE_CODES[kind]
    return Finding(code, name, Severity.ERROR, message, place, hint, **more)
