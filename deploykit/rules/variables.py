"""DK4: variables. What a process will really read, and what must not stand in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from deploykit.findings import Edit, Place, Severity
from deploykit.rules import _commands, _known
from deploykit.rules._known import FLAGS
from deploykit.rules._rule import Report, files, profile, rule
from deploykit.rules._subjects import (
    DOCKER,
    ENV,
    IAC,
    PROFILE,
    Service,
    System,
    Variable,
    Variables,
    fix,
    related,
)
from deploykit.sources import secrets, source
from deploykit.sources.pattern import pattern
from deploykit.sources.text import edit
from deploykit.sources.yaml import Mapping, Scalar

_INVISIBLE = pattern("[\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff]")


def _owned(variables: Variables, variable: Variable) -> bool:
    """Whether a fix may touch the value: it is this file's own, not shared by an anchor and not inherited."""
    service = variables.service
    return service is None or variables.kind != PROFILE or service.owns(variable.key)


def _written(variables: Variables, variable: Variable, text: str) -> tuple[Edit, ...]:
    """The edit that writes a literal, quoted where the file's language needs it."""
    if not _owned(variables, variable) or variable.place.line != variable.place.end_line:
        return ()
    if variable.quote in ("'", '"', "`"):
        return (variable.replaced(text),)
    if variables.kind == IAC:
        return (edit(variable.place, f'"{text}"'),)
    if variables.kind == PROFILE and not re.fullmatch(r"[A-Za-z0-9_./-]+(?::[A-Za-z0-9_./-]+)*", text):
        return (edit(variable.place, f'"{text}"'),) if '"' not in text and "\\" not in text else ()
    return (edit(variable.place, text),)


@rule(
    "DK401",
    Severity.ERROR,
    of=Variables,
    title="a flag that is not exactly `true` or `false`",
    fix="safe",
    good=[
        profile(("EMBEDDED_JOB_WORKER: true", 'EMBEDDED_JOB_WORKER: "true"')),
        files({"web-server.env": "SCHEDULE_DAEMON_ENABLED='false'\n"}),
    ],
    bad=[
        profile(("EMBEDDED_JOB_WORKER: true", "EMBEDDED_JOB_WORKER: «yes»")),
        profile(("EMBEDDED_JOB_WORKER: true", 'EMBEDDED_JOB_WORKER: «"true "»')),
        files({"web-server.env": "SCHEDULE_DAEMON_ENABLED=«0»\n"}),
    ],
)
def flag_that_is_no_boolean(variables: Variables) -> Iterator[Report]:
    """Code compares `=== 'true'`: `True`, `1`, `yes` and `"true "` all mean off, without a word in the log."""
    for name in FLAGS:
        variable = variables.get(name)
        if variable is None or not variable.literal or variable.text in ("true", "false"):
            continue
        if secrets.is_placeholder(variable.text):
            continue
        truth = _known.truth(_INVISIBLE.sub("", variable.text))
        meant = None if truth is None else "true" if truth else "false"
        said = f"is {variable.text[:40]!r}, which is" if variable.text.strip() else "is empty, which is"
        yield Report(
            variable.place,
            f"{name} {said} not exactly true or false",
            f"write {meant}" if meant else "write true or false, small letters",
            variable=name,
            fix=fix(f"write {meant}", _written(variables, variable, meant)) if meant else None,
        )


_SPACED = pattern(r"(?:^|_)(?:SEPARATOR|SEP|DELIMITER|PREFIX|SUFFIX|PROMPT|INDENT|GLUE|JOINER)\Z", re.IGNORECASE)
_POLICY = pattern(r"'(?:self|none|unsafe-[a-z-]+|strict-dynamic|report-sample|nonce-.*|sha[0-9]+-.*)'\Z")
"""A word of a Content-Security-Policy: its quotes belong to it."""


def _cleaned(name: str, text: str) -> tuple[str, str | None]:
    """The value without what strayed in, and what that was."""
    clean, what = text, None
    if _SPACED.search(name) or _POLICY.match(text):
        return clean, what
    if not clean.isascii() and _INVISIBLE.search(clean):
        clean, what = _INVISIBLE.sub("", clean), "holds an invisible character"
    if "\r" in clean:
        clean, what = clean.replace("\r", ""), "holds a carriage return"
    if clean != clean.strip():
        clean, what = clean.strip(), what or "begins or ends with white space"
    if len(clean) >= 2 and clean[0] == clean[-1] and clean[0] in "\"'" and clean[0] not in clean[1:-1]:
        clean, what = clean[1:-1].strip(), "has quotes inside its quotes"
    return clean, what


