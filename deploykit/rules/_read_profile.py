"""A loaded profile as a system of services. Works on the tree, so that a profile with one mistake is judged whole."""

from __future__ import annotations

from deploykit.findings import Place
from deploykit.profile.load import Loaded
from deploykit.rules import _known
from deploykit.rules._subjects import PROFILE, Service, Surroundings, System, Variable, Variables
from deploykit.sources.text import Text
from deploykit.sources.yaml import Entry, Mapping, Scalar

_NESTED = ("restart", "volume", "resources", "limits", "source")


def system(loaded: Loaded, around: Surroundings | None = None) -> System:
    """The system that a profile describes; empty when the file could not be read."""
    tree = loaded.tree or Mapping((), (), False, Place(loaded.path))
    services = tree.get("services")
    bodies = services.entries if isinstance(services, Mapping) else ()
    ends = _ends(tree, bodies)
    database = _mapping(tree, "database")
    expect = _mapping(tree, "expect")
    name = tree.entry("database")
    limit = _integer(database, "max_connections")
    daemons = _integer(expect, "schedule_daemon")
    budget = _mapping(tree, "budget").get("monthly_usd")
    return System(
        path=loaded.path,
        kind=PROFILE,
        services=[_service(loaded.path, entry, ends) for entry in bodies if isinstance(entry.value, Mapping)],
        name=_text(tree, "name"),
        tree=tree,
        text=Text(loaded.path, loaded.text),
        closed=bool(bodies),
        environment=_text(tree, "environment") or "production",
        database=_text(database, "service"),
        database_place=name.value.place if name else None,
        max_connections=limit if limit is not None else _known.DEFAULT_MAX_CONNECTIONS,
        expect_daemons=daemons if daemons is not None else 1,
        expect_workers=_integer(expect, "job_worker"),
        budget_usd=float(budget.value) if _is_number(budget) else None,  # type: ignore[union-attr,arg-type]
        budget_place=budget.place if budget else None,
        around=around or Surroundings(),
    )


def _is_number(node: object) -> bool:
    return isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def _ends(tree: Mapping, bodies: tuple[Entry, ...]) -> dict[Place, int]:
    """The last line of each service: the line before the next key of the same file."""
    starts = sorted({entry.key.place for entry in (*tree.entries, *bodies)})
    ends: dict[Place, int] = {}
    for index, place in enumerate(starts):
        following = next((other for other in starts[index + 1 :] if other.path == place.path), None)
        ends[place] = following.line - 1 if following else 1_000_000_000
    return ends


def _service(path: str, entry: Entry, ends: dict[Place, int]) -> Service:
    body = entry.value
    assert isinstance(body, Mapping)
    settings: dict[str, Entry] = {}
    for setting in body.entries:
        value = setting.value
        if isinstance(value, Scalar) and value.value is None and value.tag is None:
            continue
        settings[setting.key.text] = setting
        if setting.key.text in _NESTED and isinstance(value, Mapping):
            settings.update({f"{setting.key.text}.{inner.key.text}": inner for inner in value.entries})
    if "source.image" in settings:
        settings["image"] = settings["source.image"]
    env = body.entry("env")
    variables = Variables(
        path=path,
        kind=PROFILE,
        items=_variables(env),
        name=entry.key.text,
        key=env.key.place if env else entry.key.place,
    )
    role = settings.get("role")
    service = Service(
        name=entry.key.text,
        role=role.value.text if role and isinstance(role.value, Scalar) else "",
        key=entry.key.place,
        variables=variables,
        settings=settings,
        complete=env is None or isinstance(env.value, Mapping),
        body=body,
        env_body=env.value if env and isinstance(env.value, Mapping) else None,
        last_line=ends[entry.key.place],
    )
    variables.service = service
    return service


def _variables(env: Entry | None) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    for entry in env.value.entries if env and isinstance(env.value, Mapping) else ():
        value = entry.value
        if not isinstance(value, Scalar):
            found[entry.key.text] = Variable(entry.key.text, "", entry.key.place, value.place, readable=False)
        elif value.value is not None or value.tag is not None:
            found[entry.key.text] = Variable(
                name=entry.key.text,
                text=value.text,
                key=entry.key.place,
                place=value.place,
                readable=value.tag is None,
                plain=value.value,
                quote=value.style,
                unquoted=value.plain,
            )
    return found


def _mapping(tree: Mapping, name: str) -> Mapping:
    value = tree.get(name)
    return value if isinstance(value, Mapping) else Mapping((), (), False, tree.place)


def _text(tree: Mapping, name: str) -> str | None:
    value = tree.get(name)
    return value.text if isinstance(value, Scalar) and value.value is not None else None


def _integer(tree: Mapping, name: str) -> int | None:
    value = tree.get(name)
    number = value.value if isinstance(value, Scalar) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None
