"""Names that mean something: variables, regions, services, and how many edits two names are apart."""

from __future__ import annotations

import re

from deploykit.sources.pattern import pattern
from runtime.variables import VARIABLES


def words_of(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


DAEMON_FLAG = "SCHEDULE_DAEMON_ENABLED"
WORKER_FLAG = "EMBEDDED_JOB_WORKER"
DAEMON_POLL = "SCHEDULE_POLL_INTERVAL_MS"
WORKER_POLL = "JOB_WORKER_POLL_INTERVAL_MS"
HEARTBEAT = "HEARTBEAT_INTERVAL_MS"
POOL_SIZE = "DATABASE_CONNECTION_LIMIT"
FLAGS = (DAEMON_FLAG, WORKER_FLAG)
INTERVALS = (DAEMON_POLL, WORKER_POLL, HEARTBEAT)
OURS = (*FLAGS, *INTERVALS, POOL_SIZE, "JOB_WORKER_CONCURRENCY")
"""Variables whose presence shows that a service takes part in scheduling or job processing."""

DEFAULT_POOL_SIZE = 10
DEFAULT_MAX_CONNECTIONS = 151
CONNECTION_RESERVE = 5
DEFAULT_DAEMON_POLL_MS = 60_000
DEFAULT_WORKER_POLL_MS = 5_000
LARGEST_TIMER_MS = 2_147_483_647
"""Node's timers fire at once above it (Node docs: timers)."""

PROVIDED = words_of("""RAILWAY_PUBLIC_DOMAIN RAILWAY_PRIVATE_DOMAIN RAILWAY_TCP_PROXY_DOMAIN RAILWAY_TCP_PROXY_PORT
    RAILWAY_TCP_APPLICATION_PORT RAILWAY_PROJECT_NAME RAILWAY_PROJECT_ID RAILWAY_ENVIRONMENT_NAME RAILWAY_ENVIRONMENT_ID
    RAILWAY_SERVICE_NAME RAILWAY_SERVICE_ID RAILWAY_REPLICA_ID RAILWAY_REPLICA_REGION RAILWAY_DEPLOYMENT_ID
    RAILWAY_SNAPSHOT_ID RAILWAY_VOLUME_NAME RAILWAY_VOLUME_MOUNT_PATH RAILWAY_ENVIRONMENT RAILWAY_STATIC_URL
    RAILWAY_GIT_COMMIT_SHA RAILWAY_GIT_AUTHOR RAILWAY_GIT_BRANCH RAILWAY_GIT_REPO_NAME RAILWAY_GIT_REPO_OWNER
    RAILWAY_GIT_COMMIT_MESSAGE PORT""")
"""Set by Railway in every deployment (Railway docs: variables reference)."""

KNOBS = words_of("""RAILWAY_DEPLOYMENT_OVERLAP_SECONDS RAILWAY_DEPLOYMENT_DRAINING_SECONDS
    RAILWAY_HEALTHCHECK_TIMEOUT_SEC
    RAILWAY_DOCKERFILE_PATH RAILWAY_RUN_UID RAILWAY_SHM_SIZE_BYTES RAILPACK_VERSION NO_CACHE""")
"""Read by Railway when the user sets them."""

RUNTIME = frozenset(variable.name for variable in VARIABLES)
KNOWN = RUNTIME | PROVIDED | KNOBS | {"NODE_ENV", "DATABASE_URL", "JWT_SECRET", "LOG_LEVEL"}

DATABASE_OUTPUTS = {
    "mysql": words_of("""MYSQL_URL MYSQL_PUBLIC_URL MYSQLHOST MYSQLPORT MYSQLUSER MYSQLPASSWORD MYSQLDATABASE
        MYSQL_DATABASE MYSQL_ROOT_PASSWORD DATABASE_URL"""),
    "postgres": words_of("""DATABASE_URL DATABASE_PUBLIC_URL PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE POSTGRES_USER
        POSTGRES_PASSWORD POSTGRES_DB"""),
    "redis": words_of("REDIS_URL REDIS_PUBLIC_URL REDISHOST REDISPORT REDISUSER REDISPASSWORD REDIS_PASSWORD"),
    "mongo": words_of("MONGO_URL MONGO_PUBLIC_URL MONGOHOST MONGOPORT MONGOUSER MONGOPASSWORD"),
}
TEMPLATES = {
    "MySQL": "mysql",
    "MariaDB": "mysql",
    "Postgres": "postgres",
    "PostgreSQL": "postgres",
    "Redis": "redis",
    "Mongo": "mongo",
    "MongoDB": "mongo",
}
"""The names that Railway's database templates give their services."""

REGIONS = (
    "us-west2",
    "us-east4-eqdc4a",
    "europe-west4-drams3a",
    "asia-southeast1-eqsg3a",
)
SHORT_REGIONS = ("us-west1", "us-east4", "europe-west4", "asia-southeast1")
"""Older names that Railway still reads (Railway docs: regions)."""

REFERENCE = pattern(r"\$\{\{\s*(?:([^{}.]+?)\.)?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
DATABASE_SCHEME = pattern(
    r"(mysql|mysql2|mariadb|postgres|postgresql|mongodb(?:\+srv)?|redis|rediss)(\+\w+)?://", re.IGNORECASE
)


def engine_of(name: str) -> str | None:
    """The database engine that a service's name speaks of."""
    lower = name.lower()
    for word, engine in (("mysql", "mysql"), ("maria", "mysql"), ("postgres", "postgres"), ("pg", "postgres")):
        if lower.startswith(word):
            return engine
    return "redis" if lower.startswith("redis") else "mongo" if lower.startswith("mongo") else None


_ADDRESSES = {"mysql": "MYSQL_URL", "postgres": "DATABASE_URL", "redis": "REDIS_URL", "mongo": "MONGO_URL"}


def address_of(database: str, engine: str | None = None) -> str:
    """The reference to a database's private address, by the name Railway's template gives that variable."""
    return f"${{{{{database}.{_ADDRESSES[engine or engine_of(database) or 'mysql']}}}}}"


def scheme_engine(url: str) -> str | None:
    """The database engine that an address speaks of by its scheme."""
    scheme = DATABASE_SCHEME.match(url)
    if scheme is None:
        return None
    return engine_of(scheme[1]) if not scheme[1].lower().startswith("redis") else "redis"


def distance(first: str, second: str, limit: int = 3) -> int:
    """Edits between two names (a swap of neighbours is one), at most ``limit``."""
    if abs(len(first) - len(second)) >= limit:
        return limit
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        previous, row = row, [i]
        for j, b in enumerate(second, 1):
            cost = min(previous[j] + 1, row[-1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) >= limit:
            return limit
        before = previous
    return min(row[-1], limit)


def near(name: str, known: frozenset[str] | tuple[str, ...] | list[str], limit: int = 2) -> list[str]:
    """The known names at most ``limit`` edits away, nearest first; names that differ only in case are nearest."""
    lower = name.lower()
    found = []
    for word in known:
        if word == name:
            continue
        apart = 0 if word.lower() == lower else distance(lower, word.lower(), limit + 1)
        if apart <= limit:
            found.append((apart, word))
    return [word for _, word in sorted(found)]


def truth(text: str) -> bool | None:
    """What a person means by a flag's text, whatever the code reads; None when nobody knows."""
    word = text.strip().strip("\"'").strip().lower()
    if word in ("true", "yes", "on", "1", "y", "t", "enabled", "enable"):
        return True
    if word in ("false", "no", "off", "0", "n", "f", "disabled", "disable"):
        return False
    return None