@rule(
    "DK402",
    Severity.ERROR,
    of=Variables,
    title="white space, a carriage return or quotes inside a value",
    fix="safe",
    good=[
        profile(("NODE_ENV: production", 'NODE_ENV: "production"')),
        files({"web-server.env": 'GREETING="hello world"\n'}),
    ],
    bad=[
        profile(("LIMIT: 5", 'LIMIT: 5\n      LOG_LEVEL: «" info"»')),
        profile(("LIMIT: 5", "LIMIT: 5\n      LOG_LEVEL: «'\"info\"'»")),
        files({"web-server.env": 'LOG_LEVEL=«"info "»\n'}),
        files({"web-server.env": "LOG_LEVEL=«info»\r\nLOG_FORMAT=json\n"}),
    ],
)
def stray_characters(variables: Variables) -> Iterator[Report]:
    """A space, a carriage return or a quote becomes part of the value, and no comparison ever matches again. In a
    .env file with Unix line ends a single carriage return hides at the end of a line.
    """
    yield from _line_ends(variables)
    for variable in variables:
        if not variable.readable or variable.name in FLAGS or not variable.text.strip():
            continue
        if "\n" in variable.text or variable.quote in ("|", ">"):
            continue  # a key or certificate of several lines ends as it must
        clean, what = _cleaned(variable.name, variable.text)
        if what is None or not clean:
            continue
        # A fix is printed: it must not carry a secret.
        hidden = secrets.looks_secret(variable.name, clean)
        simple = not hidden and not any(character in clean for character in "\"'\\`#$")
        yield Report(
            variable.place,
            f"the value of {variable.name} {what}",
            "remove it: it becomes part of the value",
            variable=variable.name,
            fix=fix("remove what strayed in", _written(variables, variable, clean)) if simple else None,
        )


def _line_ends(variables: Variables) -> Iterator[Report]:
    """A file from Windows throughout is one warning; a carriage return among Unix lines hides, and is an error."""
    text = variables.text
    windows = text.text.count("\r\n") if text else 0
    if text is None or windows == 0:
        return
    if windows == text.text.count("\n"):
        yield Report(
            Place(variables.path),
            "every line ends in a carriage return: a loader that does not strip it makes it a part of each value",
            "save the file with Unix line ends",
            severity=Severity.WARNING,
        )
        return
    for variable in variables:
        end = text.offset(variable.place.end_line, variable.place.end_column)
        if text.text[end : end + 2] != "\r\n":
            continue
        yield Report(
            variable.place,
            f"the value of {variable.name} ends in a carriage return, which the other lines do not have",
            "delete it: it becomes part of the value",
            variable=variable.name,
            fix=fix("delete the carriage return", [edit(text.place(end, end + 1), "")]),
        )


@rule(
    "DK403",
    Severity.WARNING,
    of=Variables,
    title="an unknown variable that is nearly a known one",
    fix="safe",
    good=[profile(("LIMIT: 5", "LIMIT: 5\n      SCHEDULE_TIMEZONE: UTC\n      DATABASE_URL_REPLICA: !secret"))],
    bad=[
        profile(
            ("      SCHEDULE_POLL_INTERVAL_MS: 3600000", "      «SCHEDULE_POL_INTERVAL_MS»: 3600000"),
        ),
        files({"web-server.env": "«SCHEDULE_DEAMON_ENABLED»=false\nSCHEDULE_POLL_INTERVAL_MS=3600000\n"}),
    ],
)
def misspelt_variable(variables: Variables) -> Iterator[Report]:
    """A misspelt variable is an error nowhere: the code falls back to its default, which may be a second daemon."""
    for variable in variables:
        close = _misspelt(variable.name)
        if not close or (variables.kind == ENV and variable.name != variable.name.upper()):
            continue
        twins = [other for other in variables if other is not variable and close[0] in _misspelt(other.name)]
        unique = len(close) == 1 and close[0] not in variables.items and not twins
        # Seconds behind a name without a unit would be milliseconds under the right one.
        unique = unique and not (close[0] in _known.INTERVALS and not _in_milliseconds(variable.text))
        quiet = close[0] not in FLAGS or _known.truth(variable.text) is False
        fits = unique and quiet and variables.kind in (PROFILE, ENV) and _owned(variables, variable)
        yield Report(
            variable.key,
            f"unknown variable {variable.name}: did you mean {close[0]}?",
            f"write {close[0]}",
            variable=variable.name,
            fix=fix(f"rename to {close[0]}", [edit(variable.key, close[0])]) if fits else None,
        )


