"""DK7: Railway's own configuration files: legacy config as code, infrastructure as code, and what was rendered."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from datetime import date
from itertools import pairwise

from deploykit.findings import Edit, Place, Severity
from deploykit.rules import _commands
from deploykit.rules._read_files import is_rendered
from deploykit.rules._rule import Example, Report, files, profile, rule
from deploykit.rules._subjects import IAC, Repository, Service, System, Variables, fix, related
from deploykit.sources import secrets
from deploykit.sources.text import Text, edit
from deploykit.sources.yaml import Scalar

LAST_DAY = date(2026, 12, 1)
"""From this day Railway reads no railway.toml and no railway.json any more (Railway docs: config as code)."""

_IAC = """\
from railway_sdk import define_railway, github, mysql, preserve, project, service


@define_railway
def main():
    db = mysql("MySQL")
    web = service(
        "web-server",
        source=github("acme/app"),
        start="node backend/dist/index.js",
        healthcheck="/health",
        deploy={"drainingSeconds": 30},
        env={
            "NODE_ENV": "production",
            "DATABASE_URL": db.env.MYSQL_URL,
            "DATABASE_CONNECTION_LIMIT": "5",
            "JWT_SECRET": preserve(),
            "EMBEDDED_JOB_WORKER": "true",
            "JOB_WORKER_POLL_INTERVAL_MS": "30000",
            "SCHEDULE_DAEMON_ENABLED": "false",
        },
    )
    daemon = service(
        "schedule-daemon",
        source=github("acme/app"),
        start="node backend/dist/scheduleDaemon.js",
        deploy={"restartPolicyType": "ALWAYS", "drainingSeconds": 30},
        env={
            "NODE_ENV": "production",
            "DATABASE_URL": db.env.MYSQL_URL,
            "DATABASE_CONNECTION_LIMIT": "5",
            "SCHEDULE_DAEMON_ENABLED": "true",
            "SCHEDULE_POLL_INTERVAL_MS": "3600000",
            "EMBEDDED_JOB_WORKER": "false",
        },
    )
    return project("acme", resources=[db, web, daemon])
