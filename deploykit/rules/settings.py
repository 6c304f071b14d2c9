"""DK3: Railway's settings. What its defaults and limits do to a daemon, a worker and a web server."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploykit.findings import Place, Severity
from deploykit.rules import _commands, _cron, _known
from deploykit.rules._rule import Example, Report, files, profile, rule
from deploykit.rules._subjects import CONFIG, IAC, PROFILE, Service, fix, related
from deploykit.sources.pattern import pattern
from deploykit.sources.text import edit
from deploykit.sources.yaml import Scalar

_OVERLAP = "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS"
_DRAINING = "RAILWAY_DEPLOYMENT_DRAINING_SECONDS"
_TIMEOUT = "RAILWAY_HEALTHCHECK_TIMEOUT_SEC"


def _described(service: Service) -> bool:
    """Whether the file describes a service's settings at all."""
    return service.system.kind in (PROFILE, IAC, CONFIG)


def _place(service: Service, name: str) -> Place:
    entry = service.setting(name)
    return entry.value.place if entry else service.key


def _word(service: Service, policy: str) -> str:
    """A restart policy as the service's file spells it."""
    return policy if service.system.kind == PROFILE else policy.upper()


_RAILWAYS = {
    "draining_seconds": "drainingSeconds",
    "overlap_seconds": "overlapSeconds",
    "healthcheck_timeout_seconds": "healthcheckTimeout",
    "sleep": "sleepApplication",
}


def _called(service: Service, setting: str) -> str:
    """A setting by the name that the service's file has for it."""
    entry = service.setting(setting)
    if entry and service.system.kind != PROFILE:
        return entry.key.text
    return setting if service.system.kind == PROFILE else _RAILWAYS[setting]


def _seconds(service: Service, setting: str, variable: str) -> float | None:
    """A number of seconds from the setting or from Railway's own variable for it."""
    number = service.number(setting)
    if number is not None:
        return number
    said = service.env.get(variable)
    return int(said.text) if said and said.literal and said.text.isdigit() and len(said.text) < 9 else None


_CRON = profile(
    (
        "  schedule-daemon:",
        "  nightly:\n    role: other\n    source: {repo: acme/app}\n    start: node dist/nightly.js\n"
        '    cron: "0 3 * * *"\n    restart: {policy: never}\n  schedule-daemon:',
    )
).files[0][1]


def _cron_example(old: str, new: str) -> Example:
    return files({"profiles/example.yaml": _CRON.replace(old, new, 1)})


@rule(
    "DK301",
    Severity.ERROR,
    of=Service,
    title="a cron schedule on a service that never ends",
    fix="unsafe",
    good=[files({"profiles/example.yaml": _CRON})],
    bad=[
        profile(("schedule-daemon|guard: lease", 'guard: lease\n    cron: «"0 * * * *"»')),
        files({"worker/railway.toml": '[deploy]\nstartCommand = "node worker.js"\ncronSchedule = «"0 * * * *"»\n'}),
    ],
)
def cron_on_a_long_runner(service: Service) -> Iterator[Report]:
    """While one run is active Railway skips the next, and a daemon, worker or web server is always active. It also
    stops being restarted: a cron service may end.
    """
    if not service.is_app or not service.setting("cron") or not _described(service):
        return
    yield Report(
        _place(service, "cron"),
        f"`{service.name}` runs until it is stopped, so its cron schedule would never start it again",
        "remove the schedule, or give the periodic work a service of its own with `role: other`",
        service=service.name,
        fix=fix("remove the schedule", service.remove("cron"), safe=False),
    )


