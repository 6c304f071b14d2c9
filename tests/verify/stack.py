"""A profile running in a sandbox with real processes, ready to be looked at and broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import runtime.db
from deploykit.commands.verify import verify
from deploykit.planning.graph import deploy as deploy_settings
from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway, connect
from deploykit.sandbox import Sandbox
from deploykit.verification.checks import Verification

REPOSITORY = Path(__file__).resolve().parents[2]
BEAT_MS = 300
"""Fast beats make fast tests: every patience of verify is counted in beats."""
PATIENCE_SECONDS = 30.0

_CREATE = "mutation($i: ServiceCreateInput!) { serviceCreate(input: $i) { id } }"
_UPDATE = "mutation($s: String!, $i: ServiceInstanceUpdateInput!, $e: String) { serviceInstanceUpdate(serviceId: $s, input: $i, environmentId: $e) }"  # noqa: E501
_DEPLOY = "mutation($s: String!, $e: String!) { serviceInstanceDeployV2(serviceId: $s, environmentId: $e) }"
_DELETE = "mutation($s: String!) { serviceDelete(id: $s) }"
_SERVICES = "query($p: String!) { project(id: $p) { services { edges { node { id name } } } } }"
_SET = "mutation($i: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $i) }"


def bundled(name: str) -> Profile:
    """A bundled profile whose processes beat fast."""
    loaded = load(REPOSITORY / "profiles" / f"{name}.yaml", root=REPOSITORY).profile
    assert loaded is not None
    services = {}
    for key, service in loaded.services.items():
        env = {**service.env, "HEARTBEAT_INTERVAL_MS": str(BEAT_MS)} if service.is_app else service.env
        services[key] = service.model_copy(update={"env": env})
    return loaded.model_copy(update={"services": services})


@dataclass
class Stack:
    """One sandbox with one profile deployed."""

    sandbox: Sandbox
    profile: Profile
    railway: Railway
    url: str
    ghosts: list[subprocess.Popen[str]] = field(default_factory=list)

    # --- Railway ------------------------------------------------------------------------------------------------

    def ids(self) -> dict[str, str]:
        edges = self.sandbox.graphql(_SERVICES, {"p": self.sandbox.project_id})["project"]["services"]["edges"]
        return {edge["node"]["name"]: edge["node"]["id"] for edge in edges}

    def create(self, name: str, variables: Mapping[str, str], settings: Mapping[str, Any], **source: str) -> str:
        """Create and deploy a service."""
        made = {"projectId": self.sandbox.project_id, "environmentId": self.sandbox.environment_id, "name": name,
                "variables": dict(variables), "source": source or {"repo": "your-name/your-app"}}  # fmt: skip
        service_id = str(self.sandbox.graphql(_CREATE, {"i": made})["serviceCreate"]["id"])
        self.settings(service_id, settings)
        self.deploy(service_id)
        return service_id

    def settings(self, service_id: str, settings: Mapping[str, Any]) -> None:
        known = {k: v for k, v in settings.items() if k not in ("limitOverride",) and v is not None}
        where = {"s": service_id, "e": self.sandbox.environment_id}
        self.sandbox.graphql(_UPDATE, {**where, "i": known})

    def deploy(self, service_id: str) -> str:
        where = {"s": service_id, "e": self.sandbox.environment_id}
        return str(self.sandbox.graphql(_DEPLOY, where)["serviceInstanceDeployV2"])

    def set(self, name: str, *, skip_deploys: bool = True, **variables: str) -> None:
        made = {"projectId": self.sandbox.project_id, "environmentId": self.sandbox.environment_id,
                "serviceId": self.ids()[name], "variables": variables, "skipDeploys": skip_deploys}  # fmt: skip
        self.sandbox.graphql(_SET, {"i": made})

    def delete(self, name: str) -> None:
        self.sandbox.graphql(_DELETE, {"s": self.ids()[name]})

    # --- processes ----------------------------------------------------------------------------------------------

    def by_hand(self, kind: str = "daemon", **env: str) -> subprocess.Popen[str]:
        """Start a runtime process that Railway knows nothing of; returns once it is registered."""
        flags = {
            "DATABASE_URL": self.url,
            "SCHEDULE_DAEMON_ENABLED": "true" if kind == "daemon" else "false",
            "SCHEDULE_POLL_INTERVAL_MS": "3600000",
            "JOB_WORKER_POLL_INTERVAL_MS": "30000",
            "HEARTBEAT_INTERVAL_MS": str(BEAT_MS),
            "JOBS_MODULE": "runtime.demo",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAILWAY_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime", kind],
            env={**kept, **flags, "PYTHONPATH": str(REPOSITORY), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.ghosts.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if "registered" in line:
                return process
        raise AssertionError(f"the {kind} did not start")

    def end_ghosts(self) -> None:
        for process in self.ghosts:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.ghosts:
            process.wait(timeout=30)
            assert process.stdout is not None
            process.stdout.close()
        self.ghosts.clear()

    # --- looking ------------------------------------------------------------------------------------------------

    def verify(self, **options: Any) -> Verification:
        options.setdefault("starting_seconds", 0.0)
        return verify(self.profile, self.railway, self.url, **options)

    def sql(self, statement: str) -> list[dict[str, Any]]:
        with runtime.db.connect(self.url) as db:
            return (
                db.rows(statement, {}) if statement.lstrip().startswith("SELECT") else [{"n": db.change(statement, {})}]
            )

    def until(self, what: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {self.sandbox.logs(limit=20)}"
            time.sleep(0.1)

    def beating(self, kind: str, count: int = 1) -> bool:
        rows = self.sql(f"SELECT id FROM WorkerInstance WHERE workerType = '{kind}' AND status = 'RUNNING'")
        return len(rows) >= count


@contextmanager
def running(profile: Profile, folder: Path, *, database: str = "sqlite") -> Iterator[Stack]:
    """Deploy a profile, databases first, and wait until every process beats."""
    with Sandbox.start(folder, source_dir=REPOSITORY, database=database, pace=0.1) as sandbox:
        railway = connect({"DEPLOYKIT_RAILWAY_URL": sandbox.endpoint, "RAILWAY_TOKEN": sandbox.token})
        url = sandbox.database_url()
        assert url is not None
        stack = Stack(sandbox, profile, railway, url)
        with runtime.db.connect(url, create=url.startswith("sqlite")) as db:
            from runtime.migrations import migrate

            migrate(db)
        try:
            for service in profile.services.values():
                variables = {k: v for k, v in service.env.items() if isinstance(v, str)}
                stack.create(service.name, variables, deploy_settings(service))
            stack.until(lambda: stack.beating("schedule_daemon", len(profile.daemons)))
            stack.until(lambda: stack.beating("job_worker", profile.expected_workers))
            yield stack
        finally:
            stack.end_ghosts()
            railway.close()
