"""A profile file → Profile, with the place of every key and value, through ``extends`` and anchors.

Nothing here raises for what a file says: problems come back as findings, each on its token.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from deploykit.findings import Edit, Finding, Fix, Place, Related, Severity
from deploykit.profile.schema import Profile, Service
from deploykit.sources.text import Text
from deploykit.sources.yaml import Entry, Mapping, Node, Scalar, Sequence, YamlError, parse, walk

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


def load(path: Path, *, root: Path | None = None, text: str | None = None, read: Read | None = None) -> Loaded:
    """Read, merge and validate the profile at ``path``.

    ``root`` is the folder that places are relative to. ``text`` stands for the file's content when it comes from
    elsewhere (standard input, an editor). Bases are looked up beside the file. Raises OSError when ``path`` itself
    cannot be read.
    """
    return _Loader(root or Path(), read or _read_text).load(path, text)


def _read_text(path: Path) -> str:
    return path.read_bytes().decode("utf-8-sig")


class _Loader:
    def __init__(self, root: Path, read: Read) -> None:
        self.root = root
        self.read = read

    def load(self, path: Path, text: str | None) -> Loaded:
        shown = self.shown(path)
        findings: list[Finding] = []
        if text is None:
            try:
                text = self.read(path)
            except UnicodeDecodeError:
                finding = _finding("parse", "the file is not UTF-8 text", Place(shown), "save it as UTF-8")
                return Loaded(shown, "", None, None, (finding,))
        tree, bases = self.merged(path, text, findings, ())
        if tree is None:
            return Loaded(shown, text, None, None, tuple(findings), bases)
        places: dict[Trail, tuple[Place, Place]] = {}
        data = _plain(tree, (), places, Place(shown))
        findings.extend(_name_finding(path, shown, data, places))
        profile = _validate(shown, text, data, places, tree, findings)
        return Loaded(shown, text, tree, profile, tuple(findings), bases, places)

    def shown(self, path: Path) -> str:
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
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
            findings.append(_finding("parse", error.message, error.place, error.hint or "correct the YAML here"))
            return None, ()
        if not isinstance(root, Mapping):
            message = "the file is empty" if root is None else "a profile is a map of keys"
            findings.append(_finding("parse", message, Place(shown), "start with `version: 1`"))
            return None, ()
        findings.extend(_duplicates(shown, text, root))
        base = root.get("extends")
        if not isinstance(base, Scalar) or base.value is None:
            return root, ()
        name = base.text
        base_path = path.parent / f"{name}.yaml"
        if name in (*chain, path.stem):
            message = f"{path.stem} extends itself through {' → '.join((*chain, path.stem, name))}"
            findings.append(_finding("base", message, base.place, "break the circle: one of them must stand alone"))
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
        known = sorted(other.stem for other in path.parent.glob("*.yaml") if other.stem != path.stem)
        near = difflib.get_close_matches(base.text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known) or 'none'}"
        fix = Fix(f"extend {near[0]}", (_edit(base.place, near[0]),)) if near and base.plain else None
        return _finding("base", f"no profile {base.text!r} to extend", base.place, hint, fix=fix)


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


def _validate(
    shown: str,
    text: str,
    data: dict[str, Any],
    places: dict[Trail, tuple[Place, Place]],
    tree: Mapping,
    findings: list[Finding],
) -> Profile | None:
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        offences: dict[tuple[Place, str], list[tuple[str, Finding]]] = {}
        for problem in error.errors(include_url=False):
            finding = _problem(shown, problem, places)
            offence = (finding.place, finding.message.split(" ", 1)[0])
            offences.setdefault(offence, []).append((problem["type"], finding))
        findings.extend(_spokesman(found) for found in offences.values())
        return None


_UNION_WORDS = {"replicas": "a whole number, or a map of region to number"}


def _spokesman(found: list[tuple[str, Finding]]) -> Finding:
    """One finding for one value: a union (a number, or a map of regions) complains once for each of its members."""
    telling = next((finding for kind, finding in found if not kind.endswith("_type")), None)
    first = telling or found[0][1]
    trail = first.message.split(" ", 1)[0]
    wanted = _UNION_WORDS.get(trail.rsplit(".", 1)[-1]) if telling is None else None
    return replace(first, message=f"{trail} should be {wanted}", hint=f"write {wanted}") if wanted else first


def _problem(shown: str, problem: Any, places: dict[Trail, tuple[Place, Place]]) -> Finding:
    trail = _trail(problem["loc"], places)
    service = trail[1] if len(trail) > 1 and trail[0] == "services" else None
    variable = trail[3] if len(trail) > 3 and trail[2] == _PROFILE_ENV else None
    owner = {"service": str(service) if service else None, "variable": str(variable) if variable else None}
    dotted = ".".join(str(step) for step in trail) or "the profile"
    nearest = Loaded(shown, "", None, None, (), places=places)
    if problem["type"] == "extra_forbidden":
        return _unknown_key(trail, nearest, owner)
    if problem["type"] == "missing":
        return _finding("value", f"{dotted} is missing", nearest.key(*trail), f"add `{trail[-1]}:` here", **owner)
    message = _words(problem)
    return _finding("value", f"{dotted} {message}", nearest.value(*trail), _cure(problem), **owner)


def _trail(loc: tuple[str | int, ...], places: dict[Trail, tuple[Place, Place]]) -> Trail:
    """The part of pydantic's location that names keys: union members (``int``, ``Domain``) are left out."""
    trail: list[str | int] = []
    for index, step in enumerate(loc):
        last = index == len(loc) - 1
        if (*trail, step) in places or (last and isinstance(step, str) and not _union_tag(step)):
            trail.append(step)
    return tuple(trail)