def _in_milliseconds(text: str) -> bool:
    return text.strip().isdigit() and int(text.strip()[:15]) > 3_600


_OTHERS = _known.words_of("LOGLEVEL DATABASE_URI DATABASE_URLS LOG_LEVELS LOG_FORMATS HEARTBEAT_INTERVAL")
"""Names that other programs read, near as they are to ours."""
_UNIT = pattern(r"_(?:S|SECS?|SECONDS?)\Z")
_NEAR_TO = tuple(sorted(name for name in _known.KNOWN if len(name) >= 8))


@cache
def _misspelt(name: str) -> list[str]:
    if name in _known.KNOWN or name in _OTHERS or "__" in name or len(name) < 6:
        return []  # JWT__SECRET is a nested setting
    if name.upper() in _NEAR_TO:
        return [name.upper()]
    if name != name.upper():
        return []
    found = []
    for known in _NEAR_TO:
        limit = 2 if len(known) >= 12 else 1
        if name.rstrip("0123456789").rstrip("_") == known:
            continue
        without_unit = any(known == f"{name}_{unit}" for unit in ("MS", "SECONDS", "ENABLED", "SEC")) or (
            # Both are in seconds; an interval in seconds would be another number.
            known in _known.KNOBS and _UNIT.search(known) and _UNIT.sub("", known) == _UNIT.sub("", name)
        )
        near = not _another_word(name, known) and _known.distance(name, known, limit + 1) <= limit
        if without_unit or near:
            found.append(known)
    return found


def _another_word(name: str, known: str) -> bool:
    """Whether the names differ by one whole word that is a word of its own, as in JOB_MODULE and WEB_MODULE."""
    ours, theirs = name.split("_"), known.split("_")
    if len(ours) != len(theirs):
        return False
    differing = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    return len(differing) == 1 and min(map(len, differing[0])) <= 4 and _known.distance(*differing[0]) > 1


@rule(
    "DK404",
    Severity.ERROR,
    of=Service,
    title="a variable that the service needs is missing",
    fix="unsafe",
    good=[profile(("DATABASE_URL: ${{MySQL.MYSQL_URL}}", "DATABASE_URL: !secret"))],
    bad=[
        profile(
            ("schedule-daemon|    env:", "    «env»:"),
            ("schedule-daemon|      DATABASE_URL: ${{MySQL.MYSQL_URL}}\n", ""),
        )
    ],
)
def missing_variable(service: Service) -> Iterator[Report]:
    """A process without its database dies at start; one without `NODE_ENV=production` runs in development mode.
    What the service's source reads without a default is needed too, when `source.root` can be read.
    """
    system = service.system
    if system.kind not in (PROFILE, IAC) or not service.is_app or not service.complete:
        return
    if system.kind == IAC and not system.speaks_of_jobs:
        return
    database = system.database or "MySQL"
    for name in ("NODE_ENV", "DATABASE_URL"):
        if name in service.env:
            continue
        value = "production" if name == "NODE_ENV" else _known.address_of(database)
        usable = name == "NODE_ENV" or (system.database and _known.engine_of(database))
        yield Report(
            service.missing,
            f"`{service.name}` has no {name}",
            f"add `{name}: {value}`",
            service=service.name,
            variable=name,
            fix=fix(f"add {name}", service.insert(name, value, env=True), safe=False) if usable else None,
        )
    yield from _needed_by_source(service)


