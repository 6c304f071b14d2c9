"""DK5: the database. How many connections a deploy takes at its peak, and where they lead."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Place, Severity
from deploykit.rules import _known
from deploykit.rules._known import CONNECTION_RESERVE, DEFAULT_POOL_SIZE, POOL_SIZE
from deploykit.rules._rule import Report, files, profile, rule
from deploykit.rules._subjects import (
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
from deploykit.sources.pattern import pattern
from deploykit.sources.text import edit

_URL = "DATABASE_URL"
_URL_LIMIT = pattern(r"[?&](?:connection_limit|connectionLimit|pool_size)=([0-9]{1,6})\b")


def _said_pool(service: Service) -> int | None:
    """Connections one process may hold, when the file says so."""
    said = service.env.get(POOL_SIZE)
    if said and said.literal and said.text.strip().isdigit():
        return int(said.text.strip()[:9])
    url = service.env.get(_URL)
    match = _URL_LIMIT.search(url.text) if url else None
    return int(match[1]) if match else None


def pool_of(service: Service) -> int | None:
    """Connections one process may hold; None when the service has no pool at all."""
    if service.role == "database" or not (service.is_app or POOL_SIZE in service.env or _URL in service.env):
        return None
    said = _said_pool(service)
    return said if said is not None else DEFAULT_POOL_SIZE


def _factor(service: Service) -> int:
    """How many copies live during a deploy: two, but one where the old copy stops first."""
    return 1 if service.role == "daemon" and service.text("guard") in ("volume", "recreate") else 2


@rule(
    "DK501",
    Severity.ERROR,
    of=System,
    title="a deploy takes more connections than the database allows",
    good=[profile(("DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: 20"))],
    bad=[
        profile(
            ("draining_seconds: 30", "draining_seconds: 30\n    replicas: 4"),
            ("DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: «20»"),
            ("services:", "expect: {job_worker: 4}\nservices:"),
        )
    ],
)
def connections_above_the_limit(system: System) -> Iterator[Report]:
    """During a deploy the old and the new copy hold their pools at once: twice pool × replicas in every service, and
    once for a daemon that stops before it starts. MySQL allows 151 connections unless it is told otherwise.
    """
    if system.kind not in (PROFILE, IAC) or not system.speaks_of_jobs:
        return
    pools = [(service, pool) for service in system.services if (pool := pool_of(service)) is not None]
    peaks = {service.name: pool * service.replicas * _factor(service) for service, pool in pools}
    peak = sum(peaks.values()) + CONNECTION_RESERVE
    if peak <= system.max_connections or not pools:
        return
    largest = max((service for service, _ in pools), key=lambda service: peaks[service.name])
    terms = {service.name: f"{pool}×{service.replicas}×{_factor(service)}" for service, pool in pools}
    others = [service for service, _ in pools if service is not largest]
    yield Report(
        _place(largest),
        f"a deploy takes up to {peak} connections ({' + '.join(terms.values())} + {CONNECTION_RESERVE} in reserve); "
        f"the database allows {system.max_connections}",
        f"lower {POOL_SIZE} or the replicas of `{largest.name}`, or raise max_connections",
        service=largest.name,
        variable=POOL_SIZE if POOL_SIZE in largest.env else None,
        related=related(*((_place(other), f"`{other.name}` takes {terms[other.name]}") for other in others)),
    )


def _place(service: Service) -> Place:
    return service.env[POOL_SIZE].place if POOL_SIZE in service.env else service.missing


@rule(
    "DK502",
    Severity.WARNING,
    of=Service,
    title="the connection pool has no size",
    fix="unsafe",
    good=[
        profile(),
        profile(
            ("      DATABASE_CONNECTION_LIMIT: 5\n", ""),
            ("${{MySQL.MYSQL_URL}}", '"${{MySQL.MYSQL_URL}}?connection_limit=5"'),
        ),
    ],
    bad=[profile(("web-server|    env:", "    «env»:"), ("      DATABASE_CONNECTION_LIMIT: 5\n", ""))],
)
def pool_without_a_size(service: Service) -> Iterator[Report]:
    """The default belongs to the client and may follow the number of CPUs it sees: on a big host that is a big pool."""
    system = service.system
    if system.kind not in (PROFILE, IAC) or not service.is_app or not service.complete or not system.speaks_of_jobs:
        return
    if POOL_SIZE in service.env or _URL not in service.env or _said_pool(service) is not None:
        return
    url = service.env[_URL]
    if url.readable and url.text.startswith("sqlite"):
        return
    yield Report(
        service.missing,
        f"`{service.name}` does not say how many connections a process may open",
        f"add `{POOL_SIZE}: 5`",
        service=service.name,
        variable=POOL_SIZE,
        fix=fix(f"set {POOL_SIZE} to 5", service.insert(POOL_SIZE, "5", env=True), safe=False),
    )


_PUBLIC_HOST = pattern(r"(?<![a-z0-9.-])[a-z0-9.-]{1,100}?\.proxy\.rlwy\.net", re.IGNORECASE)
_PUBLIC_NAME = pattern(r"_PUBLIC_URL\Z")


@rule(
    "DK503",
    Severity.ERROR,
    of=Variables,
    title="the database's public address is used inside Railway",
    fix="safe",
    good=[profile()],
    bad=[
        profile(("${{MySQL.MYSQL_URL}}", "«${{MySQL.MYSQL_PUBLIC_URL}}»")),
        files({"web-server.env": "NODE_ENV=production\nREDIS_HOST=«containers.proxy.rlwy.net»\n"}),
    ],
)
def public_address(variables: Variables) -> Iterator[Report]:
    """Traffic leaves Railway and comes back: egress is billed at $0.05 a GB, each query takes longer, and the database
    is reached over the internet.
    """
    if variables.kind not in (PROFILE, IAC, ENV) or variables.laptop or variables.example:
        return
    for variable in variables:
        if not variable.readable:
            continue
        for match in _known.REFERENCE.finditer(variable.text):
            if match[2] == "RAILWAY_TCP_PROXY_DOMAIN" and match[1] and _is_database(match[1], variables):
                yield Report(
                    variable.part(match.start(), match.end()),
                    f"{variable.name} leads over the internet: {match[2]} is Railway's public proxy",
                    f"use {match[1]}.RAILWAY_PRIVATE_DOMAIN with the port the service listens on",
                    variable=variable.name,
                )
            if not _PUBLIC_NAME.search(match[2]) or match[1] is None:
                continue
            private = match[2].replace("_PUBLIC_URL", "_URL")
            place = variable.part(match.start(2), match.end(2))
            exact = place != variable.place and (variables.service is None or variables.service.owns(variable.key))
            yield Report(
                variable.part(match.start(), match.end()),
                f"{variable.name} leads over the internet: {match[2]} is the public address",
                f"use {private}",
                variable=variable.name,
                fix=fix(f"use {private}", [edit(place, private)]) if exact and variables.kind != IAC else None,
            )
        host = _PUBLIC_HOST.search(variable.text)
        if host:
            yield Report(
                variable.part(host.start(), host.end()),
                f"{variable.name} leads over the internet: {host.group()} is Railway's public proxy",
                f"use a reference to the private address, such as {_private(variable)}",
                variable=variable.name,
            )


def _is_database(owner: str, variables: Variables) -> bool:
    """Whether a service is a database; a game server's public address is there to be told to its players."""
    system = variables.service.system if variables.service else None
    target = system.service(owner) if system else None
    named = owner in _known.TEMPLATES or _known.engine_of(owner) is not None
    return named or bool(system and system.database == owner) or bool(target and target.role == "database")


