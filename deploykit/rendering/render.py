"""A profile → the text of every artefact. The only module that knows Jinja2.

Same profile, same bytes. An undefined name in a template is an error (DK006), and so is a text that its own format
cannot read: a file is either right or not written.
"""

from __future__ import annotations

import ast
import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
import yaml as pyyaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from deploykit.errors import ConfigurationError
from deploykit.planning.graph import deploy, graph
from deploykit.profile.rendered import header, stamp
from deploykit.profile.schema import Profile, Secret, Service
from deploykit.rendering import literals
from deploykit.rendering.calls import python_call, typescript_call
from deploykit.rendering.compose import compose
from deploykit.rendering.drawing import drawing
from deploykit.rendering.iac import program
from deploykit.rendering.runbook import runbook
from deploykit.verification.processes import boxes, databases

_PACKAGE = Path(__file__).resolve().parent.parent
_NO_FILE_HOLDS = re.compile("[\x00\ud800-\udfff]")
_NOT_IN_FILES = ("limitOverride",)
"""Deploy settings that config as code cannot say (Railway docs: config as code reference)."""


def templates() -> Path:
    """The folder of the templates: in a wheel inside the package, in a checkout beside it."""
    inside = _PACKAGE / "bundled" / "templates"
    return inside if inside.is_dir() else _PACKAGE.parent / "templates"


def render(profile: Profile, *, overrides: Path | None = None) -> dict[str, str]:
    """Every artefact of ``profile``: relative path → text.

    Templates of the same name in the folder ``overrides`` replace the bundled ones. Raises ConfigurationError for a
    text that no file can hold, a template that breaks (DK006), and two artefacts that want the same path.
    """
    _check_texts(profile)
    press = Press(overrides)
    shared = {"profile": profile, "header": header(profile)}
    files = {
        ".railway/railway.py": press.text("railway.py.j2", **shared, program=program(graph(profile), "python")),
        ".railway/railway.ts": press.text("railway.ts.j2", **shared, program=program(graph(profile), "typescript")),
        "railway.toml": press.text(
            "railway.toml.j2", **shared, title="what all services have in common", deploy=_common(profile)
        ),
        "compose.yaml": press.text("compose.yaml.j2", **shared, compose=compose(profile)),
        "RUNBOOK.md": press.text("RUNBOOK.md.j2", **shared, **runbook(profile)),
        "process-map.svg": process_map_svg(profile, press),
        "process-map.mmd": process_map_mermaid(profile, press),
    }
    for service in profile.services.values():
        if service.role != "database":
            _add(files, _service_files(press, shared, service))
    for path, text in files.items():
        _check_format(path, text)
    return files


def process_map_svg(profile: Profile, press: Press | None = None) -> str:
    """The process map as SVG."""
    values = {"profile": profile, "header": header(profile), "drawing": drawing(profile)}
    return (press or Press()).text("process-map.svg.j2", **values)


def process_map_mermaid(profile: Profile, press: Press | None = None) -> str:
    """The process map as a Mermaid flow chart."""
    values = {"header": header(profile), "boxes": boxes(profile), "databases": databases(profile)}
    return (press or Press()).text("process-map.mmd.j2", **values)


def fill(template: str, **values: Any) -> str:
    """The text of one bundled template. Raises ConfigurationError (DK006) for a name it does not know."""
    return Press().text(template, **values)


class Press:
    """The templates with their filters."""

    def __init__(self, overrides: Path | None = None) -> None:
        self._environment = _environment(overrides)

    def text(self, template: str, **values: Any) -> str:
        """One filled template with its header stamped. Raises ConfigurationError (DK006)."""
        try:
            return stamp(self._environment.get_template(template).render(values))
        except jinja2.TemplateSyntaxError as error:
            where = f"{error.name or template}:{error.lineno}"
            raise ConfigurationError(f"DK006 the template does not parse: {error.message}", where=where) from None
        except jinja2.TemplateNotFound as error:
            raise ConfigurationError(f"DK006 no template {str(error)!r}", hint="install deploykit again") from None
        except jinja2.UndefinedError as error:
            message = error.message or "a name is undefined"
            raise ConfigurationError(
                f"DK006 {message}", where=_template_place(error, template), hint=_suggestion(message, values)
            ) from None
        except jinja2.TemplateError as error:
            raise ConfigurationError(f"DK006 {error.message}", where=template) from None