def _needed_by_source(service: Service) -> Iterator[Report]:
    """What the source reads without a default; where services share a source, one of them having it is enough."""
    texts = _commands.source_of(service)
    if not texts:
        return
    root = _commands.root_of(service)
    sharing = [other for other in service.system.apps if _commands.root_of(other) == root and not other.from_image]
    if sharing and sharing[0] is not service:
        return  # said once, at the first
    for name, path in source.required(texts).items():
        if name in _known.PROVIDED or name in ("NODE_ENV", "DATABASE_URL"):
            continue
        if any(name in other.env or not other.complete for other in sharing):
            continue
        yield Report(
            service.missing,
            f"`{service.name}` has no {name}, which {path} cannot do without",
            f"add `{name}: !secret` and set the value in Railway" if secrets.secret_name(name) else f"add `{name}`",
            service=service.name,
            variable=name,
        )


@rule(
    "DK406",
    Severity.ERROR,
    of=Variables,
    title="a secret in plain text in a file that git tracks",
    fix="unsafe",
    good=[
        profile(("LIMIT: 5", "LIMIT: 5\n      JWT_SECRET: !secret\n      TOKEN_TTL_SECONDS: 3600")),
        files({".gitignore": ".env\n", ".env": "JWT_SECRET=9f2c8a41d7e64b0c\n"}),
    ],
    bad=[
        profile(("LIMIT: 5", "LIMIT: 5\n      JWT_SECRET: «9f2c8a41d7e64b0c»")),
        files({"web-server.env": "JWT_SECRET=«9f2c8a41d7e64b0c»\n"}),
    ],
)
def secret_in_a_file(variables: Variables) -> Iterator[Report]:
    """Everyone who ever clones the repository has it, for ever: deleting the line does not help, only a new secret
    does. The value is never printed.
    """
    if variables.laptop or not variables.tracked:
        return
    for variable in variables:
        kind = secrets.looks_secret(variable.name, variable.text) if variable.readable and variable.text else None
        if kind is None or (
            variables.kind in (ENV, DOCKER)
            and secrets.is_sample(variable.text, example=variables.example, build=variables.kind == DOCKER)
        ):
            continue
        edits: tuple[Edit, ...] = ()
        if variables.kind == PROFILE and _owned(variables, variable):
            edits = (edit(variable.place, "!secret"),) if variable.place.line == variable.place.end_line else ()
        elif variables.kind == IAC:
            edits = (edit(variable.place, "preserve()"),) if variable.quote else ()
        cure = {PROFILE: "write `!secret`", IAC: "write `preserve()`"}.get(variables.kind, "delete it here")
        yield Report(
            variable.place,
            f"{variable.name} holds {kind} in plain text",
            f"{cure} and set the value in Railway; replace the secret if this was ever committed",
            variable=variable.name,
            fix=fix("leave the value to Railway", edits, safe=False),
        )
    service = variables.service
    for name in ("start", "pre_deploy", "build") if service else ():
        text = service.text(name) if service else None
        kind = secrets.shape(text) if text else None
        if service and kind:
            yield Report(
                service.settings[name].value.place,
                f"the command holds {kind} in plain text",
                "pass it in a variable, and replace the secret if this was ever committed",
            )


_POINTER = pattern(r"<(?:from|same[-_ ]as|see|as[-_ ]in|copy[-_ ]of)\b[^<>]*>\Z", re.IGNORECASE)
"""`<from-railway-mysql>`, `<same-as-web-server>`: says where the value lives, which is what such a file is for."""


@rule(
    "DK407",
    Severity.WARNING,
    of=Variables,
    title="a placeholder was left in",
    good=[
        files({".env.example": "JWT_SECRET=<your-secret>\n"}),
        files({"web-server.env": "DATABASE_URL=<from-railway-mysql>\n"}),
    ],
    bad=[
        profile(("LIMIT: 5", "LIMIT: 5\n      MAIL_FROM: «changeme»")),
        files({"web-server.env": "JWT_SECRET=«<your-secret>»\n"}),
    ],
)
def placeholder_left_in(variables: Variables) -> Iterator[Report]:
    """The process starts with `changeme` as its secret, and everybody knows it."""
    if variables.example:
        return
    for variable in variables:
        if not variable.literal or not secrets.is_placeholder(variable.text):
            continue
        if variables.kind == ENV and _POINTER.match(variable.text.strip()):
            continue
        yield Report(
            variable.place,
            f"{variable.name} still holds a placeholder",
            "write `!secret` and set the value in Railway" if variables.kind == PROFILE else "write the real value",
            variable=variable.name,
        )


