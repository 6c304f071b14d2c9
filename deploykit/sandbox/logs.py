"""What deployments print, line by line, within bounds: in memory for the API, in small files for a person."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LINES_PER_DEPLOYMENT = 5_000
DEPLOYMENTS_KEPT = 60
REPLICAS_COUNTED = 1_000
LINE_LIMIT_BYTES = 16_384
LINES_PER_SECOND = 500  # per replica; Railway drops the excess with a marker line
FILE_LIMIT_BYTES = 1_000_000

LogLine = dict[str, Any]
_LEVELS = {"debug": "debug", "info": "info", "warn": "warn", "warning": "warn", "error": "error", "err": "error"}


def parse(text: str, *, stderr: bool) -> tuple[str, str, dict[str, str]]:
    """Message, severity and attributes of one line; single-line JSON objects are taken apart."""
    severity = "error" if stderr else "info"
    if text.startswith("{") and text.endswith("}"):
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if isinstance(record, dict):
            message = str(record.pop("message", record.pop("msg", text)))
            level = _LEVELS.get(str(record.pop("level", severity)).lower(), severity)
            attributes = {key: value if isinstance(value, str) else json.dumps(value) for key, value in record.items()}
            return message, level, {"level": level, **attributes}
    return text, severity, {"level": severity}


class RotatingFile:
    """Appends to one file and keeps one older one: never more than twice the limit on disk."""

    def __init__(self, path: Path, limit_bytes: int = FILE_LIMIT_BYTES) -> None:
        self._path, self._limit = path, limit_bytes
        self._size = path.stat().st_size if path.exists() else 0

    def append(self, line: str) -> None:
        data = (line + "\n").encode("utf-8", "replace")
        try:
            if self._size + len(data) > self._limit:
                self._path.replace(self._path.with_suffix(".1.log"))
                self._size = 0
            with self._path.open("ab") as file:
                file.write(data)
        except OSError:
            return  # a full or vanished disk must not stop the processes whose lines these are
        self._size += len(data)


class Logs:
    """All lines of the latest deployments, run-time and build apart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines: dict[str, deque[LogLine]] = {}
        self._builds: dict[str, deque[LogLine]] = {}
        self._files: dict[str, RotatingFile] = {}
        self._rates: dict[str, tuple[int, int]] = {}
        self._last_ns = 0

    def write(self, service: str, tags: Mapping[str, str | None], text: str, *, stderr: bool = False) -> None:
        """Keep one run-time line of a replica; more than 500 lines in a second are dropped and counted."""
        replica = tags.get("deploymentInstanceId") or ""
        second, count = self._rates.get(replica, (0, 0))
        now = int(time.time())
        if now != second:
            if count > LINES_PER_SECOND:
                dropped = count - LINES_PER_SECOND
                self._keep(self._lines, service, tags, f"Railway rate limit: dropped {dropped} lines", stderr=True)
            count = 0
        self._rates[replica] = (now, count + 1)
        while len(self._rates) > REPLICAS_COUNTED:
            del self._rates[next(iter(self._rates))]
        if count < LINES_PER_SECOND:
            self._keep(self._lines, service, tags, text, stderr=stderr)

    def build(self, service: str, tags: Mapping[str, str | None], text: str, *, stderr: bool = False) -> None:
        """Keep one line of a build."""
        self._keep(self._builds, service, tags, text, stderr=stderr)

    def of(self, deployment_id: str, *, build: bool = False) -> list[LogLine]:
        """The kept lines of a deployment, oldest first."""
        return list((self._builds if build else self._lines).get(deployment_id, ()))

    def of_all(self, deployment_ids: Iterable[str]) -> list[LogLine]:
        """The kept run-time lines of several deployments, oldest first."""
        lines = [line for deployment_id in deployment_ids for line in self._lines.get(deployment_id, ())]
        return sorted(lines, key=lambda line: str(line["timestamp"]))

    def _keep(
        self, store: dict[str, deque[LogLine]], service: str, tags: Mapping[str, str | None], text: str, *, stderr: bool
    ) -> None:
        message, severity, attributes = parse(text[:LINE_LIMIT_BYTES], stderr=stderr)
        deployment_id = tags.get("deploymentId") or ""
        if deployment_id not in store:
            store[deployment_id] = deque(maxlen=LINES_PER_DEPLOYMENT)
            while len(store) > DEPLOYMENTS_KEPT:
                del store[next(iter(store))]
        # Two lines never share a time: the API's readers page by it.
        self._last_ns = max(self._last_ns + 1, time.time_ns())
        store[deployment_id].append(
            {
                "timestamp": _rfc3339(self._last_ns),
                "message": message,
                "severity": severity,
                "attributes": attributes,
                "tags": dict(tags),
            }
        )
        if service not in self._files:
            name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in service)
            self._folder.mkdir(parents=True, exist_ok=True)
            self._files[service] = RotatingFile(self._folder / f"{name}.log")
        self._files[service].append(f"{_rfc3339(self._last_ns)} {deployment_id[:8]} {text[:LINE_LIMIT_BYTES]}")


def _rfc3339(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
