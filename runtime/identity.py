"""Identifiers and the name plate of a process."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from runtime.settings import Settings

SCHEDULE_DAEMON = "schedule_daemon"
JOB_WORKER = "job_worker"


def new_id() -> str:
    """A UUID of version 7: random, but rising with time, so that new rows lie together in the primary key.

    The time counts quarter microseconds (RFC 9562, 6.2 method 3): what one thread makes one after the other sorts so.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    value = milliseconds << 80 | 0x7 << 76 | (rest * 4096 // 1_000_000) << 64 | 0x2 << 62
    text = f"{value | int.from_bytes(os.urandom(8), 'big') >> 2:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a process writes into its heartbeat row about itself."""

    id: str
    kind: str
    service: str | None
    deployment: str | None
    replica: str | None
    hostname: str
    pid: int
    profile: str | None
    poll_interval_ms: int
    heartbeat_interval_ms: int

    @classmethod
    def of(cls, kind: str, settings: Settings) -> Identity:
        """A new identity: new for every start, and again after having been declared dead."""
        daemon = kind == SCHEDULE_DAEMON
        return cls(
            id=new_id(),
            kind=kind,
            service=settings.railway_service_name,
            deployment=settings.railway_deployment_id,
            replica=settings.railway_replica_id,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            profile=settings.deploykit_profile,
            poll_interval_ms=settings.schedule_poll_interval_ms if daemon else settings.job_worker_poll_interval_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
        )
