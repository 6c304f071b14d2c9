"""DK2: polling. Milliseconds where milliseconds are read, and an interval that fits the stage."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Severity
from deploykit.rules._known import (
    DAEMON_POLL,
    DEFAULT_DAEMON_POLL_MS,
    DEFAULT_WORKER_POLL_MS,
    HEARTBEAT,
    INTERVALS,
    LARGEST_TIMER_MS,
    WORKER_POLL,
)
from deploykit.rules._rule import Report, profile, rule
from deploykit.rules._subjects import IAC, PROFILE, Service, System, Variable, Variables, fix, related
from deploykit.sources.pattern import pattern

_SUFFIXED = pattern(
    r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|msec|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)\s*\Z", re.IGNORECASE
)
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DAY_MS = 86_400_000
_SECONDS_UP_TO = {DAEMON_POLL: 3_600, WORKER_POLL: 60, HEARTBEAT: 60}
_DOUBTFUL_UP_TO = {WORKER_POLL: 999}
_BANDS = {
    "pre-launch": {DAEMON_POLL: (900_000, 3_600_000), WORKER_POLL: (30_000, 60_000)},
    "100-users": {DAEMON_POLL: (900_000, 900_000), WORKER_POLL: (10_000, 10_000)},
    "1000-users": {DAEMON_POLL: (300_000, 900_000), WORKER_POLL: (5_000, 5_000)},
}
_DEFAULTS = {
    "pre-launch": {DAEMON_POLL: 3_600_000, WORKER_POLL: 30_000},
    "100-users": {DAEMON_POLL: 900_000, WORKER_POLL: 10_000},
    "1000-users": {DAEMON_POLL: 300_000, WORKER_POLL: 5_000},
}


def intervals(variables: Variables) -> Iterator[Variable]:
    """The variables that are a timer's period in milliseconds and can be read."""
    for variable in variables:
        known = variable.name in INTERVALS or variable.name.endswith(("_POLL_INTERVAL_MS", "_POLLING_INTERVAL_MS"))
        if known and variable.literal:
            yield variable


def human(milliseconds: int) -> str:
    """Milliseconds in words a person reads at once: ``3.6 s``, ``15 min``, ``1 h``."""
    for size, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")):
        if milliseconds >= size:
            return f"{round(milliseconds / size, 1):g} {unit}"
    return f"{milliseconds} ms"


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 40 else None


@rule(
    "DK201",
    Severity.ERROR,
    of=Variables,
    title="an interval in seconds where milliseconds are read",
    fix="unsafe",
    good=[profile()],
    bad=[
        profile(("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: «3600»")),
        profile(("JOB_WORKER_POLL_INTERVAL_MS: 30000", "JOB_WORKER_POLL_INTERVAL_MS: «30»")),
    ],
)
def seconds_for_milliseconds(variables: Variables) -> Iterator[Report]:
    """The variables end in `_MS`: 3600 is 3.6 seconds, a thousand times more queries than the hour that was meant."""
    for variable in intervals(variables):
        number = _number(variable.text)
        if variable.name not in _SECONDS_UP_TO or not number:
            continue
        sure = number <= _SECONDS_UP_TO[variable.name]
        if not sure and number > _DOUBTFUL_UP_TO.get(variable.name, 0):
            continue
        meant = number * 1000
        yield Report(
            variable.place,
            f"{variable.name} is {number}: that is {human(number)}, since milliseconds are read",
            f"write {meant} for {human(meant)}",
            variable=variable.name,
            fix=fix(f"write {meant}", [variable.replaced(str(meant))], safe=False) if sure else None,
            severity=None if sure else Severity.WARNING,
        )


@rule(
    "DK202",
    Severity.ERROR,
    of=Variables,
    title="an interval with a unit, or longer than a timer can wait",
    fix="safe",
    good=[profile()],
    bad=[
        profile(("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: «1h»")),
        profile(("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: «3600000000»")),
        profile(("JOB_WORKER_POLL_INTERVAL_MS: 30000", "JOB_WORKER_POLL_INTERVAL_MS: «30000ms»")),
    ],
)
def unit_or_overflow(variables: Variables) -> Iterator[Report]:
    """`parseInt("1h")` is 1, and a timer above 2147483647 ms fires at once: both poll without a pause."""
    for variable in intervals(variables):
        number, match = _number(variable.text), _SUFFIXED.match(variable.text)
        if match:
            amount, unit = match[1], match[2].lower()
            meant = int(float(amount) * _UNIT_MS["ms" if unit.startswith("ms") else unit[0]])
            fits = 0 < meant <= LARGEST_TIMER_MS and meant > _SECONDS_UP_TO.get(variable.name, 0)
            yield Report(
                variable.place,
                f"{variable.name} has a unit: {variable.text.strip()!r} is read as {int(float(amount))} ms",
                f"write {meant}",
                variable=variable.name,
                fix=fix(f"write {meant}", [variable.replaced(str(meant))]) if fits else None,
            )
        elif number is not None and number > LARGEST_TIMER_MS:
            yield Report(
                variable.place,
                f"{variable.name} is {number}: above {LARGEST_TIMER_MS} ms a timer overflows and fires at once",
                "write milliseconds, not microseconds; 24 days is the longest a timer can wait",
                variable=variable.name,
            )


