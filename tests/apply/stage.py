"""Plan and apply against a sandbox without the command line, with processes that start in no time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploykit.commands.apply import ApplyResult, apply
from deploykit.commands.plan import Planned, plan
from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from deploykit.railway import snapshot as reading
from deploykit.railway.client import Railway, connect
from deploykit.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ("pre-launch", "100-users", "1000-users")
START = {role: f"trap 'exit 0' TERM; : {role}; while :; do sleep 0.05; done" for role in ("web", "daemon", "worker")}
"""Stands in for the application: ends at once on SIGTERM. The comment keeps the roles apart."""


def bundled(name: str) -> Profile:
    """A bundled profile whose processes are shell loops, so that a deployment takes milliseconds."""
    profile = load(ROOT / "profiles" / f"{name}.yaml", root=ROOT).profile
    assert profile is not None
    services = {
        key: service.model_copy(update={"start": START[service.role], "healthcheck": None})
        for key, service in profile.services.items()
    }
    return profile.model_copy(update={"services": services})


def daemon_in_web() -> Profile:
    """Not bundled: the web server schedules, and a worker of its own does the work."""
    profile = bundled("1000-users")
    web = profile.services["web-server"]
    flags = {"SCHEDULE_DAEMON_ENABLED": "true", "SCHEDULE_POLL_INTERVAL_MS": "60000"}
    web = web.model_copy(update={"env": {**web.env, **flags}, "guard": "lease", "replicas": 1})
    services = {"web-server": web, "job-worker": profile.services["job-worker"]}
    return profile.model_copy(update={"name": "daemon-in-web", "extends": None, "services": services})


def leftovers(profile: Profile) -> tuple[str, ...]:
    """The service of a bundled profile that this one does not have: what may be left of the one before."""
    return () if "job-worker" in profile.services else ("job-worker",)


@dataclass
class Stage:
    """One sandbox and a connection to it."""

    sandbox: Sandbox
    railway: Railway

    def plan(self, profile: Profile, remove: Iterable[str] = ()) -> Planned:
        return plan(profile, self.railway, remove=remove)

    def apply(
        self,
        profile: Profile,
        remove: Iterable[str] = (),
        planned: Planned | None = None,
        database_url: str | None = None,
    ) -> ApplyResult:
        """Plan, unless a plan is given, and carry it out."""
        planned = planned or self.plan(profile, remove)
        reviewed = dict(planned.plan.drift)
        return apply(
            profile,
            self.railway,
            reviewed=reviewed,
            key=planned.key,
            remove=remove,
            database_url=database_url,
            patience_seconds=30,
        )

    def mutations(self) -> Mapping[str, int]:
        """How often each mutating field was asked for, previews left out."""
        counts: dict[str, int] = self.sandbox.requests()["mutations"]
        return {name: count for name, count in counts.items() if name != "environmentPreviewChangeSet"}

    def daemons(self) -> list[tuple[str, ...]]:
        """The services whose processes had the daemon's flag on, after each start and exit."""
        alive: dict[tuple[str, int], str] = {}
        history: list[tuple[str, ...]] = [()]
        for event in self.sandbox.timeline():
            if event["env_flags"].get("SCHEDULE_DAEMON_ENABLED") != "true":
                continue
            key = (event["replica"], event["pid"])
            if event["event"] == "start":
                alive[key] = event["service"]
            elif event["event"] == "exit":
                alive.pop(key, None)
            history.append(tuple(sorted(alive.values())))
        return history

    def stored(self) -> dict[str, Any]:
        """What Railway has stored for each service, by name: a service that was deleted comes back with another id."""
        live = reading.read(self.railway)
        return {service.name: (service.config, service.variables) for service in live.services}

    def config(self) -> dict[str, Any]:
        """What Railway has stored, values included."""
        document = "query($e: String!) { environment(id: $e) { config(decryptVariables: true) } }"
        answer = self.sandbox.graphql(document, {"e": self.sandbox.environment_id})
        config: dict[str, Any] = answer["environment"]["config"]
        return config


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """A sandbox of its own with the database that a Railway user has."""
    with Sandbox.start(folder, source_dir=folder, database="sqlite", build_seconds=0.01) as sandbox:
        railway = connect({"DEPLOYKIT_RAILWAY_URL": sandbox.endpoint, "RAILWAY_TOKEN": sandbox.token})
        try:
            yield Stage(sandbox, railway)
        finally:
            railway.close()