@rule(
    "DK302",
    Severity.ERROR,
    of=Service,
    title="a cron service that does not end",
    fix="safe",
    good=[files({"profiles/example.yaml": _CRON})],
    bad=[
        _cron_example("policy: never", "policy: «always»"),
        _cron_example("start: node dist/nightly.js", "start: «node dist/worker.js»"),
    ],
)
def endless_cron(service: Service) -> Iterator[Report]:
    """With `ALWAYS` Railway starts a finished run again at once, for ever; a command that does not exit blocks every
    later run.
    """
    if not service.setting("cron") or service.is_app or not _described(service):
        return
    if service.policy == "always":
        written = _word(service, "never")
        yield Report(
            _place(service, "restart.policy"),
            f"`{service.name}` is a cron service that is restarted whenever it ends",
            f"use the restart policy {written}",
            service=service.name,
            fix=fix(f"write {written}", service.replace("restart.policy", written)),
        )
    meaning = _commands.meaning(service.start, _commands.root_of(service), service.system.around)
    if meaning and _commands.endless(meaning, service.start or ""):
        yield Report(
            _place(service, "start"),
            f"`{service.name}` is a cron service, and its command starts a {meaning.role}, which does not end",
            "start a command that does its work and exits",
            service=service.name,
        )


@rule(
    "DK303",
    Severity.ERROR,
    of=Service,
    title="a cron schedule that Railway refuses",
    fix="safe",
    good=[files({"profiles/example.yaml": _CRON}), _cron_example("0 3 * * *", "*/5 8-18 * * MON-FRI")],
    bad=[
        _cron_example('"0 3 * * *"', '«"*/2 * * * *"»'),
        _cron_example('"0 3 * * *"', '«"0 0 3 * * *"»'),
        _cron_example('"0 3 * * *"', '«"@daily"»'),
    ],
)
def refused_cron(service: Service) -> Iterator[Report]:
    """Five fields, at least five minutes apart (Railway docs: cron jobs)."""
    text = service.text("cron")
    if text is None or not _described(service):
        return
    found = _cron.problem(text)
    if found is None:
        return
    message, cure = found
    nickname = _cron.NICKNAMES.get(text.strip().lower())
    edits = service.replace("cron", nickname) if nickname else ()
    entry = service.setting("cron")
    if edits and entry and isinstance(entry.value, Scalar) and not entry.value.style:
        edits = (edit(entry.value.place, f'"{nickname}"'),)
    yield Report(
        _place(service, "cron"),
        f"the cron schedule {text!r}: {message}",
        cure,
        service=service.name,
        fix=fix(f"write {nickname}", edits),
    )


_LOCAL_TIME = pattern(
    r"\blocal time\b|\b(?:CET|CEST|MEZ|EST|EDT|PST|PDT|CST|CDT|MST|IST|JST|BST|AEST|AEDT)\b|"
    r"\b(?:Europe|America|Asia|Australia|Africa|Pacific)/[A-Z]|"
    r"\b(?:Berlin|London|Paris|Madrid|Amsterdam|Vienna|Zurich|Rome|New York|Chicago|Denver|Los Angeles|Toronto|"
    r"Tokyo|Sydney|Singapore|Mumbai|Delhi|Shanghai|Hong Kong)\b(?!\w)"
)
_UTC = pattern(r"\b(?:UTC|GMT|Zulu)\b", re.IGNORECASE)


@rule(
    "DK304",
    Severity.WARNING,
    of=Service,
    title="a cron schedule meant in local time",
    good=[_cron_example('cron: "0 3 * * *"', 'cron: "0 3 * * *" # 4 am Berlin in winter, 3 am UTC')],
    bad=[_cron_example('cron: "0 3 * * *"', 'cron: «"0 3 * * *"» # 3 am Berlin')],
)
def local_cron(service: Service) -> Iterator[Report]:
    """Railway's cron runs in UTC and knows no daylight saving: `0 8 * * 1` is 9 or 10 o'clock in Berlin. There is no
    fix: which hour is meant changes with the season.
    """
    entry, text = service.setting("cron"), service.system.text
    if entry is None or text is None or not _described(service):
        return
    line = entry.value.place.line
    comments = [_comment(text.line(line)), _comment(text.line(line - 1), alone=True)]
    said = next((each for each in comments if _LOCAL_TIME.search(each) and not _UTC.search(each)), None)
    if said is None:
        return
    zone = _LOCAL_TIME.search(said)
    assert zone
    yield Report(
        entry.value.place,
        f"the comment speaks of {zone.group().strip()} time; Railway runs cron schedules in UTC",
        "convert the hour to UTC, and say UTC in the comment",
        service=service.name,
    )