@rule(
    "DK410",
    Severity.ERROR,
    of=Variables,
    title="`NODE_ENV` is not `production` in production",
    fix="safe",
    good=[
        profile(),
        profile(("services:", "environment: staging\nservices:"), ("NODE_ENV: production", "NODE_ENV: test")),
    ],
    bad=[profile(("NODE_ENV: production", "NODE_ENV: «prod»"))],
)
def not_production(variables: Variables) -> Iterator[Report]:
    """Libraries compare with the whole word: `prod` runs the development mode, slow and talkative."""
    variable = variables.get("NODE_ENV")
    if variable is None or not variable.literal or variable.text == "production":
        return
    if variables.kind not in (PROFILE, IAC, ENV):
        return
    word = variable.text.strip().lower()
    if not word or secrets.is_placeholder(variable.text) or _cleaned("NODE_ENV", variable.text)[0] == "production":
        return  # what strayed into the right word is DK402
    if variables.kind == PROFILE and not (variables.service and variables.service.is_app):
        return
    if variables.service and not variables.service.system.production:
        return
    if variables.kind == ENV:
        if variables.laptop or variables.example or variables.stage not in (None, "production", "prod"):
            return
        if variables.name is None and variables.stage is None and word not in ("prod", "production", "live"):
            return
    yield Report(
        variable.place,
        f"NODE_ENV is {variable.text.strip()[:30]!r} in a production service",
        "write production",
        variable="NODE_ENV",
        fix=fix("write production", _written(variables, variable, "production")),
    )


@rule(
    "DK411",
    Severity.INFO,
    of=System,
    title="the same constant in every service",
    good=[profile()],
    bad=[
        profile(
            ("web-server|LIMIT: 5", "LIMIT: 5\n      LOG_LEVEL: «info»"),
            ("schedule-daemon|LIMIT: 5", "LIMIT: 5\n      LOG_LEVEL: info"),
        )
    ],
)
def repeated_constant(system: System) -> Iterator[Report]:
    """Change it in one service and forget the other: a shared variable (`${{shared.LOG_LEVEL}}`) stands once."""
    apps = system.apps
    if system.kind not in (PROFILE, IAC) or len(apps) < 2:
        return
    for variable in apps[0].variables:
        if variable.name in _known.RUNTIME or variable.name in ("NODE_ENV", "DATABASE_URL") or not variable.literal:
            continue
        others = [app.env[variable.name] for app in apps[1:] if variable.name in app.env]
        if len(others) != len(apps) - 1 or any(not o.literal or o.text != variable.text for o in others):
            continue
        if len({other.place for other in (variable, *others)}) == 1 or secrets.looks_secret(
            variable.name, variable.text
        ):
            continue  # already written once, with an anchor
        yield Report(
            variable.place,
            f"{variable.name} is the same in all {len(apps)} services",
            f"make it a shared variable and refer to it as ${{{{shared.{variable.name}}}}}",
            service=apps[0].name,
            variable=variable.name,
            related=related(*((other.place, "and here") for other in others)),
        )


@rule(
    "DK412",
    Severity.ERROR,
    of=Service,
    title="`PORT` differs from the port the domain leads to",
    good=[
        profile(
            ("web-server|healthcheck: /health", "healthcheck: /health\n    domains: [{domain: acme.dev, port: 8080}]"),
            ("LIMIT: 5", "LIMIT: 5\n      PORT: 8080"),
        )
    ],
    bad=[
        profile(
            ("web-server|healthcheck: /health", "healthcheck: /health\n    domains: [{domain: acme.dev, port: 3000}]"),
            ("LIMIT: 5", "LIMIT: 5\n      PORT: «8080»"),
        )
    ],
)
def port_beside_the_domain(service: Service) -> Iterator[Report]:
    """The domain answers 502: the process listens on one port and Railway's edge knocks at another."""
    port, domains = service.env.get("PORT"), service.setting("domains")
    if port is None or not port.literal or not port.text.strip().isdigit() or domains is None:
        return
    for item in getattr(domains.value, "items", ()):
        target = item.get("port") if isinstance(item, Mapping) else None
        if isinstance(target, Scalar) and isinstance(target.value, int) and target.text != port.text.strip():
            yield Report(
                port.place,
                f"PORT is {port.text.strip()} and the domain leads to {target.text}",
                f"write PORT: {target.text}, or leave PORT to Railway",
                service=service.name,
                variable="PORT",
                related=related((target.place, "the domain's port")),
            )
            return
