"""All files of a repository as what rules look at. Texts come in; nothing here touches a disk.

A reader is imported where a file of its kind is read: for a profile alone none of them is needed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from deploykit.findings import Finding, Place, Related
from deploykit.profile.load import Loaded
from deploykit.rules import _commands, _known, _read_profile
from deploykit.rules._rule import CATALOGUE
from deploykit.rules._subjects import (
    DOCKER,
    ENV,
    PROCESS,
    EnvFile,
    Repository,
    Script,
    Service,
    Surroundings,
    System,
    Variable,
    Variables,
)
from deploykit.sources.yaml import Entry, Mapping, Scalar, YamlError

if TYPE_CHECKING:
    from deploykit.rules._engine import Sources
    from deploykit.sources.dockerfile import Dockerfile

EXAMPLES = frozenset({"example", "sample", "template", "dist", "tpl", "tmpl"})
LAPTOP = _known.words_of(
    """local development dev test tests testing ci e2e defaults __tests__ spec specs fixtures cypress playwright"""
)
STAGES = frozenset({"production", "prod", "staging", "stage", "preview", "qa", "uat", "live"})
_IN_FRONT = frozenset({"production", "prod", "staging", "development", "dev", "local"})
"""Not every stage: `live-chat` and `test-runner` are services."""
_NO_SERVICE = _known.words_of(
    """backend frontend server client src app apps api config configs conf env envs environments deploy deployment
    docker packages services infra ops scripts public test tests variables lib"""
)
HEADER = "rendered by deploykit from "
Reader = Callable[[str, str, Surroundings], tuple[list[System], list[Mapping]]]


def kind_of(path: str) -> str | None:
    """What kind of file a path names, for everything but profiles; None for what lint does not read."""
    name = path.rsplit("/", 1)[-1]
    if name == ".env" or name.startswith(".env.") or (name.endswith(".env") and name != ".env"):
        return "env"
    if name in ("railway.toml", "railway.json"):
        return "config"
    if path.startswith(".railway/") or "/.railway/" in path or path == name:
        # Without a folder in front the linted folder is .railway itself.
        if name in ("railway.py", "railway.ts"):
            return "iac"
        if path != name:
            return None
    if name == "package.json":
        return "package"
    if name == "Procfile" or name.startswith("Procfile."):
        return "procfile"
    if name == "Dockerfile" or name.startswith("Dockerfile.") or name.lower().endswith(".dockerfile"):
        return "dockerfile"
    if name.startswith("ecosystem.") and name.endswith((".js", ".cjs", ".mjs", ".json", ".ts")):
        return "ecosystem"
    return None


def is_rendered(text: str) -> bool:
    """Whether a file carries our own header."""
    return HEADER in text[:600]


def repository(sources: Sources, loaded: list[Loaded]) -> Repository:
    """Everything that is linted together."""
    around = Surroundings(listing=sources.listing or frozenset(sources.texts), sources=dict(sources.sources))
    result = Repository(around=around, today=sources.today, stale=_stale(sources, loaded))
    result.rendered = {path: sources.rendered[path] for path in result.stale if path in sources.rendered}
    result.found = {path: sources.texts[path] for path in result.rendered}
    kinds = {path: kind_of(path) for path in sorted(sources.texts) if path not in sources.profiles}
    for path, kind in kinds.items():
        text = sources.texts[path]
        if kind == "package":
            _package(path, text, around, result)
        elif kind == "procfile":
            _procfile(path, text, around, result)
        elif kind == "ecosystem":
            around.texts[path] = text
    result.systems = [_read_profile.system(each, around) for each in loaded if each.tree is not None]
    for path, kind in kinds.items():
        text = sources.texts[path]
        if kind == "env":
            result.env_files.append(_env_file(path, text, path in sources.ignored, result))
        elif kind == "config":
            result.legacy[path] = text
            from deploykit.rules._read_railway import config_system

            result.configs.extend(_guarded(config_system, path, text, around, result))
        elif kind == "iac":
            from deploykit.rules._read_railway import iac_system

            result.iac.extend(_guarded(iac_system, path, text, around, result))
        elif kind == "dockerfile":
            from deploykit.sources import dockerfile

            result.dockerfiles.append(dockerfile.parse(path, text))
    result.processes = _processes(result)
    result.env_systems = [
        *result.processes,
        *_env_systems(result),
        *(_docker_system(each) for each in result.dockerfiles),
    ]
    return result


def _stale(sources: Sources, loaded: list[Loaded]) -> dict[str, str]:
    """Rendered files that were edited, or whose profile has changed since."""
    found: dict[str, str] = {}
    texts = {path: text for path, text in sources.texts.items() if path not in sources.profiles and is_rendered(text)}
    if not texts:
        return found
    from deploykit.profile import rendered

    for path, text in texts.items():
        header = rendered.read_header(text)
        if header is None or text == sources.rendered.get(path):
            continue
        profile = next((each.profile for each in loaded if f"/{each.path}".endswith(f"/{header.source}")), None)
        if header.edited:
            found[path] = "it was edited since it was rendered"
        elif profile and rendered.fingerprint(profile) != header.profile_digest:
            found[path] = f"{header.source} has changed since it was rendered"
    return found


def _guarded(read: Reader, path: str, text: str, around: Surroundings, result: Repository) -> list[System]:
    try:
        systems, trees = read(path, text, around)
    except YamlError as error:
        result.findings.append(_unparsable(error.message, error.place, error.hint))
        return []
    for tree in trees:
        result.findings.extend(duplicates(tree))
    return systems


def _unparsable(message: str, place: Place, hint: str = "") -> Finding:
    rule = CATALOGUE["DK001"]
    return Finding(rule.code, rule.name, rule.severity, message, place, hint or "correct it here")


def duplicates(tree: Mapping) -> list[Finding]:
    """DK002 for every key that a map holds twice."""
    from deploykit.sources.yaml import walk

    rule = CATALOGUE["DK002"]
    return [
        Finding(
            rule.code,
            rule.name,
            rule.severity,
            f"`{second.key.text}` is given twice; readers keep only the last",
            second.key.place,
            "delete one of the two",
            related=(Related(first.key.place, "first given here"),),
        )
        for node in walk(tree)
        if isinstance(node, Mapping)
        for first, second in node.duplicates
    ]


def _procfile(path: str, text: str, around: Surroundings, result: Repository) -> None:
    from deploykit.sources import procfile

    parsed = procfile.parse(path, text)
    result.procfiles.append((path, parsed))
    around.procfiles[posixpath.dirname(path)] = [(p.name, p.command, p.command_place) for p in parsed.processes]
    result.findings.extend(_unparsable("this is no `name: command`", place) for place in parsed.broken)


def _package(path: str, text: str, around: Surroundings, result: Repository) -> None:
    from deploykit.sources import json

    try:
        tree = json.parse(path, text)
    except YamlError as error:
        result.findings.append(_unparsable(error.message, error.place, error.hint))
        return
    folder = posixpath.dirname(path)
    if not isinstance(tree, Mapping):
        return
    result.findings.extend(duplicates(tree))
    scripts = tree.get("scripts")
    around.scripts[folder] = {
        entry.key.text: Script(entry.key.text, entry.value.text, entry.value.place, entry.key.place)
        for entry in (scripts.entries if isinstance(scripts, Mapping) else ())
        if isinstance(entry.value, Scalar)
    }


# .env files


def _env_file(path: str, content: str, ignored: bool, result: Repository) -> EnvFile:
    from deploykit.sources import dotenv

    parsed = dotenv.parse(path, content)
    result.findings.extend(_unparsable(each.message, each.place, each.hint) for each in parsed.broken)
    known = {service.name for system in result.systems for service in system.services}
    name, stage, laptop, example = told_by(path, known)
    items = {
        each.key: Variable(
            name=each.key,
            text=each.value,
            key=each.key_place,
            place=each.value_place,
            readable=not each.expanded,
            plain=each.value,
            quote=each.quote,
        )
        for each in parsed.assignments
    }
    variables = Variables(
        path=path,
        kind=ENV,
        items=items,
        name=name,
        laptop=laptop or ignored,
        example=example,
        tracked=not ignored,
        stage=stage,
        key=Place(path),
        text=parsed.text,
    )
    return EnvFile(parsed.text, variables, parsed)


def told_by(path: str, known: set[str]) -> tuple[str | None, str | None, bool, bool]:
    """What a .env file's name and folder say: service, stage, whether it is for a laptop, whether it is an example."""
    folder, _, base = path.rpartition("/")
    stem = base[4:] if base.startswith(".env") else base.removesuffix(".env")
    tags = [tag for part in filter(None, stem.split(".")) for tag in _divided(part, known)]
    parent = folder.rsplit("/", 1)[-1]
    name, stage, laptop, example = _said(tags, known)
    # A folder may say the stage (envs/staging/web.env) or the service (web/.env); the file's own name goes first.
    above = _said([each for each in folder.split("/") if each and each.lower() in (*STAGES, *LAPTOP, *EXAMPLES)], known)
    if stage is None and not laptop and not example:
        stage, laptop, example = above[1:]
    plain = parent.lower() not in (*_NO_SERVICE, *STAGES, *LAPTOP, *EXAMPLES)
    if name is None and parent and (parent in known or plain):
        name = parent
    return name, stage, laptop, example