def _comment(line: str, *, alone: bool = False) -> str:
    stripped = line.strip()
    if alone and not stripped.startswith(("#", "//")):
        return ""
    at = max(line.rfind(" #"), line.rfind(" //"), 0 if stripped.startswith(("#", "//")) else -1)
    return line[at:] if at >= 0 else ""


@rule(
    "DK305",
    Severity.ERROR,
    of=Service,
    title="a poller that is put to sleep",
    fix="safe",
    good=[
        profile(
            ("web-server|EMBEDDED_JOB_WORKER: false", "EMBEDDED_JOB_WORKER: false"),
            ("web-server|healthcheck: /health", "healthcheck: /health\n    sleep: true"),
            worker=True,
        )
    ],
    bad=[
        profile(("schedule-daemon|guard: lease", "guard: lease\n    sleep: «true»")),
        files({"worker/railway.json": '{"deploy": {"startCommand": "node worker.js", "sleepApplication": «true»}}\n'}),
    ],
)
def sleeping_poller(service: Service) -> Iterator[Report]:
    """A sleeping service wakes on inbound traffic only, and nobody calls a daemon or a worker: either its polling keeps
    it awake and nothing is saved, or it sleeps and no job runs.
    """
    polls = service.runs_daemon or service.runs_worker
    if not service.on("sleep") or not polls or not _described(service):
        return
    yield Report(
        _place(service, "sleep"),
        f"`{service.name}` polls the database and may sleep: asleep, nothing wakes it",
        f"remove `{_called(service, 'sleep')}`",
        service=service.name,
        fix=fix("remove the setting", service.remove("sleep")),
    )


@rule(
    "DK306",
    Severity.ERROR,
    of=Service,
    title="a service that is never restarted",
    fix="safe",
    good=[profile()],
    bad=[
        profile(("schedule-daemon|policy: always", "policy: «never»")),
        files({"daemon/railway.toml": '[deploy]\nstartCommand = "node daemon.js"\nrestartPolicyType = «"NEVER"»\n'}),
    ],
)
def never_restarted(service: Service) -> Iterator[Report]:
    """After the first crash it is gone, and the deployment still says SUCCESS: daemons were dead for days like this."""
    if not service.is_app or service.policy != "never" or service.setting("cron") or not _described(service):
        return
    retries = service.number("restart.max_retries")
    edits = service.remove("restart.policy") if retries is None or retries >= 10 else ()
    yield Report(
        _place(service, "restart.policy"),
        f"`{service.name}` is never restarted: after one crash it is gone",
        f"use `{_word(service, 'always')}`, or leave the policy out (on failure, ten times)",
        service=service.name,
        fix=fix("leave the policy to Railway's default", edits),
    )


@rule(
    "DK307",
    Severity.WARNING,
    of=Service,
    title="a daemon that gives up after a few restarts",
    fix="unsafe",
    good=[
        profile(),
        profile(("schedule-daemon|    restart: {policy: always}\n", "")),
        profile(("schedule-daemon|{policy: always}", "{policy: on_failure, max_retries: 50}")),
    ],
    bad=[profile(("schedule-daemon|{policy: always}", "{policy: on_failure, max_retries: «3»}"))],
)
def few_restarts(service: Service) -> Iterator[Report]:
    """When the retries are used up the daemon stays CRASHED until a person looks: a database that is away for a minute
    is enough. `always` needs a paid plan.
    """
    retries = service.number("restart.max_retries")
    if not service.runs_daemon or retries is None or retries >= 10 or service.policy not in (None, "on_failure"):
        return
    written = _word(service, "always")
    edits = service.replace("restart.policy", written)
    entry = service.setting("restart.max_retries")
    if not edits and entry and service.system.kind == PROFILE and service.owns(entry.key.place):
        both = Place(
            entry.key.place.path,
            entry.key.place.line,
            entry.key.place.column,
            entry.value.place.end_line,
            entry.value.place.end_column,
        )
        edits = (edit(both, f"policy: {written}"),)
    yield Report(
        _place(service, "restart.max_retries"),
        f"`{service.name}` runs the schedule daemon and gives up after {retries:g} restarts",
        f"use the policy `{written}`, or 10 retries and more",
        service=service.name,
        fix=fix(f"restart it {written.lower()}", edits, safe=False),
    )


