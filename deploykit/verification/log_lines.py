"""The log lines that a profile promises: what people grep for, word for word (guide: expected logs)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploykit.profile.schema import Profile, Service
from deploykit.verification.census import DAEMON, WORKER, promised_poll_ms, wants

_VALUES = (re.compile(r"Polling every \S+?s\b"), re.compile(r"Job worker poll interval: \S+?ms\b"))
DAEMON_START = "Starting schedule daemon"
WORKER_START = "Job worker starting"
SEARCHED = ("Starting schedule daemon", "Schedule daemon started", "Polling every", "embedded job worker", "Job worker")
"""Phrases that find every line below in a log."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a log holds of what it should: ``wrong`` are lines that contradict the profile."""

    expected: tuple[str, ...]
    missing: tuple[str, ...]
    wrong: tuple[str, ...]
    starts: int
    """How many times a process of this service said that it starts."""


def expected(service: Service) -> tuple[str, ...]:
    """The phrases that the start of a healthy process of this service writes."""
    lines: list[str] = []
    if wants(service, WORKER):
        if service.role == "web":
            lines.append("Starting embedded job worker")
            lines.append(f"Job worker poll interval: {promised_poll_ms(service, WORKER)}ms")
        lines.append(WORKER_START)
    if wants(service, DAEMON):
        seconds = promised_poll_ms(service, DAEMON) / 1000
        lines += [DAEMON_START, "Schedule daemon started", f"Polling every {seconds:g}s"]
    return tuple(lines)


def forbidden(service: Service) -> tuple[str, ...]:
    """The phrases that only a process writes which the profile does not want in this service."""
    unwanted = [] if wants(service, DAEMON) else [DAEMON_START]
    return tuple(unwanted if wants(service, WORKER) else [*unwanted, WORKER_START])


def read(service: Service, lines: Iterable[str]) -> Reading:
    """Hold the lines of one deployment against the profile."""
    text = list(lines)
    promised = expected(service)
    present = {phrase for phrase in promised if any(phrase in line for line in text)}
    wrong = [phrase for phrase in forbidden(service) if any(phrase in line for line in text)]
    for line in text:
        for pattern in _VALUES:
            found = pattern.search(line)
            if found and found[0] not in promised and found[0] not in wrong:
                wrong.append(found[0])
    start = DAEMON_START if wants(service, DAEMON) else WORKER_START
    return Reading(
        promised,
        tuple(phrase for phrase in promised if phrase not in present),
        tuple(wrong),
        sum(start in line for line in text),
    )


def services(profile: Profile) -> list[Service]:
    """The services whose logs promise something."""
    return [service for service in profile.services.values() if service.is_app and service.start != ""]