def _private(variable: Variable) -> str:
    engine = _known.scheme_engine(variable.text) or _known.engine_of(variable.name) or "mysql"
    return _known.address_of(next(name for name, each in _known.TEMPLATES.items() if each == engine), engine)


def _database(service: Service) -> tuple[str, ...] | None:
    """Which database a service works on; None when nobody can tell."""
    variable = service.env.get(_URL)
    if variable is None or not variable.readable:
        return None
    reference = variable.reference
    if reference:
        if reference[1] == "shared":
            return ("shared", reference[2])
        system = service.system
        known = reference[1] == system.database or (reference[1] and system.service(reference[1]))
        return ("service", reference[1]) if known else None
    match = re.match(r"[a-z0-9+]+://(?:[^@/]*@)?([^/?#]*)/?([^?#]*)", variable.text, re.IGNORECASE)
    return ("literal", match[1].lower(), match[2]) if match else None


@rule(
    "DK504",
    Severity.ERROR,
    of=System,
    title="the daemon and a worker use different databases",
    good=[profile()],
    bad=[
        profile(
            ("database: {service: MySQL}\n", "database: {service: MySQL}\n"),
            ("services:\n", "services:\n  Archive:\n    role: database\n    source: {image: mysql:9}\n"),
            ("web-server|${{MySQL.MYSQL_URL}}", "«${{Archive.MYSQL_URL}}»"),
        )
    ],
)
def separate_databases(system: System) -> Iterator[Report]:
    """The daemon queues jobs in one database, the worker looks for them in another: they wait for ever."""
    if system.kind not in (PROFILE, IAC):
        return
    daemon = next((service for service in system.daemons if _database(service)), None)
    if daemon is None:
        return
    home = _database(daemon)
    for worker in system.workers:
        other = _database(worker)
        if worker is daemon or other is None or home is None or other == home or other[0] != home[0]:
            continue
        yield Report(
            worker.env[_URL].place,
            f"`{worker.name}` works on another database than the daemon `{daemon.name}` schedules in",
            "use the same database in both",
            service=worker.name,
            variable=_URL,
            related=related((daemon.env[_URL].place, f"the database of `{daemon.name}`")),
        )