@rule(
    "DK308",
    Severity.WARNING,
    of=Service,
    title="no time to finish a job before SIGKILL",
    fix="safe",
    good=[
        profile(),
        profile(
            ("schedule-daemon|    draining_seconds: 30\n", ""),
            ("schedule-daemon|NODE_ENV", f"{_DRAINING}: 30\n      NODE_ENV"),
        ),
    ],
    bad=[
        profile(("  schedule-daemon:", "  «schedule-daemon»:"), ("schedule-daemon|    draining_seconds: 30\n", "")),
        profile(("web-server|draining_seconds: 30", "draining_seconds: «30»\n    max_job_seconds: 60")),
    ],
)
def no_time_to_finish(service: Service) -> Iterator[Report]:
    """Railway's default is 0: SIGKILL follows SIGTERM at once, in the middle of a job. Give it the longest job and a
    margin.
    """
    if not (service.runs_daemon or service.runs_worker) or service.setting("cron"):
        return
    if not _described(service) or (service.system.kind == IAC and not service.system.speaks_of_jobs):
        return
    number = service.number("draining_seconds")
    if service.setting("draining_seconds") and (number is None or number < 0):
        return  # no number of seconds at all: DK004
    said = _seconds(service, "draining_seconds", _DRAINING)
    longest = service.number("max_job_seconds") or 0
    if said is None and (service.system.kind == CONFIG or _DRAINING in service.env or not _readable(service)):
        return
    if said is not None and said > 0 and said >= longest:
        return
    needed = max(30, int(longest) + 10)
    entry, variable = service.setting("draining_seconds"), service.env.get(_DRAINING)
    at = entry.value.place if entry else variable.place if variable else service.key
    why = f"{said:g} s, and a job may take {longest:g} s" if said else "nothing: SIGKILL follows SIGTERM at once"
    edits = (
        service.replace("draining_seconds", str(needed))
        if entry
        else (() if variable else service.insert("draining_seconds", str(needed)))
    )
    yield Report(
        at,
        f"`{service.name}` has {why}",
        f"set {_called(service, 'draining_seconds')} to {needed}",
        service=service.name,
        variable=None if entry or not variable else _DRAINING,
        fix=fix(f"drain for {needed} s", edits),
    )


def _readable(service: Service) -> bool:
    """Whether a setting that is not seen is really not there."""
    return service.system.kind == PROFILE or service.body is None or service.body.get("...") is None


@rule(
    "DK309",
    Severity.ERROR,
    of=Service,
    title="the daemon's deployments overlap",
    fix="safe",
    good=[profile(("web-server|healthcheck: /health", "healthcheck: /health\n    overlap_seconds: 20"))],
    bad=[
        profile(("schedule-daemon|guard: lease", "guard: lease\n    overlap_seconds: «45»")),
        profile(("schedule-daemon|NODE_ENV", f'{_OVERLAP}: «"45"»\n      NODE_ENV')),
    ],
)
def overlapping_scheduler(service: Service) -> Iterator[Report]:
    """The overlap keeps the old daemon alive beside the new one on purpose: right for a web server, and two schedulers
    here.
    """
    if not service.runs_daemon or not _described(service):
        return
    entry, variable = service.setting("overlap_seconds"), service.env.get(_OVERLAP)
    seconds = service.number("overlap_seconds")
    if entry and seconds:
        yield Report(
            entry.value.place,
            f"`{service.name}` runs the schedule daemon and overlaps its deployments for {seconds:g} s",
            "remove the overlap",
            service=service.name,
            fix=fix("remove the overlap", service.remove("overlap_seconds")),
        )
    if variable and variable.literal and variable.text.isdigit() and int(variable.text[:9]) > 0:
        yield Report(
            variable.place,
            f"`{service.name}` runs the schedule daemon and overlaps its deployments for {variable.text} s",
            "remove the variable",
            service=service.name,
            variable=_OVERLAP,
        )


