"""DK0: files. What stands in them can be read, and means what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deploykit.findings import Severity
from deploykit.rules._examples import CLEAN, PATH, Example, profile, swap
from deploykit.rules._names import FLAGS, INTERVALS
from deploykit.rules._rule import Report, replacement, rule
from deploykit.rules._system import ServiceView
from deploykit.sources.yaml import resolve


@rule(
    "DK001",
    Severity.ERROR,
    on="loading",
    cure="Correct the syntax at the place shown.",
    bad=[
        swap("    role: web", "\trole: web"),
        profile(CLEAN.replace("${{MySQL.MYSQL_URL}}", "{a: ${{MySQL.MYSQL_URL}}}", 1)),
    ],
    good=[swap("    role: web", "    role: web")],
)
def unparsable_file(subject: Any) -> Iterator[Report]:
    """A file that cannot be parsed says nothing: no other rule can look at it."""
    yield from ()


@rule(
    "DK002",
    Severity.ERROR,
    on="loading",
    cure="Keep one of the two.",
    bad=[
        swap(
            "      JOB_WORKER_POLL_INTERVAL_MS: 30000\n",
            "      JOB_WORKER_POLL_INTERVAL_MS: 5000\n      JOB_WORKER_POLL_INTERVAL_MS: 30000\n",
        )
    ],
    good=[swap("replicas: 1", "replicas: 1")],
    fix="unsafe",
)
def duplicate_key(subject: Any) -> Iterator[Report]:
    """Most parsers keep the last of two equal keys without a word; the first one looks as if it counted."""
    yield from ()


@rule(
    "DK003",
    Severity.ERROR,
    on="loading",
    cure="Write the key as docs/profile.md spells it.",
    bad=[swap("draining_seconds: 30", "drainig_seconds: 30")],
    good=[swap("version: 1", "version: 1\nx-anchors: {anything: goes}")],
    fix="safe",
)
def unknown_key(subject: Any) -> Iterator[Report]:
    """A misspelt key would be a setting that never takes effect."""
    yield from ()


@rule(
    "DK004",
    Severity.ERROR,
    on="loading",
    cure="Write a value of the right type, within its range.",
    bad=[swap("replicas: 1", "replicas: one"), swap("version: 1", "version: 2")],
    good=[swap("replicas: 1", "replicas: {us-west2: 1}")],
)
def invalid_value(subject: Any) -> Iterator[Report]:
    """A value outside its type or range would fail at Railway, half-way through an apply."""
    yield from ()


@rule(
    "DK005",
    Severity.WARNING,
    on="service",
    cure="Quote the value.",
    bad=[
        swap("NODE_ENV: production", "NODE_ENV: production\n      APP_VERSION: 1.10"),
        swap("NODE_ENV: production", "NODE_ENV: production\n      COMMIT: 12e4567"),
    ],
    good=[
        swap(
            "NODE_ENV: production",
            'NODE_ENV: production\n      APP_VERSION: "1.10"\n      QUIET_FROM: 12:30:00\n      ANSWER: yes',
        )
    ],
    fix="safe",
    kinds=("profile",),
)
def scalar_that_changes(service: ServiceView) -> Iterator[Report]:
    """A variable is a string. Without quotes YAML reads 1.10 as a number, and the next tool that writes it says 1.1."""
    for value in service.env.values():
        if not value.plain or value.text is None or value.secret or value.name in FLAGS or value.name in INTERVALS:
            continue
        resolved = resolve(value.text)
        if isinstance(resolved, str) or resolved is None:
            continue
        read = str(resolved).lower() if isinstance(resolved, bool) else str(resolved)
        if read == value.text:
            continue
        yield Report(
            value.place,
            f"{value.name}: without quotes YAML reads {value.text} as {read}",
            f'write "{value.text}"',
            service.name,
            value.name,
            fix=replacement("quote the value", value.place, f'"{value.text}"'),
        )


@rule(
    "DK008",
    Severity.ERROR,
    on="loading",
    cure="Extend a profile of this folder, in one direction.",
    bad=[swap("name: app", "name: app\nextends: base")],
    good=[
        Example(
            {
                "profiles/base.yaml": CLEAN.replace("name: app", "name: base"),
                PATH: "version: 1\nname: app\nextends: base\nservices: {web-server: {draining_seconds: 60}}\n",
            }
        )
    ],
    fix="safe",
)
def broken_extends(subject: Any) -> Iterator[Report]:
    """Without its base a profile is half a profile."""
    yield from ()
