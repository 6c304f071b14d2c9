"""DK2: polling. Milliseconds where milliseconds are read, and an interval that fits the stage."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Severity
from deploykit.rules._examples import Example, swap, swapped
from deploykit.rules._names import DAEMON_POLL, HEARTBEAT, INTERVALS, MAX_TIMER_MS, WORKER_POLL, whole_number
from deploykit.rules._rule import Report, replacement, rule
from deploykit.rules._system import ServiceView, System, Value

_SUFFIXED = re.compile(
    r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|msec|s|sec|secs|seconds?|m|min|mins|minutes?|h|hr|hrs|hours?|d|days?)\s*\Z", re.I
)
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SECONDS_UP_TO = {DAEMON_POLL: 3_600, WORKER_POLL: 60, HEARTBEAT: 60}
_DOUBTFUL_UP_TO = {WORKER_POLL: 999}
_BANDS = {
    "pre-launch": {DAEMON_POLL: (900_000, 3_600_000), WORKER_POLL: (30_000, 60_000)},
    "100-users": {DAEMON_POLL: (900_000, 900_000), WORKER_POLL: (10_000, 10_000)},
    "1000-users": {DAEMON_POLL: (300_000, 900_000), WORKER_POLL: (5_000, 5_000)},
}
_CENTRE = {
    "pre-launch": {DAEMON_POLL: 3_600_000, WORKER_POLL: 30_000},
    "100-users": {DAEMON_POLL: 900_000, WORKER_POLL: 10_000},
    "1000-users": {DAEMON_POLL: 300_000, WORKER_POLL: 5_000},
}


def intervals(service: ServiceView) -> Iterator[Value]:
    """The variables of a service that are a timer's period in milliseconds."""
    for name, value in service.env.items():
        if (
            name in INTERVALS or name.endswith(("_POLL_INTERVAL_MS", "_POLLING_INTERVAL_MS"))
        ) and value.text is not None:
            yield value


