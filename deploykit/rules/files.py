"""DK0: files that cannot be read as what they are."""

from __future__ import annotations

from collections.abc import Iterator

from deploykit.findings import Severity
from deploykit.rules import _known
from deploykit.rules._rule import Example, Report, files, profile, rule
from deploykit.rules._subjects import PROFILE, System, Variables, fix
from deploykit.sources.text import edit
from deploykit.sources.yaml import Scalar


@rule(
    "DK001",
    Severity.ERROR,
    title="a file does not parse",
    good=[profile()],
    bad=[
        files({"profiles/example.yaml": "version: 1\nname: example\nservices:\n«\t»web:\n\t\trole: web\n"}),
        files({".env.web-server": 'NODE_ENV=production\nDATABASE_URL=«"»${{MySQL.MYSQL_URL}}\n'}),
    ],
)
def unparsable_file() -> None:
    """Nothing in a file that does not parse is known, so nothing in it is checked: it comes first.

    YAML does not allow tabs for indentation, and inside `{ }` a `${{…}}` reference needs quotes.
    """


@rule(
    "DK002",
    Severity.ERROR,
    title="a key is given twice",
    fix="unsafe",
    good=[profile()],
    bad=[
        profile(
            (
                "      JOB_WORKER_POLL_INTERVAL_MS: 30000\n",
                "      JOB_WORKER_POLL_INTERVAL_MS: 5000\n      «JOB_WORKER_POLL_INTERVAL_MS»: 30000\n",
            )
        )
    ],
)
def duplicate_key() -> None:
    """YAML, TOML and JSON readers keep one of the two without a word, usually the last, so the file says what it
    does not mean.
    """


@rule(
    "DK003",
    Severity.ERROR,
    title="a key that a profile does not have",
    fix="safe",
    good=[profile()],
    bad=[profile(("web-server|draining_seconds", "«drainin_seconds»"))],
)
def unknown_key() -> None:
    """A key with a typing error is a setting that never takes effect. Keys that begin with `x-` may hold anything."""


def _unknown_regions(system: System) -> Iterator[Report]:
    for service in system.services if system.kind == PROFILE else ():
        for region in service.regions:
            name = region.key.text
            if name in _known.REGIONS or name in _known.SHORT_REGIONS:
                continue
            close = [known for known in _known.REGIONS if known.startswith(name)] or _known.near(name, _known.REGIONS)
            yield Report(
                region.key.place,
                f"services.{service.name}.replicas: Railway has no region {name!r}",
                f"did you mean `{close[0]}`?" if close else f"use one of: {', '.join(_known.REGIONS)}",
                service=service.name,
            )


def _missing_start(system: System) -> Iterator[Report]:
    for service in system.apps if system.kind == PROFILE else ():
        if service.setting("start") or service.from_image or not service.setting("source.repo"):
            continue
        repository = service.text("source.repo"), service.text("source.root")
        rivals = (s for s in system.services if s is not service and s.start)
        if any((rival.text("source.repo"), rival.text("source.root")) == repository for rival in rivals):
            continue  # DK606 says more
        yield Report(
            service.key,
            f"services.{service.name}.start is missing",
            "add `start:` with the command that runs this service; only an image brings its own",
            service=service.name,
        )


@rule(
    "DK004",
    Severity.ERROR,
    of=System,
    title="a value of the wrong type, or out of range",
    good=[profile()],
    bad=[
        profile(("draining_seconds: 30", 'draining_seconds: 30\n    replicas: «"one"»')),
        profile(("web-server|draining_seconds: 30", "draining_seconds: 30\n    replicas: {«us-west»: 1}")),
    ],
)
def invalid_value(system: System) -> Iterator[Report]:
    """The value cannot be sent to Railway, or means nothing there."""
    yield from _unknown_regions(system)
    yield from _missing_start(system)


