"""Set deploykit up in a repository: profiles, .env.example, CI, pre-commit. Nothing that is there is overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deploykit.commands.detect import LOCKS, READ, Found, detect

_PROFILES = ("pre-launch", "100-users", "1000-users")
_LARGEST_FILE_BYTES = 1_000_000
_IGNORED = (".deploykit/", ".env")
GITIGNORE = ".gitignore"


class Action(StrEnum):
    """What became of a file."""

    CREATED = "created"
    EXTENDED = "extended"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Done:
    """One file and what was done to it; ``note`` says what a person may still want to do."""

    path: str
    action: Action
    note: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything ``init`` did, what it found, and the commands that come next."""

    found: Found
    files: tuple[Done, ...]
    next_steps: tuple[str, ...]


def init(project_dir: Path) -> Setup:
    """Set up ``project_dir``. Running it again changes nothing. Raises OSError when a file cannot be written."""
    found = detect(_texts(project_dir), frozenset(name for name in LOCKS if (project_dir / name).is_file()))
    plan = list(_files(project_dir, found))
    files = [_create(project_dir, path, text, note) for path, text, note in plan]
    files.append(_ignore(project_dir))
    return Setup(found, tuple(files), _next_steps(found))


def _files(project_dir: Path, found: Found) -> Iterator[tuple[str, str | None, str]]:
    """Path, text (None when it is not to be written) and the note for when it is kept."""
    from deploykit.commands.schema import schema_text
    from deploykit.rendering.render import fill

    first = project_dir / "profiles" / f"{_PROFILES[0]}.yaml"
    for name in _PROFILES:
        # The larger profiles extend ours: beside somebody else's pre-launch they would mean something else.
        others = name != _PROFILES[0] and first.exists()
        text = None if others else fill(f"init/{name}.yaml.j2", found=found)
        yield f"profiles/{name}.yaml", text, "not written: your own pre-launch.yaml is there" if others else ""
    yield "profiles/profile.schema.json", schema_text(), "`deploykit schema` prints the current one"
    yield ".env.example", fill("init/env.example.j2", found=found), "compare it with `deploykit lint`"
    yield ".github/workflows/deploykit.yml", fill("init/workflow.yml.j2", found=found), ""
    hook = fill("init/pre-commit-config.yaml.j2", found=found)
    yield ".pre-commit-config.yaml", hook, f"to add the hook, put this under repos:\n{_hook(hook)}"


def _create(project_dir: Path, path: str, text: str | None, note: str) -> Done:
    target = project_dir / path
    if text is None:
        return Done(path, Action.KEPT, "" if target.exists() else note)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        return Done(path, Action.KEPT, "" if _read(target) == text else note)
    return Done(path, Action.CREATED)


def _ignore(project_dir: Path) -> Done:
    target = project_dir / GITIGNORE
    there = _read(target)
    lines = {line.strip().strip("/") for line in (there or "").splitlines()}
    missing = [line for line in _IGNORED if line.strip("/") not in lines]
    if not missing:
        return Done(GITIGNORE, Action.KEPT)
    end = "\r\n" if there and "\r\n" in there else "\n"
    gap = end if there and not there.endswith("\n") else ""
    with target.open("a", encoding="utf-8", newline="") as file:
        file.write(gap + "".join(line + end for line in missing))
    action = Action.CREATED if there is None else Action.EXTENDED
    return Done(GITIGNORE, action, f"added {', '.join(missing)}")


def _next_steps(found: Found) -> tuple[str, ...]:
    edit = [] if found.repo_known else ["put your repository's name into profiles/pre-launch.yaml (source.repo)"]
    if found.daemon.bundled and not found.web.bundled:
        edit.append("say how your schedule daemon starts in profiles/pre-launch.yaml (schedule-daemon.start)")
    return (
        *edit,
        "deploykit lint                       # what is wrong, where, and the cure",
        "deploykit map pre-launch             # what would run where",
        "deploykit rehearse pre-launch        # plan, apply and verify on this machine, without an account",
        "deploykit plan pre-launch            # with RAILWAY_TOKEN: what would change on Railway",
    )


def _hook(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line != "repos:")


def _texts(project_dir: Path) -> dict[str, str]:
    found = {path: _read(project_dir / path) for path in READ}
    return {path: text for path, text in found.items() if text is not None}


def _read(path: Path) -> str | None:
    """A text file of reasonable size; None when there is none, or when it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_FILE_BYTES:
            return None
        return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
