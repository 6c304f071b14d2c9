"""What is live → the profile that says so: the way back of `graph` and `diff`, and proven by them.

Every stored setting is written, named as unmanaged, or is a problem. The text is loaded again and compared with what
is live before anyone sees it: where the two differ, that is a problem too, so that nothing is lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from deploykit.planning import unmanaged
from deploykit.planning.diff import DEFAULTS, custom_domains, diff
from deploykit.planning.graph import MYSQL_IMAGE
from deploykit.planning.plan import on_paper
from deploykit.planning.roles import Inferred, database_engine, infer
from deploykit.planning.snapshot import LiveService, LiveVariable, LiveVolume, Snapshot, regions
from deploykit.planning.unmanaged import Unmanaged
from deploykit.planning.view import observation, target
from deploykit.profile.load import load
from deploykit.profile.schema import DAEMON_FLAG, Profile
from deploykit.sources.quoting import block_text, comment, quoted, tidy_yaml
from deploykit.sources.secrets import in_command, is_evidently_plain
from runtime.variables import VARIABLES

Values = Literal["safe", "known"]
"""Which values of variables are written: all that are evidently plain, or only of variables deploykit knows."""

KNOBS = frozenset(
    {
        "RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS", "RAILWAY_DOCKERFILE_PATH",
        "RAILWAY_HEALTHCHECK_TIMEOUT_SEC", "RAILWAY_RUN_UID", "RAILWAY_SHM_SIZE_BYTES",
    }
)  # fmt: skip
"""Variables of Railway's own that a user sets (Railway docs: variables reference)."""

_KNOWN = KNOBS | {variable.name for variable in VARIABLES if not variable.secret} | {"NODE_ENV", "LOG_LEVEL"}
_REFERENCED = re.compile(r"\$\{\{\s*([^{}]+?)\.[A-Za-z_][A-Za-z0-9_]*\s*\}\}")
_ONLY_REFERENCES = re.compile(r"(?:\s*\$\{\{[^{}]*\}\}\s*)+\Z")
_DEFAULT_PORT = 8080