def _said(tags: list[str], known: set[str]) -> tuple[str | None, str | None, bool, bool]:
    """What words say: service, stage, whether it is for a laptop, whether it is an example."""
    name = stage = None
    laptop = example = False
    for tag in tags:
        word = tag.lower()
        if tag in known:
            name = tag
        elif word in EXAMPLES:
            example = True
        elif word in LAPTOP:
            laptop = True
        elif word in STAGES:
            stage = word
        elif word not in _NO_SERVICE or word in ("api", "server", "frontend", "backend", "app"):
            name = tag
    return name, stage, laptop, example


def _divided(tag: str, known: set[str]) -> list[str]:
    """``web-staging`` and ``staging-web`` as service and stage; any other name stays whole."""
    if tag in known:
        return [tag]
    for mark in "-_":
        first, found, last = tag.partition(mark)
        if found and first.lower() in _IN_FRONT:
            return [first, last]
        first, found, last = tag.rpartition(mark)
        if found and last.lower() in STAGES | LAPTOP:
            return [first, last]
    return [tag]


def _env_systems(result: Repository) -> list[System]:
    groups: dict[tuple[object, ...], list[EnvFile]] = {}
    for file in result.env_files:
        variables = file.variables
        folder = posixpath.dirname(variables.path)
        if variables.name and posixpath.basename(folder) == variables.name:
            folder = posixpath.dirname(folder)
        alone = variables.laptop or variables.example or variables.name is None
        key: tuple[object, ...] = (variables.path,) if alone else (folder, variables.stage)
        groups.setdefault(key, []).append(file)
    return [
        System(
            path=files[0].variables.path,
            kind=ENV,
            services=[_env_service(file, result) for file in files],
            text=files[0].text,
            closed=False,
            around=result.around,
        )
        for files in groups.values()
    ]


