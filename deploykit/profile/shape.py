"""Whether plain data is certainly a valid profile: a quick look that spares most files the long one.

``deploykit.profile.schema`` decides. What passes here passes there (a property test says so); what does not pass here
may still be fine, and is then validated in full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deploykit.sources.pattern import pattern

Check = Callable[[Any], bool]

_SERVICE_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}\Z")
_VARIABLE_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*\Z")
PROFILE_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_REPO = pattern(r"[^/\s]+/[^/\s]+\Z")


def _text(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= 8_000


def _word(value: Any) -> bool:
    return type(value) is str


def _switch(value: Any) -> bool:
    return type(value) is bool


def _path(value: Any) -> bool:
    return type(value) is str and value.startswith("/")


def _whole(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _number(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1e9


def _one_of(*words: str) -> Check:
    return lambda value: type(value) is str and value in words


def _record(**keys: Check) -> Check:
    return lambda value: type(value) is dict and all(key in keys and keys[key](item) for key, item in value.items())


_replicas = _whole(1, 50)
_seconds = _whole(0, 2_678_400)
_count = _whole(0, 100_000_000)
_resources = _record(memory_mb=_number, vcpu=_number)
_source_keys = _record(repo=_text, branch=_text, image=_text, root=_text)
_volume_keys = _record(mount=_path, name=_text, size_mb=_whole(1, 5_000_000))


def _source(value: Any) -> bool:
    if not _source_keys(value) or ("repo" in value) == ("image" in value):
        return False
    return bool(_REPO.match(value["repo"])) if "repo" in value else not ({"branch", "root"} & value.keys())


def _volume(value: Any) -> bool:
    return _volume_keys(value) and "mount" in value


def _spread(value: Any) -> bool:
    if type(value) is dict:
        return bool(value) and all(type(key) is str and _replicas(count) for key, count in value.items())
    return _replicas(value)


def _variable(value: Any) -> bool:
    if type(value) is dict:
        return value.keys() == {"operator_variable"} and (
            value["operator_variable"] is None or type(value["operator_variable"]) is str
        )
    return type(value) is str


def _env(value: Any) -> bool:
    return type(value) is dict and all(_VARIABLE_NAME.match(key) and _variable(item) for key, item in value.items())


def _domains(value: Any) -> bool:
    return type(value) is list and all(_text(item) for item in value)


SERVICE: dict[str, Check] = {
    "role": _one_of("web", "daemon", "worker", "database", "other"),
    "source": _source,
    "start": _text,
    "pre_deploy": _text,
    "healthcheck": _path,
    "healthcheck_timeout_seconds": _whole(1, 86_400),
    "replicas": _spread,
    "restart": _record(policy=_one_of("always", "on_failure", "never"), max_retries=_whole(0, 1_000_000)),
    "overlap_seconds": _seconds,
    "draining_seconds": _seconds,
    "max_job_seconds": _seconds,
    "sleep": _switch,
    "cron": _text,
    "volume": _volume,
    "guard": _one_of("lease", "volume", "recreate", "none"),
    "resources": _resources,
    "limits": _resources,
    "domains": _domains,
    "autodeploy": _one_of("on_push", "after_ci", "off"),
    "env": _env,
}
"""What each key of a service may certainly be."""


def _services(value: Any) -> bool:
    return (
        type(value) is dict
        and bool(value)
        and all(
            type(name) is str and _SERVICE_NAME.match(name) and type(body) is dict and "role" in body and _service(body)
            for name, body in value.items()
        )
    )


_service = _record(**SERVICE)
_database_keys = _record(service=_text, max_connections=_whole(1, 100_000))
_budget_keys = _record(monthly_usd=_number)

PROFILE: dict[str, Check] = {
    "version": lambda value: type(value) is int and value == 1,
    "name": lambda value: type(value) is str and bool(PROFILE_NAME.match(value)),
    "description": _word,
    "extends": _word,
    "environment": _text,
    "project": _text,
    "budget": lambda value: _budget_keys(value) and "monthly_usd" in value,
    "database": lambda value: _database_keys(value) and "service" in value,
    "services": _services,
    "expect": _record(
        schedule_daemon=_whole(0, 1),
        job_worker=_whole(0, 10_000),
        max_queued_jobs=_count,
        max_oldest_queued_seconds=_count,
    ),
}
"""What each key of a profile may certainly be."""

_profile = _record(**PROFILE)


def is_sound(data: Any) -> bool:
    """Whether ``data`` certainly is a valid profile."""
    return _profile(data) and {"version", "name", "services"} <= data.keys()
