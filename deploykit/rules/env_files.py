"""DK4: .env files. What loaders read differently, and what disagrees with its neighbours."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Edit, Place, Severity
from deploykit.rules._known import FLAGS, INTERVALS
from deploykit.rules._rule import Report, files, profile, rule
from deploykit.rules._subjects import EnvFile, Repository, fix, related
from deploykit.sources import secrets
from deploykit.sources.pattern import pattern
from deploykit.sources.text import edit


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
        if each.key != each.key.upper() and not _SMALL_ON_PURPOSE.match(each.key):
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
                if variable.name in there.variables.items or variable.name in _commented(there):
                    continue
                yield Report(
                    Place(there.text.path),
                    f"{variable.name} is in {_base(here)} and not in {_base(there)}",
                    f"add `{variable.name}=` to {_base(there)}",
                    variable=variable.name,
                    related=related((variable.key, "it stands here")),
                    fix=fix(f"add {variable.name}", [_appended(there, f"{variable.name}=")]),
                )


_SMALL_ON_PURPOSE = pattern(
    r"(?:https?|all|no|ftp)_proxy\Z|npm_config_|npm_package_|\w+__\w|[a-z]\w*[.]\w", re.IGNORECASE
)
"""Names that their readers want in small letters: proxies, npm's settings, nested settings of .NET and Spring."""
_COMMENTED = pattern(r"^[ \t]*#[ \t]*([A-Za-z_][A-Za-z0-9_]*)=", re.MULTILINE)


def _commented(file: EnvFile) -> frozenset[str]:
    """Variables that stand in comments: the file knows them and leaves them to their default."""
    return frozenset(_COMMENTED.findall(file.text.text))


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
        services = [
            service
            for system in repository.systems
            if _same_stage(variables.stage, system.environment) and (service := system.service(variables.name))
        ]
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


def _same_stage(stage: str | None, environment: str) -> bool:
    """Whether a file that names a stage speaks of this environment; one that names none speaks of all."""
    words = {"prod": "production", "live": "production", "stage": "staging"}
    return stage is None or words.get(stage, stage) == words.get(environment.lower(), environment.lower())


def _same(first: str, second: str) -> bool:
    return first.strip() == second.strip()
