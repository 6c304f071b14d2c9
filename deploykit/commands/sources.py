"""Finds and reads what lint looks at: the only place where lint touches the disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from deploykit.errors import UsageError
from deploykit.rules import Sources, matches
from deploykit.sources.pattern import pattern

MAX_BYTES = 4_000_000
"""A larger file is refused, not read."""
MAX_PATHS = 200_000
MAX_SOURCE_FILES = 2_000
MAX_SOURCE_BYTES = 500_000

_SKIPPED_FOLDERS = frozenset(
    (
        *(".git", ".hg", ".svn", "node_modules", ".venv", "venv", ".nox", ".tox", "__pycache__", "site-packages"),
        *(".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", ".deploykit", ".next", ".turbo", ".cache"),
    )
)
_PROFILE = pattern(r"^(version|services|extends|name)[ \t]*:", re.MULTILINE)
_ELSEWHERE = pattern(r"^services[ \t]*:", re.MULTILINE)
_ROLE = pattern(r"^[ \t]+role[ \t]*:[ \t]*[\"']?(web|daemon|worker|database|other)\b", re.MULTILINE)
_HEIR = pattern(r"^extends[ \t]*:[ \t]*[\"']?[\w.-]+[\"']?[ \t]*(#.*)?$", re.MULTILINE)
_VERSION = pattern(r"^version[ \t]*:[ \t]*1[ \t]*(#.*)?$", re.MULTILINE)
_COMPOSE = pattern(r"(docker-)?compose[^/]*\.ya?ml\Z")
_ROOT = pattern(r"\broot[ \t]*:[ \t]*[\"']?([^\s\"',}#]+)")
_ENV = pattern(r"(\.env(\..+)?|.+\.env)\Z")
_CODE = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".jsx", ".py")
_HEADER = "rendered by deploykit from "
_ARTEFACTS = frozenset(["RUNBOOK.md", "compose.yaml", "process-map.svg", "process-map.mmd"])
_NAMED = frozenset(["railway.toml", "railway.json", "Procfile", "package.json", "Dockerfile"])


@dataclass(slots=True)
class Files:
    """What was found: the sources for the rules, and which texts began with a byte order mark."""

    root: Path
    sources: Sources
    marked: frozenset[str] = frozenset()
    given: dict[str, Path] = field(default_factory=dict)

    def write(self, path: str, text: str) -> None:
        """Write a file back as it was read: encoding, mark, line endings and a link to it stay. Raises OSError."""
        body = ("\ufeff" + text if path in self.marked else text).encode("utf-8")
        target = (self.root / path).resolve()
        beside = target.with_name(f".{target.name}.deploykit-{os.getpid()}")
        try:
            beside.write_bytes(body)
            beside.chmod(target.stat().st_mode & 0o7777)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


def collect(
    project_dir: Path,
    paths: Sequence[str] = (),
    *,
    source_dirs: Iterable[str] = (),
    exclude: Iterable[str] = (),
    stdin: tuple[str, str] | None = None,
    today: date | None = None,
) -> Files:
    """Everything to look at under ``paths`` (the project by default).

    ``stdin`` is (name, text) of a file that is not, or not yet, on disk. Raises UsageError for a missing path.
    """
    root, wanted = _wanted(project_dir, paths)
    reader = _Reader(root)
    exclude = tuple(exclude)
    whole = wanted is None and stdin is None
    if whole:
        listing = [path for path in _walk(root) if not any(matches(path, glob) for glob in exclude)]
        candidates = [path for path in listing if _kind_in(root, path)]
    else:
        candidates = sorted({*(wanted or ()), *_context(root, [*(wanted or ()), *([stdin[0]] if stdin else [])])})
        listing = _near(root)
    ignored = _ignored(root, [path for path in candidates if _ENV.match(path.rsplit("/", 1)[-1])])
    texts: dict[str, str] = {}
    profiles: list[str] = []
    if stdin:
        reader.given[stdin[0]] = stdin[1]
        candidates = [*candidates, stdin[0]] if stdin[0] not in candidates else candidates
    explicit = {*(wanted or ()), *([stdin[0]] if stdin else [])}
    for path in candidates:
        if path in ignored and os.path.dirname(path) and os.path.dirname(path) in ignored:
            continue
        kind = _kind_in(root, path) or ("profile" if path in reader.given else "")
        if not kind:
            continue  # named by hand, and lint has no business with it
        text = reader.read(path)
        if text is None:
            continue
        if kind == "profile" and not (path in explicit or _is_profile(f"{root.name}/{path}", text)):
            reader.marked.discard(path)
            continue
        if kind == "profile":
            profiles.append(path)
        texts[path] = text
    _add_bases(reader, texts, profiles, explicit if not whole else None)
    for path in listing if whole else ():
        if path.rsplit("/", 1)[-1] in _ARTEFACTS and (text := reader.read(path)) and _HEADER in text[:600]:
            texts[path] = text
    roots = {found.strip("/") for path in profiles for found in _ROOT.findall(texts.get(path, ""))}
    code = dict(
        _code(reader, [*(folder for folder in roots if folder not in ("", ".")), *_relative(root, source_dirs)])
    )
    only = frozenset(explicit) if not whole else None
    sources = Sources(
        texts=texts,
        profiles=tuple(path for path in profiles if only is None or path in only),
        listing=frozenset(listing),
        ignored=frozenset(ignored),
        unreadable={path: why for path, why in reader.unreadable.items() if only is None or path in only},
        sources=code,
        today=today or date.today(),
        only=only,
    )
    return Files(root, sources, frozenset(reader.marked))


def _wanted(project_dir: Path, paths: Sequence[str]) -> tuple[Path, list[str] | None]:
    """The linted folder, and the files in it that are wanted; None when all are."""
    if not paths:
        return project_dir.resolve(), None
    found = []
    for name in paths:
        path = Path(name) if Path(name).exists() else project_dir / name
        if not path.exists():
            raise UsageError(f"no file or folder {name!r}", hint="check the path")
        found.append(path.resolve())
    if len(found) == 1 and found[0].is_dir():
        return found[0], None
    root = project_dir.resolve()
    if not all(path.is_relative_to(root) for path in found):
        root = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in found]))
    wanted: list[str] = []
    for path in found:
        if path.is_dir():
            inside = path.relative_to(root).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            wanted.extend(f"{prefix}{each}" for each in _walk(path) if _kind(each))
        else:
            wanted.append(path.relative_to(root).as_posix())
    return root, [path for path in wanted if _kind(path) != "profile" or not _COMPOSE.search(path)]


def _walk(root: Path) -> Iterator[str]:
    """Every file under ``root``, folders that hold no configuration left out, in the same order every time."""
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED_FOLDERS)
        inside = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if inside == "." else f"{inside}/"
        for name in sorted(names):
            yield f"{prefix}{name}"
            count += 1
        if count > MAX_PATHS:
            return


def _kind(path: str) -> str:
    """What a path may be, by its name alone; nothing when lint has no business with it."""
    folder, _, name = path.rpartition("/")
    if name in _NAMED or name.startswith("Dockerfile.") or name.endswith((".Dockerfile", ".dockerfile")):
        return "file"
    if name.startswith("Procfile."):
        return "file"
    if re.match(r"railway\.(py|ts|js|mjs|go)\Z", name) and folder.rsplit("/", 1)[-1] == ".railway":
        return "file"
    if name.startswith("ecosystem.") and name.endswith((".js", ".cjs", ".json")):
        return "file"
    if _ENV.match(name):
        return "env"
    if name.endswith((".yaml", ".yml")) and not _COMPOSE.match(name) and "/.github/" not in f"/{path}":
        return "profile"
    return ""


def _kind_in(root: Path, path: str) -> str:
    """What a path may be, when the linted folder's own name counts too: it may be .railway itself."""
    return _kind(path) or (_kind(f"{root.name}/{path}") if "/" not in path else "")