@rule(
    "DK310",
    Severity.WARNING,
    of=Service,
    title="a setting and Railway's variable for it differ, or an overlap too short to help",
    good=[profile(("web-server|NODE_ENV", f"{_DRAINING}: 30\n      NODE_ENV"))],
    bad=[
        profile(("web-server|NODE_ENV", f"{_DRAINING}: «60»\n      NODE_ENV")),
        profile(("web-server|healthcheck: /health", "healthcheck: /health\n    overlap_seconds: «2»")),
    ],
)
def said_twice(service: Service) -> Iterator[Report]:
    """Railway does not document which of the two wins. And traffic takes some seconds to move to the new deployment:
    an overlap below five ends before that.
    """
    if not _described(service):
        return
    for setting, name in (
        ("overlap_seconds", _OVERLAP),
        ("draining_seconds", _DRAINING),
        ("healthcheck_timeout_seconds", _TIMEOUT),
    ):
        entry, variable = service.setting(setting), service.env.get(name)
        if entry is None or variable is None or not variable.literal:
            continue
        number = service.number(setting)
        if number is not None and variable.text.strip() != f"{number:g}":
            yield Report(
                variable.place,
                f"{name} is {variable.text.strip()[:20]} and {_called(service, setting)} is {number:g}: "
                "nobody knows which one holds",
                "keep the setting and remove the variable",
                service=service.name,
                variable=name,
                related=related((entry.value.place, "the setting")),
            )
    overlap = service.number("overlap_seconds")
    if service.role == "web" and not service.runs_daemon and overlap is not None and 0 < overlap < 5:
        yield Report(
            _place(service, "overlap_seconds"),
            f"`{service.name}` overlaps for {overlap:g} s: shorter than traffic takes to move",
            "overlap for 10 s or more, or not at all",
            service=service.name,
        )


@rule(
    "DK311",
    Severity.ERROR,
    of=Service,
    title="a health check on a service that listens on no port",
    fix="safe",
    good=[
        profile(),
        profile(
            ("schedule-daemon|guard: lease", "guard: lease\n    healthcheck: /health"),
            ("schedule-daemon|NODE_ENV: production", "NODE_ENV: production\n      PORT: 9090"),
        ),
    ],
    bad=[profile(("schedule-daemon|guard: lease", "guard: lease\n    healthcheck: «/health»"))],
)
def unanswered_healthcheck(service: Service) -> Iterator[Report]:
    """Railway asks until the timeout and then fails the deployment, every time. A daemon or worker that does answer
    says so with `PORT`.
    """
    if service.role not in ("daemon", "worker") or not service.setting("healthcheck") or not _described(service):
        return
    ports = ("PORT", "METRICS_PORT", "HEALTH_PORT", "HEALTHCHECK_PORT")
    if any(name in service.env for name in ports) or service.setting("domains") or service.system.kind == CONFIG:
        return
    yield Report(
        _place(service, "healthcheck"),
        f"`{service.name}` is a {service.role} without a port: its health check can never succeed",
        "remove the health check, or set PORT if the process answers",
        service=service.name,
        fix=fix("remove the health check", service.remove("healthcheck")),
    )


@rule(
    "DK312",
    Severity.WARNING,
    of=Service,
    title="a web server without a health check",
    fix="unsafe",
    good=[profile()],
    bad=[profile(("  web-server:", "  «web-server»:"), ("    healthcheck: /health\n", ""))],
)
def unchecked_web(service: Service) -> Iterator[Report]:
    """Without one a deployment is a SUCCESS as soon as its container has started, and traffic goes to a process that
    may still be starting, or crashing.
    """
    if service.role != "web" or service.setting("healthcheck") or service.system.kind not in (PROFILE, IAC):
        return
    if not _readable(service) or service.setting("cron"):
        return
    yield Report(
        service.key,
        f"`{service.name}` has no health check: SUCCESS only means that its container started",
        "set `healthcheck: /health`, and answer 200 there when the process is ready",
        service=service.name,
        fix=fix("check /health", service.insert("healthcheck", "/health"), safe=False),
    )