_FILTERS: dict[str, Callable[..., Any]] = {
    "python": literals.python,
    "typescript": literals.typescript,
    "toml": literals.toml,
    "yaml": literals.yaml,
    "env": literals.env,
    "comment": literals.comment,
    "xml": literals.xml,
    "markdown": literals.markdown,
    "code": literals.code,
    "cell": literals.cell,
    "fenced": literals.fenced,
    "shell": literals.shell,
    "mermaid": literals.mermaid,
    "python_call": python_call,
    "typescript_call": typescript_call,
}


@cache
def _environment(overrides: Path | None) -> jinja2.Environment:
    folders = [str(folder) for folder in (overrides, templates()) if folder is not None]
    environment = ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_FILTERS)
    return environment


def _service_files(press: Press, shared: Mapping[str, Any], service: Service) -> dict[str, str]:
    plain = {name: value for name, value in service.env.items() if isinstance(value, str)}
    secrets = [name for name, value in service.env.items() if isinstance(value, Secret)]
    settings = {name: value for name, value in deploy(service).items() if name not in _NOT_IN_FILES}
    return {
        f"{service.name}/railway.toml": press.text(
            "railway.toml.j2", **shared, title=f"service {service.name}", deploy=settings
        ),
        f"{service.name}/variables.env": press.text(
            "variables.env.j2", **shared, service=service, literals=plain, secrets=secrets
        ),
    }


def _common(profile: Profile) -> dict[str, Any]:
    """The deploy settings that all services share.

    Railway reads a railway.toml at the top of a repository for every service that is built from it: a start command
    in it would make the daemon a second web server.
    """
    apps = [deploy(service) for service in profile.services.values() if service.role != "database"]
    if not apps:
        return {}
    per_service = ("startCommand", "preDeployCommand", "cronSchedule", *_NOT_IN_FILES)
    return {
        name: value
        for name, value in apps[0].items()
        if name not in per_service and all(other.get(name) == value for other in apps)
    }


def _add(files: dict[str, str], more: Mapping[str, str]) -> None:
    # Some file systems take Web and web, or a folder and a file of one name, for the same.
    taken = {path.split("/")[0].casefold() for path in files}
    folder = next(iter(more)).split("/")[0]
    if folder.casefold() in taken:
        raise ConfigurationError(
            f"service {folder!r} needs a folder of its name, and another artefact already has that name",
            hint="give the service another name",
        )
    files.update(more)


def _check_texts(profile: Profile) -> None:
    for trail, text in _texts(profile.model_dump(mode="python"), ()):
        if _NO_FILE_HOLDS.search(text):
            raise ConfigurationError(
                f"DK006 {'.'.join(trail)} holds a character that neither a file nor a variable can hold",
                hint="remove the NUL byte or lone surrogate",
            )


def _texts(value: Any, trail: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        return [(trail, value)]
    if isinstance(value, Mapping):
        return [
            found
            for key, item in value.items()
            for found in [((*trail, "a key"), key), *_texts(item, (*trail, ascii(key)[1:-1]))]
        ]
    if isinstance(value, list | tuple):
        return [found for index, item in enumerate(value) for found in _texts(item, (*trail, str(index)))]
    return []


def _check_format(path: str, text: str) -> None:
    """Raise ConfigurationError (DK006) when ``text`` is not what the name of its file promises."""
    reader = _READERS.get(path.rpartition(".")[2])
    if reader is None:
        return
    try:
        reader(text)
    except (ValueError, SyntaxError, pyyaml.YAMLError, ElementTree.ParseError) as error:
        raise ConfigurationError(
            f"DK006 the rendered text is not valid: {str(error).splitlines()[0]}",
            where=path,
            hint="correct the template that was changed",
        ) from None


_READERS: dict[str, Callable[[str], Any]] = {
    "py": ast.parse,
    "toml": tomllib.loads,
    "yaml": pyyaml.safe_load,
    "svg": ElementTree.fromstring,
}


def _template_place(error: BaseException, template: str) -> str:
    trace, place = error.__traceback__, template
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.endswith(".j2"):
            place = f"{Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _suggestion(message: str, values: Mapping[str, Any]) -> str:
    missing = re.findall(r"'([A-Za-z_]\w*)'", message)
    known = {*values, *Profile.model_fields, *Service.model_fields}
    near = difflib.get_close_matches(missing[-1], sorted(known), n=1) if missing else []
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(values))}"