def _is_profile(path: str, text: str) -> bool:
    """Whether a YAML file is ours, by its path from the linted folder's name on: below profiles/ when it looks like it,
    elsewhere when it cannot be anything else.
    """
    folders = path.split("/")[:-1]
    if "profiles" in folders:
        return bool(_PROFILE.search(text)) or not text.strip() or folders[:2].count("profiles") > 0
    return bool(_ELSEWHERE.search(text) and _ROLE.search(text)) or bool(_HEIR.search(text) and _VERSION.search(text))


def _context(root: Path, wanted: Iterable[str]) -> list[str]:
    """Files that say something about the wanted ones: scripts and process types beside and above them."""
    folders = {""}
    for path in wanted:
        parts = path.split("/")[:-1]
        folders.update("/".join(parts[:depth]) for depth in range(len(parts) + 1))
    found = []
    for folder in sorted(folders):
        for name in ("package.json", "Procfile"):
            path = f"{folder}/{name}" if folder else name
            if (root / path).is_file():
                found.append(path)
    found.extend(path.relative_to(root).as_posix() for path in sorted(root.glob("*/package.json"))[:50])
    return [path for path in found if "node_modules" not in path]


def _near(root: Path) -> list[str]:
    """The files of the folder itself and one level down: enough to know which commands can exist."""
    try:
        names = [path for path in sorted(root.iterdir())[:2000] if path.name not in _SKIPPED_FOLDERS]
    except OSError:
        return []
    return [path.name for path in names if path.is_file()]


