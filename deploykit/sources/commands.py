"""What a start command does, by its words alone: its simple commands, the script it calls, the process it starts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from deploykit.sources.pattern import pattern
from deploykit.sources.programs import MODULES, RUNNER_VALUED, RUNNERS, WEB_TOOLS, task

_WORD = pattern(r""""(?:[^"\\]|\\.)*"|'[^']*'|&&|\|\||[;|&]|[^\s;|&"']+""")
_BREAK = frozenset({"&&", "||", ";", "|", "&"})
_ASSIGNMENT = pattern(r"[A-Za-z_][A-Za-z0-9_]*=")
_PREFIXES = frozenset({"exec", "env", "nohup", "time", "command", "dumb-init", "tini", "--", "cross-env", "thrust"})


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BUILTINS = _words(
    """add audit bin cache ci config create dedupe deploy dlx env exec help i import info init install link list ls
    node outdated pack patch prune publish rebuild remove root set store test unlink update upgrade version view why
    workspace workspaces x"""
)
_DAEMON = pattern(r"(schedule|scheduler|cron|clock|clockwork|beat|daemon)s?\Z", re.IGNORECASE)
_WORKER = pattern(r"(worker|consumer|sidekiq|rq|arq|dramatiq|huey|resque|queue|horizon)s?\Z", re.IGNORECASE)
_WEB = pattern(r"(web|server|app|api|index|main|www|http|site|wsgi|asgi)\Z", re.IGNORECASE)
_SHOWN = pattern(r"(web|server|api|www|http|site|ui|dashboard|board|admin|frontend)\Z", re.IGNORECASE)
"""Words of what a browser sees: a schedule API and a queue's dashboard are web servers."""
_ENTRY = pattern(r"(?:index|main|start|run|cli)\Z", re.IGNORECASE)
_PROCESS_FOLDER = pattern(r"worker|consumer|daemon|scheduler|cron", re.IGNORECASE)
"""Not every word: an application may be about schedules, clocks or queues."""
_BUILT = frozenset({"dist", "build", "out", "lib", "src", "bin", "target", "output"})
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
    if words and words[0][:1] in "({":  # a subshell or a group
        words = [words[0][1:], *words[1:]] if words[0][1:] else words[1:]
    while at < len(words):
        program = posixpath.basename(words[at])
        asked = RUNNERS.get(program)
        if _ASSIGNMENT.match(words[at]) or program in _PREFIXES:
            at += 1
        elif asked is not None and tuple(words[at + 1 : at + 1 + len(asked)]) == asked:
            at += 1 + len(asked)
            while at < len(words) and words[at].startswith("-"):
                at += 1 if words[at] == "--" or "=" in words[at] or words[at] not in RUNNER_VALUED else 2
        else:
            break
    return tuple(words[at:])


def normal(command: str) -> str:
    """The command with one blank between words, for comparison."""
    return " ".join(word for part in parts(command) for word in (*part.words, part.joint) if word)


_FILE = pattern(r"\.(?:[cm]?[jt]sx?)\Z")


def script_name(part: Part) -> tuple[str, bool] | None:
    """The package script a command runs, and whether it says ``run``: then it can be nothing but a script."""
    if part.program not in ("npm", "pnpm", "yarn", "bun"):
        return None
    words = list(_without_options(part))
    if not words:
        return None
    if words[0] in ("run", "run-script"):
        if len(words) < 2 or (part.program == "bun" and _FILE.search(words[1])):
            return None  # bun runs files as well
        return words[1], True
    if words[0] in ("start", "test", "stop", "restart") and part.program in ("npm", "pnpm", "yarn"):
        return (words[0], words[0] != "start" or part.program != "npm")
    if part.program == "npm" or words[0] in _BUILTINS:
        return None
    return (words[0], False)


_VALUED = frozenset({"--prefix", "-C", "--dir", "--cwd", "--filter", "-F", "--workspace", "-w"})
_ELSEWHERE = ("--filter", "-F", "--workspace", "-w", "--workspaces", "-ws", "-r", "--recursive")
"""Options that run a script in another package, wherever that is."""


def runs_elsewhere(part: Part) -> bool:
    """Whether a package manager is told to run the script in other packages."""
    options = [word.partition("=")[0] for word in part.words[1:] if word.startswith("-")]
    return "workspace" in part.words[1:2] or any(option in _ELSEWHERE for option in options)


def option_value(part: Part, names: tuple[str, ...]) -> str | None:
    """What an option says, as ``--prefix backend`` or ``--prefix=backend``."""
    for at, word in enumerate(part.words):
        name, joined, value = word.partition("=")
        if name in names and joined:
            return value
        if word in names and at + 1 < len(part.words):
            return part.words[at + 1]
    return None


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


def meaning_of(found: list[Part]) -> Meaning | None:
    """Which process a command line starts, when its words say so; None when they name both or neither."""
    real = [part for part in found if part.words and part.program != "cd"]
    meanings = [meaning for part in real if (meaning := part_meaning(part))]
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
    if program in ("python", "python3") and words[1:2] == ("-m",) and words[2:3] and words[2] in MODULES:
        return part_meaning(Part(words[2:], ""))
    asked = task(words)
    if asked is not None:
        return Meaning(asked, True) if asked else None
    if program == "celery":
        return Meaning("daemon", True) if "beat" in words else Meaning("worker", True) if "worker" in words else None
    named = script_name(part)
    if named:
        return spoken(named[0])
    if program in WEB_TOOLS:
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
    if _ENTRY.match(stem) and "/" in name:
        # apps/worker/dist/main.js: the folder says what it is.
        folders = [each for each in posixpath.dirname(name).split("/") if each and each not in (*_BUILT, ".", "..")]
        above = spoken(folders[-1]) if folders else None
        if above and above.role != "web" and _PROCESS_FOLDER.search(folders[-1]):
            return above
    pieces = [piece for word in re.split(r"[^A-Za-z0-9]+", stem) for piece in _PARTS.findall(word)]
    daemon = any(_DAEMON.match(piece) for piece in pieces)
    worker = any(_WORKER.match(piece) for piece in pieces)
    if daemon and worker:
        # scheduleDaemonWorker, job-scheduler-worker: nobody can tell.
        return None
    if (daemon or worker) and any(_SHOWN.match(piece) for piece in pieces):
        return Meaning("web", False)
    if daemon:
        return Meaning("daemon", True)
    if worker:
        return Meaning("worker", True)
    if any(_WEB.match(piece) for piece in pieces):
        return Meaning("web", False)
    return None


_ENDS = pattern(r"\s--(?:stop-when-empty|once|run-once|oneshot|one-shot|burst|drain)\b")
_ENDLESS = pattern(r"daemon|scheduler|beat\b|clockwork", re.IGNORECASE)


def endless(meaning: Meaning, words: str) -> bool:
    """Whether the process that words speak of goes on for ever; `cron.js` and `run-schedule` may well be one run."""
    return meaning.sure and not _ENDS.search(words) and (meaning.role != "daemon" or bool(_ENDLESS.search(words)))
