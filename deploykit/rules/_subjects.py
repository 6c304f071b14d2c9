"""What rules look at: a variable, the variables of one place, a service, a system of services, a repository.

The same shapes stand for a profile, an infrastructure-as-code file, a legacy config file and a set of .env files, so
that one rule serves them all. Nothing here reads a disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from deploykit.findings import Edit, Finding, Fix, Place, Related
from deploykit.rules import _known
from deploykit.sources.text import Text, edit
from deploykit.sources.yaml import Entry, Mapping, Node, Plain, Scalar, Sequence

if TYPE_CHECKING:
    from deploykit.sources.dockerfile import Dockerfile
    from deploykit.sources.dotenv import DotEnv
    from deploykit.sources.procfile import Procfile

PROFILE, IAC, CONFIG, ENV = "profile", "iac", "config", "env"
DOCKER, PROCESS = "dockerfile", "process"
"""What an image sets, and what a Procfile or a package.json starts: services without a name of their own."""
LONGEST_COMMAND = 2_000
APP_ROLES = ("web", "daemon", "worker")


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """One environment variable where it is set."""

    name: str
    text: str
    key: Place
    place: Place
    readable: bool = True
    """False for secrets that live elsewhere and for expressions: there is a value, and nobody can read it here."""
    plain: Plain = None
    quote: str = ""
    unquoted: bool = False
    """Written without quotes in YAML, where another reader may change it."""

    @property
    def reference(self) -> re.Match[str] | None:
        """The first ``${{…}}`` of the value."""
        return _known.REFERENCE.search(self.text)

    @property
    def literal(self) -> bool:
        """Whether the process reads exactly this text."""
        return self.readable and "${{" not in self.text

    def part(self, start: int, end: int) -> Place:
        """The place of a part of the value; the whole value when escapes or lines make that unknowable."""
        if self.place.line != self.place.end_line:
            return self.place
        width = self.place.end_column - self.place.column
        quotes = len(self.quote) if self.quote in ("'", '"', "`") else 0
        if width != len(self.text) + 2 * quotes:
            return self.place
        column = self.place.column + quotes
        return Place(self.place.path, self.place.line, column + start, self.place.line, column + end)

    def replaced(self, text: str) -> Edit:
        """The edit that writes another value, in the same quotes."""
        quote = self.quote if self.quote in ("'", '"', "`") else ""
        return edit(self.place, f"{quote}{text}{quote}")


@dataclass(slots=True, eq=False)
class Variables:
    """The variables of one service in one file, or of one .env file."""

    path: str
    kind: str
    items: dict[str, Variable]
    service: Service | None = None
    name: str | None = None
    """The service's name, when a file's name or its place tells it."""
    laptop: bool = False
    """For development: what stands here never reaches production."""
    example: bool = False
    tracked: bool = True
    stage: str | None = None
    key: Place | None = None
    text: Text | None = None
    """The whole .env file, whose line ends matter."""

    def __iter__(self) -> Iterator[Variable]:
        return iter(self.items.values())

    def get(self, name: str) -> Variable | None:
        return self.items.get(name)

    @property
    def missing(self) -> Place:
        """Where a variable that is not there is missed."""
        return self.key or Place(self.path)


@dataclass(slots=True, eq=False)
class Service:
    """One service as a file describes it; ``settings`` by the profile's names, whatever the file calls them."""

    name: str
    role: str
    key: Place
    variables: Variables
    settings: dict[str, Entry]
    complete: bool = True
    """False when variables may exist that cannot be read here (a spread, a computed map)."""
    body: Mapping | None = None
    env_body: Mapping | None = None
    last_line: int = 0
    """Where this service's own lines end; what stands outside is shared or inherited."""
    homes: dict[str, Mapping] = field(default_factory=dict)
    """The map that holds each setting, in files that nest them otherwise than a profile."""
    anonymous: bool = False
    """The file does not say which service it is: ``name`` is the file's, and no finding carries it as a service."""
    system: System = field(init=False)

    @property
    def env(self) -> dict[str, Variable]:
        return self.variables.items

    @property
    def missing(self) -> Place:
        """Where a variable that is not there is missed: the ``env:`` key, else the service's."""
        return self.variables.missing

    def setting(self, name: str) -> Entry | None:
        """A setting that is written in the file."""
        return self.settings.get(name)

    def number(self, name: str) -> float | None:
        """A setting as a number."""
        entry = self.settings.get(name)
        value = entry.value.value if entry and isinstance(entry.value, Scalar) else None
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
            value = int(value)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, name: str) -> str | None:
        """A setting as text."""
        entry = self.settings.get(name)
        value = entry.value.value if entry and isinstance(entry.value, Scalar) and not entry.value.tag else None
        return value if isinstance(value, str) else None

    def on(self, name: str) -> bool:
        """Whether a switch is written and on."""
        entry = self.settings.get(name)
        return bool(entry and isinstance(entry.value, Scalar) and entry.value.value is True)

    @property
    def is_app(self) -> bool:
        """Whether this service runs our code and so owes the flags."""
        return self.role in APP_ROLES

    @property
    def start(self) -> str | None:
        """The start command; None when it is so long that it is no command."""
        text = self.text("start")
        return text if text is not None and len(text) <= LONGEST_COMMAND else None

    @property
    def policy(self) -> str | None:
        """The restart policy that is meant, in a profile's spelling."""
        said = self.text("restart.policy")
        return re.sub(r"[-\s]", "_", said.strip().lower()) if said else None

    @property
    def from_image(self) -> bool:
        """Whether Railway starts an image that brings its own command."""
        return "image" in self.settings

    def flag(self, name: str) -> bool | None:
        """What a flag means to a person; None while it is unset or unreadable."""
        variable = self.env.get(name)
        return _known.truth(variable.text) if variable and variable.literal else None

    @property
    def runs_daemon(self) -> bool:
        """Whether a process of this service schedules: by its flag, or by its role while the flag is unknown."""
        flag = self.flag(_known.DAEMON_FLAG)
        return flag if flag is not None else self.role == "daemon"

    @property
    def embeds_worker(self) -> bool:
        """Whether a worker runs inside this service's process."""
        return self.role != "worker" and self.flag(_known.WORKER_FLAG) is True

    @property
    def runs_worker(self) -> bool:
        return self.role == "worker" or self.embeds_worker

    @property
    def regions(self) -> tuple[Entry, ...]:
        """The regions with their replicas, when they are written."""
        entry = self.settings.get("replicas")
        return entry.value.entries if entry and isinstance(entry.value, Mapping) else ()

    @property
    def replicas(self) -> int:
        """Replicas over all regions."""
        if self.regions:
            return sum(_count(region.value) for region in self.regions)
        count = self.number("replicas")
        return int(count) if count is not None and 0 < count < 10_000 else 1

    @property
    def replicas_place(self) -> Place:
        """The token that says how many."""
        entry = self.settings.get("replicas")
        if entry is None:
            return self.key
        if self.regions:
            return (self.regions[1] if len(self.regions) > 1 else self.regions[0]).key.place
        return entry.value.place

    @property
    def flag_place(self) -> Place:
        """What makes this service the daemon: its flag, else its role, else its name."""
        flag = self.env.get(_known.DAEMON_FLAG)
        if flag:
            return flag.place
        role = self.settings.get("role")
        return role.value.place if role else self.key

    def milliseconds(self, name: str) -> int | None:
        """An interval that is a plain positive number."""
        variable = self.env.get(name)
        text = variable.text.strip() if variable and variable.literal else ""
        return int(text) if text.isdigit() and len(text) < 15 and int(text) > 0 else None

    def owns(self, place: Place) -> bool:
        """Whether a place is this service's alone: not inherited, not shared by an anchor."""
        return place.path == self.key.path and self.key.line <= place.line <= max(self.last_line, self.key.line)

    # Edits. They are offered only where the text is this service's own.

    def insert(self, key: str, value: str, *, env: bool = False) -> tuple[Edit, ...]:
        """Add ``key: value`` behind the last line of the service (or of its env); nothing when that cannot be done."""
        body = self.env_body if env else self.body
        if self.system.kind != PROFILE or body is None or not self.owns(body.place):
            return ()
        own = [entry for entry in body.entries if self.owns(entry.key.place)]
        empty = next((entry for entry in own if entry.key.text == key), None)
        if empty:  # `KEY: null` or `KEY:` stands there already
            place = empty.value.place
            return (edit(place, value if place != empty.key.place and _written(place) else f" {value}"),)
        if _known.near(key, [entry.key.text for entry in body.entries]):
            return ()  # it stands there misspelt, and DK003 or DK403 says so
        if body.flow:
            if not body.entries or len(own) != len(body.entries):
                return ()
            end = body.place
            at = (end.end_line, end.end_column - 1)
            return (Edit(end.path, at, at, f", {key}: {value}"),)
        if not own or self.system.text is None:
            return ()
        column = own[0].key.place.column
        if any(entry.key.place.column != column for entry in own):
            return ()
        first = own[0].key.place
        start = (first.line, 1)
        indent = self.system.text.line(first.line)[: column - 1]
        if indent.strip():
            return ()
        # In front of the first entry: the end of a block value is hard to know, its start is not.
        last = own[-1]
        if isinstance(last.value, Scalar) and last.value.place.line == last.value.place.end_line:
            number = last.value.place.line
            if number < len(self.system.text.starts):
                start = (number + 1, 1)
            else:
                ending = (number, len(self.system.text.line(number)) + 1)
                return (Edit(first.path, ending, ending, f"{self.system.text.newline}{indent}{key}: {value}"),)
        return (Edit(first.path, start, start, f"{indent}{key}: {value}{self.system.text.newline}"),)

    def remove(self, name: str) -> tuple[Edit, ...]:
        """Delete a setting with its line; nothing when that cannot be done."""
        entry = self.settings.get(name)
        body = self.homes.get(name) or self.body
        if self.system.kind == PROFILE and "." in name and (parent := self.settings.get(name.split(".")[0])):
            body = parent.value if isinstance(parent.value, Mapping) else body
            if isinstance(body, Mapping) and len(body.entries) == 1:
                entry, body = parent, self.body
        if entry is None or body is None or self.system.text is None:
            return ()
        if self.system.kind == PROFILE and not self.owns(entry.key.place):
            return ()
        return remove(self.system.text, body, entry)

    def replace(self, name: str, text: str) -> tuple[Edit, ...]:
        """Write another value for a setting, in the same quotes."""
        entry = self.settings.get(name)
        if entry is None or not isinstance(entry.value, Scalar):
            return ()
        if self.system.kind == PROFILE and not self.owns(entry.key.place):
            return ()
        quote = entry.value.style if entry.value.style in ("'", '"', "`") else ""
        if entry.value.style in ("|", ">"):
            return ()
        return (edit(entry.value.place, f"{quote}{text}{quote}"),)

    def set_env(self, name: str, value: str) -> tuple[Edit, ...]:
        """Write a variable: another value where it stands, or a new line."""
        variable = self.env.get(name)
        if variable:
            if self.system.kind == PROFILE and not self.owns(variable.key):
                return ()
            return (variable.replaced(value),)
        return self.insert(name, value, env=True)


