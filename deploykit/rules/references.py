"""DK4: references. `${{service.NAME}}` leads to a variable that exists, and never back to itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Fix, Severity
from deploykit.rules import _known
from deploykit.rules._rule import Report, profile, rule
from deploykit.rules._subjects import PROFILE, Service, System, Variable, fix
from deploykit.sources.text import edit


@rule(
    "DK405",
    Severity.ERROR,
    of=System,
    title="a reference that leads nowhere, or back to itself",
    fix="safe",
    good=[
        profile(("LIMIT: 5", "LIMIT: 5\n      DAEMON_HOST: ${{schedule-daemon.RAILWAY_PRIVATE_DOMAIN}}")),
        profile(("LIMIT: 5", "LIMIT: 5\n      MAIL_FROM: ${{shared.MAIL_FROM}}")),
    ],
    bad=[
        profile(("DATABASE_URL: ${{MySQL.MYSQL_URL}}", "DATABASE_URL: «${{MySql.MYSQL_URL}}»")),
        profile(("LIMIT: 5", "LIMIT: 5\n      PUBLIC_URL: https://«${{web-servr.RAILWAY_PUBLIC_DOMAIN}}»/")),
        profile(("LIMIT: 5", "LIMIT: 5\n      SELF: «${{SELF}}»")),
    ],
)
def broken_reference(system: System) -> Iterator[Report]:
    """Railway renders a reference it cannot resolve as nothing: the process gets an empty value, not an error. Names
    are case-sensitive.
    """
    if system.kind != PROFILE:
        return
    for service in system.services:
        for variable in service.variables:
            if not variable.readable:
                continue
            for match in _known.REFERENCE.finditer(variable.text):
                owner, name = match[1], match[2]
                problem = _broken(system, service, owner, name) or _circle(system, service, variable, owner, name)
                if problem is None:
                    continue
                message, wrong, right = problem
                yield Report(
                    variable.part(match.start(), match.end()),
                    f"{match.group()} in {variable.name}: {message}",
                    f"write {right}" if right else "name a service and a variable that exist",
                    service=service.name,
                    variable=variable.name,
                    fix=_respelt(service, variable, match, wrong, right) if wrong and right else None,
                )


def _respelt(service: Service, variable: Variable, match: re.Match[str], wrong: str, right: str) -> Fix | None:
    place = variable.part(match.start(), match.end())
    if not service.owns(variable.key) or (place == variable.place and match.group() != variable.text):
        return None
    written = match.group().replace(wrong, right, 1)
    if place == variable.place and variable.quote in ("'", '"'):
        return fix(f"write {right}", [variable.replaced(written)])
    return fix(f"write {right}", [edit(place, written)])


def _broken(
    system: System, service: Service, owner: str | None, name: str
) -> tuple[str, str | None, str | None] | None:
    if owner == "shared":
        return None
    known = [each.name for each in system.services]
    if system.database and system.database not in known:
        known.append(system.database)
    if owner is not None and owner not in known:
        if system.database is None and owner in _known.TEMPLATES:
            return None  # the profile does not speak of its database at all
        same = [each for each in (*known, *_known.TEMPLATES) if each.lower() == owner.lower()]
        if owner in _known.TEMPLATES and _known.engine_of(owner) != _known.engine_of(system.database or ""):
            return None  # a database of another kind, from Railway's own template
        close = same or _known.near(owner, known)
        also = f", there is `{close[0]}`" if close else ""
        return f"no service is called `{owner}`{also}", owner if same else None, close[0] if close else None
    target = service if owner is None else system.service(owner)
    if name in _known.PROVIDED or name in _known.KNOBS or (target and name in target.env):
        return None
    if target and not target.complete:
        return None
    if target is None or target.role == "database":
        engine = _known.engine_of(owner or "") or _known.engine_of((target.text("image") or "") if target else "")
        candidates = sorted(_known.DATABASE_OUTPUTS.get(engine or "", ()))
        if not candidates or name in candidates or name.startswith(("DATABASE_", "RAILWAY_")):
            return None
        same = [each for each in candidates if each.lower() == name.lower()]
        close = same or _known.near(name, candidates)
        if not close:
            return None
    else:
        candidates = sorted(target.env)
        same = [each for each in candidates if each.lower() == name.lower()]
        close = same or _known.near(name, candidates)
    also = f", it has `{close[0]}`" if close else ""
    holder = f"`{service.name}`" if owner is None else f"`{owner}`"
    return f"{holder} has no variable {name}{also}", name if same else None, close[0] if close else None


def _circle(
    system: System, service: Service, variable: Variable, owner: str | None, name: str
) -> tuple[str, None, None] | None:
    """Whether the reference leads back to the variable it stands in."""
    goal, seen = (service.name, variable.name), set()
    waiting = [(owner or service.name, name)]
    while waiting:
        step = waiting.pop()
        if step == goal:
            return "it leads back to itself", None, None
        target = system.service(step[0])
        if step in seen or target is None or step[1] not in target.env:
            continue
        seen.add(step)
        found = _known.REFERENCE.finditer(target.env[step[1]].text)
        waiting.extend((match[1] or step[0], match[2]) for match in found)
    return None
