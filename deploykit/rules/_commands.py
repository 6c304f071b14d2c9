"""What a start command does: which process it starts, through which script, with which tools. Pure text work."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from deploykit.rules._known import words_of
from deploykit.rules._subjects import PROFILE, Script, Service, Surroundings
from deploykit.sources.pattern import pattern

_WORD = pattern(r""""(?:[^"\\]|\\.)*"|'[^']*'|&&|\|\||[;|&]|[^\s;|&"']+""")
_BREAK = frozenset({"&&", "||", ";", "|", "&"})
_ASSIGNMENT = pattern(r"[A-Za-z_][A-Za-z0-9_]*=")
_PREFIXES = frozenset({"exec", "env", "nohup", "time", "command", "dumb-init", "tini", "--", "cross-env"})
MANAGERS = ("npm", "pnpm", "yarn", "bun", "npx")
_BUILTINS = words_of(
    """add audit bin cache ci config create dedupe deploy dlx env exec help i import info init install link list ls
    node outdated pack patch prune publish rebuild remove root set store test unlink update upgrade version view why
    workspace workspaces x"""
)
_DAEMON = pattern(r"(schedule|scheduler|cron|clock|beat|daemon)s?\Z", re.IGNORECASE)
_WORKER = pattern(r"(worker|consumer|sidekiq|rq|dramatiq|huey|resque|queue)s?\Z", re.IGNORECASE)
_WEB = pattern(r"(web|server|app|api|index|main|www|http|site|wsgi|asgi)\Z", re.IGNORECASE)
_WEB_TOOLS = words_of(
    "gunicorn uvicorn hypercorn daphne waitress-serve next nuxt puma unicorn rails caddy nginx serve http-server"
)
_PARTS = pattern(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")


class Part(NamedTuple):
    """One simple command of a command line: its words, and what joins it to the next one."""

    words: tuple[str, ...]
    joint: str

    @property
    def program(self) -> str:
        """The program's name without its folder."""
        return posixpath.basename(self.words[0]) if self.words else ""


class Meaning(NamedTuple):
    """Which process a command starts; ``sure`` when nothing else calls itself so."""

    role: str
    sure: bool


def parts(command: str) -> list[Part]:
    """The simple commands of a command line, without variables in front and without wrappers such as ``exec``."""
    found: list[Part] = []
    words: list[str] = []
    for match in _WORD.finditer(command[:10_000]):
        token = match.group()
        if token in _BREAK:
            found.append(Part(_bare(words), token))
            words = []
        else:
            words.append(_unquoted(token))
    if words or not found:
        found.append(Part(_bare(words), ""))
    return _inside_shell(found)


def _inside_shell(found: list[Part]) -> list[Part]:
    """What ``sh -c "…"`` runs, in place of the shell."""
    result: list[Part] = []
    for part in found:
        if part.program in ("sh", "bash", "ash", "dash") and len(part.words) > 2 and part.words[1].endswith("c"):
            result.extend(parts(part.words[2]) if part.words[2] != " ".join(part.words) else [part])
        else:
            result.append(part)
    return result


def _unquoted(token: str) -> str:
    if len(token) > 1 and token[0] in "\"'" and token[-1] == token[0]:
        return token[1:-1].replace('\\"', '"')
    return token


def _bare(words: list[str]) -> tuple[str, ...]:
    at = 0
    while at < len(words) and (_ASSIGNMENT.match(words[at]) or posixpath.basename(words[at]) in _PREFIXES):
        at += 1
    return tuple(words[at:])


def normal(command: str) -> str:
    """The command with one blank between words, for comparison."""
    return " ".join(word for part in parts(command) for word in (*part.words, part.joint) if word)


def script_name(part: Part) -> tuple[str, bool] | None:
    """The package script a command runs, and whether it says ``run``: then it can be nothing but a script."""
    if part.program not in ("npm", "pnpm", "yarn", "bun"):
        return None
    words = list(_without_options(part))
    if not words:
        return None
    if words[0] in ("run", "run-script"):
        return (words[1], True) if len(words) > 1 else None
    if words[0] in ("start", "test", "stop", "restart") and part.program in ("npm", "pnpm", "yarn"):
        return (words[0], words[0] != "start" or part.program != "npm")
    if part.program == "npm" or words[0] in _BUILTINS:
        return None
    return (words[0], False)


_VALUED = frozenset({"--prefix", "-C", "--dir", "--cwd", "--filter", "-F", "--workspace", "-w"})


def _without_options(part: Part) -> Iterator[str]:
    skip = False
    for word in part.words[1:]:
        if skip:
            skip = False
        elif word in _VALUED or word == "workspace":
            skip = True
        elif word == "--":
            return
        elif not word.startswith("-"):
            yield word


def folder(service_root: str, found: list[Part], index: int) -> str | None:
    """The folder in which part ``index`` runs: the service's root, then every ``cd``. None when nobody can tell."""
    current = service_root
    for part in found[:index]:
        if part.program == "cd":
            if len(part.words) != 2 or "$" in part.words[1] or part.words[1].startswith("/"):
                return None
            current = posixpath.join(current, part.words[1])
    words = found[index].words
    for option in ("--prefix", "-C", "--dir", "--cwd"):
        if option in words[:-1]:
            current = posixpath.join(current, words[words.index(option) + 1])
    if "--filter" in words or "-F" in words or "workspace" in words[1:2] or "--workspace" in words or "-w" in words:
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
    found = [part for part in parts(command) if part.words and part.program != "cd"]
    direct = _meaning_of(found)
    if direct or around is None:
        return direct
    return _meaning_of([part for part in unfolded(command, root, around) if part.words and part.program != "cd"])


def _meaning_of(found: list[Part]) -> Meaning | None:
    meanings = [meaning for part in found if (meaning := part_meaning(part))]
    for role in ("daemon", "worker"):
        if any(each.role == role for each in meanings):
            other = "worker" if role == "daemon" else "daemon"
            if any(each.role == other for each in meanings):
                return None
            return next(each for each in meanings if each.role == role)
    return meanings[-1] if meanings else None


def part_meaning(part: Part) -> Meaning | None:
    """Which process one simple command starts."""
    words = part.words
    program = part.program
    if program in ("python", "python3") and words[1:3] == ("-m", "runtime") and len(words) > 3:
        return Meaning(words[3], True) if words[3] in ("web", "daemon", "worker") else None
    if program == "celery":
        return Meaning("daemon", True) if "beat" in words else Meaning("worker", True) if "worker" in words else None
    named = script_name(part)
    if named:
        return spoken(named[0])
    if program in _WEB_TOOLS:
        return Meaning("web", True)
    if program in ("npx", "pnpx", "bunx"):
        return part_meaning(Part(words[1:], "")) if len(words) > 1 else None
    started = target(part)
    return spoken(started) if started else None


def target(part: Part) -> str | None:
    """The file, module or program that a command starts."""
    program, words = part.program, part.words
    if program in ("node", "bun", "deno", "tsx", "ts-node", "python", "python3", "ruby", "php"):
        options_with_value = ("-r", "--require", "--import", "-W", "-X", "--env-file", "--loader")
        at = 1
        while at < len(words):
            word = words[at]
            if word == "-m" and at + 1 < len(words):
                return words[at + 1].replace(".", "/")
            if word in options_with_value:
                at += 2
            elif word.startswith("-") or word in ("run", "watch"):
                at += 1
            else:
                return word
        return None
    return words[0] if words else None


def spoken(name: str) -> Meaning | None:
    """The role that a script's, file's or module's name speaks of."""
    stem = re.sub(r"\.(js|mjs|cjs|ts|mts|cts|tsx|py|rb|php)\Z", "", posixpath.basename(name))
    pieces = [piece for word in re.split(r"[^A-Za-z0-9]+", stem) for piece in _PARTS.findall(word)]
    daemon = any(_DAEMON.match(piece) for piece in pieces)
    worker = any(_WORKER.match(piece) for piece in pieces)
    if daemon and worker:
        # scheduleDaemonWorker, job-scheduler-worker: nobody can tell.
        return None
    if daemon:
        return Meaning("daemon", True)
    if worker:
        return Meaning("worker", True)
    if any(_WEB.match(piece) for piece in pieces):
        return Meaning("web", False)
    return None
