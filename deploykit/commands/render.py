"""Write every artefact of a profile into a folder, or say which of them differ from what is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from deploykit.errors import DeploykitError, UsageError
from deploykit.profile.rendered import read_header
from deploykit.profile.schema import Profile


class State(StrEnum):
    """What became of an artefact, or in which state ``--check`` found it."""

    WRITTEN = "written"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    MISSING = "missing"
    DIFFERS = "differs"
    STALE = "stale"
    """Rendered earlier for a service that the profile no longer has."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file, relative to the folder it is rendered into."""

    path: str
    state: State
    edited: bool = False
    """Whether somebody had edited the file that stood there."""


def folder(project_dir: Path, profile: Profile, out: Path | None) -> Path:
    """Where artefacts go: ``out``, else ``PROJECT_DIR/out/NAME``."""
    return out if out is not None else project_dir / "out" / profile.name


def write(
    profile: Profile, out: Path, *, only: Sequence[str] = (), templates: Path | None = None, force: bool = False
) -> list[Artefact]:
    """Write the artefacts into ``out``; all or none are attempted, each replaced in one step.

    Raises DeploykitError, before anything is written, when a file of somebody else stands in the way.
    """
    files = _wanted(profile, only, templates)
    foreign = [path for path in files if _is_foreign(out / path)]
    if foreign and not force:
        raise DeploykitError(
            f"not rendered by deploykit, and so not overwritten: {', '.join(foreign)}",
            where=str(out),
            hint="choose another folder with --out, or some of the files with --only; --force overwrites",
        )
    result = [_write(out, path, text) for path, text in files.items()]
    for path in [] if only else _stale(profile, out, files):
        (out / path).unlink()
        _remove_when_empty((out / path).parent)
        result.append(Artefact(path, State.REMOVED))
    return result


def check(profile: Profile, out: Path, *, only: Sequence[str] = (), templates: Path | None = None) -> list[Artefact]:
    """Compare the artefacts with what stands in ``out``; nothing is written."""
    files = _wanted(profile, only, templates)
    result = [_compare(out, path, text) for path, text in files.items()]
    result += [Artefact(path, State.STALE) for path in ([] if only else _stale(profile, out, files))]
    return result


def _wanted(profile: Profile, only: Sequence[str], templates: Path | None) -> dict[str, str]:
    from deploykit.rendering.render import render

    files = render(profile, overrides=templates)
    if not only:
        return files
    chosen = {path: text for path, text in files.items() if any(fnmatchcase(path, pattern) for pattern in only)}
    if not chosen:
        raise UsageError(f"no artefact matches {', '.join(only)}", hint=f"there are: {', '.join(files)}")
    return chosen


def _is_foreign(path: Path) -> bool:
    text = _read(path)
    return text is not None and read_header(text) is None


def _write(out: Path, path: str, text: str) -> Artefact:
    found = _compare(out, path, text)
    if found.state is State.UNCHANGED:
        return found
    target = out / path
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(target, text)
    return Artefact(path, State.WRITTEN, found.edited)


def _replace(target: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _compare(out: Path, path: str, text: str) -> Artefact:
    there = _read(out / path)
    if there is None:
        return Artefact(path, State.MISSING)
    header = read_header(there)
    return Artefact(path, State.UNCHANGED if there == text else State.DIFFERS, header is not None and header.edited)


def _stale(profile: Profile, out: Path, files: Mapping[str, str]) -> Iterator[str]:
    """Files of this profile, as they were rendered, in folders of services that it no longer has."""
    source = f"profiles/{profile.name}.yaml"
    for variables in sorted(out.glob("*/variables.env")):
        for name in ("railway.toml", "variables.env"):
            path = f"{variables.parent.name}/{name}"
            header = read_header(_read(out / path) or "")
            if path not in files and header and header.source == source and not header.edited:
                yield path


def _remove_when_empty(directory: Path) -> None:
    if not any(directory.iterdir()):
        directory.rmdir()


def _read(path: Path) -> str | None:
    """The text of a file as it stands, line ends included; None when there is none."""
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except (IsADirectoryError, NotADirectoryError):
        raise DeploykitError(
            "a folder stands where a file belongs, or the other way round",
            where=str(path),
            hint="choose another folder with --out",
        ) from None