@rule(
    "DK005",
    Severity.WARNING,
    of=Variables,
    title="an unquoted YAML value that another reader changes",
    fix="safe",
    good=[
        profile(("NODE_ENV: production", 'NODE_ENV: production\n      APP_VERSION: "1.10"')),
        profile(("NODE_ENV: production", "NODE_ENV: production\n      OPENING_TIME: 12:30:00\n      ANSWER: yes")),
    ],
    bad=[
        profile(("NODE_ENV: production", "NODE_ENV: production\n      APP_VERSION: «1.10»")),
        profile(("NODE_ENV: production", "NODE_ENV: production\n      GIT_COMMIT: «12e4567»")),
        profile(("NODE_ENV: production", "NODE_ENV: production\n      ZIP_CODE: «01069»")),
    ],
)
def unquoted_scalar(variables: Variables) -> Iterator[Report]:
    """An environment variable is text. Unquoted, YAML makes a number of `1.10` (1.1), `01069` (1069), `0o27` (23),
    `7e3` and of the commit hash `12e4567`; deploykit keeps what stands in the file, the next tool may not.
    """
    for variable in variables if variables.kind == PROFILE else ():
        if not variable.unquoted or not variable.readable or variable.name in (*_known.FLAGS, *_known.INTERVALS):
            continue
        value = variable.plain
        if value is None or isinstance(value, str):
            continue
        becomes = str(value).lower() if isinstance(value, bool) else str(value)
        if becomes == variable.text:
            continue
        service = variables.service
        owned = service is None or service.owns(variable.key)
        yield Report(
            variable.place,
            f"{variable.name} is `{variable.text}` here and `{becomes}` to a YAML reader that takes it for "
            f"{'a truth value' if isinstance(value, bool) else 'a number'}",
            f'write "{variable.text}"',
            variable=variable.name,
            fix=fix("put it in quotes", [edit(variable.place, f'"{variable.text}"')]) if owned else None,
        )


@rule(
    "DK006",
    Severity.ERROR,
    title="a template uses a name that does not exist",
    skipped="checked by `deploykit render`",
    bad=[],
)
def undefined_template_name() -> None:
    """An undefined name in a template would silently become empty text in what is deployed; `render` refuses it."""


@rule(
    "DK007",
    Severity.WARNING,
    title="a suppression that suppresses nothing, names no rule, or gives no reason",
    fix="safe",
    good=[
        profile(
            ("JOB_WORKER_POLL_INTERVAL_MS: 30000", "JOB_WORKER_POLL_INTERVAL_MS: 500 # deploykit: ignore[DK201] tested")
        )
    ],
    bad=[
        profile(("NODE_ENV: production", "NODE_ENV: production «# deploykit: ignore[DK101] not needed»")),
        profile(("NODE_ENV: production", "NODE_ENV: production «# deploykit: ignore[DK999] no such rule»")),
        profile(
            ("JOB_WORKER_POLL_INTERVAL_MS: 30000", "JOB_WORKER_POLL_INTERVAL_MS: 500 «# deploykit: ignore[DK201]»")
        ),
    ],
)
def useless_suppression() -> None:
    """A suppression that hides nothing today hides something tomorrow, and one without a reason cannot be reviewed.
    Write `# deploykit: ignore[DK203] why` behind the value, or alone on the line above it.
    """


def _overriding_nothing(system: System) -> Iterator[Report]:
    tree = system.tree
    base = tree.entry("extends") if tree and system.kind == PROFILE else None
    if tree is None or base is None or not isinstance(base.value, Scalar) or base.value.value is None:
        return
    own = {entry.key.text for entry in tree.entries if entry.key.place.path == system.path}
    if own <= {"version", "name", "description", "extends"}:
        yield Report(
            base.value.place,
            f"this profile takes all of {base.value.text!r} and overrides nothing",
            "write what differs, or use the base itself",
            severity=Severity.WARNING,
        )


_BASE = profile(name="pre-launch").files[0][1]


@rule(
    "DK008",
    Severity.ERROR,
    of=System,
    title="a base profile that does not exist, is the profile itself, or is left unchanged",
    fix="safe",
    good=[
        Example(
            (
                ("profiles/pre-launch.yaml", _BASE),
                (
                    "profiles/staging.yaml",
                    "version: 1\nname: staging\nextends: pre-launch\nenvironment: staging\n",
                ),
            ),
            "version: 1\nname: staging\nextends: pre-launch\nenvironment: staging",
        )
    ],
    bad=[
        Example(
            (
                ("profiles/pre-launch.yaml", _BASE),
                (
                    "profiles/staging.yaml",
                    "version: 1\nname: staging\nextends: «pre-lunch»\nenvironment: staging\n",
                ),
            ),
            "version: 1\nname: staging\nextends: pre-lunch\nenvironment: staging",
        )
    ],
)
def broken_extends(system: System) -> Iterator[Report]:
    """Without its base a profile is not what its author reads in it, so nothing else in it can be judged."""
    yield from _overriding_nothing(system)
