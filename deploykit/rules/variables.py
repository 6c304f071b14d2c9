"""DK4: variables. What a process will really read, and what must not stand in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Severity
from deploykit.rules._edits import added_variable
from deploykit.rules._examples import env, swap
from deploykit.rules._names import (
    DATABASE_URL,
    FLAGS,
    RUNTIME,
    distance,
    engine_variables,
    is_provided,
    references,
)
from deploykit.rules._rule import Report, replacement, rule
from deploykit.rules._secrets import looks_secret, masked
from deploykit.rules._system import ServiceView, System, Value

_NEAR = tuple(sorted(name for name in RUNTIME if len(name) >= 8))
_INVISIBLE = re.compile("[\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff]")
_TRUE = frozenset({"true", "yes", "on", "1", "y", "t", "enabled"})
_FALSE = frozenset({"false", "no", "off", "0", "n", "f", "disabled"})


@rule(
    "DK401",
    Severity.ERROR,
    on="service",
    cure="Write true or false, small letters, nothing else.",
    bad=[
        swap("EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: yes"),
        swap("EMBEDDED_JOB_WORKER: true", 'EMBEDDED_JOB_WORKER: "True"'),
    ],
    good=[swap("EMBEDDED_JOB_WORKER: true", 'EMBEDDED_JOB_WORKER: "true"')],
    fix="safe",
)
def flag_that_is_no_boolean(service: ServiceView) -> Iterator[Report]:
    """Code compares `=== 'true'`: `True`, `1`, `yes` and `"true "` all mean off, without a word in the log."""
    for name in FLAGS:
        value = service.env.get(name)
        if value is None or value.text is None or value.text in ("true", "false") or "${{" in value.text:
            continue
        word = _INVISIBLE.sub("", value.text).strip().strip("\"'").strip().lower()
        meant = "true" if word in _TRUE else "false" if word in _FALSE else None
        said = "empty" if not value.text.strip() else masked(name, value.text)
        yield Report(
            value.place,
            f"{name} is {said}, which is not exactly true or false",
            f"write {meant}" if meant else "write true or false",
            service.name,
            name,
            fix=replacement(f"write {meant}", value.place, meant) if meant else None,
        )


@rule(
    "DK402",
    Severity.ERROR,
    on="service",
    cure="Remove the spaces, or the quotes inside the quotes.",
    bad=[
        swap("NODE_ENV: production", 'NODE_ENV: " production"'),
        swap("NODE_ENV: production", "NODE_ENV: '\"production\"'"),
    ],
    good=[swap("NODE_ENV: production", 'NODE_ENV: "production"')],
    fix="safe",
)
def stray_characters(service: ServiceView) -> Iterator[Report]:
    """A space, a carriage return or a quote becomes part of the value, and no comparison ever matches again."""
    for value in service.env.values():
        text = value.text
        if text is None or value.name in FLAGS or not text.strip():
            continue
        clean, what = _cleaned(text)
        if what is None:
            continue
        shown = value.quote or ('"' if not re.fullmatch(r"[A-Za-z0-9_./:@-]+", clean) else "")
        can_fix = "\n" not in text and "\\" not in clean and '"' not in clean and "'" not in clean
        yield Report(
            value.place,
            f"the value of {value.name} {what}",
            "remove it: it becomes part of the value",
            service.name,
            value.name,
            fix=replacement("remove what strayed in", value.place, f"{shown}{clean}{shown}") if can_fix else None,
        )


def _cleaned(text: str) -> tuple[str, str | None]:
    clean = text
    if "\n" in text.strip("\r\n"):
        return text, "has carriage returns" if "\r" in text else None
    what = None
    if _INVISIBLE.search(clean):
        clean, what = _INVISIBLE.sub("", clean), "holds an invisible character"
    if clean != clean.strip():
        what = "ends in a carriage return" if clean.endswith("\r") else "begins or ends with white space"
        clean = clean.strip()
    if len(clean) >= 2 and clean[0] == clean[-1] and clean[0] in "\"'" and clean[0] not in clean[1:-1]:
        clean, what = clean[1:-1].strip(), "has quotes inside its quotes"
    return clean, what


@rule(
    "DK403",
    Severity.WARNING,
    on="service",
    cure="Write the name as the code reads it.",
    bad=[swap("      SCHEDULE_POLL_INTERVAL_MS: 3600000", "      SCHEDULE_POL_INTERVAL_MS: 3600000")],
    good=[
        swap(
            "      SCHEDULE_POLL_INTERVAL_MS: 3600000",
            "      SCHEDULE_POLL_INTERVAL_MS: 3600000\n      SCHEDULE_TIMEZONE: UTC",
        )
    ],
    fix="safe",
)
def misspelt_variable(service: ServiceView) -> Iterator[Report]:
    """A misspelt variable is not an error anywhere: the code falls back to its default."""
    for name, value in service.env.items():
        if name in RUNTIME or is_provided(name):
            continue
        near = _near(name)
        if not near:
            continue
        unique = len(near) == 1 and near[0] not in service.env and service.kind != "iac"
        yield Report(
            value.key,
            f"unknown variable {name}; did you mean {near[0]}?",
            f"write {near[0]}",
            service.name,
            name,
            fix=replacement(f"rename to {near[0]}", value.key, near[0]) if unique else None,
        )


def _near(name: str) -> list[str]:
    upper = name.upper()
    if upper in RUNTIME and name != upper and len(name) >= 8:
        return [upper]
    if name != upper:
        return []
    words = set(name.split("_"))
    found = []
    for known in _NEAR:
        limit = 2 if len(known) >= 12 else 1
        if name.rstrip("0123456789").rstrip("_") == known:
            continue
        known_words = set(known.split("_"))
        shortened = len(known_words) >= 4 and words < known_words and len(words) == len(known_words) - 1
        if distance(name, known, limit) <= limit or (shortened and name.split("_")[0] == known.split("_")[0]):
            found.append(known)
    return found


@rule(
    "DK404",
    Severity.ERROR,
    on="service",
    cure="Set it; a secret as `!secret`, the database as a reference.",
    bad=[swap("      DATABASE_URL: ${{MySQL.MYSQL_URL}}\n", "")],
    good=[swap("DATABASE_URL: ${{MySQL.MYSQL_URL}}", "DATABASE_URL: !secret")],
    fix="unsafe",
    kinds=("profile", "iac"),
)
def missing_variable(service: ServiceView) -> Iterator[Report]:
    """A process without its database or mode dies at start, or worse, runs in development mode."""
    if not service.is_app or not service.complete:
        return
    for name in ("NODE_ENV", DATABASE_URL):
        if name in service.env:
            continue
        value = "production" if name == "NODE_ENV" else "${{MySQL.MYSQL_URL}}"
        yield Report(
            service.missing(),
            f"`{service.name}` has no {name}",
            f"add `{name}: {value}`",
            service.name,
            name,
            fix=added_variable(service, name, value, f"add {name}", safe=False),
        )


@rule(
    "DK405",
    Severity.ERROR,
    on="system",
    cure="Name a service and a variable that exist, in their exact spelling.",
    bad=[
        swap("DATABASE_URL: ${{MySQL.MYSQL_URL}}", "DATABASE_URL: ${{MySql.MYSQL_URL}}"),
        swap("NODE_ENV: production", "NODE_ENV: production\n      API: ${{API}}"),
    ],
    good=[
        swap("NODE_ENV: production", "NODE_ENV: production\n      HOST: ${{schedule-daemon.RAILWAY_PRIVATE_DOMAIN}}")
    ],
    fix="safe",
    kinds=("profile",),
)
def broken_reference(system: System) -> Iterator[Report]:
    """Railway renders a reference it cannot resolve as nothing: the process gets an empty value, not an error."""
    known = dict.fromkeys(system.services)
    database = system.get("database.service")
    if isinstance(database, str):
        known[database] = None
    for service in system.services.values():
        for value in service.env.values():
            if value.text is None:
                continue
            for owner, variable, start, end in references(value.text):
                problem = _broken(system, service, owner, variable, list(known), database)
                if problem is None:
                    problem = _circle(system, service, value, owner, variable)
                if problem is None:
                    continue
                message, right = problem
                written = value.text[start:end]
                fix = None
                if right is not None:
                    corrected = value.text[:start] + written.replace(*right, 1) + value.text[end:]
                    fix = replacement(f"write {right[1]}", value.place, value.quoted(corrected))
                yield Report(
                    value.place,
                    f"{written} in {value.name}: {message}",
                    f"did you mean {right[1]}?" if right else "name a service and a variable of this profile",
                    service.name,
                    value.name,
                    fix=fix,
                )


def _broken(
    system: System, service: ServiceView, owner: str | None, variable: str, known: list[str], database: object
) -> tuple[str, tuple[str, str] | None] | None:
    if owner == "shared":
        return None
    if owner is not None and owner not in known:
        near = [name for name in known if name.lower() == owner.lower()]
        close = near or [name for name in known if distance(name.lower(), owner.lower(), 2) <= 2]
        right = (owner, close[0]) if len(close) == 1 and near else None
        also = f"; there is {close[0]!r}" if close else ""
        return f"there is no service {owner!r} in this profile{also}", right
    target = service if owner is None else system.services.get(owner)
    if is_provided(variable) or (target is not None and variable in target.env):
        return None
    if target is not None and not target.complete:
        return None
    if target is None or target.role == "database":
        image = str(target.get("source.image") or "") if target else ""
        names = engine_variables(image, owner, str(database or ""))
        if (
            names is None
            or variable in names
            or variable in ("DATABASE_URL", "DATABASE_PUBLIC_URL", "DATABASE_PRIVATE_URL")
        ):
            return None
        candidates = sorted(names)
    else:
        candidates = sorted(target.env)
    cased = [name for name in candidates if name.lower() == variable.lower()]
    close = cased or [name for name in candidates if distance(name, variable, 2) <= 2]
    holder = "itself" if owner is None else repr(owner)
    also = f"; there is {close[0]}" if close else ""
    return f"{holder} has no variable {variable}{also}", (variable, cased[0]) if len(cased) == 1 else None


def _circle(
    system: System, service: ServiceView, value: Value, owner: str | None, variable: str
) -> tuple[str, None] | None:
    """Whether the reference leads back to the variable it stands in."""
    goal, seen = (service.name, value.name), set()
    waiting = [(owner or service.name, variable)]
    while waiting:
        step = waiting.pop()
        if step == goal:
            return "it leads back to itself", None
        if step in seen or step[0] not in system.services:
            continue
        seen.add(step)
        text = system.services[step[0]].text(step[1])
        waiting.extend((name or step[0], other) for name, other, _, _ in references(text or ""))
    return None


@rule(
    "DK406",
    Severity.ERROR,
    on="service",
    cure="Write `!secret` and set the value in Railway; rotate it when it was ever committed.",
    bad=[
        swap("NODE_ENV: production", "NODE_ENV: production\n      JWT_SECRET: 9f2c8a41d7"),
        env("SCHEDULE_DAEMON_ENABLED=false\nEMBEDDED_JOB_WORKER=true\nJWT_SECRET=9f2c8a41d7\n"),
    ],
    good=[
        swap("NODE_ENV: production", "NODE_ENV: production\n      JWT_SECRET: !secret\n      TOKEN_TTL_SECONDS: 3600")
    ],
    fix="unsafe",
)
def secret_in_a_file(service: ServiceView) -> Iterator[Report]:
    """A secret in a file that git tracks is known to everyone who ever clones it, for ever."""
    for value in service.env.values():
        kind = looks_secret(value.name, value.text) if value.text else None
        if kind is None:
            continue
        fix = None
        if service.kind == "profile" and value.place.line == value.place.end_line:
            fix = replacement("leave the value to Railway", value.place, "!secret", safe=False)
        yield Report(
            value.place,
            f"{value.name} holds {kind} in plain text",
            "write `!secret` and set the value in Railway"
            if service.kind == "profile"
            else "keep it in Railway, not in a file that git tracks",
            service.name or None,
            value.name,
            fix=fix,
        )