@rule(
    "DK313",
    Severity.ERROR,
    of=Service,
    title="a volume together with replicas, or with a pre-deploy command that needs it",
    good=[profile(("schedule-daemon|guard: lease", "guard: volume\n    volume: {mount: /guard}"))],
    bad=[
        profile(
            ("web-server|healthcheck: /health", "volume: {mount: /data}\n    replicas: «2»\n    healthcheck: /health"),
            ("services:", "expect: {job_worker: 2}\nservices:"),
        ),
        profile(
            (
                "schedule-daemon|guard: lease",
                "guard: lease\n    volume: {mount: /guard}\n    pre_deploy: «touch /guard/ready»",
            )
        ),
    ],
)
def volume_and_replicas(service: Service) -> Iterator[Report]:
    """Railway allows one replica beside a volume, and the pre-deploy command runs in a container that does not have it
    (Railway docs: volumes reference).
    """
    volume = service.setting("volume")
    if volume is None or not _described(service):
        return
    if service.replicas > 1:
        yield Report(
            service.replicas_place,
            f"`{service.name}` has a volume and {service.replicas} replicas: Railway refuses that",
            "run one replica, or keep the files elsewhere",
            service=service.name,
            related=related((volume.key.place, "the volume")),
        )
    mount = service.text("volume.mount") or ""
    before = service.text("pre_deploy")
    if before and len(mount) > 1 and re.search(rf"(?:^|[\s=\"']){re.escape(mount)}(?:/|\s|$|[\"'])", before):
        yield Report(
            _place(service, "pre_deploy"),
            f"the pre-deploy command of `{service.name}` uses {mount}, and the volume is not mounted there",
            "do it in the start command",
            service=service.name,
            related=related((volume.key.place, "the volume")),
        )


@rule(
    "DK314",
    Severity.WARNING,
    of=Service,
    title="a volume on the web server",
    good=[profile(("schedule-daemon|guard: lease", "guard: volume\n    volume: {mount: /guard}"))],
    bad=[profile(("web-server|healthcheck: /health", "«volume»: {mount: /data}\n    healthcheck: /health"))],
)
def volume_on_web(service: Service) -> Iterator[Report]:
    """Two deployments cannot share a volume, so each deploy stops the old server before the new one starts: visitors
    see errors in between.
    """
    if service.role != "web" or not _described(service):
        return
    guard, volume = service.setting("guard"), service.setting("volume")
    at = guard.value.place if guard and service.text("guard") == "volume" else volume.key.place if volume else None
    if at is None:
        return
    yield Report(
        at,
        f"`{service.name}` is a web server with a volume: every deploy takes it down for a moment",
        "keep uploads in a bucket; a volume guards a daemon, not a web server",
        service=service.name,
    )


_ENUMS = {
    "restart.policy": ("ON_FAILURE", "ALWAYS", "NEVER"),
    "builder": ("RAILPACK", "DOCKERFILE", "NIXPACKS", "HEROKU", "PAKETO"),
}


@rule(
    "DK315",
    Severity.ERROR,
    of=Service,
    title="a word that Railway's file spells otherwise",
    fix="safe",
    good=[files({"web/railway.toml": '[build]\nbuilder = "RAILPACK"\n'})],
    bad=[
        files({"web/railway.toml": '[deploy]\nrestartPolicyType = «"on_failure"»\n'}),
        files({"web/railway.json": '{"deploy": {"multiRegionConfig": {«"us-west"»: {"numReplicas": 1}}}}\n'}),
    ],
)
def misspelt_word(service: Service) -> Iterator[Report]:
    """Railway ignores or refuses what it does not know. A profile has its own spelling, and DK004 for it."""
    if service.system.kind not in (CONFIG, IAC):
        return
    for setting, allowed in _ENUMS.items():
        entry, text = service.setting(setting), service.text(setting)
        if entry is None or text is None or text in allowed:
            continue
        word = re.sub(r"[-\s]", "_", text.strip()).upper()
        close = [word] if word in allowed else _known.near(word, allowed)
        yield Report(
            entry.value.place,
            f"{entry.key.text} is {text!r}; Railway knows {', '.join(allowed[:3])}",
            f"write {close[0]}" if close else f"use one of: {', '.join(allowed)}",
            service=service.name,
            fix=fix(f"write {close[0]}", service.replace(setting, close[0])) if len(close) == 1 else None,
        )
    yield from _regions(service)


