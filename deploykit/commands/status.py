"""The runtime's own ``/deploykit/status`` as a source of heartbeats, where the database is private."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from deploykit.commands import operators_url
from deploykit.commands.observe import Facts
from deploykit.verification.evidence import Sample
from runtime.db import DatabaseError, SchemaError, ServerFacts, Unreachable
from runtime.heartbeats import Heartbeat
from runtime.jobs import QueueSummary
from runtime.lease import LeaseState
from runtime.schedules import Schedule

TIMEOUT_SECONDS = 15.0
MOST_BYTES = 4_000_000
T = TypeVar("T")


class StatusTables:
    """What a running web process says about the job tables; it asks its database for each answer."""

    def __init__(self, url: str, token: str) -> None:
        """Raises UsageError for what is no URL, and for one that would send the token in clear text."""
        parts = urlsplit(operators_url.checked(url, "status URL"))
        self._url = url if parts.path not in ("", "/") else f"{url.rstrip('/')}/deploykit/status"
        self._token = token
        self._last: Mapping[str, Any] = {}

    def sample(self) -> Sample:
        """Ask once. Raises DatabaseError."""
        self._last = self._ask()
        with self._understood():
            beats = tuple(_record(Heartbeat, row) for row in self._last["heartbeats"])
            return Sample(datetime.fromisoformat(self._last["now"]), beats)

    def facts(self) -> Facts:
        """The rest of the last answer. Raises DatabaseError."""
        last = self._last
        schedules = last.get("schedules")
        with self._understood():
            return Facts(
                queue=_record(QueueSummary, last["queue"]) if last.get("queue") else None,
                schedules=None if schedules is None else tuple(_record(Schedule, row) for row in schedules),
                lease=_record(LeaseState, last["lease"]) if last.get("lease") else None,
                server=_record(ServerFacts, last["server"]) if last.get("server") else None,
                waiting=last.get("waiting") or {},
                running=tuple((str(a), str(b), float(c)) for a, b, c in last.get("running") or ()),
            )

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """A runtime of another version may say less than we read."""
        try:
            yield
        except (KeyError, TypeError, AttributeError, ValueError):
            host = urlsplit(self._url).hostname
            hint = "run the same version of deploykit there and here"
            raise SchemaError(f"{host} answers with a status that cannot be read", hint) from None

    def close(self) -> None:
        """Nothing stays open between two questions."""

    def _ask(self) -> Mapping[str, Any]:
        host = urlsplit(self._url).hostname
        request = urllib.request.Request(self._url, headers={"Authorization": f"Bearer {self._token}"})
        try:
            value = json.loads(operators_url.answered(request, timeout_seconds=TIMEOUT_SECONDS, most_bytes=MOST_BYTES))
        except urllib.error.HTTPError as error:
            if error.code in (401, 403, 404):
                hint = "set ADMIN_TOKEN on the web service, and the same in DEPLOYKIT_STATUS_TOKEN"
                raise SchemaError(f"{host} does not show its status ({error.code})", hint) from None
            raise Unreachable(f"{host} answers {error.code}{_leads_on(error)}") from None
        except (OSError, ValueError) as error:
            raise Unreachable(f"{host} does not answer: {type(error).__name__}") from None
        if not isinstance(value, dict) or value.get("schema") != "deploykit.status/1":
            raise DatabaseError(f"{host} answers, and not with a status", "check the URL; docs/verify.md")
        return value


def _leads_on(error: urllib.error.HTTPError) -> str:
    """Where a redirect leads: the token is not taken there."""
    there = urlsplit(error.headers.get("Location") or "").hostname if 300 <= error.code < 400 else None
    return f": it leads to {there}; name that one" if there else ""


def _record(kind: type[T], row: Mapping[str, Any]) -> T:
    """A dataclass from its JSON; times are ISO 8601, keys that we do not know are left out."""
    values = {field.name: _value(field.type, row.get(field.name)) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**values)


def _value(annotation: Any, value: Any) -> Any:
    return datetime.fromisoformat(value) if value is not None and "datetime" in str(annotation) else value
