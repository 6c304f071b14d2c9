"""DK4: variables. What a process will really read, and what must not stand in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from deploykit.findings import Edit, Fix, Place, Severity
from deploykit.rules import _commands, _known
from deploykit.rules._known import FLAGS, INTERVALS
from deploykit.rules._rule import Report, files, profile, rule
from deploykit.rules._subjects import (
    DOCKER,
    ENV,
    IAC,
    PROFILE,
    EnvFile,
    Repository,
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


def _cleaned(text: str) -> tuple[str, str | None]:
    """The value without what strayed in, and what that was."""
    clean, what = text, None
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
        clean, what = _cleaned(variable.text)
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
        unique = len(close) == 1 and close[0] not in variables.items
        quiet = close[0] not in FLAGS or _known.truth(variable.text) is False
        fits = unique and quiet and variables.kind in (PROFILE, ENV) and _owned(variables, variable)
        yield Report(
            variable.key,
            f"unknown variable {variable.name}: did you mean {close[0]}?",
            f"write {close[0]}",
            variable=variable.name,
            fix=fix(f"rename to {close[0]}", [edit(variable.key, close[0])]) if fits else None,
        )


_NEAR_TO = tuple(sorted(name for name in _known.KNOWN if len(name) >= 8))


@cache
def _misspelt(name: str) -> list[str]:
    if name in _known.KNOWN or len(name) < 6:
        return []
    if name.upper() in _NEAR_TO:
        return [name.upper()]
    if name != name.upper():
        return []
    found = []
    for known in _NEAR_TO:
        limit = 2 if len(known) >= 12 else 1
        if name.rstrip("0123456789").rstrip("_") == known or _another_word(name, known):
            continue
        without_unit = any(known == f"{name}_{unit}" for unit in ("MS", "SECONDS", "ENABLED", "SEC"))
        if without_unit or _known.distance(name, known, limit + 1) <= limit:
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
        value = "production" if name == "NODE_ENV" else f"${{{{{database}.MYSQL_URL}}}}"
        usable = name == "NODE_ENV" or (system.database and _known.engine_of(database) == "mysql")
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
    "DK408",
    Severity.ERROR,
    of=EnvFile,
    title="a variable is given twice in a .env file",
    fix="unsafe",
    good=[files({"web-server.env": "LOG_LEVEL=info\nLOG_FORMAT=json\n"})],
    bad=[files({"web-server.env": "LOG_LEVEL=info\n«LOG_LEVEL»=debug\n"})],
)
def variable_given_twice(file: EnvFile) -> Iterator[Report]:
    """Some loaders keep the first, some the last: what a process reads depends on who starts it."""
    first: dict[str, Place] = {}
    for each in file.parsed.assignments:
        if each.key not in first:
            first[each.key] = each.key_place
            continue
        earlier = first[each.key]
        start = file.text.starts[earlier.line - 1]
        stop = file.text.starts[earlier.line] if earlier.line < len(file.text.starts) else len(file.text.text)
        single = sum(other.key == each.key for other in file.parsed.assignments) == 2
        one_line = all(
            o.value_place.line == o.value_place.end_line for o in file.parsed.assignments if o.key == each.key
        )
        yield Report(
            each.key_place,
            f"{each.key} is given twice: some loaders keep the first, some the last",
            "delete one of the two",
            variable=each.key,
            related=related((earlier, "first given here")),
            fix=fix("keep the last", [edit(file.text.place(start, stop), "")], safe=False)
            if single and one_line
            else None,
        )


@rule(
    "DK409",
    Severity.WARNING,
    of=EnvFile,
    title="a .env line that loaders read differently",
    fix="safe",
    good=[
        files({"web-server.env": 'GREETING="hello world"\nLOG_LEVEL=info      # aligned comments are plain to see\n'})
    ],
    bad=[
        files({"web-server.env": "LOG_LEVEL=«info» # c\n"}),
        files({"web-server.env": "GREETING=«hello world»\n"}),
        files({"web-server.env": "«export LOG_LEVEL»=info\n"}),
    ],
)
def ambiguous_line(file: EnvFile) -> Iterator[Report]:
    """`A=b # c` is `b` to one loader and `b # c` to the next (`docker --env-file`); unquoted blanks, `export`,
    lower-case names and a byte order mark divide them as well. A comment set off by two or more blanks is left alone.
    """
    if file.parsed.bom:
        yield Report(
            Place(file.text.path, 1, 1, 1, 2),
            "the file begins with a byte order mark: some loaders take it for a part of the first name",
            "save it as UTF-8 without BOM",
            fix=fix("remove the mark", [Edit(file.text.path, (1, 1), (1, 2), "")]),
        )
    for each in file.parsed.assignments:
        # A fix is printed: it must not carry a secret.
        secret = secrets.looks_secret(each.key, each.value)
        one_line = each.value_place.line == each.value_place.end_line
        quotable = one_line and not secret and '"' not in each.raw and "\\" not in each.raw
        quoted = fix("put it in quotes", [edit(each.value_place, f'"{each.value}"')]) if quotable else None
        name = each.key_place
        if each.export:
            begin = Place(name.path, each.statement.line, each.statement.column, name.end_line, name.end_column)
            yield Report(
                begin,
                f"`export` before {each.key}: not every loader knows the word",
                "delete `export`",
                variable=each.key,
                fix=fix("delete `export`", [edit(begin, each.key)]),
            )
        if each.key != each.key.upper():
            yield Report(
                name,
                f"{each.key} is not in capitals: names are case-sensitive, and some tools change them",
                f"write {each.key.upper()} if that is what the code reads",
                variable=each.key,
            )
        if not each.quote and len(each.comment_gap) == 1:
            yield Report(
                each.value_place,
                f"a `#` follows the value of {each.key}: some loaders make it a part of the value",
                "put the value in quotes, or the comment on a line of its own",
                variable=each.key,
                fix=quoted if each.value else None,
            )
        elif not each.quote and re.search(r"\s", each.value.strip()):
            yield Report(
                each.value_place,
                f"the value of {each.key} has blanks and no quotes: a shell that reads the file stops at the first",
                "put it in quotes",
                variable=each.key,
                fix=quoted,
            )
        elif each.spaced and each.value:
            gap = Place(name.path, name.line, name.column, each.value_place.end_line, each.value_place.end_column)
            yield Report(
                gap,
                f"blanks around the `=` of {each.key}: a shell that reads the file takes it for a command",
                "write KEY=value without blanks",
                variable=each.key,
                fix=fix("close the gap", [edit(gap, f"{each.key}={each.raw}")]) if gap.line == gap.end_line else None,
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
    if not word or secrets.is_placeholder(variable.text):
        return
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


@rule(
    "DK413",
    Severity.WARNING,
    of=Repository,
    title="`.env` and `.env.example` have different keys",
    fix="safe",
    good=[files({".env": "LOG_LEVEL=info\n", ".env.example": "LOG_LEVEL=info\n"})],
    bad=[files({".env": "LOG_LEVEL=info\nMAIL_FROM=a@acme.dev\n", ".env.example": "«»LOG_LEVEL=info\n"})],
)
def differing_keys(repository: Repository) -> Iterator[Report]:
    """A newcomer copies the example and lacks a variable, or the example names one that nobody reads any more."""
    by_path = {file.text.path: file for file in repository.env_files}
    for path, file in by_path.items():
        example = by_path.get(f"{path}.example")
        if example is None or not (path == ".env" or path.endswith("/.env")):
            continue
        for here, there in ((file, example), (example, file)):
            for variable in here.variables:
                if variable.name in there.variables.items:
                    continue
                yield Report(
                    Place(there.text.path),
                    f"{variable.name} is in {_base(here)} and not in {_base(there)}",
                    f"add `{variable.name}=` to {_base(there)}",
                    variable=variable.name,
                    related=related((variable.key, "it stands here")),
                    fix=fix(f"add {variable.name}", [_appended(there, f"{variable.name}=")]),
                )


def _base(file: EnvFile) -> str:
    return file.text.path.rsplit("/", 1)[-1]


def _appended(file: EnvFile, line: str) -> Edit:
    text = file.text
    end = text.position(len(text.text))
    lead = "" if not text.text or text.text.endswith("\n") else text.newline
    return Edit(text.path, end, end, f"{lead}{line}{text.newline}")


_COMPARED = frozenset({*FLAGS, *INTERVALS})


@rule(
    "DK414",
    Severity.ERROR,
    of=Repository,
    title="a .env file for a service says otherwise than the profile",
    good=[
        files(
            {
                "profiles/example.yaml": profile().files[0][1],
                "web-server.env": "NODE_ENV=production\nSCHEDULE_DAEMON_ENABLED=false\n"
                "JOB_WORKER_POLL_INTERVAL_MS=30000\n",
            }
        )
    ],
    bad=[
        files(
            {
                "profiles/example.yaml": profile().files[0][1],
                "web-server.env": "NODE_ENV=production\nSCHEDULE_DAEMON_ENABLED=false\n"
                "JOB_WORKER_POLL_INTERVAL_MS=«5000»\n",
            }
        )
    ],
)
def env_against_profile(repository: Repository) -> Iterator[Report]:
    """Two files describe one service; whoever pastes the .env file into Railway undoes what the profile deployed."""
    for file in repository.env_files:
        variables = file.variables
        if variables.name is None or variables.laptop or variables.example:
            continue
        services = [s for s in (system.service(variables.name) for system in repository.systems) if s]
        for variable in variables:
            said = [service.env[variable.name] for service in services if variable.name in service.env]
            if not said or not variable.literal or secrets.is_placeholder(variable.text):
                continue
            if any(not other.literal or _same(other.text, variable.text) for other in said):
                continue
            shown = f": {said[0].text!r}" if variable.name in _COMPARED else ""
            yield Report(
                variable.place,
                f"{variable.name} says otherwise than the profile for `{variables.name}`{shown}",
                "make both say the same, or delete it here: the profile is what deploykit applies",
                service=variables.name,
                variable=variable.name,
                related=related(*((other.place, "the profile says") for other in said)),
            )


def _same(first: str, second: str) -> bool:
    return first.strip() == second.strip()