def _union_tag(step: str) -> bool:
    return step in {"int", "str", "Secret", "Domain", "Source"} or "[" in step or step.startswith("constrained-")


def _words(problem: Any) -> str:
    kind, message = problem["type"], str(problem["msg"])
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    if kind == "literal_error":
        return f"should be {problem['ctx']['expected']}".replace("'", "")
    return message[:1].lower() + message[1:] if message.startswith("Input") else message


def _cure(problem: Any) -> str:
    kind = problem["type"]
    if kind.startswith(("int_", "float_")):
        return "write a whole number without quotes"
    if kind.startswith("bool_"):
        return "write true or false"
    if kind == "literal_error":
        return f"use {problem['ctx']['expected']}".replace("'", "")
    if kind in ("string_type", "string_too_short"):
        return "write a text"
    return "see docs/profile.md for what is allowed here"


def _unknown_key(trail: Trail, loaded: Loaded, owner: dict[str, str | None]) -> Finding:
    name, known = str(trail[-1]), sorted(_known_keys(trail[:-1]))
    near = difflib.get_close_matches(name, known, n=2, cutoff=0.6)
    place = loaded.key(*trail)
    hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
    close = [word for word in known if _distance_one(word, name)]
    fix = Fix(f"rename to {close[0]}", (_edit(place, close[0]),)) if len(close) == 1 else None
    where = ".".join(str(step) for step in trail[:-1]) or "a profile"
    return _finding("unknown", f"unknown key `{name}` in {where}", place, hint, fix=fix, **owner)


def _known_keys(trail: Trail) -> Iterator[str]:
    model: type[BaseModel] | None = Profile
    if trail[:1] == ("services",) and len(trail) >= 2:
        model, trail = Service, trail[2:]
    for step in trail:
        if model is None or not isinstance(step, str):
            return
        info = model.model_fields.get(step)
        model = _model_in(info.annotation) if info else None
    if model is not None:
        yield from (name for name in model.model_fields if not (model is Service and name == "name"))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        found = _model_in(part)
        if found:
            return found
    return None


def _distance_one(first: str, second: str) -> bool:
    """Whether one insertion, deletion, substitution or swap of neighbours makes them equal."""
    if abs(len(first) - len(second)) > 1 or first == second:
        return False
    start = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    a, b = first[start:], second[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _name_finding(
    path: Path, shown: str, data: dict[str, Any], places: dict[Trail, tuple[Place, Place]]
) -> Iterator[Finding]:
    name = data.get("name")
    if path.suffix in (".yaml", ".yml") and isinstance(name, str) and name != path.stem:
        place = places[("name",)][1]
        fix = Fix(f"name it {path.stem}", (_edit(place, path.stem),), safe=False)
        yield _finding(
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
            yield _finding(
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


def _edit(place: Place, text: str) -> Edit:
    return Edit(place.path, (place.line, place.column), (place.end_line, place.end_column), text)


def _finding(kind: str, message: str, place: Place, hint: str, **more: Any) -> Finding:
    code, name = _STRUCTURE_CODES[kind]
    return Finding(code, name, Severity.ERROR, message, place, hint, **more)
