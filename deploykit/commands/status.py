"""The runtime's own ``/deploykit/status`` as a source of heartbeats, where the database is private."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deploykit.commands.observe import Facts
from deploykit.errors import UsageError
from deploykit.verification.evidence import Sample
from runtime.db import DatabaseError, SchemaError, ServerFacts, Unreachable
from runtime.heartbeats import Heartbeat
from runtime.jobs import QueueSummary
from runtime.lease import LeaseState
from runtime.schedules import Schedule

TIMEOUT_SECONDS = 15.0
MOST_BYTES = 4_000_000
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
T = TypeVar("T")


class StatusTables:
    """What a running web process says about the job tables; it asks its database for each answer."""

    def __init__(self, url: str, token: str) -> None:
        """Raises UsageError for an URL that would send the token in clear text."""
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise UsageError("a status URL needs https", hint="plain http only to a loopback address")
        self._url = url if parts.path not in ("", "/") else f"{url.rstrip('/')}/deploykit/status"
        self._token = token
        self._last: Mapping[str, Any] = {}

    def sample(self) -> Sample:
        """Ask once. Raises DatabaseError."""
        self._last = self._ask()
        beats = tuple(_record(Heartbeat, row) for row in self._last["heartbeats"])
        return Sample(datetime.fromisoformat(self._last["now"]), beats)

    def facts(self) -> Facts:
        """The rest of the last answer."""
        last = self._last
        schedules = last.get("schedules")
        return Facts(
            queue=_record(QueueSummary, last["queue"]) if last.get("queue") else None,
            schedules=None if schedules is None else tuple(_record(Schedule, row) for row in schedules),
            lease=_record(LeaseState, last["lease"]) if last.get("lease") else None,
            server=_record(ServerFacts, last["server"]) if last.get("server") else None,
            waiting=last.get("waiting") or {},
            running=tuple((str(a), str(b), float(c)) for a, b, c in last.get("running") or ()),
        )

    def close(self) -> None:
        """Nothing stays open between two questions."""

    def _ask(self) -> Mapping[str, Any]:
        host = urlsplit(self._url).hostname
        request = urllib.request.Request(self._url, headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                value = json.loads(answer.read(MOST_BYTES))
        except urllib.error.HTTPError as error:
            if error.code in (401, 403, 404):
                hint = "set ADMIN_TOKEN on the web service, and the same in DEPLOYKIT_STATUS_TOKEN"
                raise SchemaError(f"{host} does not show its status ({error.code})", hint) from None
            raise Unreachable(f"{host} answers {error.code}") from None
        except (OSError, ValueError) as error:
            raise Unreachable(f"{host} does not answer: {type(error).__name__}") from None
        if not isinstance(value, dict) or value.get("schema") != "deploykit.status/1":
            raise DatabaseError(f"{host} answers, and not with a status", "check the URL; docs/verify.md")
        return value


def _record(kind: type[T], row: Mapping[str, Any]) -> T:
    """A dataclass from its JSON; times are ISO 8601, keys that we do not know are left out."""
    values = {field.name: _value(field.type, row.get(field.name)) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**values)


def _value(annotation: Any, value: Any) -> Any:
    return datetime.fromisoformat(value) if value is not None and "datetime" in str(annotation) else value