def human(milliseconds: int) -> str:
    """Milliseconds in words a person reads at once: ``3.6 s``, ``15 min``, ``1 h``."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if milliseconds >= size:
            return f"{round(milliseconds / size, 1):g} {unit}"
    return f"{milliseconds} ms"


@rule(
    "DK201",
    Severity.ERROR,
    on="service",
    cure="Write milliseconds: 3600000 for one hour, 30000 for 30 seconds.",
    bad=[
        swap("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 3600"),
        swap("JOB_WORKER_POLL_INTERVAL_MS: 30000", "JOB_WORKER_POLL_INTERVAL_MS: 30"),
    ],
    good=[swap("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 3600000")],
    fix="unsafe",
)
def seconds_for_milliseconds(service: ServiceView) -> Iterator[Report]:
    """The variables end in `_MS`: 3600 is 3.6 seconds, a thousand times more queries than the hour that was meant."""
    for value in intervals(service):
        number = whole_number(value.text)
        if value.name not in _SECONDS_UP_TO or not number:
            continue
        sure = number <= _SECONDS_UP_TO[value.name]
        if not sure and number > _DOUBTFUL_UP_TO.get(value.name, 0):
            continue
        yield Report(
            value.place,
            f"{value.name} is {number}: that is {human(number)}, since milliseconds are read",
            f"write {number * 1000} for {human(number * 1000)}",
            service.name,
            value.name,
            fix=replacement(f"write {number * 1000}", value.place, value.quoted(str(number * 1000)), safe=False)
            if sure
            else None,
            severity=None if sure else Severity.WARNING,
        )


@rule(
    "DK202",
    Severity.ERROR,
    on="service",
    cure="Write whole milliseconds without a unit, below 2147483648.",
    bad=[
        swap("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 1h"),
        swap("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 2592000000"),
        swap("JOB_WORKER_POLL_INTERVAL_MS: 30000", "JOB_WORKER_POLL_INTERVAL_MS: 30000ms"),
    ],
    good=[swap("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 3600000")],
    fix="safe",
)
def unit_or_overflow(service: ServiceView) -> Iterator[Report]:
    """`parseInt("1h")` is 1, and a timer above 2147483647 ms fires at once: both poll without a pause."""
    for value in intervals(service):
        assert value.text is not None
        number, match = whole_number(value.text), _SUFFIXED.match(value.text)
        if match:
            amount, unit = match.group(1), match.group(2).lower()
            unit = "ms" if unit.startswith("ms") else unit[0]
            meant = int(float(amount) * _UNIT_MS[unit])
            fits = 0 < meant <= MAX_TIMER_MS
            yield Report(
                value.place,
                f"{value.name} has a unit: {value.text.strip()!r} is read as {int(float(amount))} ms",
                f"write {meant}",
                service.name,
                value.name,
                fix=replacement(f"write {meant}", value.place, value.quoted(str(meant))) if fits else None,
            )
        elif number is not None and number > MAX_TIMER_MS:
            yield Report(
                value.place,
                f"{value.name} is {number}: above {MAX_TIMER_MS} ms a timer overflows and fires at once",
                "write milliseconds, not microseconds; 24 days is the longest a timer can wait",
                service.name,
                value.name,
            )


@rule(
    "DK203",
    Severity.WARNING,
    on="system",
    cure="Use the interval of the stage, or another profile name.",
    bad=[
        Example(
            {
                "profiles/pre-launch.yaml": swapped(
                    "name: app", "name: pre-launch", "INTERVAL_MS: 30000", "INTERVAL_MS: 5000"
                )
            },
            "name: pre-launch\nJOB_WORKER_POLL_INTERVAL_MS: 5000",
        )
    ],
    good=[
        Example(
            {"profiles/pre-launch.yaml": swapped("name: app", "name: pre-launch")},
            "name: pre-launch\nJOB_WORKER_POLL_INTERVAL_MS: 30000",
        ),
        swap("INTERVAL_MS: 30000", "INTERVAL_MS: 5000"),
    ],
    fix="unsafe",
    kinds=("profile",),
)
def interval_outside_the_stage(system: System) -> Iterator[Report]:
    """Each stage of the guide has its intervals: before launch there is one user, and polling every 5 seconds only costs."""
    bands = _BANDS.get(system.name, {})
    for service, value in system.polls():
        number = whole_number(value.text)
        if value.name not in bands or not number or _mistaken(value.name, number):
            continue
        low, high = bands[value.name]
        if low <= number <= high:
            continue
        wanted = human(low) if low == high else f"{human(low)} to {human(high)}"
        default = _CENTRE[system.name][value.name]
        yield Report(
            value.place,
            f"{value.name} is {human(number)}; {system.name} is for {wanted}",
            f"write {default}",
            service.name,
            value.name,
            fix=replacement(f"write {default}", value.place, value.quoted(str(default)), safe=False),
        )


def _mistaken(name: str, number: int) -> bool:
    """Whether another rule already says that the number cannot be meant."""
    return number <= max(_SECONDS_UP_TO[name], _DOUBTFUL_UP_TO.get(name, 0)) or number > MAX_TIMER_MS


@rule(
    "DK207",
    Severity.ERROR,
    on="service",
    cure="Write a whole number above 0, digits only.",
    bad=[
        swap("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: 0"),
        swap("JOB_WORKER_POLL_INTERVAL_MS: 30000", 'JOB_WORKER_POLL_INTERVAL_MS: "30,000"'),
    ],
    good=[swap("JOB_WORKER_POLL_INTERVAL_MS: 30000", 'JOB_WORKER_POLL_INTERVAL_MS: "30000"')],
    fix="safe",
)
def no_usable_number(service: ServiceView) -> Iterator[Report]:
    """`parseInt` stops at the first character that is no digit, and a timer of 0 or NaN polls without a pause."""
    for value in intervals(service):
        assert value.text is not None
        text = value.text.strip()
        number = whole_number(text)
        if (number is not None and number > 0) or "${{" in text or _SUFFIXED.match(text) or _placeholder(text):
            continue
        digits = re.sub(r"[_,' \u00a0\u202f]", "", text)
        digits = digits if re.fullmatch(r"[1-9][0-9]*", digits) and not re.fullmatch(r"[0-9]+,[0-9]{1,2}", text) else ""
        said = "is empty" if not text else f"is {text!r}"
        yield Report(
            value.place,
            f"{value.name} {said}: no whole number above 0",
            f"write {digits}" if digits else "write milliseconds, digits only: 30000",
            service.name,
            value.name,
            fix=replacement(f"write {digits}", value.place, value.quoted(digits)) if digits else None,
        )


def _placeholder(text: str) -> bool:
    return text.startswith("<") and text.endswith(">")