@rule(
    "DK203",
    Severity.WARNING,
    of=System,
    title="an interval outside its stage",
    fix="unsafe",
    good=[profile(name="pre-launch"), profile(("INTERVAL_MS: 30000", "INTERVAL_MS: 5000"))],
    bad=[profile(("INTERVAL_MS: 30000", "INTERVAL_MS: «5000»"), name="pre-launch")],
)
def interval_outside_the_stage(system: System) -> Iterator[Report]:
    """Each stage of the guide has its intervals: before launch there is one user, and polling every 5 s only costs."""
    stage = system.name or ""
    bands = _BANDS.get(stage, {}) if system.kind == PROFILE else {}
    for service in system.services:
        for name, uses in ((DAEMON_POLL, service.runs_daemon), (WORKER_POLL, service.runs_worker)):
            number = service.milliseconds(name)
            if not uses or name not in bands or number is None or _mistaken(name, number):
                continue
            low, high = bands[name]
            if low <= number <= high:
                continue
            wanted = human(low) if low == high else f"{human(low)} to {human(high)}"
            default = _DEFAULTS[stage][name]
            variable = service.env[name]
            yield Report(
                variable.place,
                f"{name} is {human(number)}; {stage} is for {wanted}",
                f"write {default}",
                service=service.name,
                variable=name,
                fix=fix(f"write {default}", service.set_env(name, str(default)), safe=False),
            )


def _mistaken(name: str, number: int) -> bool:
    """Whether another rule already says that the number cannot be meant."""
    return number <= max(_SECONDS_UP_TO[name], _DOUBTFUL_UP_TO.get(name, 0)) or number > LARGEST_TIMER_MS


POLLS_A_DAY = 200_000


@rule(
    "DK206",
    Severity.WARNING,
    of=System,
    title="idle processes ask the database too often",
    good=[profile(worker=True)],
    bad=[
        profile(
            ("job-worker|draining_seconds: 30", "draining_seconds: 30\n    replicas: 3"),
            ("JOB_WORKER_POLL_INTERVAL_MS: 5000", "JOB_WORKER_POLL_INTERVAL_MS: «1000»"),
            worker=True,
        )
    ],
)
def restless_idling(system: System) -> Iterator[Report]:
    """With nothing to do, three workers that look every second ask the database 259,200 times a day; the limit is
    200,000 for all processes together.
    """
    if system.kind not in (PROFILE, IAC):
        return
    polls: list[tuple[float, Service, str]] = []
    for service in system.services:
        for name, uses, default in (
            (DAEMON_POLL, service.runs_daemon, DEFAULT_DAEMON_POLL_MS),
            (WORKER_POLL, service.runs_worker, DEFAULT_WORKER_POLL_MS),
        ):
            number = (service.milliseconds(name) if name in service.env else default) if uses else None
            if number is not None and not (name in service.env and _mistaken(name, number)):
                polls.append((_DAY_MS / number * service.replicas, service, name))
    total = sum(each for each, _, _ in polls)
    if total <= POLLS_A_DAY:
        return
    _, service, name = max(polls, key=lambda poll: poll[0])
    others = [other.env[key].place for _, other, key in polls if other is not service and key in other.env]
    yield Report(
        service.env[name].place if name in service.env else service.missing,
        f"idle processes ask the database {total:,.0f} times a day; {POLLS_A_DAY:,} is the limit",
        "poll more rarely, or run fewer replicas",
        service=service.name,
        variable=name,
        related=related(*((place, "polls too") for place in others)),
    )


@rule(
    "DK207",
    Severity.ERROR,
    of=Variables,
    title="an interval that is no whole number above 0",
    fix="safe",
    good=[profile(("JOB_WORKER_POLL_INTERVAL_MS: 30000", 'JOB_WORKER_POLL_INTERVAL_MS: "30000"'))],
    bad=[
        profile(("SCHEDULE_POLL_INTERVAL_MS: 3600000", "SCHEDULE_POLL_INTERVAL_MS: «0»")),
        profile(("JOB_WORKER_POLL_INTERVAL_MS: 30000", 'JOB_WORKER_POLL_INTERVAL_MS: «"30,000"»')),
    ],
)
def no_usable_number(variables: Variables) -> Iterator[Report]:
    """`parseInt` stops at the first character that is no digit, and a timer of 0 or NaN polls without a pause."""
    for variable in intervals(variables):
        text = variable.text.strip()
        number = _number(text)
        if (number is not None and number > 0) or _SUFFIXED.match(text) or (text[:1] == "<" and text[-1:] == ">"):
            continue
        digits = re.sub(r"[_,' \u00a0\u202f]", "", text)
        usable = re.fullmatch(r"[1-9][0-9]{0,14}", digits) and not re.fullmatch(r"[0-9]+,[0-9]{1,2}", text)
        yield Report(
            variable.place,
            f"{variable.name} {f'is {text!r}' if text else 'is empty'}: no whole number above 0",
            f"write {digits}" if usable else "write milliseconds, digits only: 30000",
            variable=variable.name,
            fix=fix(f"write {digits}", [variable.replaced(digits)]) if usable else None,
        )