@dataclass(slots=True, eq=False)
class System:
    """Services that one file describes together."""

    path: str
    kind: str
    services: list[Service]
    name: str | None = None
    tree: Mapping | None = None
    text: Text | None = None
    closed: bool = True
    """Whether the file lists every service: then what is absent is missing."""
    environment: str = "production"
    database: str | None = None
    database_place: Place | None = None
    max_connections: int = _known.DEFAULT_MAX_CONNECTIONS
    expect_daemons: int = 1
    expect_workers: int | None = None
    budget_usd: float | None = None
    budget_place: Place | None = None
    around: Surroundings = field(default_factory=lambda: Surroundings())

    def __post_init__(self) -> None:
        for service in self.services:
            service.system = self

    @property
    def apps(self) -> list[Service]:
        return [service for service in self.services if service.is_app]

    @property
    def daemons(self) -> list[Service]:
        return [service for service in self.services if service.runs_daemon]

    @property
    def workers(self) -> list[Service]:
        return [service for service in self.services if service.runs_worker]

    @property
    def production(self) -> bool:
        return self.environment == "production"

    def service(self, name: str) -> Service | None:
        return next((service for service in self.services if service.name == name), None)

    @property
    def speaks_of_jobs(self) -> bool:
        """Whether any service sets one of our variables: an IaC file without them is somebody else's business."""
        return self.kind == PROFILE or any(name in service.env for service in self.services for name in _known.OURS)

    @property
    def declared_workers(self) -> bool:
        """Whether the profile says in ``expect`` how many workers there are, embedded and dedicated."""
        return self.expect_workers == sum(service.replicas for service in self.workers)


