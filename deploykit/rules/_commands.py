"""What a start command does in its repository: through which package script, from which sources. Pure text work."""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from deploykit.rules._subjects import PROFILE, Script, Service, Surroundings
from deploykit.sources.commands import (
    Meaning as Meaning,
    Part as Part,
    endless as endless,
    meaning_of,
    normal as normal,
    option_value as option_value,
    part_meaning as part_meaning,
    parts as parts,
    runs_elsewhere,
    script_name,
    spoken as spoken,
    target as target,
)

FOLDER_OPTIONS = ("--prefix", "-C", "--dir", "--cwd")
"""How npm, pnpm, yarn and bun are told a folder."""


def folder(service_root: str, found: list[Part], index: int) -> str | None:
    """The folder in which part ``index`` runs: the service's root, then every ``cd``. None when nobody can tell."""
    current = service_root
    for part in found[:index]:
        if part.program == "cd":
            if len(part.words) != 2 or "$" in part.words[1] or part.words[1].startswith("/"):
                return None
            current = posixpath.join(current, part.words[1])
    inside = option_value(found[index], FOLDER_OPTIONS)
    if inside is not None:
        current = posixpath.join(current, inside)
    if runs_elsewhere(found[index]):
        return None
    current = posixpath.normpath(current) if current else ""
    return None if current.startswith("..") else "" if current == "." else current


def root_of(service: Service) -> str:
    """The folder of a service's source, relative to the linted folder."""
    root = (service.text("source.root") or "").strip("/")
    root = "" if root in (".", "") else posixpath.normpath(root)
    # An example inside a larger repository is a repository itself: its profiles/ stand beside its package.json.
    system = service.system
    inside, found, _ = f"/{system.path}".rpartition("/profiles/")
    base = inside.strip("/") if found and system.kind == PROFILE else ""
    own = base and any(folder == base or folder.startswith(f"{base}/") for folder in system.around.scripts)
    return posixpath.join(base, root) if own and root else base if own else root


def source_of(service: Service) -> dict[str, str]:
    """The source files of a service: those under its ``source.root``, else those of folders named by hand."""
    sources = service.system.around.sources
    if not sources or service.from_image:
        return {}
    root = root_of(service)
    own = {path: text for path, text in sources.items() if root and path.startswith(f"{root}/")}
    if own:
        return own
    roots = {root_of(other) for other in service.system.services} - {""}
    return {path: text for path, text in sources.items() if not any(path.startswith(f"{r}/") for r in roots)}


class Call(NamedTuple):
    """A package script that a command calls."""

    name: str
    explicit: bool
    folder: str
    part: Part
    script: Script | None


def calls(command: str, root: str, around: Surroundings) -> list[Call]:
    """Every package script that a command calls in a folder whose package.json is known."""
    found = parts(command)
    result = []
    for index, part in enumerate(found):
        named = script_name(part)
        where = folder(root, found, index) if named else None
        if named and where is not None and where in around.scripts:
            result.append(Call(named[0], named[1], where, part, around.script(where, named[0])))
    return result


def unfolded(command: str, root: str, around: Surroundings, depth: int = 0) -> list[Part]:
    """The simple commands that really run: package scripts replaced by what they hold."""
    found = parts(command)
    result: list[Part] = []
    for index, part in enumerate(found):
        named = script_name(part)
        where = folder(root, found, index) if named else None
        script = around.script(where, named[0]) if named and where is not None else None
        if script and where is not None and depth < 5:
            result.extend(unfolded(script.command, where, around, depth + 1))
        else:
            result.append(part)
    return result


def meaning(command: str | None, root: str = "", around: Surroundings | None = None) -> Meaning | None:
    """Which process a command starts, when its words say so."""
    if not command:
        return None
    direct = meaning_of(parts(command))
    if direct or around is None:
        return direct
    return meaning_of(unfolded(command, root, around))
