"""What rules look at: the services of one file (or of a set of files), each value with its place.

Read leniently from the tree, so that a profile with one broken key still gets every other rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from deploykit.findings import Place, Related
from deploykit.rules._names import DAEMON_FLAG, DAEMON_POLL, POOL_SIZE, WORKER_FLAG, WORKER_POLL, whole_number
from deploykit.sources.yaml import Entry, Mapping, Node, Scalar, Sequence

Kind = Literal["profile", "env", "iac", "config"]
ROLES = ("web", "daemon", "worker", "database", "other")
_YES = frozenset({"true", "yes", "on", "1", "y", "t", "enabled"})
_NO = frozenset({"false", "no", "off", "0", "n", "f", "disabled"})


@dataclass(frozen=True, slots=True)
class Value:
    """One variable of a service. ``text`` is None when it is a secret or cannot be read."""

    name: str
    text: str | None
    key: Place
    place: Place
    secret: bool = False
    plain: bool = True
    """Written without quotes."""
    quote: str = ""
    """The quotes to keep when a fix rewrites the value."""
    written: str | None = None
    """The value as it stands in the file, when that differs from ``text``."""
    comment: str = ""
    """What stands behind the value on its line, or on the comment lines above it."""

    def quoted(self, text: str) -> str:
        """``text`` in the quotes that the value has now."""
        return f"{self.quote}{text}{self.quote}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a service or system: its value, and where key and value stand."""

    value: Any
    key: Place
    place: Place
    plain: bool = True


@dataclass(slots=True)
class ServiceView:
    """One Railway service as a file describes it."""

    name: str
    role: str
    place: Place
    env: dict[str, Value] = field(default_factory=dict)
    env_place: Place | None = None
    settings: dict[str, Setting] = field(default_factory=dict)
    complete: bool = True
    """Whether ``env`` names every variable of the service (a spread in code hides some)."""
    path: str = ""
    kind: Kind = "profile"
    indent: int = 0
    """Column of the first key inside ``env``, 0 when unknown: where a fix may add a line."""

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a setting, ``restart.policy`` for one inside another."""
        found = self.settings.get(name)
        return default if found is None else found.value

    def at(self, *names: str) -> Place:
        """Where the value of the first setting that is there stands; else the service's key."""
        for name in names:
            if name in self.settings:
                return self.settings[name].place
        return self.place

    def key(self, name: str) -> Place:
        """Where the key of a setting stands; else the service's key."""
        found = self.settings.get(name)
        return found.key if found else self.place

    def missing(self) -> Place:
        """Where a missing variable is pointed at: the ``env:`` key, else the service's key."""
        return self.env_place or self.place

    def text(self, variable: str) -> str | None:
        """The readable value of a variable."""
        value = self.env.get(variable)
        return value.text if value else None

    def flag(self, variable: str) -> bool | None:
        """What a flag is meant to say: None when it is absent or cannot be read."""
        text = (self.text(variable) or "").strip().strip("\"'").lower()
        return True if text in _YES else False if text in _NO else None

    @property
    def is_app(self) -> bool:
        """Whether it runs our code and so owes the flags."""
        return self.role in ("web", "daemon", "worker")

    @property
    def runs_daemon(self) -> bool:
        """Whether its processes schedule: by the flag, or by the role while the flag is not there."""
        flag = self.flag(DAEMON_FLAG)
        return flag if flag is not None else self.role == "daemon" and DAEMON_FLAG not in self.env

    @property
    def embeds_worker(self) -> bool:
        """Whether a process with another duty also works on jobs."""
        return self.role != "worker" and self.flag(WORKER_FLAG) is True

    @property
    def runs_worker(self) -> bool:
        """Whether its processes work on jobs."""
        return self.role == "worker" or self.embeds_worker

    @property
    def total_replicas(self) -> int:
        """Replicas over all regions; 1 when nothing is said."""
        replicas = self.get("replicas", 1)
        if isinstance(replicas, dict):
            return sum(count for count in replicas.values() if isinstance(count, int)) or 1
        return replicas if isinstance(replicas, int) and not isinstance(replicas, bool) else 1

    @property
    def pool_size(self) -> int | None:
        """Connections of one process, when something says so."""
        return whole_number(self.text(POOL_SIZE))

    @property
    def start(self) -> str:
        """The start command, spaces folded; empty when there is none."""
        start = self.get("start")
        return " ".join(start.split()) if isinstance(start, str) else ""

    def flag_place(self, variable: str) -> Place:
        """Where a flag says what it says; where it is missing when it does not."""
        return self.env[variable].place if variable in self.env else self.missing()