def _regions(service: Service) -> Iterator[Report]:
    named = [(entry.key, entry.key.text) for entry in service.regions]
    region = service.setting("region")
    if region and isinstance(region.value, Scalar) and isinstance(region.value.value, str):
        named.append((region.value, region.value.text))
    for scalar, text in named:
        if text in _known.REGIONS or text in _known.SHORT_REGIONS or scalar.tag:
            continue
        close = [each for each in _known.REGIONS if each.startswith(text)] or _known.near(text, _known.REGIONS)
        quote = scalar.style if scalar.style in ("'", '"', "`") else ""
        yield Report(
            scalar.place,
            f"Railway has no region {text!r}",
            f"did you mean {close[0]}?" if close else f"use one of: {', '.join(_known.REGIONS)}",
            service=service.name,
            fix=fix(f"write {close[0]}", [edit(scalar.place, f"{quote}{close[0]}{quote}")])
            if len(close) == 1
            else None,
        )


@rule(
    "DK316",
    Severity.WARNING,
    of=Service,
    title="a health check timeout too short to start in, or longer than Railway's default",
    good=[
        profile(
            (
                "web-server|healthcheck: /health",
                "healthcheck: /health\n    # migrates for up to ten minutes at first start\n"
                "    healthcheck_timeout_seconds: 900",
            )
        )
    ],
    bad=[profile(("web-server|healthcheck: /health", "healthcheck: /health\n    healthcheck_timeout_seconds: «5»"))],
)
def hasty_healthcheck(service: Service) -> Iterator[Report]:
    """A process that needs longer than the timeout never deploys; above 300 s a broken deployment holds up the next
    one. A comment that says why is enough.
    """
    entry = service.setting("healthcheck_timeout_seconds")
    seconds = service.number("healthcheck_timeout_seconds")
    if entry is None or seconds is None or 10 <= seconds <= 300 or not _described(service):
        return
    text = service.system.text
    line = entry.value.place.line
    if seconds > 300 and text and (_comment(text.line(line)) or _comment(text.line(line - 1), alone=True)):
        return
    long = seconds > 300
    yield Report(
        entry.value.place,
        f"`{service.name}` gets {seconds:g} s to answer its health check"
        + (": a broken deployment holds up the next one" if long else ": few processes start that fast"),
        "say why in a comment, or leave it out (300 s)" if long else "give it 30 s or more, or leave it out (300 s)",
        service=service.name,
    )


@rule(
    "DK317",
    Severity.INFO,
    of=Service,
    title="no resource limits, or more than a plan allows",
    good=[profile()],
    bad=[
        profile(
            ("  schedule-daemon:", "  «schedule-daemon»:"),
            ("schedule-daemon|    limits: {memory_mb: 500, vcpu: 1}\n", ""),
        ),
        profile(
            ("web-server|healthcheck: /health", "healthcheck: /health\n    replicas: «8»"),
            ("services:", "expect: {job_worker: 8}\nservices:"),
            ("DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: 2"),
        ),
    ],
)
def unlimited(service: Service) -> Iterator[Report]:
    """A leak in a worker grows until the plan's own limit, and is billed. Hobby allows 6 replicas and 48 GB for a
    service, Pro 42 and 1 TB (Railway docs: plans).
    """
    if service.system.kind != PROFILE:
        return
    if service.role in ("daemon", "worker") and not service.setting("limits"):
        yield Report(
            service.key,
            f"`{service.name}` has no resource limits: a leak grows, and is billed, until the plan's limit",
            "set `limits: {memory_mb: 512, vcpu: 1}` or what it needs",
            service=service.name,
        )
    if service.replicas > 6:
        plan = "Hobby's 6" if service.replicas <= 42 else "Pro's 42"
        yield Report(
            service.replicas_place,
            f"`{service.name}` has {service.replicas} replicas, more than {plan}",
            "check the plan",
            service=service.name,
        )
    memory = service.number("limits.memory_mb")
    if memory is not None and memory * service.replicas > 48_000:
        yield Report(
            _place(service, "limits.memory_mb"),
            f"`{service.name}` may take {memory * service.replicas / 1000:g} GB, more than Hobby's 48 GB for a service",
            "check the plan",
            service=service.name,
        )