@rule(
    "DK505",
    Severity.WARNING,
    of=Service,
    title="a pool of one connection for a job and its heartbeat",
    fix="unsafe",
    good=[profile()],
    bad=[profile(("schedule-daemon|DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: «1»"))],
)
def starved_heartbeat(service: Service) -> Iterator[Report]:
    """A long transaction holds the only connection, the heartbeat waits for it, and a living process counts as dead."""
    variable = service.env.get(POOL_SIZE)
    polls = service.runs_daemon or service.runs_worker
    if not polls or variable is None or not variable.literal or variable.text.strip() != "1":
        return
    yield Report(
        variable.place,
        f"`{service.name}` has one connection for its work and its heartbeat: beats stop during a long transaction",
        "write 2 or more",
        service=service.name,
        variable=POOL_SIZE,
        fix=fix("write 2", service.set_env(POOL_SIZE, "2"), safe=False),
    )


_FOREIGN = {
    "mysql": pattern(r"(?:pgbouncer|sslmode|channel_binding)=[^&\s\"']*", re.IGNORECASE),
    "postgres": pattern(r"(?:sslaccept|useSSL|allowPublicKeyRetrieval)=[^&\s\"']*", re.IGNORECASE),
}


def _engine(variable: Variable) -> str | None:
    scheme = _known.DATABASE_SCHEME.match(variable.text)
    if scheme:
        return "mysql" if scheme[1].lower() in ("mysql", "mysql2", "mariadb") else _known.engine_of(scheme[1])
    reference = variable.reference
    if reference is None or reference.start() != 0:
        return None
    return _known.engine_of(reference[2]) or _known.engine_of(reference[1] or "")


@rule(
    "DK506",
    Severity.WARNING,
    of=Variables,
    title="an option in the database address that its driver does not know",
    fix="safe",
    good=[profile(("${{MySQL.MYSQL_URL}}", '"${{MySQL.MYSQL_URL}}?connection_limit=5"'))],
    bad=[profile(("${{MySQL.MYSQL_URL}}", '"${{MySQL.MYSQL_URL}}?«pgbouncer=true»"'))],
)
def foreign_option(variables: Variables) -> Iterator[Report]:
    """`pgbouncer` and `sslmode` belong to PostgreSQL, `sslaccept` to MySQL: the driver ignores them, or refuses to
    connect.
    """
    for variable in variables:
        if not variable.readable or "?" not in variable.text:
            continue
        engine = _engine(variable)
        pattern = _FOREIGN.get(engine or "")
        match = pattern.search(variable.text, variable.text.index("?")) if pattern else None
        if match is None:
            continue
        place = variable.part(match.start(), match.end())
        start, end = match.span()
        if variable.text[end : end + 1] == "&":
            end += 1
        elif variable.text[start - 1] in "?&":
            start -= 1
        whole = variable.part(start, end)
        service = variables.service
        owned = service is None or variables.kind == ENV or service.owns(variable.key)
        yield Report(
            place,
            f"{match.group()} in {variable.name} is no option of a {engine} driver",
            "remove it",
            variable=variable.name,
            fix=fix("remove it", [edit(whole, "")]) if whole != variable.place and owned else None,
        )