@dataclass(slots=True)
class System:
    """All services that one file, or the .env files of one folder, describe."""

    kind: Kind
    name: str
    path: str
    services: dict[str, ServiceView]
    settings: dict[str, Setting] = field(default_factory=dict)
    place: Place = field(default_factory=lambda: Place(""))
    complete: bool = True
    """Whether every service is here; a part of the whole cannot miss a daemon."""
    origins: dict[str, Place] = field(default_factory=dict)
    """For each base file, where the ``extends`` stands that brings it in."""

    def get(self, name: str, default: Any = None) -> Any:
        """A setting of the whole: ``expect.job_worker``, ``database.service``."""
        found = self.settings.get(name)
        return default if found is None else found.value

    def at(self, name: str) -> Place:
        """Where a setting's value stands; the file's first line when it is absent."""
        return self.settings[name].place if name in self.settings else self.place

    @property
    def apps(self) -> list[ServiceView]:
        """The services that run our code."""
        return [service for service in self.services.values() if service.is_app]

    @property
    def daemons(self) -> list[ServiceView]:
        """The services that schedule."""
        return [service for service in self.services.values() if service.runs_daemon]

    @property
    def workers(self) -> list[ServiceView]:
        """The services that work on jobs."""
        return [service for service in self.services.values() if service.runs_worker]

    @property
    def worker_count(self) -> int:
        """Processes that work on jobs: the sum of replicas of embedded and dedicated workers."""
        return sum(service.total_replicas for service in self.workers)

    @property
    def services_place(self) -> Place:
        """The ``services:`` key."""
        return self.settings["services"].key if "services" in self.settings else self.place

    def polls(self) -> Iterator[tuple[ServiceView, Value]]:
        """Every poll interval that a process of its service uses."""
        for service in self.services.values():
            for name, uses in ((DAEMON_POLL, service.runs_daemon), (WORKER_POLL, service.runs_worker)):
                if uses and name in service.env:
                    yield service, service.env[name]


def related(service: ServiceView, place: Place, message: str) -> Related:
    """Another place of a finding, named by its service."""
    return Related(place, message.format(service=service.name))


def from_tree(path: str, tree: Mapping, lines: list[str], base_lines: dict[str, list[str]] | None = None) -> System:
    """The system a profile's merged tree describes."""
    texts = {path: lines, **(base_lines or {})}
    settings: dict[str, Setting] = {}
    services: dict[str, ServiceView] = {}
    for entry in tree.entries:
        name = entry.key.text
        if name == "services":
            settings["services"] = Setting(None, entry.key.place, entry.value.place)
            if isinstance(entry.value, Mapping):
                for item in entry.value.entries:
                    if isinstance(item.value, Mapping):
                        services[item.key.text] = _service(item, texts)
        elif not name.startswith("x-"):
            _collect(settings, name, entry)
    own_name = settings["name"].value if "name" in settings else path
    return System("profile", str(own_name), path, services, settings, Place(path, 1, 1, 1, 2))


def _service(entry: Entry, texts: dict[str, list[str]]) -> ServiceView:
    body = entry.value
    assert isinstance(body, Mapping)
    view = ServiceView(entry.key.text, "other", entry.key.place, path=entry.key.place.path)
    for item in body.entries:
        if item.key.text == "env":
            view.env_place = item.key.place
            if isinstance(item.value, Mapping):
                view.env = {e.key.text: _value(e, e.value, texts) for e in item.value.entries if _said(e.value)}
                if not item.value.flow and item.value.entries:
                    view.indent = item.value.entries[0].key.place.column
            elif not (isinstance(item.value, Scalar) and item.value.value is None):
                view.complete = False
        elif _said(item.value):
            _collect(view.settings, item.key.text, item)
    role = view.get("role")
    view.role = role if role in ROLES else "other"
    return view


def _said(node: Node) -> bool:
    return not (isinstance(node, Scalar) and node.value is None and node.tag is None)


def _collect(settings: dict[str, Setting], name: str, entry: Entry) -> None:
    value = entry.value
    if not _said(value):
        return
    plain = value.plain if isinstance(value, Scalar) else False
    settings[name] = Setting(plain_value(value), entry.key.place, value.place, plain)
    if isinstance(value, Mapping):
        for item in value.entries:
            _collect(settings, f"{name}.{item.key.text}", item)


def plain_value(node: Node) -> Any:
    """A node as plain Python data."""
    if isinstance(node, Mapping):
        return {entry.key.text: plain_value(entry.value) for entry in node.entries}
    if isinstance(node, Sequence):
        return [plain_value(item) for item in node.items]
    return node.value


def _value(entry: Entry, node: Node, texts: dict[str, list[str]]) -> Value:
    name = entry.key.text
    if not isinstance(node, Scalar):
        return Value(name, None, entry.key.place, node.place)
    if node.tag is not None:
        return Value(name, None, entry.key.place, node.place, secret=node.tag == "!secret")
    quote = ""
    lines = texts.get(node.place.path)
    comment = ""
    if lines and node.place.line <= len(lines):
        row = lines[node.place.line - 1]
        if not node.plain:
            first = row[node.place.column - 1 : node.place.column]
            quote = first if first in ("'", '"') else '"'
        if node.place.end_line == node.place.line:
            comment = row[node.place.end_column - 1 :].strip()
    return Value(name, node.text, entry.key.place, node.place, plain=node.plain, quote=quote, comment=comment)