def _env_service(file: EnvFile, result: Repository) -> Service:
    variables = file.variables
    name = variables.name or posixpath.basename(variables.path)
    service = Service(
        name=name,
        role=_env_role(variables, result),
        key=Place(variables.path),
        variables=variables,
        settings={},
        complete=not variables.example and not variables.laptop,
        last_line=1_000_000_000,
        anonymous=variables.name is None,
    )
    variables.service = service
    return service


def _env_role(variables: Variables, result: Repository) -> str:
    if variables.name is None or variables.example or variables.laptop:
        return ""
    for system in result.systems:
        known = system.service(variables.name)
        if known:
            return known.role
    if not any(name in variables.items for name in _known.OURS):
        return ""
    meaning = _commands.spoken(variables.name)
    if meaning:
        return meaning.role
    flag = variables.items.get(_known.DAEMON_FLAG)
    return "daemon" if flag and _known.truth(flag.text) else "web"


def _processes(result: Repository) -> list[System]:
    """What each Procfile and each package.json starts, as services that have only a command."""
    systems = []
    for path, parsed in result.procfiles:
        if path.endswith((".dev", ".development", ".local", ".test")):
            continue  # for a laptop
        started = [_process(path, each.name, each.command, each.command_place, "") for each in parsed.processes]
        systems.append(System(path, PROCESS, started, closed=False, around=result.around))
    for folder, scripts in result.around.scripts.items():
        script = scripts.get("start")
        if script:
            path = script.place.path
            service = _process(path, "start", script.command, script.place, '"')
            systems.append(System(path, PROCESS, [service], closed=False, around=_inside(result.around, folder)))
    return systems


def _inside(around: Surroundings, folder: str) -> Surroundings:
    """The surroundings as a script sees them that runs in ``folder``."""
    scripts = {"": around.scripts.get(folder, {}), **{k: v for k, v in around.scripts.items() if k and k != folder}}
    return replace(around, scripts=scripts)


def _process(path: str, name: str, command: str, place: Place, style: str) -> Service:
    variables = Variables(path=path, kind=PROCESS, items={}, key=place)
    scalar = Scalar(command, command, not style, None, place, style)
    settings = {"start": Entry(Scalar(name, name, True, None, place), scalar)}
    meaning = _commands.meaning(command) or _commands.spoken(name)
    service = Service(name, meaning.role if meaning else "web", place, variables, settings, False, anonymous=True)
    variables.service = service
    return service


def _docker_system(parsed: Dockerfile) -> System:
    """What a Dockerfile sets with ENV and ARG, as the variables of a service without a name."""
    from deploykit.sources import dockerfile

    items: dict[str, Variable] = {}
    for instruction in parsed.instructions:
        if instruction.word in ("ENV", "ARG"):
            for name, value, key, place in dockerfile.variables(parsed.text, instruction):
                quoted = place.end_column - place.column == len(value) + 2 and place.line == place.end_line
                # `ENV FLAG=$FLAG` takes what the build was given.
                readable = not dockerfile.EXPANSION.search(value)
                items[name] = Variable(name, value, key, place, readable, value, '"' if quoted else "")
    path = parsed.text.path
    variables = Variables(path=path, kind=DOCKER, items=items, key=Place(path))
    service = Service(path, "", Place(path), variables, {}, complete=False, anonymous=True)
    variables.service = service
    return System(path, DOCKER, [service], text=parsed.text, closed=False)


def findings_of(texts: dict[str, str], ignored: frozenset[str] = frozenset()) -> list[Finding]:
    """Every finding in a handful of files, profiles told by their folder: for examples and tests."""
    from datetime import date

    from deploykit.rules._engine import Sources, lint
    from deploykit.sources import source

    profiles = tuple(path for path in texts if "profiles/" in f"/{path}" and path.endswith((".yaml", ".yml")))
    code = {path: text for path, text in texts.items() if source.is_source(path) and kind_of(path) is None}
    ignored = ignored | frozenset(path for path in texts if path in texts.get(".gitignore", "").split())
    sources = Sources(texts, profiles, frozenset(texts), ignored, sources=code, today=date(2026, 11, 1))
    return list(lint(sources).findings)
