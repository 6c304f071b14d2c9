"""Programs that start other programs, and programs that do many things: what their words ask them for."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

RUNNERS = {
    "bundle": ("exec",),
    "dotenv": (),
    "dotenvx": ("run",),
    "doppler": ("run",),
    "hatch": ("run",),
    "infisical": ("run",),
    "op": ("run",),
    "pdm": ("run",),
    "pipenv": ("run",),
    "poetry": ("run",),
    "rye": ("run",),
    "uv": ("run",),
}
"""Programs that start another one, with the word that asks them to."""
RUNNER_VALUED = frozenset({"-e", "-f", "-p", "-c", "--env-file", "--project", "--config", "--env", "--with", "--extra"})
"""Their options that are followed by a value."""
MODULES = frozenset({"celery", "gunicorn", "uvicorn", "hypercorn", "daphne", "rq", "dramatiq", "huey", "flask"})
"""Programs that `python -m` starts as well."""
WEB_TOOLS = frozenset(
    ("gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve", "next", "nuxt", "puma", "unicorn", "caddy")
) | {"nginx", "serve", "http-server", "php-fpm"}
_RAKE = {
    "solid_queue:start": "worker",
    "jobs:work": "worker",
    "resque:work": "worker",
    "resque:workers": "worker",
    "resque:scheduler": "daemon",
}
_TASKS = {
    "artisan": {
        "schedule:work": "daemon",
        "queue:work": "worker",
        "queue:listen": "worker",
        "horizon": "worker",
        "serve": "web",
        "octane:start": "web",
    },
    "rails": {"server": "web", "s": "web", **_RAKE},
    "rake": _RAKE,
    "jobs": {"": "worker", "start": "worker"},
    "taskiq": {"worker": "worker", "scheduler": "daemon"},
    "manage.py": {"runserver": "web", "qcluster": "worker", "rqworker": "worker", "db_worker": "worker"},
}


def task(words: Sequence[str]) -> str | None:
    """The role of what a program is asked for; empty when that is none of them, None when it does one thing only."""
    at = 1 if words and posixpath.basename(words[0]) in ("php", "python", "python3", "ruby") else 0
    if len(words) <= at:
        return None
    program = posixpath.basename(words[at])
    if program == "jobs" and not words[at].endswith("bin/jobs"):
        return None  # bin/jobs is Rails' Solid Queue
    known = _TASKS.get(program)
    if known is None:
        return None
    return known.get(next((word for word in words[at + 1 :] if not word.startswith("-")), ""), "")