@dataclass(slots=True, eq=False)
class Script:
    """One npm script: its name, what it runs, and where."""

    name: str
    command: str
    place: Place
    key: Place


@dataclass(slots=True, eq=False)
class Surroundings:
    """What is known about the repository around a file: other files' texts by path, and the list of all paths."""

    scripts: dict[str, dict[str, Script]] = field(default_factory=dict)
    """npm scripts by the folder of their package.json (empty text for the top)."""
    procfiles: dict[str, list[tuple[str, str, Place]]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Source files that may be read: those of each ``source.root`` that exists, and of folders named by hand."""
    listing: frozenset[str] = frozenset()

    def script(self, folder: str, name: str) -> Script | None:
        return self.scripts.get(folder, {}).get(name)


@dataclass(slots=True, eq=False)
class Repository:
    """Everything that is linted together."""

    systems: list[System] = field(default_factory=list)
    env_files: list[EnvFile] = field(default_factory=list)
    configs: list[System] = field(default_factory=list)
    iac: list[System] = field(default_factory=list)
    around: Surroundings = field(default_factory=Surroundings)
    env_systems: list[System] = field(default_factory=list)
    """The .env files of one folder as one system; every .env file is in exactly one."""
    processes: list[System] = field(default_factory=list)
    """What Procfiles and the start scripts of package.json start."""
    dockerfiles: list[Dockerfile] = field(default_factory=list)
    procfiles: list[tuple[str, Procfile]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    """What the readers could not read."""
    legacy: dict[str, str] = field(default_factory=dict)
    """Railway's legacy config files by path, with their text."""
    stale: dict[str, str] = field(default_factory=dict)
    """Files that carry our header and say something else than their profile, with what happened."""
    rendered: dict[str, str] = field(default_factory=dict)
    """What the profile renders to today in place of those files, where that is known."""
    found: dict[str, str] = field(default_factory=dict)
    """What stands in those files."""
    today: date = date.min

    @property
    def profiles(self) -> list[System]:
        return self.systems

    @property
    def sources(self) -> dict[str, str]:
        return self.around.sources


@dataclass(slots=True, eq=False)
class EnvFile:
    """One .env file with what its name and place say about it."""

    text: Text
    variables: Variables
    parsed: DotEnv


def _written(place: Place) -> bool:
    return (place.line, place.column) != (place.end_line, place.end_column)


def _count(node: Node) -> int:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(node, Mapping):
        inner = node.get("numReplicas") or node.get("count") or node.get("replicas")
        value = inner.value if isinstance(inner, Scalar) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10_000 else 1


def remove(text: Text, body: Mapping, entry: Entry) -> tuple[Edit, ...]:
    """Delete an entry of ``body``: its lines in a block, itself and a comma between brackets."""
    start = text.offset(entry.key.place.line, entry.key.place.column)
    end = text.offset(entry.value.place.end_line, entry.value.place.end_column)
    if isinstance(entry.value, Mapping | Sequence) and not entry.value.flow:
        return _remove_block(text, entry)
    if body.flow:
        others = [each for each in body.entries if each is not entry]
        if not others:
            return (edit(text.place(start, end), ""),)
        index = body.entries.index(entry)
        if index + 1 < len(body.entries):
            following = body.entries[index + 1].key.place
            return (edit(text.place(start, text.offset(following.line, following.column)), ""),)
        before = body.entries[index - 1].value.place
        return (edit(text.place(text.offset(before.end_line, before.end_column), end), ""),)
    first = text.starts[entry.key.place.line - 1]
    if text.text[first:start].strip():
        return ()
    last = entry.value.place.end_line
    if isinstance(entry.value, Scalar) and entry.value.style in ("|", ">"):
        last -= 1
    stop = text.starts[last] if last < len(text.starts) else len(text.text)
    return (edit(text.place(first, stop), ""),)


def _remove_block(text: Text, entry: Entry) -> tuple[Edit, ...]:
    indent = entry.key.place.column - 1
    number = entry.key.place.line + 1
    while number <= len(text.starts):
        line = text.line(number)
        if line.strip() and len(line) - len(line.lstrip()) <= indent and not line.lstrip().startswith("- "):
            break
        number += 1
    while number > entry.key.place.line + 1 and not text.line(number - 1).strip():
        number -= 1
    stop = text.starts[number - 1] if number <= len(text.starts) else len(text.text)
    return (edit(text.place(text.starts[entry.key.place.line - 1], stop), ""),)


def fix(title: str, edits: Iterable[Edit], *, safe: bool = True) -> Fix | None:
    """A fix, when there is something to edit."""
    edits = tuple(edits)
    return Fix(title, edits, safe) if edits else None


def related(*pairs: tuple[Place, str]) -> tuple[Related, ...]:
    """Other places that belong to a finding."""
    return tuple(Related(place, message) for place, message in pairs)
