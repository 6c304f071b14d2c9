"""The variables deploykit knows, and what is normal for them."""

from __future__ import annotations

import re

DAEMON_FLAG = "SCHEDULE_DAEMON_ENABLED"
WORKER_FLAG = "EMBEDDED_JOB_WORKER"
DAEMON_POLL = "SCHEDULE_POLL_INTERVAL_MS"
WORKER_POLL = "JOB_WORKER_POLL_INTERVAL_MS"
HEARTBEAT = "HEARTBEAT_INTERVAL_MS"
POOL_SIZE = "DATABASE_CONNECTION_LIMIT"
DATABASE_URL = "DATABASE_URL"

FLAGS = (DAEMON_FLAG, WORKER_FLAG)
INTERVALS = (DAEMON_POLL, WORKER_POLL, HEARTBEAT)

DEFAULT_POOL_SIZE = 10
"""What Prisma's driver adapters take when nothing is said (guide, scenario 4)."""
DEFAULT_MAX_CONNECTIONS = 151
"""MySQL's server default (MySQL manual: max_connections)."""
RESERVED_CONNECTIONS = 5
"""Kept free for migrations and for a person who looks."""
MAX_TIMER_MS = 2_147_483_647
"""The longest timer of Node; a longer one fires at once (Node docs: setTimeout)."""

RUNTIME = frozenset(
    {
        *FLAGS,
        *INTERVALS,
        POOL_SIZE,
        DATABASE_URL,
        "JOB_WORKER_CONCURRENCY",
        "JOBS_MODULE",
        "NODE_ENV",
        "PORT",
        "ADMIN_TOKEN",
        "DEPLOYKIT_PROFILE",
    }
)
"""What the runtime reads (docs: runtime, environment)."""

_PROVIDED = re.compile(r"(RAILWAY_[A-Z0-9_]+|PORT|CI)\Z")

MYSQL_VARIABLES = frozenset(
    [
        "MYSQLHOST",
        "MYSQLPORT",
        "MYSQLUSER",
        "MYSQLPASSWORD",
        "MYSQLDATABASE",
        "MYSQL_URL",
        "MYSQL_PUBLIC_URL",
        "MYSQL_DATABASE",
        "MYSQL_ROOT_PASSWORD",
        "MYSQL_PASSWORD",
        "MYSQL_USER",
    ]
)
POSTGRES_VARIABLES = frozenset(
    [
        "DATABASE_URL",
        "DATABASE_PUBLIC_URL",
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGPASSWORD",
        "PGDATABASE",
        "PGDATA",
        "POSTGRES_DB",
        "POSTGRES_USER",
        "POSTGRES_PASSWORD",
    ]
)
REDIS_VARIABLES = frozenset(
    ["REDIS_URL", "REDIS_PUBLIC_URL", "REDISHOST", "REDISPORT", "REDISUSER", "REDISPASSWORD", "REDIS_PASSWORD"]
)
MONGO_VARIABLES = frozenset(
    [
        "MONGO_URL",
        "MONGO_PUBLIC_URL",
        "MONGOHOST",
        "MONGOPORT",
        "MONGOUSER",
        "MONGOPASSWORD",
        "MONGO_INITDB_ROOT_USERNAME",
        "MONGO_INITDB_ROOT_PASSWORD",
    ]
)
_ENGINES = (
    (re.compile("mysql|maria", re.I), MYSQL_VARIABLES),
    (re.compile("postgres|pg", re.I), POSTGRES_VARIABLES),
    (re.compile("redis|valkey", re.I), REDIS_VARIABLES),
    (re.compile("mongo", re.I), MONGO_VARIABLES),
)

_REFERENCE = re.compile(r"\$\{\{\s*(?:([^{}.]+?)\s*\.\s*)?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def is_provided(name: str) -> bool:
    """Whether Railway itself sets this variable in every service (Railway docs: variables reference)."""
    return bool(_PROVIDED.match(name))


def engine_variables(*hints: str | None) -> frozenset[str] | None:
    """What a database service of that name or image provides; None when its kind cannot be told."""
    for hint in hints:
        for pattern, names in _ENGINES:
            if hint and pattern.search(hint):
                return names
    return None


def references(text: str) -> list[tuple[str | None, str, int, int]]:
    """Every ``${{Service.VAR}}`` in ``text``: (service or None for its own, variable, start, end)."""
    if "${{" not in text:
        return []
    return [(match.group(1), match.group(2), match.start(), match.end()) for match in _REFERENCE.finditer(text)]


def whole_number(text: str | None) -> int | None:
    """The number a value stands for, None when it is none."""
    stripped = (text or "").strip()
    return int(stripped) if stripped.isascii() and stripped.isdigit() and len(stripped) < 40 else None


def distance(first: str, second: str, limit: int) -> int:
    """How many insertions, deletions, substitutions and swaps of neighbours lie between; ``limit + 1`` when more."""
    if abs(len(first) - len(second)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        current = [i]
        for j, b in enumerate(second, 1):
            cost = min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return previous[-1]
