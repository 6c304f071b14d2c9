"""What was applied from this folder: the last one, for verify, and the last twenty, for a rollback.

A record is a folder ``.deploykit/history/12/``: the profile as one self-contained file, which every command takes, and
``record.json`` beside it. It is written before the first thing is done, and says "reached" once everything was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploykit import __version__
from deploykit.commands import lock
from deploykit.commands.plan import write_private, write_private_text
from deploykit.errors import ConfigurationError
from deploykit.planning import plan as paper
from deploykit.profile.load import Loaded, load
from deploykit.profile.write import profile_text
from deploykit.rules import with_suppressions_of

FILE = Path(".deploykit") / "applied.json"
HISTORY = Path(".deploykit") / "history"
KEPT = 20
"""How many records are kept."""
SCHEMA = "deploykit.record/1"
_RECORD = "record.json"
_TAKEN_TRIES = 100


@dataclass(frozen=True, slots=True)
class Place:
    """One environment of one project."""

    project_id: str
    environment_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """One apply: what it was to reach, where, when, by whom, and whether it got there.

    ``damage`` says why a record cannot be trusted; then only its number is sure.
    """

    id: int
    folder: Path
    profile: str = ""
    fingerprint: str = ""
    environment: str = ""
    place: Place = Place("", "")
    at: str = ""
    by: str = ""
    reached: bool = False
    steps: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    """Services that did not exist before."""
    damage: str | None = None

    @property
    def path(self) -> Path:
        """The profile as it was applied."""
        return self.folder / f"{self.profile}.yaml"

    def as_json(self) -> dict[str, Any]:
        """The record in its public shape."""
        names = ("id", "profile", "fingerprint", "environment", "at", "by", "reached", "damage")
        return {**{name: getattr(self, name) for name in names}, "steps": list(self.steps), "path": str(self.path)}


def chosen_profile(project_dir: Path) -> str:
    """The profile that was applied last: its record's file, or its name. Raises ConfigurationError without a record."""
    path = project_dir / FILE
    hint = "name a profile: deploykit verify pre-launch"
    try:
        value = json.loads(path.read_text("utf-8"))
        name, number = str(value["profile"]), value.get("record")
    except FileNotFoundError:
        raise ConfigurationError("nothing was applied from this folder yet", where=str(path), hint=hint) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError("cannot read which profile was applied", where=str(path), hint=hint) from None
    kept = next((one for one in records(project_dir) if one.id == number and not one.damage), None)
    return str(kept.path.resolve()) if kept else name


def records(project_dir: Path) -> list[Record]:
    """Every record of this folder, oldest first, damaged ones marked as such."""
    folders = (project_dir / HISTORY).glob("[0-9]*")
    return [_read(number, folder) for number, folder in sorted((int(one.name), one) for one in folders if _is(one))]


def _is(folder: Path) -> bool:
    return folder.name.isdecimal() and folder.is_dir()


def _read(number: int, folder: Path) -> Record:
    try:
        value = json.loads((folder / _RECORD).read_text("utf-8"))
        if value["schema"] != SCHEMA:
            return Record(number, folder, damage="another version of deploykit wrote it")
        record = Record(
            number,
            folder,
            profile=value["profile"],
            fingerprint=value["fingerprint"],
            environment=value["environment"],
            place=Place(value["project_id"], value["environment_id"]),
            at=value["at"],
            by=value["by"],
            reached=value["reached"] is True,
            steps=tuple(value["steps"]),
            created=tuple(value["created"]),
        )
        digest = _digest(record.path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return Record(number, folder, damage="its files cannot be read")
    if digest != value["text_sha256"]:
        return Record(number, folder, damage=f"{record.path.name} is not what was applied: somebody changed it")
    return record


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Attempt:
    """One apply on its way into the history: nothing before it begins, "not reached" until it is through."""

    def __init__(
        self, project_dir: Path, loaded: Loaded, profile_path: Path, place: Place, review: Mapping[str, Any]
    ) -> None:
        assert loaded.profile is not None
        self.project_dir, self.profile, self.profile_path = project_dir, loaded.profile, profile_path
        self._text = _self_contained(loaded)
        self._folder: Path | None = None
        self._value: dict[str, Any] = {
            "schema": SCHEMA,
            "profile": self.profile.name,
            "fingerprint": paper.fingerprint(self.profile.model_copy(update={"extends": None})),
            "environment": self.profile.environment,
            "project_id": place.project_id,
            "environment_id": place.environment_id,
            "by": lock.operator(),
            "tool_version": __version__,
            "changes": [change["summary"] for change in review["changes"]],
            "steps": [f"{step['action']} {step['service']}" for step in review["steps"]],
            "created": [
                change["address"].partition(".")[2]
                for change in review["changes"]
                if change["kind"] == "resource.create" and change["address"].startswith("service.")
            ],
            "text_sha256": _digest(self._text.encode()),
        }

    def begun(self) -> None:
        """From here on something may have been done. Raises OSError."""
        if self._folder is None:
            self._value |= {"at": _now(), "reached": False}
            self._folder = _keep(self.project_dir / HISTORY, self._text, f"{self.profile.name}.yaml", self._value)
            _prune(self.project_dir)

    def reached(self) -> None:
        """Everything was done: this is what is live. Raises OSError."""
        same = self._the_last_one() if self._folder is None else None
        if same is None:
            self.begun()
            assert self._folder is not None
            self._value["reached"] = True
            write_private(self._folder / _RECORD, self._value)
        value = {
            "schema": "deploykit.applied/1",
            "profile": self.profile.name,
            "path": str(self.profile_path),
            "fingerprint": paper.fingerprint(self.profile),
            "record": same.id if same else int(self._folder.name) if self._folder else None,
            "at": _now(),
        }
        write_private(self.project_dir / FILE, value)

    def _the_last_one(self) -> Record | None:
        """The newest record, when it says what this one would: an apply that found nothing to do adds none."""
        newest = next(reversed(records(self.project_dir)), None)
        place = Place(self._value["project_id"], self._value["environment_id"])
        if newest and newest.reached and (newest.fingerprint, newest.place) == (self._value["fingerprint"], place):
            return newest
        return None


def _self_contained(loaded: Loaded) -> str:
    assert loaded.profile is not None
    path = Path(f"{loaded.profile.name}.yaml")
    return with_suppressions_of(loaded, load(path, text=profile_text(loaded.profile)))


def _keep(history: Path, text: str, name: str, value: Mapping[str, Any]) -> Path:
    """Write a record's folder whole or not at all, under the next free number."""
    history.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = history / f".{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    write_private_text(draft / name, text)
    write_private(draft / _RECORD, value)
    last = max((int(one.name) for one in history.iterdir() if _is(one)), default=0)
    for number in range(last + 1, last + _TAKEN_TRIES):
        with suppress(OSError):  # somebody else took that number
            return draft.rename(history / str(number))
    raise FileExistsError(f"no free number in {history}")


def _prune(project_dir: Path) -> None:
    """Drop the oldest records, but never the last that was reached: failed attempts must not push it out."""
    kept = records(project_dir)
    reached = next((one.id for one in reversed(kept) if one.reached), None)
    for old in kept[:-KEPT]:
        if old.id != reached:
            shutil.rmtree(old.folder, ignore_errors=True)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
