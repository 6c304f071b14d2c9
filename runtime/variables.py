"""Every environment variable of the runtime: name, unit, default and bounds. `runtime.settings` reads them."""

from __future__ import annotations

from typing import Any, NamedTuple

DAY_MS = 86_400_000


class Variable(NamedTuple):
    """One environment variable as the runtime understands it."""

    name: str
    kind: str
    """text, boolean or number"""
    meaning: str
    default: str | bool | int | None = None
    unit: str | None = None
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    secret: bool = False


def _text(name: str, meaning: str, default: str | None = None, **rest: Any) -> Variable:
    return Variable(name, "text", meaning, default, **rest)


def _boolean(name: str, meaning: str, default: bool | None = None) -> Variable:
    return Variable(name, "boolean", meaning, default)


def _number(name: str, meaning: str, default: int | None, unit: str | None, low: int, high: int) -> Variable:
    return Variable(name, "number", meaning, default, unit, low, high)


VARIABLES: tuple[Variable, ...] = (
    _text("DATABASE_URL", "where the job tables are: mysql://… or sqlite:///…", secret=True),
    _number(
        "DATABASE_CONNECTION_LIMIT", "connections this process may open, the heartbeat's included", 10, None, 2, 1000
    ),
    _boolean("EMBEDDED_JOB_WORKER", "run a job worker inside the web process", False),
    _number("JOB_WORKER_POLL_INTERVAL_MS", "how often an idle worker looks for jobs", 5000, "ms", 50, DAY_MS),
    _number("JOB_WORKER_CONCURRENCY", "jobs that run at the same time in one worker", 1, None, 1, 256),
    _boolean("SCHEDULE_DAEMON_ENABLED", "whether this service is the schedule daemon"),
    _number("SCHEDULE_POLL_INTERVAL_MS", "how often the daemon re-reads the schedules", 60_000, "ms", 100, DAY_MS),
    _number("HEARTBEAT_INTERVAL_MS", "how often a process says that it is alive", 10_000, "ms", 100, 600_000),
    _text("JOBS_MODULE", "Python module or .toml file that declares the jobs and schedules"),
    _number("JOB_RETENTION_DAYS", "how long finished jobs are kept; 0 keeps them for ever", 30, "days", 0, 36_500),
    _text("NODE_ENV", "production or development; shown in the log", "production"),
    _number("PORT", "port of the web process", 8080, None, 0, 65_535),
    _number("METRICS_PORT", "port for /metrics of a worker or daemon of its own; 0 means none", 0, None, 0, 65_535),
    _text("ADMIN_TOKEN", "token that opens the control panel and /deploykit/status", secret=True),
    _text("DEPLOYKIT_STATUS_TOKEN", "another token for /deploykit/status; it opens nothing else", secret=True),
    _text("LOG_FORMAT", "text or json", "text", choices=("text", "json")),
    _text("WAKE_ADDRESSES", "host:port[,host:port…] told by a datagram that a job was enqueued"),
    _number("WAKE_PORT", "port on which a worker or daemon hears such datagrams; 0 means none", 0, None, 0, 65_535),
    _text("DEPLOYKIT_PROFILE", "profile this process was deployed from; echoed in its heartbeat"),
    _text("RAILWAY_SERVICE_NAME", "set by Railway"),
    _text("RAILWAY_DEPLOYMENT_ID", "set by Railway"),
    _text("RAILWAY_REPLICA_ID", "set by Railway"),
    _number("RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "time between SIGTERM and SIGKILL", None, "s", 0, 86_400),
)
