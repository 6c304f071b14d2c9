"""The environment of the runtime, read once and strictly: `runtime.variables` says what may stand in it.

`true` and `false` are the only booleans, numbers are whole numbers; anything else stops the process with exit status 3,
because a daemon that guesses what `SCHEDULE_DAEMON_ENABLED=1` means is how duplicate jobs begin.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.variables import VARIABLES, Variable

EXIT_CONFIGURATION = 3


class SettingsError(Exception):
    """A variable that cannot be used: which one, what it holds (never of a secret), and the cure."""

    def __init__(self, variable: str, problem: str, cure: str) -> None:
        super().__init__(f"{variable} {problem}; {cure}")
        self.variable = variable
        self.problem = problem
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, understood. Field names are the variables' names in lower case."""

    database_url: str | None
    database_connection_limit: int
    embedded_job_worker: bool
    job_worker_poll_interval_ms: int
    job_worker_concurrency: int
    schedule_daemon_enabled: bool | None
    schedule_poll_interval_ms: int
    heartbeat_interval_ms: int
    jobs_module: str | None
    job_retention_days: int
    node_env: str
    port: int
    metrics_port: int
    admin_token: str | None
    deploykit_status_token: str | None
    log_format: str
    wake_addresses: tuple[tuple[str, int], ...]
    wake_port: int
    deploykit_profile: str | None
    railway_service_name: str | None
    railway_deployment_id: str | None
    railway_replica_id: str | None
    railway_deployment_draining_seconds: int | None

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. Raises `SettingsError` at the first variable that makes no sense."""
        env = os.environ if env is None else env
        values: dict[str, Any] = {v.name.lower(): _read(v, env.get(v.name)) for v in VARIABLES}
        values["wake_addresses"] = _addresses(values["wake_addresses"])
        return cls(**values)

    def require_database_url(self) -> str:
        if self.database_url is None:
            raise SettingsError("DATABASE_URL", "is not set", "set it to mysql://… or sqlite:///…")
        from runtime.db import check_url

        problem = check_url(self.database_url)
        if problem is not None:
            raise SettingsError("DATABASE_URL", "cannot be used", problem.removeprefix("DATABASE_URL "))
        return self.database_url

    def require_daemon_enabled(self) -> None:
        """The switch that keeps a second daemon from starting by accident: anything but `true` refuses."""
        if self.schedule_daemon_enabled is not True:
            shown = "is not set" if self.schedule_daemon_enabled is None else "is 'false'"
            raise SettingsError(
                "SCHEDULE_DAEMON_ENABLED", shown, "set it to true in the one service that is the schedule daemon"
            )


def _read(variable: Variable, raw: str | None) -> Any:
    # Railway renders a reference that leads nowhere as an empty text; that is a missing value, not a number.
    if raw is None or raw.strip() == "":
        return variable.default
    if variable.kind == "boolean":
        if raw not in ("true", "false"):
            raise SettingsError(variable.name, f"is {raw!r}", "write true or false, nothing else")
        return raw == "true"
    if variable.kind == "number":
        return _whole_number(variable, raw)
    if variable.choices and raw not in variable.choices:
        raise SettingsError(variable.name, f"is {raw!r}", f"write {' or '.join(variable.choices)}")
    return raw


def _whole_number(variable: Variable, raw: str) -> int:
    value = whole_number(raw)
    if value is None:
        raise SettingsError(variable.name, f"is {raw!r}", f"write a whole number{_in_unit(variable)}")
    assert variable.low is not None
    assert variable.high is not None
    if not variable.low <= value <= variable.high:
        raise SettingsError(
            variable.name, f"is {value}", f"write a number from {variable.low} to {variable.high}{_in_unit(variable)}"
        )
    return value


def whole_number(text: str) -> int | None:
    """The number that plain digits say; None for anything else that `int` would take, and for more than 18 of them."""
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def _in_unit(variable: Variable) -> str:
    return f" of {variable.unit}" if variable.unit else ""


def _addresses(raw: str | None) -> tuple[tuple[str, int], ...]:
    addresses = []
    for part in (raw or "").split(","):
        if not part.strip():
            continue
        host, _, port = part.strip().rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
            raise SettingsError("WAKE_ADDRESSES", f"holds {part.strip()!r}", "write host:port, several with commas")
        addresses.append((host.strip("[]"), int(port)))
    return tuple(addresses)