class _Reader:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.unreadable: dict[str, str] = {}
        self.marked: set[str] = set()
        self.given: dict[str, str] = {}

    def read(self, path: str) -> str | None:
        """The text of a file. None when it cannot be read; ``unreadable`` then says why."""
        if path in self.given:
            return self.given[path]
        try:
            target = self.root / path
            if not target.is_file():
                if target.is_symlink():
                    return None
                self.unreadable[path] = "this is no regular file"
                return None
            if target.stat().st_size > MAX_BYTES:
                self.unreadable[path] = f"the file is larger than {MAX_BYTES // 1_000_000} MB"
                return None
            text = target.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            self.unreadable[path] = f"the file is not UTF-8 text (byte {error.start + 1})"
            return None
        except OSError as error:
            self.unreadable[path] = f"the file cannot be read: {error.strerror}"
            return None
        if text.startswith("\ufeff") and not _ENV.match(path.rsplit("/", 1)[-1]):
            self.marked.add(path)
            return text[1:]
        return text


def _add_bases(reader: _Reader, texts: dict[str, str], profiles: Sequence[str], explicit: set[str] | None) -> None:
    """Read the bases that profiles extend, when they are not among the wanted files themselves."""
    waiting = list(profiles)
    while waiting and explicit is not None:
        path = waiting.pop()
        base = re.search(r"^extends[ \t]*:[ \t]*[\"']?([^\s\"'#]+)", texts.get(path, ""), re.MULTILINE)
        folder = path.rpartition("/")[0]
        if not base or "/" in base[1]:
            continue
        name = f"{folder}/{base[1]}.yaml" if folder else f"{base[1]}.yaml"
        if name not in texts and (reader.root / name).is_file():
            text = reader.read(name)
            if text is not None:
                texts[name] = text
                waiting.append(name)


def _relative(root: Path, folders: Iterable[str]) -> Iterator[str]:
    for folder in folders:
        path = Path(folder) if Path(folder).is_dir() else root / folder
        if not path.is_dir():
            raise UsageError(f"no folder {folder!r}", hint="--source names a folder with source code")
        yield os.path.relpath(path.resolve(), root).replace(os.sep, "/")


def _code(reader: _Reader, folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    count = 0
    for folder in dict.fromkeys(folders):
        base = reader.root / folder
        if not base.is_dir():
            continue
        for inside in _walk(base):
            path = inside if folder == "." else f"{folder}/{inside}"
            if not path.endswith(_CODE) or count >= MAX_SOURCE_FILES:
                continue
            try:
                target = reader.root / path
                if target.stat().st_size <= MAX_SOURCE_BYTES:
                    yield path, target.read_bytes().decode("utf-8-sig")
                    count += 1
            except (OSError, UnicodeDecodeError):
                continue


def _ignored(root: Path, paths: Sequence[str]) -> set[str]:
    """Which of ``paths`` and of their folders git ignores; by .gitignore alone where there is no repository."""
    if not paths:
        return set()
    import subprocess

    asked = sorted({*paths, *(folder for path in paths if (folder := os.path.dirname(path)))})
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "check-ignore", "-z", "--stdin"],
            input="\0".join(asked).encode(),
            capture_output=True,
            timeout=30,
            check=False,
        )
        if done.returncode in (0, 1):
            return set(filter(None, done.stdout.decode("utf-8", "replace").split("\0")))
    except (OSError, subprocess.TimeoutExpired):
        pass
    return _by_gitignore(root, asked)


def _by_gitignore(root: Path, asked: Iterable[str]) -> set[str]:
    try:
        lines = (root / ".gitignore").read_text("utf-8", "replace").splitlines()
    except OSError:
        return set()
    ignored: set[str] = set()
    for line in lines:
        glob = line.strip()
        if not glob or glob.startswith("#"):
            continue
        negated, glob = glob.startswith("!"), glob.removeprefix("!")
        hit = {path for path in asked if matches(path, glob.removeprefix("/").rstrip("/") or glob)}
        ignored = ignored - hit if negated else ignored | hit
    return ignored
