"""DK6: start commands, package scripts, Dockerfiles, Procfiles and the source they lead to."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from deploykit.findings import Edit, Place, Severity
from deploykit.rules import _commands, _known
from deploykit.rules._behind import started_behind
from deploykit.rules._known import DAEMON_FLAG, WORKER_FLAG
from deploykit.rules._rule import Example, Report, files, profile, rule
from deploykit.rules._subjects import (
    CONFIG,
    IAC,
    PROCESS,
    PROFILE,
    Repository,
    Script,
    Service,
    System,
    fix,
    related,
)
from deploykit.sources import source
from deploykit.sources.pattern import pattern
from deploykit.sources.text import edit

_PACKAGE = (
    '{"scripts": {"build": "tsc", "daemon:schedules": "node dist/scheduleDaemon.js", "start": "node dist/index.js"}}\n'
)


def _with_package(*changes: tuple[str, str], scripts: str = _PACKAGE) -> Example:
    example = profile(*changes)
    return Example((*example.files, ("backend/package.json", scripts)), example.shown)


def _starts(service: Service) -> bool:
    return service.start is not None and service.system.kind in (PROFILE, IAC, CONFIG, PROCESS)


def _meaning(service: Service) -> _commands.Meaning | None:
    return _commands.meaning(service.start, _commands.root_of(service), service.system.around)


@rule(
    "DK601",
    Severity.ERROR,
    of=Service,
    title="the start command contradicts the role or its flags",
    good=[profile(), profile(("node backend/dist/scheduleDaemon.js", "cd backend && pnpm daemon:schedules"))],
    bad=[
        profile(("web-server|node backend/dist/index.js", "«pnpm daemon:schedules»")),
        profile(("schedule-daemon|node backend/dist/scheduleDaemon.js", "«node backend/dist/index.js»")),
    ],
)
def contradicting_command(service: Service) -> Iterator[Report]:
    """The flag says no daemon and the command starts one, or the daemon's service starts the web server: what runs is
    not what the profile says.
    """
    if service.system.kind not in (PROFILE, IAC) or not service.start or not service.is_app or service.setting("cron"):
        return
    meaning = _meaning(service)
    said = _contradiction(service, meaning)
    if said is None or _is_copy(service):
        return
    if service.role == "web" and started_behind(service.start or "", _commands.root_of(service), service):
        return  # DK112 says what hides behind the web server
    flag = service.env.get(DAEMON_FLAG if service.role != "worker" else WORKER_FLAG)
    yield Report(
        service.settings["start"].value.place,
        f"`{service.name}` {said}",
        "start the process that the role and the flags speak of",
        service=service.name,
        related=related((flag.place, "the flag")) if flag else (),
    )


_ROLES = {"web": "web server", "daemon": "schedule daemon", "worker": "job worker"}


def _contradiction(service: Service, meaning: _commands.Meaning | None) -> str | None:
    rivals = [s for s in service.system.services if s is not service and s.role == "web" and service.role != "web"]
    twin = next(
        (s for s in rivals if s.start and _commands.normal(s.start) == _commands.normal(service.start or "")), None
    )
    if twin and all(service.text(key) == twin.text(key) for key in ("source.repo", "source.image", "source.root")):
        return f"is a {_ROLES[service.role]} and starts the web server's command, the one of `{twin.name}`"
    if meaning is None or meaning.role == service.role:
        if meaning and meaning.role == "daemon" and service.flag(DAEMON_FLAG) is False:
            return f"starts the schedule daemon although {DAEMON_FLAG} is false"
        return None
    if meaning.role == "daemon":
        flag = service.flag(DAEMON_FLAG)
        although = f" although {DAEMON_FLAG} is false" if flag is False else ""
        return f"is a {_ROLES[service.role]} and starts the schedule daemon{although}"
    if meaning.role == "worker":
        return f"is a {_ROLES[service.role]} and starts a job worker"
    return f"is a {_ROLES[service.role]} and starts a web server" if meaning.sure else None


def _is_copy(service: Service) -> bool:
    """Whether DK110 already says that this is a forgotten copy of the daemon."""
    keeper = next((s for s in service.system.daemons if s.role == "daemon"), None)
    return bool(
        keeper
        and keeper is not service
        and service.role != "web"
        and keeper.start
        and _commands.normal(keeper.start) == _commands.normal(service.start or "")
    )


_PLAIN_CALL = ("node", "python", "python3")


@rule(
    "DK602",
    Severity.WARNING,
    of=Service,
    title="a package manager stands between Railway and the process",
    fix="safe",
    good=[
        profile(("node backend/dist/scheduleDaemon.js", "cd backend && pnpm daemon:schedules")),
        _with_package(("node backend/dist/scheduleDaemon.js", "cd backend && exec node dist/scheduleDaemon.js")),
    ],
    bad=[
        _with_package(("node backend/dist/scheduleDaemon.js", "«cd backend && pnpm daemon:schedules»")),
    ],
)
def swallowed_signal(service: Service) -> Iterator[Report]:
    """npm, pnpm and yarn do not pass SIGTERM on: the daemon never lets go of its lease, the worker never hands back its
    job, and both are killed when the draining time is over.
    """
    if not _starts(service) or service.role not in ("daemon", "worker"):
        return
    start = service.start or ""
    calls = _commands.calls(start, _commands.root_of(service), service.system.around)
    if len(calls) != 1 or calls[0].script is None:
        return
    call, script = calls[0], calls[0].script
    if not _plain_call(script):
        return
    rewritten = _rewritten(service, call, script)
    usable = rewritten and service.system.kind == PROFILE
    yield Report(
        service.settings["start"].value.place,
        f"`{service.name}` starts through {call.part.program}, which does not pass SIGTERM on",
        f"write `{rewritten}`" if rewritten else f"start `{script.command}` itself, with exec",
        service=service.name,
        related=related((script.place, f"the script `{script.name}`")),
        fix=fix("start the process itself", service.replace("start", rewritten)) if usable and rewritten else None,
    )


def _plain_call(script: Script) -> bool:
    """Whether a script does nothing but call node or python."""
    inner = _commands.parts(script.command)
    return len(inner) == 1 and inner[0].program in _PLAIN_CALL and not re.search(r"[$`\"'\\<>]", script.command)


_ALONE = pattern(r"(?:.*(?:&&|;))?\s*(?:[A-Za-z_]\w*=\S*\s+)*(?:exec\s+)?\Z", re.DOTALL)
"""What may stand before a command that a shell then replaces itself by; `tini --` and `cross-env` know no exec."""


def _rewritten(service: Service, call: _commands.Call, script: Script) -> str | None:
    """The start command with its package manager replaced by what the script calls; None when that would say something
    else, as it would with arguments that are passed on to the script.
    """
    start = service.start or ""
    head, found, tail = start.rpartition(" ".join(call.part.words))
    if not found or tail.strip() or re.match(r"\w+=", script.command) or call.part.words[-1] != call.name:
        return None
    words = _commands.parts(script.command)[0].words
    inside = _commands.option_value(call.part, _commands.FOLDER_OPTIONS)
    before = re.sub(r"\bexec\s+\Z", "", head)
    shell = bool(_ALONE.match(head)) and not _exec_form(service)
    if inside is not None:
        if not shell or re.search(r"=\S*\s*\Z", before):
            return None
        before += f"cd {inside} && "
    rewritten = f"{before}{'exec ' if shell else ''}{' '.join(words)}"
    return None if re.search(r"[\"'\\#]", rewritten) else rewritten


_SHELL = pattern(
    r"&&|\|\||[;|<>`]|\$[A-Za-z_{(]|^\s*(?:cd|exec|export|source)\s|(?:^|\s)&(?:\s|\Z)|^[A-Za-z_]\w*=\S*\s"
)
_THROUGH_SHELL = pattern(
    r"\s*(?:(?:exec|tini|dumb-init|/usr/bin/env|env|\S*/tini|\S*/dumb-init|--|-[gsv])\s+)*"
    r"(?:/bin/|/usr/bin/)?(?:ba|da|a|z)?sh\s+(?:-\S+\s+|pipefail\s+)*?-\w*c\b"
)
_QUOTED = pattern(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")


def _shell_syntax(start: str) -> str | None:
    """What only a shell understands. Quotes keep all of it for the program, but for a variable in double quotes."""

    def kept(match: re.Match[str]) -> str:
        quoted = match.group()
        return " ".join(re.findall(r"\$[A-Za-z_{]\w*", quoted)) if quoted[0] == '"' else ""

    found = _SHELL.search(_QUOTED.sub(kept, start))
    return found.group().strip() if found else None


def _with_exec(command: str) -> str:
    """A command that takes the shell's place, its variables still in front."""
    assigned, _, rest = re.fullmatch(r"\s*((?:[A-Za-z_]\w*=\S*\s+)*)(exec\s+)?(.*)", command, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{assigned}exec {rest}".strip()


def _exec_form(service: Service) -> str | None:
    """Why Railway runs the start command without a shell; None when it has one."""
    if service.from_image:
        return "an image"
    builder = service.text("builder")
    if (builder and builder.upper() == "DOCKERFILE") or service.setting("dockerfile"):
        return "a Dockerfile"
    listing = service.system.around.listing
    root = _commands.root_of(service)
    if service.system.kind == CONFIG:
        root = posixpath.dirname(service.system.path)
    if builder is None and service.system.kind != IAC and posixpath.join(root, "Dockerfile") in listing:
        return "a Dockerfile"
    return None


@rule(
    "DK603",
    Severity.ERROR,
    of=Service,
    title="shell syntax where there is no shell",
    fix="safe",
    good=[
        profile(),
        profile(
            ("schedule-daemon|source: {repo: acme/app}", "source: {image: acme/app:1}"),
            ("node backend/dist/scheduleDaemon.js", '/bin/sh -c "cd backend && exec node dist/scheduleDaemon.js"'),
        ),
    ],
    bad=[
        profile(
            ("schedule-daemon|source: {repo: acme/app}", "source: {image: acme/app:1}"),
            ("node backend/dist/scheduleDaemon.js", "«cd backend && node dist/scheduleDaemon.js»"),
        )
    ],
)
def shell_without_a_shell(service: Service) -> Iterator[Report]:
    """In a Dockerfile or image service Railway runs the start command in exec form: `cd`, `&&` and `$PORT` are passed
    on as words, and the container does not start (Railway docs: start command).
    """
    start = service.start
    if start is None or service.system.kind == PROCESS or _THROUGH_SHELL.match(start):
        return
    found = _shell_syntax(start)
    origin = _exec_form(service) if found else None
    if origin is None:
        return
    head, joint, last = start.rpartition("&&")
    wrapped = f"{head}{joint} {_with_exec(last)}".strip() if joint else _with_exec(start)
    usable = not re.search(r"[\"'\\`#]|\|\||[;|]|(?<!&)&(?!&)", start)
    edits: tuple[Edit, ...] = ()
    if usable and service.system.kind == PROFILE and service.owns(service.settings["start"].key.place):
        edits = (edit(service.settings["start"].value.place, f"'/bin/sh -c \"{wrapped}\"'"),)
    yield Report(
        service.settings["start"].value.place,
        f"`{service.name}` starts from {origin}, without a shell: {found!r} means nothing there",
        f'write /bin/sh -c "{wrapped}"' if usable else 'wrap it: /bin/sh -c "exec …"',
        service=service.name,
        fix=fix("run it in a shell", edits),
    )


@rule(
    "DK604",
    Severity.ERROR,
    of=Service,
    title="the start command names a script that does not exist",
    fix="safe",
    good=[_with_package(("node backend/dist/scheduleDaemon.js", "cd backend && npm run daemon:schedules"))],
    bad=[_with_package(("node backend/dist/scheduleDaemon.js", "cd backend && pnpm «daemon:schedule»"))],
)
def missing_script(service: Service) -> Iterator[Report]:
    """The build succeeds, the start fails, and it is found out on Railway."""
    start = service.start
    if start is None or not _starts(service):
        return
    around = service.system.around
    root = _commands.root_of(service)
    if service.system.kind == CONFIG:
        root = posixpath.dirname(service.system.path)
    for call in _commands.calls(start, root, around):
        optional = "--if-present" in call.part.words
        if call.script or optional or not (call.explicit or ":" in call.name):
            continue
        if "$" in call.name or (call.name == "start" and posixpath.join(call.folder, "server.js") in around.listing):
            continue
        known = sorted(around.scripts.get(call.folder, {}))
        close = _known.near(call.name, known)
        where = posixpath.join(call.folder, "package.json")
        yield Report(
            _word(service, call.name),
            f"`{service.name}` starts the script `{call.name}`, which {where} does not have",
            f"did you mean `{close[0]}`?" if close else f"it has: {', '.join(known[:8]) or 'no scripts'}",
            service=service.name,
            fix=fix(f"write {close[0]}", _named_right(service, call, close[0])) if len(close) == 1 else None,
        )
    yield from _missing_files(service, start, root)


def _named_right(service: Service, call: _commands.Call, name: str) -> tuple[Edit, ...]:
    """The script's right name; in a daemon or worker what it calls, since DK602 would ask for that next."""
    script = service.system.around.script(call.folder, name)
    if service.role in ("daemon", "worker") and script and _plain_call(script):
        rewritten = _rewritten(service, call, script)
        return service.replace("start", rewritten) if rewritten and service.system.kind == PROFILE else ()
    return _respelt(service, call.name, name)


_BUILT = pattern(r"(?:^|/)(?:dist|build|out|output|\.next|\.nuxt|\.output|lib|target|bin|public)/")


def _missing_files(service: Service, start: str, root: str) -> Iterator[Report]:
    around = service.system.around
    found = _commands.parts(start)
    for index, part in enumerate(found):
        if part.program not in ("node", "python", "python3", "tsx", "ts-node", "bun", "deno"):
            continue
        where = _commands.folder(root, found, index)
        target = _commands.target(part)
        if where is None or target is None or "$" in target or target.startswith("/") or "-m" in part.words:
            continue
        if not target.endswith((".js", ".mjs", ".cjs", ".ts", ".mts", ".py")) or _BUILT.search(target):
            continue
        path = posixpath.normpath(posixpath.join(where, target))
        folder = posixpath.dirname(path)
        siblings = [p for p in around.listing if posixpath.dirname(p) == folder and p.endswith(path.rsplit(".", 1)[-1])]
        built = path.endswith(("js",)) and any(p.rsplit(".", 1)[0] == path.rsplit(".", 1)[0] for p in around.listing)
        if path in around.listing or not siblings or built:
            continue
        close = _known.near(path, sorted(siblings))
        yield Report(
            _word(service, target),
            f"`{service.name}` starts {path}, which does not exist",
            f"did you mean {close[0]}?" if close else "correct the path",
            service=service.name,
        )


def _word(service: Service, word: str) -> Place:
    """The place of a word inside the start command; the whole command when escapes make that unknowable."""
    entry = service.settings["start"]
    text, place = service.start or "", entry.value.place
    style = getattr(entry.value, "style", "")
    quotes = 1 if style in ("'", '"', "`") else 0
    at = text.find(word)
    if at < 0 or place.line != place.end_line or place.end_column - place.column != len(text) + 2 * quotes:
        return place
    column = place.column + quotes + at
    return Place(place.path, place.line, column, place.line, column + len(word))


def _respelt(service: Service, wrong: str, right: str) -> tuple[Edit, ...]:
    place = _word(service, wrong)
    entry = service.settings["start"]
    if place == entry.value.place or (service.system.kind == PROFILE and not service.owns(entry.key.place)):
        return ()
    return (edit(place, right),)


@rule(
    "DK605",
    Severity.WARNING,
    of=Repository,
    title="a Procfile process that no service runs, or several `web:`",
    good=[
        Example(
            (*profile().files, ("Procfile", "web: node backend/dist/index.js\nrelease: npx prisma migrate deploy\n"))
        ),
    ],
    bad=[
        Example((*profile().files, ("Procfile", "web: node backend/dist/index.js\n«mailer»: node dist/mailer.js\n"))),
        files({"Procfile": "web: node a.js\n«web»: node b.js\n"}),
    ],
)
def forgotten_process(repository: Repository) -> Iterator[Report]:
    """Railway runs only `web:` of a Procfile, and only the last one: every other process type needs a service of its
    own, or nobody runs it.
    """
    services = [service for system in (*repository.systems, *repository.iac) for service in system.services]
    commands = {_commands.normal(service.start) for service in services if service.start}
    roles = {service.role for service in services} | {service.name for service in services}
    for path, procfile in repository.procfiles:
        seen: dict[str, Place] = {}
        for process in procfile.processes:
            if process.name in seen:
                yield Report(
                    process.name_place,
                    f"`{process.name}:` is given twice; only the last one runs",
                    "delete one of the two",
                    related=related((seen[process.name], "first given here")),
                )
                continue
            seen[process.name] = process.name_place
            meaning = _commands.meaning(process.command, posixpath.dirname(path), repository.around)
            known = process.name in roles or (meaning and meaning.sure and meaning.role in roles)
            if not services or process.name in ("web", "release") or known:
                continue
            if _commands.normal(process.command) in commands:
                continue
            yield Report(
                process.name_place,
                f"no service runs the process `{process.name}`",
                "give it a service in the profile, or delete it",
            )


@rule(
    "DK606",
    Severity.ERROR,
    of=System,
    title="a service without a command of its own would run another's",
    good=[profile()],
    bad=[
        profile(
            ("  schedule-daemon:", "  «schedule-daemon»:"),
            ("schedule-daemon|    start: node backend/dist/scheduleDaemon.js\n", ""),
        ),
        files({"cron/railway.toml": '[deploy]\n«cronSchedule» = "0 3 * * *"\n'}),
    ],
)
def borrowed_command(system: System) -> Iterator[Report]:
    """Railway then starts whatever the repository starts by default: usually the web server, a ghost of it in the place
    of the daemon or the cron job.
    """
    for service in system.services:
        if service.setting("start") or service.from_image or service.role in ("web", "database"):
            continue
        if system.kind == CONFIG:
            cron = service.setting("cron")
            if cron:
                yield Report(
                    cron.key.place,
                    "a cron service without a start command runs the repository's default, usually the web server",
                    "write its startCommand",
                    service=service.name,
                )
            continue
        if not service.setting("source.repo"):
            continue
        origin = (service.text("source.repo"), service.text("source.root"))
        rivals = [
            s
            for s in system.services
            if s is not service and s.start and (s.text("source.repo"), s.text("source.root")) == origin
        ]
        if not rivals:
            continue
        yield Report(
            service.key,
            f"`{service.name}` has no start command: it would run the same process as `{rivals[0].name}`",
            "write its start command",
            service=service.name,
            related=related((rivals[0].key, f"`{rivals[0].name}` has the same source")),
        )


_STOCK = pattern(r"(?:^|[\s/])(?:ng|vue-cli-service)\s+serve\b|\breact-scripts\s+start\b")
"""What a new single-page application has as its start script; it is built and served as files."""
_DEV = (
    (pattern(r"(?:^|[\s/])(?:tsx|ts-node)\s+(?:watch|--watch)\b"), "watches files"),
    (pattern(r"(?:^|[\s/])(?:nodemon|ts-node-dev|tsnd|node-dev|supervisor)(?=\s|\Z)"), "watches files"),
    (pattern(r"(?:^|[\s/])ts-node\b"), "compiles at every start"),
    (pattern(r"\bnode\s+(?:-\S+\s+)*--watch\b|\bbun\s+(?:run\s+)?--(?:watch|hot)\b"), "watches files"),
    (pattern(r"(?:^|[\s/])(?:watchmedo\s+auto-restart|watchexec|watchfiles|cargo\s+watch)\b"), "watches files"),
    (
        pattern(
            r"\b(?:next|nuxt|astro|remix|vite|nest|wrangler)\s+dev\b|\bnest\s+start\s+--watch\b|"
            r"\bgatsby\s+develop\b"
        ),
        "is a development server",
    ),
    (_STOCK, "is a development server"),
    (pattern(r"(?:^|[\s/])vite\s*(?:$|--)|\bwebpack-dev-server\b|\bwebpack\s+serve\b"), "is a development server"),
    (pattern(r"\b(?:uvicorn|gunicorn|hypercorn|fastapi)\b.*\s--reload\b|\bfastapi\s+dev\b"), "watches files"),
    (
        pattern(r"\bflask\s+(?:--\S+\s+)*run\b|\bmanage\.py\s+runserver\b|\bartisan\s+serve\b"),
        "is a development server",
    ),
)


def _dev_tool(command: str) -> tuple[str, str] | None:
    for tool, what in _DEV:
        match = tool.search(command)
        if match:
            return match.group().strip(), what
    return None


@rule(
    "DK607",
    Severity.WARNING,
    of=Service,
    title="a development tool in production",
    good=[profile()],
    bad=[
        profile(("node backend/dist/index.js", "«npx nodemon src/index.ts»")),
        _with_package(
            ("node backend/dist/scheduleDaemon.js", "«cd backend && npm run daemon»"),
            scripts='{"scripts": {"daemon": "tsx watch src/scheduleDaemon.ts"}}\n',
        ),
    ],
)
def development_tool(service: Service) -> Iterator[Report]:
    """It watches files that never change, keeps the compiler in memory, and swallows SIGTERM."""
    start = service.start
    if start is None or not _starts(service) or service.role == "database":
        return
    at = service.settings["start"].value.place
    found = _dev_tool(start)
    scripts: list[Script] = []
    if found is None:
        for call in _commands.calls(start, _commands.root_of(service), service.system.around):
            if call.script and (inner := _dev_tool(call.script.command)):
                found, scripts = inner, [call.script]
                break
    if found is None or (service.system.kind == PROCESS and _STOCK.search(start)):
        return
    yield Report(
        at,
        f"`{service.name}` starts `{found[0]}`, which {found[1]}",
        "build first, and start the result: node dist/…",
        service=service.name,
        related=related(*((script.place, f"the script `{script.name}`") for script in scripts)),
    )


@rule(
    "DK608",
    Severity.WARNING,
    of=Repository,
    title="a Dockerfile whose process gets no signals, or cannot write to its volume",
    fix="unsafe",
    good=[
        files({"Dockerfile": 'FROM node:22\nCMD ["node", "dist/index.js"]\n'}),
        files({"Dockerfile": "FROM node:22\nCMD exec node dist/index.js\n"}),
    ],
    bad=[files({"Dockerfile": "FROM node:22\nCMD «npm start»\n"})],
)
def deaf_container(repository: Repository) -> Iterator[Report]:
    """In the shell form `/bin/sh` is process 1 and does not pass SIGTERM on. And a volume belongs to root: with `USER`
    the process cannot write to it unless `RAILWAY_RUN_UID` is 0 (Railway docs: volumes).
    """
    services = [service for system in (*repository.systems, *repository.iac) for service in system.services]
    for each in repository.dockerfiles:
        entrypoint, command = each.effective("ENTRYPOINT"), each.effective("CMD")
        for instruction in (entrypoint, command):
            if instruction is None or not instruction.arguments or instruction.exec_form is not None:
                continue
            if instruction.arguments.startswith("[") or (
                instruction is command and entrypoint and entrypoint.exec_form
            ):
                continue
            if re.search(r"(?:^|&&|;)\s*exec\s[^;&|]*\Z", instruction.arguments):
                continue  # the shell makes way for what it starts last
            simple = re.fullmatch(r"[A-Za-z0-9_./:@=\- ]+", instruction.arguments) and not re.match(
                r"\w+=", instruction.arguments
            )
            form = _listed(instruction.arguments)
            yield Report(
                instruction.arguments_place,
                f"{instruction.word} in shell form: /bin/sh is process 1 and does not pass SIGTERM on",
                f"write {instruction.word} {form}"
                if simple
                else "use the exec form, or let the last command begin with exec",
                fix=fix("use the exec form", [edit(instruction.arguments_place, form)], safe=False) if simple else None,
            )
        user = each.effective("USER")
        folder = posixpath.dirname(each.text.path)
        if user is None or user.arguments.split(":")[0] in ("root", "0", ""):
            continue
        for service in services:
            volume = service.setting("volume")
            here = not service.from_image and _commands.root_of(service) == folder
            if volume and here and "RAILWAY_RUN_UID" not in service.env:
                yield Report(
                    user.arguments_place,
                    f"the image runs as {user.arguments}, and `{service.name}` has a volume, which belongs to root",
                    "set RAILWAY_RUN_UID to 0 in the service",
                    service=service.name,
                    related=related((volume.key.place, "the volume")),
                )


def _listed(command: str) -> str:
    """A plain command as the JSON list that Docker starts without a shell."""
    import json

    return json.dumps(command.split())


_MIGRATION = pattern(
    r"\bprisma\s+(?:migrate\s+(?:deploy|dev)|db\s+push)\b|\b(?:knex|typeorm|sequelize|sequelize-cli|drizzle-kit|"
    r"db-migrate|node-pg-migrate|umzug|mikro-orm|flyway|goose|dbmate|sqlx)\b.*\b(?:migrat\w*|push|up|latest)\b|"
    r"\balembic\s+upgrade\b|\bmanage\.py\s+migrate\b|\bdb:(?:migrate|push)\b|\bmigrate:(?:deploy|latest|up|run|prod)\b|"
    r"\bmigration:run\b|\bdb:prepare\b|\bartisan\s+migrate\b|\bRelease\.migrate\b|\becto\.migrate\b|"
    r"\baerich\s+upgrade\b|\batlas\s+migrate\s+apply\b|\bflask\s+db\s+upgrade\b|\bpython3?\s+-m\s+runtime\s+migrate\b|\b(?:npm|pnpm|yarn)\s+(?:run\s+)?migrate\b"
)


@rule(
    "DK609",
    Severity.ERROR,
    of=System,
    title="several services migrate the database when they start",
    good=[
        profile(("web-server|healthcheck: /health", "healthcheck: /health\n    pre_deploy: npx prisma migrate deploy"))
    ],
    bad=[
        profile(
            ("node backend/dist/index.js", "npx prisma migrate deploy && node backend/dist/index.js"),
            (
                "node backend/dist/scheduleDaemon.js",
                "«npx prisma migrate deploy && node backend/dist/scheduleDaemon.js»",
            ),
        )
    ],
)
def racing_migrations(system: System) -> Iterator[Report]:
    """They race: both see the old schema and change it at once, and a crashing one changes it again at every restart.
    Migrate in the `pre_deploy` of one service.
    """
    if system.kind not in (PROFILE, IAC):
        return
    migrating = []
    for service in system.services:
        if service.start is None:
            continue
        unfolded = _commands.unfolded(service.start, _commands.root_of(service), system.around)
        if _MIGRATION.search(service.start) or any(_MIGRATION.search(" ".join(part.words)) for part in unfolded):
            migrating.append(service)
    for service in migrating[1:]:
        yield Report(
            service.settings["start"].value.place,
            f"`{service.name}` migrates the database when it starts, and so does `{migrating[0].name}`: they race",
            "migrate in `pre_deploy` of one service only",
            service=service.name,
            related=related(
                *((other.settings["start"].value.place, "migrates too") for other in migrating if other is not service)
            ),
        )


_EFFECTIVE = frozenset({*_known.FLAGS, *_known.INTERVALS, "JOB_WORKER_CONCURRENCY"})
"""Not the pool's size: a database client may read that without any word in the source."""


@rule(
    "DK610",
    Severity.WARNING,
    of=Repository,
    title="a variable that the source never reads",
    good=[
        Example(
            (
                *profile(("web-server|source: {repo: acme/app}", "source: {repo: acme/app, root: backend}")).files,
                (
                    "backend/src/worker.ts",
                    "const interval = parseInt(process.env.JOB_WORKER_POLL_INTERVAL_MS || '5000', 10);\n"
                    "if (process.env.EMBEDDED_JOB_WORKER === 'true') start(interval);\n"
                    "const pool = process.env.DATABASE_CONNECTION_LIMIT;\n",
                ),
            )
        )
    ],
    bad=[
        Example(
            (
                *profile(
                    ("web-server|source: {repo: acme/app}", "source: {repo: acme/app, root: backend}"),
                    ("      JOB_WORKER_POLL_INTERVAL_MS: 30000", "      «JOB_WORKER_POLL_INTERVAL_MS»: 30000"),
                ).files,
                (
                    "backend/src/index.ts",
                    "if (process.env.EMBEDDED_JOB_WORKER === 'true') start(process.env.DATABASE_CONNECTION_LIMIT);\n",
                ),
            )
        )
    ],
)
def variable_without_a_reader(repository: Repository) -> Iterator[Report]:
    """The profile says every 30 seconds and the worker polls every 5, because the number stands in its source: a
    variable that nobody reads has no effect.
    """
    for system in (*repository.systems, *repository.iac):
        for service in system.apps:
            texts = _commands.source_of(service)
            if not texts:
                continue
            read = source.words(texts)
            for variable in service.variables:
                if variable.name not in _EFFECTIVE or variable.name in read:
                    continue
                if variable.literal and _known.truth(variable.text) is False and variable.name in _known.FLAGS:
                    continue  # off, and nobody there to switch it on
                root = _commands.root_of(service) or "the source"
                yield Report(
                    variable.key,
                    f"{variable.name} has no effect: nothing in {root} reads it",
                    "read it in the source, or remove it here",
                    service=service.name,
                    variable=variable.name,
                )


@rule(
    "DK611",
    Severity.WARNING,
    of=Repository,
    title="a poll interval that stands in the source",
    good=[
        Example(
            (
                *profile(("web-server|source: {repo: acme/app}", "source: {repo: acme/app, root: backend}")).files,
                (
                    "backend/src/workers/jobWorker.ts",
                    "const POLL_INTERVAL_MS = parseInt(process.env.JOB_WORKER_POLL_INTERVAL_MS || '5000', 10);\n"
                    "setInterval(async () => { await processNextJob(); }, POLL_INTERVAL_MS);\n"
                    "const on = process.env.EMBEDDED_JOB_WORKER === 'true' && process.env.DATABASE_CONNECTION_LIMIT;\n",
                ),
            )
        )
    ],
    bad=[
        Example(
            (
                *profile(("web-server|source: {repo: acme/app}", "source: {repo: acme/app, root: backend}")).files,
                (
                    "backend/src/workers/jobWorker.ts",
                    "const POLL_INTERVAL_MS = «5000»; // 5 seconds\n"
                    "setInterval(async () => { await processNextJob(); }, POLL_INTERVAL_MS);\n"
                    "log(process.env.JOB_WORKER_POLL_INTERVAL_MS);\n"
                    "const on = process.env.EMBEDDED_JOB_WORKER === 'true' && process.env.DATABASE_CONNECTION_LIMIT;\n",
                ),
            )
        )
    ],
)
def hard_coded_interval(repository: Repository) -> Iterator[Report]:
    """No setting can slow it down: an idle system goes on asking the database at the author's pace."""
    for path in sorted(repository.sources):
        for found in source.hard_coded_intervals(path, repository.sources[path]):
            yield Report(
                found.place,
                f"the poll interval {found.shown} stands in the source: no variable changes it",
                f"read it from {found.variable}, with this as the default",
                variable=found.variable,
            )
