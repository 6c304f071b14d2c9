"""What a repository starts already: web server, schedule daemon, job worker, and which secrets it knows. Pure.

Reads texts, runs nothing. What is not found is answered with the bundled runtime, and says so.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploykit.sources import dockerfile, dotenv, procfile

PACKAGES = ("package.json", *(f"{name}/package.json" for name in ("backend", "server", "api", "app", "apps/api")))
ENV_FILES = (".env", ".env.example", ".env.sample", ".env.production", "backend/.env", "backend/.env.example")
READ = (*PACKAGES, *ENV_FILES, "Procfile", "Dockerfile", ".git/config", ".git/HEAD")
"""Every file that detection looks at, where it exists."""
LOCKS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lockb": "bun", "bun.lock": "bun"}

_ROLES = {
    "web": re.compile(r"web|start|start:prod|serve", re.IGNORECASE),
    "daemon": re.compile(r"(.*[:_-])?(daemon|schedulers?|schedules?|clock|cron|beat)([:_-].*)?", re.IGNORECASE),
    "worker": re.compile(r"(.*[:_-])?(workers?|jobs?|queue|consumer)([:_-].*)?", re.IGNORECASE),
}
_FOR_DEVELOPMENT = re.compile(r"(^|[:_-])(dev|watch|test|debug|local|build)([:_-]|$)", re.IGNORECASE)
_PLAIN_CALL = re.compile(r"(?:node|python3?|bun) [^&|;<>$`\"'()\\]+")
_SHELL = re.compile(r"[&|;<>$`()]|\bcd ")
_SECRET = re.compile(r"(^|_)(SECRET|PASSWORD|TOKEN|API_?KEY|PRIVATE_KEY|ACCESS_KEY|ENCRYPTION_KEY)\Z")
_OURS = re.compile(r"(RAILWAY|DEPLOYKIT|MYSQL)_")
_REMOTE = re.compile(r"url\s*=\s*\S*github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?\s*$", re.MULTILINE)
_BRANCH = re.compile(r"ref: refs/heads/([\w./-]+)")


@dataclass(frozen=True, slots=True)
class Start:
    """How a process is started, and why we think so."""

    command: str
    why: str
    bundled: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """What a repository told about itself."""

    web: Start
    daemon: Start
    worker: Start
    repo: str
    branch: str
    repo_known: bool
    secrets: tuple[str, ...]

    @property
    def bundled(self) -> bool:
        """Whether anything starts the bundled runtime, which then needs to know the jobs."""
        return self.web.bundled or self.daemon.bundled or self.worker.bundled


def detect(texts: Mapping[str, str], listing: frozenset[str] = frozenset()) -> Found:
    """Judge a repository by its files: path → text, and the names at its top (for lock files)."""
    candidates = [*_from_procfile(texts), *_from_packages(texts, listing), *_from_dockerfile(texts)]
    in_docker = "Dockerfile" in texts
    remote = _REMOTE.search(texts.get(".git/config", ""))
    branch = _BRANCH.match(texts.get(".git/HEAD", ""))
    return Found(
        web=_start("web", candidates, in_docker),
        daemon=_start("daemon", candidates, in_docker),
        worker=_start("worker", candidates, in_docker),
        repo=remote[1] if remote else "your-name/your-app",
        branch=branch[1] if branch else "main",
        repo_known=remote is not None,
        secrets=tuple(dict.fromkeys(_secrets(texts))),
    )


def _start(role: str, candidates: list[tuple[str, str, str]], in_docker: bool) -> Start:
    for kind, command, why in candidates:
        if kind == role:
            return Start(_for_docker(command) if in_docker else command, f"found: {why}")
    command = f"exec python -m runtime {role}"
    why = f"no {role} found in package.json, Procfile or Dockerfile: this is the bundled runtime's"
    return Start(_for_docker(command) if in_docker else command, why, bundled=True)


def _for_docker(command: str) -> str:
    """A Dockerfile's container runs its start command without a shell (Railway docs: start command)."""
    # `exec` is a word of the shell; without a shell there is nothing to replace.
    return f"/bin/sh -c {_double_quoted(command)}" if _SHELL.search(command) else command.removeprefix("exec ")


def _double_quoted(text: str) -> str:
    return '"' + re.sub(r'([\\"`$])', r"\\\1", text) + '"'


def _from_procfile(texts: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for process in procfile.parse("Procfile", texts.get("Procfile", "")).processes:
        role = _role(process.name)
        if role:
            yield role, process.command, f"{process.name!r} in Procfile"


def _from_packages(texts: Mapping[str, str], listing: frozenset[str]) -> Iterator[tuple[str, str, str]]:
    manager = next((name for lock, name in LOCKS.items() if lock in listing), "npm")
    for path in PACKAGES:
        for name, script in _scripts(texts.get(path, "")):
            role = _role(name)
            if role and not _FOR_DEVELOPMENT.search(name):
                yield role, _call(posixpath.dirname(path), manager, name, script), f"script {name!r} in {path}"


def _call(folder: str, manager: str, name: str, script: str) -> str:
    # A package manager between Railway and the process swallows SIGTERM: call the program itself where that is all.
    plain = _PLAIN_CALL.fullmatch(script.strip())
    run = script.strip() if plain else f"{manager} run {shlex.quote(name)}"
    return f"cd {shlex.quote(folder)} && exec {run}" if folder else f"exec {run}" if plain else run


def _scripts(text: str) -> list[tuple[str, str]]:
    try:
        scripts = json.loads(text)["scripts"]
        return [(name, script) for name, script in scripts.items() if isinstance(script, str)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


def _from_dockerfile(texts: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    commands = {
        instruction.word.upper(): _words(instruction.arguments)
        for instruction in dockerfile.parse("Dockerfile", texts.get("Dockerfile", "")).instructions
        if instruction.word.upper() in ("CMD", "ENTRYPOINT")
    }
    command = " ".join(part for part in (commands.get("ENTRYPOINT"), commands.get("CMD")) if part)
    if command:
        yield "web", command, "CMD in Dockerfile"


def _words(arguments: str) -> str:
    try:
        words = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments.strip()
    return shlex.join(words) if isinstance(words, list) and all(isinstance(w, str) for w in words) else arguments


def _role(name: str) -> str | None:
    return next((role for role, pattern in _ROLES.items() if pattern.fullmatch(name)), None)


def _secrets(texts: Mapping[str, str]) -> Iterator[str]:
    """The names of secrets in .env files; never a value."""
    for path in ENV_FILES:
        for assignment in dotenv.parse(path, texts.get(path, "")).assignments:
            name = assignment.key
            if _SECRET.search(name) and "PUBLIC" not in name and not _OURS.match(name) and name.isidentifier():
                yield name
