"""The clean profile that examples start from, and the short ways to bend it."""

from __future__ import annotations

from deploykit.rules._rule import Example

CLEAN = """\
version: 1
name: app
services:
  web-server:
    role: web
    source: {repo: acme/app, branch: main}
    start: node backend/dist/index.js
    healthcheck: /health
    replicas: 1
    draining_seconds: 30
    limits: {memory_mb: 512, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      EMBEDDED_JOB_WORKER: true
      JOB_WORKER_POLL_INTERVAL_MS: 30000
      SCHEDULE_DAEMON_ENABLED: false
  schedule-daemon:
    role: daemon
    guard: lease
    source: {repo: acme/app, branch: main}
    start: cd backend && exec node dist/scheduleDaemon.js
    restart: {policy: always}
    draining_seconds: 30
    limits: {memory_mb: 256, vcpu: 1}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{MySQL.MYSQL_URL}}
      DATABASE_CONNECTION_LIMIT: 5
      SCHEDULE_DAEMON_ENABLED: true
      SCHEDULE_POLL_INTERVAL_MS: 3600000
      EMBEDDED_JOB_WORKER: false
database:
  service: MySQL
  max_connections: 151
"""
"""A profile without a finding: web server with an embedded worker, schedule daemon behind a lease."""

PATH = "profiles/app.yaml"


def profile(text: str, path: str = PATH) -> Example:
    """A whole profile."""
    return Example({path: text})


def swap(old: str, new: str, *more: str, where: str = "") -> Example:
    """The clean profile with ``old`` written as ``new`` (and further pairs); after the line ``where`` when given."""
    text = swapped(old, new, *more, where=where)
    return Example({PATH: text}, shown=_shown(new, *more[1::2]))


def swapped(old: str, new: str, *more: str, where: str = "") -> str:
    """The text of ``swap``."""
    text = CLEAN
    for before, after in zip((old, *more[0::2]), (new, *more[1::2]), strict=True):
        start = text.index(where) if where else 0
        start = text.index(before, start)
        text = text[:start] + after + text[start + len(before) :]
    return text


def env(text: str, path: str = ".env.web-server") -> Example:
    """One .env file."""
    return Example({path: text})


def files(**texts: str) -> Example:
    """Several files; a double underscore in a name stands for a slash, a single leading one for a dot."""
    return Example(dict(texts))


def _shown(*parts: str) -> str:
    lines = [line for part in parts for line in part.splitlines() if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return "\n".join(line[indent:] for line in lines)
