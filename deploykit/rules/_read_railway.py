"""Railway's own files as systems: legacy config as code (railway.toml, railway.json) and infrastructure as code."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from deploykit.findings import Place
from deploykit.rules import _commands, _known
from deploykit.rules._subjects import CONFIG, IAC, Service, Surroundings, System, Variable, Variables
from deploykit.sources import code, json, toml
from deploykit.sources.text import Text
from deploykit.sources.yaml import Entry, Mapping, Node, Scalar, Sequence

DEPLOY = {
    "startCommand": "start",
    "preDeployCommand": "pre_deploy",
    "healthcheckPath": "healthcheck",
    "healthcheckTimeout": "healthcheck_timeout_seconds",
    "numReplicas": "replicas",
    "multiRegionConfig": "replicas",
    "region": "region",
    "cronSchedule": "cron",
    "restartPolicyType": "restart.policy",
    "restartPolicyMaxRetries": "restart.max_retries",
    "sleepApplication": "sleep",
    "overlapSeconds": "overlap_seconds",
    "drainingSeconds": "draining_seconds",
}
BUILD = {"builder": "builder", "dockerfilePath": "dockerfile", "buildCommand": "build"}


def config_system(path: str, content: str, around: Surroundings) -> tuple[list[System], list[Mapping]]:
    """A legacy config file as one system of one service for its base, and one for each environment it overrides.

    Raises YamlError.
    """
    parse = json.parse if path.endswith(".json") else toml.parse
    tree = parse(path, content)
    if not isinstance(tree, Mapping):
        return [], []
    base = _config_settings(tree)
    environments = tree.get("environments")
    blocks = [base]
    for entry in environments.entries if isinstance(environments, Mapping) else ():
        if isinstance(entry.value, Mapping):
            own = _config_settings(entry.value)
            blocks.append(({**base[0], **own[0]}, {**base[1], **own[1]}))
    text = Text(path, content)
    return [_config(path, text, tree, settings, homes, around) for settings, homes in blocks], [tree]


def _config_settings(tree: Mapping) -> tuple[dict[str, Entry], dict[str, Mapping]]:
    settings: dict[str, Entry] = {}
    homes: dict[str, Mapping] = {}
    for section, names in (("deploy", DEPLOY), ("build", BUILD)):
        body = tree.get(section)
        for entry in body.entries if isinstance(body, Mapping) else ():
            name = names.get(entry.key.text)
            value = entry.value
            if name is None or (isinstance(value, Scalar) and value.value is None):
                continue
            if isinstance(value, Sequence) and len(value.items) == 1:
                entry = Entry(entry.key, value.items[0])
            settings[name] = entry
            if isinstance(body, Mapping) and not (isinstance(value, Sequence)):
                homes[name] = body
    return settings, homes


def _config(
    path: str, text: Text, tree: Mapping, settings: dict[str, Entry], homes: dict[str, Mapping], around: Surroundings
) -> System:
    folder = posixpath.dirname(path)
    parent = posixpath.basename(folder)
    start = settings.get("start")
    command = start.value.text if start and isinstance(start.value, Scalar) else None
    meaning = _commands.meaning(command, folder, around)
    if "cron" in settings:
        meaning = meaning if meaning and _commands.endless(meaning, command or "") else None
    elif meaning is None and parent:
        meaning = _commands.spoken(parent)
    top = Place(path)
    variables = Variables(path=path, kind=CONFIG, items={}, name=parent or None, key=top)
    service = Service(
        name=parent or posixpath.basename(path),
        role=meaning.role if meaning else "",
        key=top,
        variables=variables,
        settings=settings,
        complete=False,
        body=tree,
        last_line=1_000_000_000,
        homes=homes,
        anonymous=not parent,
    )
    variables.service = service
    return System(path, CONFIG, [service], tree=tree, text=text, closed=False, around=around)


# Infrastructure as code

_SERVICE_KEYS = {
    "start": "start",
    "startCommand": "start",
    "preDeploy": "pre_deploy",
    "preDeployCommand": "pre_deploy",
    "healthcheck": "healthcheck",
    "healthcheckPath": "healthcheck",
    "healthcheckTimeout": "healthcheck_timeout_seconds",
    "replicas": "replicas",
    "regions": "replicas",
    "domains": "domains",
}
_DATABASES = {"mysql": "mysql", "postgres": "postgres", "redis": "redis", "mongo": "mongo", "database": ""}


def iac_system(path: str, content: str, around: Surroundings) -> tuple[list[System], list[Mapping]]:
    """An infrastructure-as-code file as a system, as far as its literals can be read. Raises YamlError."""
    calls = code.read(path, content)
    text = Text(path, content)
    services: list[Service] = []
    trees: list[Mapping] = []
    closed = True
    database = None
    for call in calls:
        if call.name in _DATABASES and call.label:
            database = call.label if database is None and call.name != "redis" else database
            services.append(_database(path, call))
        elif call.name in ("service", "fn"):
            if call.label is None or call.options is None:
                closed = False
                continue
            services.append(_iac_service(path, call.label, call.place, call.options, call.complete, around))
            trees.append(call.options)
            closed = closed and not call.repeated
    system = System(
        path,
        IAC,
        services,
        text=text,
        closed=closed and bool(services),
        database=database,
        around=around,
    )
    return [system], trees


def _database(path: str, call: code.Call) -> Service:
    variables = Variables(path=path, kind=IAC, items={}, name=call.label, key=call.place)
    service = Service(call.label or "", "database", call.place, variables, {}, complete=False)
    variables.service = service
    return service


def _iac_service(path: str, name: str, place: Place, options: Mapping, complete: bool, around: Surroundings) -> Service:
    settings: dict[str, Entry] = {}
    homes: dict[str, Mapping] = {}
    for entry, setting, home in _iac_settings(options):
        settings[setting] = entry
        homes[setting] = home
    env = options.entry("env") or options.entry("variables")
    items = {}
    for entry in env.value.entries if env and isinstance(env.value, Mapping) else ():
        variable = _iac_variable(entry)
        items[variable.name] = variable
    variables = Variables(path=path, kind=IAC, items=items, name=name, key=env.key.place if env else place)
    whole = complete and (env is None or (isinstance(env.value, Mapping) and env.value.get("...") is None))
    items.pop("...", None)
    service = Service(
        name=name,
        role=_iac_role(name, settings, variables, around),
        key=place,
        variables=variables,
        settings=settings,
        complete=whole,
        body=options,
        env_body=env.value if env and isinstance(env.value, Mapping) else None,
        last_line=1_000_000_000,
        homes=homes,
    )
    variables.service = service
    return service


def _iac_settings(options: Mapping) -> Iterator[tuple[Entry, str, Mapping]]:
    for entry in options.entries:
        key, value = entry.key.text, entry.value
        if key in ("deploy", "run", "build") and isinstance(value, Mapping):
            names = BUILD if key == "build" else {**DEPLOY, "command": "start", "healthcheck": "healthcheck"}
            for inner in value.entries:
                if inner.key.text in names and not _unknown(inner.value):
                    yield inner, names[inner.key.text], value
        elif key == "source" and isinstance(value, Mapping):
            for inner in value.entries:
                name = {"repo": "source.repo", "image": "source.image", "rootDirectory": "source.root"}.get(
                    inner.key.text
                )
                if name and not _unknown(inner.value):
                    yield inner, name, value
                    if name == "source.image":
                        yield inner, "image", value
        elif key in ("root", "rootDirectory"):
            yield entry, "source.root", options
        elif key in ("volumeMounts", "volumeAttachments"):
            if isinstance(value, Mapping) and value.entries:
                yield entry, "volume", options
                yield value.entries[0], "volume.mount", value
        elif key in _SERVICE_KEYS and not _unknown(value):
            yield entry, _SERVICE_KEYS[key], options


def _unknown(node: Node) -> bool:
    return isinstance(node, Scalar) and node.tag is not None


def _iac_variable(entry: Entry) -> Variable:
    value = entry.value
    if isinstance(value, Mapping):
        inner = value.get("value")
        value = inner if isinstance(inner, Scalar) else Scalar(None, "", True, "!unknown", value.place)
    if not isinstance(value, Scalar):
        return Variable(entry.key.text, "", entry.key.place, value.place, readable=False)
    reference = value.tag == "!ref"
    return Variable(
        name=entry.key.text,
        text=value.text if value.tag in (None, "!ref") else "",
        key=entry.key.place,
        place=value.place,
        readable=value.tag is None or reference,
        plain=value.value,
        # What takes the place of a flag or a text is a text, whatever stands there now.
        quote=value.style or ("" if type(value.value) in (int, float) else '"'),
    )


def _iac_role(name: str, settings: dict[str, Entry], variables: Variables, around: Surroundings) -> str:
    start = settings.get("start")
    command = start.value.text if start and isinstance(start.value, Scalar) else None
    root = settings.get("source.root")
    folder = root.value.text.strip("/") if root and isinstance(root.value, Scalar) else ""
    meaning = _commands.meaning(command, folder, around)
    if "cron" in settings:
        return meaning.role if meaning and _commands.endless(meaning, command or "") else "other"
    if meaning and meaning.sure:
        return meaning.role
    spoken = _commands.spoken(name)
    if spoken:
        return spoken.role
    if meaning:
        return meaning.role
    flag = variables.items.get(_known.DAEMON_FLAG)
    if flag and _known.truth(flag.text):
        return "daemon"
    if "image" in settings and not start:
        return "other"  # somebody else's program: its image says how it starts
    return "web" if "healthcheck" in settings or "domains" in settings else "other"