@dataclass(frozen=True, slots=True)
class Problem:
    """Something live that no profile can say, although apply would change it. Holds no value of a variable."""

    service: str | None
    path: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Pulled:
    """The profile as text, and the account of everything that is live. Nothing here holds the value of a secret."""

    name: str
    text: str
    profile: Profile | None
    roles: Mapping[str, Inferred]
    secrets: tuple[tuple[str, str], ...]
    """(service, variable) of everything that became ``!secret``."""
    unmanaged: tuple[Unmanaged, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What a reader must know although it is no difference: staged edits, what `plan` would start."""


def pull(live: Snapshot, name: str, *, values: Values = "safe", without: Iterable[str] = ()) -> Pulled:
    """The profile ``name`` that says what is live, ``without`` some services; they are left alone then."""
    left_out = set(without)
    services = [_Pulling(one, live, values) for one in live.services if one.name not in left_out]
    main = _job_database(services)
    written = [one for one in services if one.live is not main or _needs_an_entry(one, len(services))]
    everything = [item for one in services for item in one.unmanaged()]
    everything += unmanaged.of_environment(live)
    text = "\n".join(_lines(live, name, main, written, everything)) + "\n"
    secrets = tuple((one.name, variable) for one in services for variable in one.secrets())
    problems = [problem for one in services for problem in one.problems()]
    if not written:
        problems.append(Problem(None, "services", "nothing runs here: a profile needs a service", "deploykit init"))
    profile, differences = _proof(name, text, live)
    return Pulled(
        name,
        text,
        profile,
        {one.name: one.role for one in services},
        secrets,
        tuple(everything),
        (*problems, *differences),
        tuple(_notes(live, None if differences else profile, sorted(left_out & {one.name for one in live.services}))),
    )


def _proof(name: str, text: str, live: Snapshot) -> tuple[Profile | None, list[Problem]]:
    """The profile that the text is, and every way in which it does not say what is live."""
    loaded = load(Path(f"{name}.yaml"), text=text)
    if loaded.profile is None or loaded.findings:
        return None, [
            Problem(
                finding.service,
                ".".join(filter(None, ("variables" if finding.variable else None, finding.variable))) or "profile",
                f"no profile can say this: {finding.message}",
                _way_out(finding.service),
            )
            for finding in loaded.findings
        ]
    return loaded.profile, [
        Problem(change.service, change.path, f"no profile can say this: apply would {change.summary}",
                _way_out(change.service))
        for change in diff(loaded.profile, live)
    ]  # fmt: skip


def _way_out(service: str | None) -> str:
    if service is None:
        return "change it on Railway"
    return f"change it on Railway, or pull --without {quoted(service)}: apply leaves a service alone that is not named"


def _notes(live: Snapshot, profile: Profile | None, left_out: list[str]) -> Iterator[str]:
    yield from (f"{name} is left out: apply leaves it alone" for name in left_out)
    if live.masked:
        yield "this token may not read values: every variable became !secret, and roles are told without flags"
    if live.staged is not None and not live.staged.empty:
        touched = f" ({', '.join(live.staged.touches)})" if live.staged.touches else ""
        yield f"the dashboard holds edits that nobody committed{touched}: they are not in this profile"
    if profile is not None:
        steps, _, blocked = on_paper(observation(profile, live, ()), target(profile))
        for step in steps:
            yield f"apply would {step.action} {step.service}, though nothing differs: {step.why}"
        if blocked:
            yield f"apply would stop: {blocked}"


# ---- the services -------------------------------------------------------------------------------------------------


class _Pulling:
    """One live service on its way into the profile."""

    def __init__(self, live: LiveService, environment: Snapshot, values: Values) -> None:
        self.live, self.name = live, live.name
        self.values = values
        self.volumes = environment.volumes
        self.role = infer(live)
        self.deploy: Mapping[str, Any] = live.config.get("deploy") or {}
        self.source: Mapping[str, Any] = live.config.get("source") or {}

    @property
    def is_database(self) -> bool:
        return self.role.role == "database"

    @property
    def schedules(self) -> bool:
        """Whether its processes are daemons, as the profile will say it."""
        flag = self.live.variables.get(DAEMON_FLAG)
        told = flag is not None and not self._hidden(flag)
        return flag.value == "true" if flag and told else self.role.role == "daemon"

    def unmanaged(self) -> Iterator[Unmanaged]:
        if self.is_database:
            yield from unmanaged.of_database(self.live, self.volumes)
            return
        yield from unmanaged.of_service(self.live, self.volumes)
        why = "Railway's own name: no profile sets it, and apply never deletes it"
        for variable in self.live.variables.values():
            if variable.name.startswith("RAILWAY_") and not self._written(variable):
                yield Unmanaged(self.name, f"variables.{variable.name}", "", why)
        if self.live.autodeploy is False and self.source.get("checkSuites"):
            why = "a push does not deploy it; apply leaves that as it is"
            yield Unmanaged(self.name, "autodeploy", "off", why)

    def problems(self) -> Iterator[Problem]:
        """What would put a secret into the file."""
        for key in ("start", "pre_deploy", "healthcheck", "source", "domains"):
            found = in_command(str(dict(self.settings()).get(key, "")))
            if found:
                message = f"{key} holds {found}: it would stand in a file"
                yield Problem(self.name, key, message, "move it into a variable of the service, then pull again")

    def secrets(self) -> Iterator[str]:
        if not self.is_database:
            yield from (one.name for one in self.live.variables.values() if self._written(one) and self._hidden(one))

    def lines(self) -> Iterator[str]:
        """The service's entry, without what is unmanaged."""
        yield f"  {block_text(self.name)}:"
        doubt = "" if self.role.sure else ": say web, daemon or worker if it is one"
        yield f"    role: {self.role.role}  # {comment(self.role.why)}{doubt}"
        for key, value in self.settings():
            yield f"    {key}: {block_text(value) if isinstance(value, str) else tidy_yaml(value)}"
        variables = [] if self.is_database else [one for one in self.live.variables.values() if self._written(one)]
        if variables:
            yield "    env:"
        for one in variables:
            hidden = self._hidden(one)
            yield f"      {block_text(one.name)}: {'!secret' if hidden else block_text(str(one.value), any_type=True)}"

    def settings(self) -> Iterator[tuple[str, Any]]:
        """Key and value of everything but role and variables; Railway's defaults are left out."""
        if self.is_database:
            yield "source", {"image": self.source["image"]}
            return
        if self.role.role == "daemon":
            yield from self._guard()
        source = self._source()
        if source:
            yield "source", source
        if self.source.get("checkSuites"):
            yield "autodeploy", "after_ci"
        elif self.live.autodeploy is False:
            yield "autodeploy", "off"
        yield from self._plain(start="startCommand")
        command = self.deploy.get("preDeployCommand")
        if command:
            yield "pre_deploy", command if isinstance(command, str) else command[0]
        yield from self._plain(healthcheck="healthcheckPath", healthcheck_timeout_seconds="healthcheckTimeout")
        replicas = self._replicas()
        if replicas != 1:
            yield "replicas", replicas
        restart = dict(self._restart())
        if restart:
            yield "restart", restart
        yield from self._plain(overlap_seconds="overlapSeconds", draining_seconds="drainingSeconds")
        yield from self._plain(sleep="sleepApplication", cron="cronSchedule")
        volume = self._volume()
        if volume:
            yield "volume", volume
        limits = self._limits()
        if limits:
            yield "limits", limits
        domains = self._domains()
        if domains:
            yield "domains", domains

    def _plain(self, **keys: str) -> Iterator[tuple[str, Any]]:
        for key, stored in keys.items():
            value = self.deploy.get(stored)
            if value not in (None, "", DEFAULTS[stored]):
                yield key, value

    def _guard(self) -> Iterator[tuple[str, Any]]:
        """Railway stores no guard: a volume is one, and the bundled daemon holds a lease."""
        if self._volume():
            yield "guard", "volume"
        elif "-m runtime daemon" in (self.live.start_command or ""):
            yield "guard", "lease"

    def _source(self) -> dict[str, Any]:
        if not unmanaged.has_origin(self.live):
            return {}
        words = {"repo": "repo", "image": "image", "branch": "branch", "rootDirectory": "root"}
        return {word: self.source[key] for key, word in words.items() if self.source.get(key)}

    def _replicas(self) -> int | dict[str, int]:
        spread = regions(self.deploy)
        if len(spread) > 1:
            return spread
        return next(iter(spread.values()), int(self.deploy.get("numReplicas") or 1))

    def _restart(self) -> Iterator[tuple[str, Any]]:
        policy = self.deploy.get("restartPolicyType") or DEFAULTS["restartPolicyType"]
        if policy != DEFAULTS["restartPolicyType"]:
            yield "policy", str(policy).lower()
        retries = self.deploy.get("restartPolicyMaxRetries")
        if retries not in (None, DEFAULTS["restartPolicyMaxRetries"]):
            yield "max_retries", retries

    def _limits(self) -> dict[str, Any]:
        containers = (self.deploy.get("limitOverride") or {}).get("containers") or {}
        limits: dict[str, Any] = {}
        if containers.get("memoryBytes") is not None:
            limits["memory_mb"] = _tidy(containers["memoryBytes"] / 1_000_000)
        if containers.get("cpu") is not None:
            limits["vcpu"] = _tidy(containers["cpu"])
        return limits

    def _volume(self) -> dict[str, Any]:
        mounts = {key: entry for key, entry in (self.live.config.get("volumeMounts") or {}).items() if entry}
        if not mounts:
            return {}
        key, entry = next(iter(mounts.items()))
        known = next((volume for volume in self.volumes if volume.id == key), LiveVolume(key, key, None, None))
        volume = {"mount": entry["mountPath"], "size_mb": known.size_mb}
        if known.name != f"{self.name}-data":
            volume["name"] = known.name
        return {key: value for key, value in volume.items() if value is not None}

    def _domains(self) -> list[Any]:
        return [
            {"domain": domain, "port": port} if port not in (None, _DEFAULT_PORT) else domain
            for domain, port in custom_domains(self.live).items()
        ]

    def _written(self, variable: LiveVariable) -> bool:
        if not variable.name.startswith("RAILWAY_"):
            return True
        return variable.name in KNOBS and not self._hidden(variable)

    def _hidden(self, variable: LiveVariable) -> bool:
        """Whether the value must not be written: sealed, withheld, or not evidently plain."""
        if variable.sealed or variable.value is None:
            return True
        if self.values == "known" and variable.name not in _KNOWN and not _ONLY_REFERENCES.match(variable.value):
            return True
        return not is_evidently_plain(variable.name, variable.value)


def _tidy(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number


def _job_database(services: list[_Pulling]) -> LiveService | None:
    """The database of the job tables: what a DATABASE_URL refers to, else the only MySQL there is."""
    servers = {one.name: one.live for one in services if database_engine(one.live) == "mysql"}
    for one in services:
        url = one.live.variables.get("DATABASE_URL")
        match = _REFERENCED.search(url.value or "") if url else None
        if match and match[1] in servers:
            return servers[match[1]]
    return next(iter(servers.values())) if len(servers) == 1 else None


def _needs_an_entry(database: _Pulling, services: int) -> bool:
    """Whether the job database is more than `database:` can say: another image, or the only service there is."""
    image = re.sub(r"(:\d+)(\.\d+)*\Z", r"\1", str(database.source.get("image")))
    return image != MYSQL_IMAGE or services == 1


# ---- the text -----------------------------------------------------------------------------------------------------


def _lines(
    live: Snapshot, name: str, main: LiveService | None, services: list[_Pulling], everything: list[Unmanaged]
) -> Iterator[str]:
    yield "# Written by `deploykit pull`: what is live, so that applying it changes nothing."
    yield "# !secret: the value stays in Railway. Comments name what is live and not said here."
    yield "version: 1"
    yield f"name: {block_text(name)}"
    yield f"environment: {block_text(live.environment_name)}"
    yield f"project: {block_text(live.project_name)}"
    named = {one.name for one in services}
    yield from _account("", [item for item in everything if item.service is None])
    if main is not None:
        yield "database:"
        yield f"  service: {block_text(main.name)}"
        if main.name not in named:
            yield from _account("  ", [item for item in everything if item.service == main.name])
    yield "services:"
    for one in services:
        yield from one.lines()
        yield from _account("    ", [item for item in everything if item.service == one.name])
    yield "expect:"
    yield f"  schedule_daemon: {int(any(one.schedules for one in services))}"


def _account(indent: str, items: list[Unmanaged]) -> Iterator[str]:
    """What is live and not said, as comments: each reason once, and what it holds for."""
    for why in dict.fromkeys(item.why for item in items):
        yield f"{indent}# not said here: {why}"
        for item in items:
            if item.why == why:
                yield f"{indent}#   {comment(item.path)}{f': {comment(item.value)}' if item.value else ''}"