"""


def _iac(old: str = "", new: str = "") -> Example:
    at = _IAC.index(old)
    text = _IAC[:at] + new + _IAC[at + len(old) :]
    return Example(((".railway/railway.py", text),), new or None)


def managers(repository: Repository, config: System) -> list[Service]:
    """The services of a profile or an infrastructure-as-code file that a legacy config file speaks of too."""
    folder = posixpath.dirname(config.path)
    own = config.services[0]
    found = []
    for system in (*repository.systems, *repository.iac):
        for service in system.services:
            if service.role == "database" or service.from_image:
                continue
            here = _commands.root_of(service) == folder
            named = bool(folder) and service.name == posixpath.basename(folder)
            same = bool(own.start and service.start and _commands.normal(own.start) == _commands.normal(service.start))
            if here or named or same:
                found.append((not same, not named, service))
    return [service for *_, service in sorted(found, key=lambda each: each[:2])]


def _legacy(repository: Repository) -> Iterator[System]:
    """Each legacy file once, but for those that deploykit rendered."""
    seen = set()
    for config in repository.configs:
        if config.path not in seen and not is_rendered(repository.legacy.get(config.path, "")):
            seen.add(config.path)
            yield config


@rule(
    "DK701",
    Severity.WARNING,
    of=Repository,
    title="a `railway.toml` or `railway.json`, which Railway stops reading on 2026-12-01",
    good=[_iac()],
    bad=[files({"railway.toml": '«»[deploy]\nstartCommand = "node index.js"\n'})],
)
def ending_config_file(repository: Repository) -> Iterator[Report]:
    """From 2026-12-01 these files are not read any more, and a service falls back to what its dashboard says: another
    start command, no health check, no draining. New services ignore such files already. An error from that day.
    """
    left = (LAST_DAY - repository.today).days
    for config in _legacy(repository):
        if managers(repository, config):
            continue
        when = f"in {left} day{'s' if left != 1 else ''}" if left > 0 else f"since {-left} days" if left else "today"
        name = posixpath.basename(config.path)
        yield Report(
            Place(config.path),
            f"Railway {'stops' if left > 0 else 'stopped'} reading {name} on {LAST_DAY} ({when})",
            "move its settings into a profile, or into .railway/railway.ts",
            severity=Severity.ERROR if left <= 0 else None,
        )


@rule(
    "DK702",
    Severity.ERROR,
    of=Repository,
    title="one service, two owners of its configuration",
    good=[
        Example(
            (
                *profile().files,
                ("railway.toml", "# rendered by deploykit from profiles/example.yaml\n[deploy]\nstartCommand = 'x'\n"),
            )
        )
    ],
    bad=[Example((*profile().files, ("railway.toml", '«»[deploy]\nstartCommand = "node backend/dist/index.js"\n')))],
)
def two_owners(repository: Repository) -> Iterator[Report]:
    """A railway.toml wins over what deploykit or `railway config apply` deployed, for that deployment only, and no
    reading of the service's settings shows it; Railway's infrastructure as code refuses such a service.
    """
    for config in _legacy(repository):
        owners = managers(repository, config)
        if not owners:
            continue
        owner = owners[0]
        yield Report(
            Place(config.path),
            f"{posixpath.basename(config.path)} and {owner.system.path} both configure `{owner.name}`",
            f"delete {config.path}: its settings belong into {owner.system.path}",
            service=owner.name,
            related=related((owner.key, "configured here too")),
        )


@rule(
    "DK704",
    Severity.WARNING,
    of=Repository,
    title="`railway.toml` and `railway.json` in one folder",
    good=[files({"web/railway.toml": '[deploy]\nstartCommand = "node a.js"\n', "job/railway.json": "{}\n"})],
    bad=[files({"web/railway.toml": '[deploy]\nstartCommand = "node a.js"\n', "web/railway.json": "«»{}\n"})],
)
def two_config_files(repository: Repository) -> Iterator[Report]:
    """Railway reads the toml and ignores the json: whoever edits the json wonders why nothing changes."""
    for path, text in repository.legacy.items():
        twin = f"{path.removesuffix('.json')}.toml"
        if path.endswith(".json") and twin in repository.legacy and not is_rendered(text):
            yield Report(
                Place(path),
                f"{twin} stands beside it and wins: nothing here takes effect",
                "delete one of the two",
                related=related((Place(twin), "the one that Railway reads")),
            )


@rule(
    "DK705",
    Severity.WARNING,
    of=Repository,
    title="more than one infrastructure-as-code file",
    good=[_iac()],
    bad=[
        Example(
            (
                (".railway/railway.py", f"«»{_IAC}"),
                (
                    ".railway/railway.ts",
                    'import { project } from "railway";\nexport default () => project("acme", {});\n',
                ),
            ),
            "# .railway/railway.py beside .railway/railway.ts",
        )
    ],
)
def two_iac_files(repository: Repository) -> Iterator[Report]:
    """Railway reads one of them; the other looks as if it mattered."""
    texts = {system.path: system.text.text for system in repository.iac if system.text}
    listed = sorted({*texts, *(p for p in repository.around.listing if _is_iac(p))}, key=_rank)
    folders: dict[str, list[str]] = {}
    for path in listed:
        folders.setdefault(posixpath.dirname(path), []).append(path)
    for paths in folders.values():
        own = [path for path in paths if not is_rendered(texts.get(path, ""))]
        extra = own if len(own) < len(paths) else own[1:]
        for path in extra:
            other = next(each for each in paths if each != path)
            yield Report(
                Place(path),
                f"{posixpath.basename(other)} stands beside it: Railway reads only one of them",
                "delete one of the two",
                related=related((Place(other), "the other one")),
            )


def _is_iac(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return posixpath.basename(folder) == ".railway" and name in ("railway.ts", "railway.py", "railway.go")


def _rank(path: str) -> tuple[str, int]:
    return posixpath.dirname(path), ("ts", "py", "go").index(path.rsplit(".", 1)[-1])


@rule(
    "DK706",
    Severity.WARNING,
    of=Variables,
    title="infrastructure as code holds a secret's value",
    fix="unsafe",
    good=[_iac()],
    bad=[_iac('"JWT_SECRET": preserve()', '"JWT_SECRET": «"9f2c8a41d7e64b0c"»')],
)
def secret_in_code(variables: Variables) -> Iterator[Report]:
    """`preserve()` keeps the value that Railway has; a literal overwrites it at every apply, and is in git for ever
    (DK406).
    """
    for variable in variables if variables.kind == IAC else ():
        if not variable.literal or not secrets.looks_secret(variable.name, variable.text):
            continue
        yield Report(
            variable.place,
            f"{variable.name} is a literal here: every apply writes it over the value in Railway",
            "write preserve(), and set the value in Railway",
            variable=variable.name,
            fix=fix("keep the value that Railway has", [edit(variable.place, "preserve()")], safe=False)
            if variable.quote
            else None,
        )


_DEFAULTS = (
    ("restart.policy", "ON_FAILURE"),
    ("restart.max_retries", 10),
    ("healthcheck_timeout_seconds", 300),
    ("overlap_seconds", 0),
    ("draining_seconds", 0),
    ("sleep", False),
)


@rule(
    "DK707",
    Severity.WARNING,
    of=Service,
    title="infrastructure as code writes a platform default",
    fix="safe",
    good=[_iac()],
    bad=[_iac('"ALWAYS", "drainingSeconds": 30', '"ALWAYS", "overlapSeconds": «0», "drainingSeconds": 30')],
)
def written_default(service: Service) -> Iterator[Report]:
    """Railway leaves defaults out when it answers, so the plan shows the same change for ever (railwayapp/cli#1184)."""
    if service.system.kind != IAC:
        return
    for setting, default in _DEFAULTS:
        entry = service.setting(setting)
        value = entry.value.value if entry and isinstance(entry.value, Scalar) and entry.value.tag is None else None
        if entry is None or value is None or value != default or isinstance(value, bool) != isinstance(default, bool):
            continue
        yield Report(
            entry.value.place,
            f"{entry.key.text} of `{service.name}` is Railway's default: `railway config plan` never converges",
            "leave it out",
            service=service.name,
            fix=fix("leave it out", _removed(service, setting)),
        )


def _removed(service: Service, setting: str) -> tuple[Edit, ...]:
    """Delete an argument of a call or an entry of a map."""
    home = service.homes.get(setting)
    entry = service.setting(setting)
    if home is None or entry is None or not entry.key.place < entry.value.place:
        return ()
    inside = all(home.place <= each.key.place for each in home.entries)
    ordered = all(a.key.place < b.key.place for a, b in pairwise(home.entries))
    return service.remove(setting) if inside and ordered and len(home.entries) > 1 else ()


@rule(
    "DK708",
    Severity.WARNING,
    of=Repository,
    title="a rendered file differs from its profile",
    fix="safe",
    good=[
        Example(
            (
                *profile().files,
                (
                    "web-server/railway.toml",
                    "# written by hand, like profiles/example.yaml\n[build]\nbuilder = 'RAILPACK'\n",
                ),
            ),
            "# rendered by deploykit from profiles/example.yaml, and nobody has touched it since",
        )
    ],
    bad=[
        Example(
            (
                *profile().files,
                (
                    "web-server/railway.toml",
                    "«»# rendered by deploykit from profiles/example.yaml (profile 0123456789abcdef, "
                    'text 0123456789abcdef); change the profile, not this file\n[deploy]\nstartCommand = "node x.js"\n',
                ),
            ),
            "# rendered by deploykit from profiles/example.yaml (profile 0123456789abcdef, text 0123456789abcdef)\n"
            '[deploy]\nstartCommand = "node x.js"      # edited by hand',
        )
    ],
)
def edited_by_hand(repository: Repository) -> Iterator[Report]:
    """A rendered file was edited, or its profile was and nobody rendered: the two say different things, and the next
    `deploykit render` undoes one of them. The files carry a header that names their profile.
    """
    for path, happened in sorted(repository.stale.items()):
        yield Report(
            Place(path),
            f"this file says something else than its profile: {happened}",
            "change the profile and run `deploykit render`",
            fix=fix("render it again", _again(repository, path)),
        )


def _again(repository: Repository, path: str) -> tuple[Edit, ...]:
    """The whole file in the profile's words."""
    if path not in repository.rendered:
        return ()
    text = Text(path, repository.found[path])
    return (edit(text.place(0, len(text.text)), repository.rendered[path]),)
