"""What a command starts besides the process it is for: through a process manager, or in the background."""

from __future__ import annotations

import posixpath
import re

from deploykit.rules import _commands
from deploykit.rules._subjects import Service
from deploykit.sources import source
from deploykit.sources.pattern import pattern

_MANAGERS = frozenset(
    {
        "pm2",
        "pm2-runtime",
        "forever",
        "concurrently",
        "foreman",
        "honcho",
        "overmind",
        "hivemind",
        "npm-run-all",
        "run-p",
    }
)


def started_behind(command: str, root: str, service: Service) -> str | None:
    """What a command starts besides the web server, in words; None when there is nothing to say."""
    around = service.system.around
    unfolded = _commands.unfolded(command, root, around)
    for index, part in enumerate(unfolded):
        if part.joint == "&" and index + 1 < len(unfolded):
            either = (_commands.part_meaning(part), _commands.part_meaning(unfolded[index + 1]))
            if any(each and each.role == "daemon" for each in either):
                return "starts the schedule daemon in the background of the web server"
        program = part.program if part.program not in ("npx", "pnpx", "bunx") else "".join(part.words[1:2])
        if program in _MANAGERS:
            said = _managed(program, part, root, service)
            if said:
                return said
    return None


def _managed(program: str, part: _commands.Part, root: str, service: Service) -> str | None:
    around = service.system.around
    files_of = ("-f", "--procfile")  # the file's name is no process
    pairs = zip(("", *part.words[1:]), part.words[1:], strict=False)
    words = [word for before, word in pairs if not word.startswith("-") and before not in files_of]
    text = " ".join(_named(word, root, service) for word in words)
    if program in ("pm2", "pm2-runtime", "forever"):
        config = next(
            (word for word in words if "ecosystem" in word or word.endswith((".config.js", ".config.cjs", ".json"))),
            None,
        )
        if config is None:
            return "starts the daemon through a process manager" if _speaks_of_daemon(text) else None
        content = _beside(around.texts, root, config)
        only = _commands.option_value(part, ("--only",))
        if only is not None:
            return f"starts the daemon through {program}" if _speaks_of_daemon(only) else None
        if content is None or _speaks_of_daemon(_started_in(content)):
            return f"starts everything in {config} through {program}, the daemon too"
        return None
    if program in ("foreman", "honcho", "overmind", "hivemind"):
        processes = around.procfiles.get(root, around.procfiles.get(""))
        chosen = [word for word in words if word not in ("start", "s")]
        if chosen:
            return f"starts the daemon through {program}" if any(_speaks_of_daemon(word) for word in chosen) else None
        if processes is None or any(_speaks_of_daemon(f"{name} {command}") for name, command, _ in processes):
            return f"starts every process of the Procfile through {program}, the daemon too"
        return None
    return f"starts the daemon through {program}" if _speaks_of_daemon(text) else None


_DAEMON_WORDS = pattern(r"daemon|schedul|\bcron\b|clock|(?<!heart)beat\b", re.IGNORECASE)
_STARTED = pattern(r"""["']?\b(?:name|script|args|interpreter_args)["']?\s*:\s*(\[[^\]]*\]|[^,\n}]*)""")


def _started_in(config: str) -> str:
    """What a process manager's file says it starts: names and scripts, not comments, variables and restart times."""
    return " ".join(_STARTED.findall(source.without_comments("ecosystem.js", config)))


def _named(word: str, root: str, service: Service) -> str:
    """A word, or the scripts that `start:*` stands for."""
    if not word.endswith("*"):
        return word
    start = word.removeprefix("npm:").rstrip("*")
    return " ".join(name for name in service.system.around.scripts.get(root, {}) if name.startswith(start))


def _speaks_of_daemon(text: str) -> bool:
    return bool(_DAEMON_WORDS.search(text))


def _beside(texts: dict[str, str], root: str, name: str) -> str | None:
    for candidate in (posixpath.normpath(posixpath.join(root, name)), posixpath.normpath(name)):
        if candidate in texts:
            return texts[candidate]
    return None
