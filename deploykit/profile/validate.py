"""Plain data → Profile, each complaint of pydantic as a finding on its token.

Loaded only when it is needed: pydantic takes longer to import than lint takes to check a hundred profiles.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from deploykit.findings import Finding, Fix, Place
from deploykit.profile.load import Loaded, Trail, replacing, structural
from deploykit.profile.schema import Profile, Service


def validate(
    shown: str, data: dict[str, Any], places: dict[Trail, tuple[Place, Place]], findings: list[Finding]
) -> Profile | None:
    """The profile that ``data`` is, or None; what is wrong with it is added to ``findings``."""
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
    variable = trail[3] if len(trail) > 3 and trail[2] == "env" else None
    owner = {"service": str(service) if service else None, "variable": str(variable) if variable else None}
    dotted = ".".join(str(step) for step in trail) or "the profile"
    nearest = Loaded(shown, "", None, None, (), places=places)
    if problem["type"] == "extra_forbidden":
        return _unknown_key(trail, nearest, owner)
    if problem["type"] == "missing":
        return structural("value", f"{dotted} is missing", nearest.key(*trail), f"add `{trail[-1]}:` here", **owner)
    message = _words(problem)
    return structural("value", f"{dotted} {message}", nearest.value(*trail), _cure(problem), **owner)


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
    fix = Fix(f"rename to {close[0]}", (replacing(place, close[0]),)) if len(close) == 1 else None
    where = ".".join(str(step) for step in trail[:-1]) or "a profile"
    return structural("unknown", f"unknown key `{name}` in {where}", place, hint, fix=fix, **owner)


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
