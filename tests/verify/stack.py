"""A profile running in a sandbox with real processes, ready to be looked at and broken."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import runtime.db
from deploykit.commands.doctor import doctor
from deploykit.commands.verify import verify
from deploykit.planning.graph import deploy as deploy_settings
from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from deploykit.railway.client import Railway, connect
from deploykit.sandbox import Sandbox
from deploykit.verification.checks import Health, Verification
from deploykit.verification.diagnosis import Diagnosis
from runtime.db import DatabaseError

REPOSITORY = Path(__file__).resolve().parents[2]
BEAT_MS = 300
"""Fast beats make fast tests: every patience of verify is counted in beats."""
PATIENCE_SECONDS = 30.0

_CREATE = "mutation($i: ServiceCreateInput!) { serviceCreate(input: $i) { id } }"
_UPDATE = "mutation($s: String!, $i: ServiceInstanceUpdateInput!, $e: String) { serviceInstanceUpdate(serviceId: $s, input: $i, environmentId: $e) }"  # noqa: E501
_DEPLOY = "mutation($s: String!, $e: String!) { serviceInstanceDeployV2(serviceId: $s, environmentId: $e) }"
_DELETE = "mutation($s: String!) { serviceDelete(id: $s) }"
_SERVICES = "query($p: String!) { project(id: $p) { services { edges { node { id name } } } } }"
_DEPLOYMENTS = "query($i: DeploymentListInput!) { deployments(input: $i, first: 100) { edges { node { id status createdAt deploymentStopped instances { status } } } } }"  # noqa: E501
_END_ENVIRONMENT = "mutation($e: String!) { environmentDelete(id: $e) }"
_ENVIRONMENT = "mutation($i: EnvironmentCreateInput!) { environmentCreate(input: $i) { id } }"
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
    forgers: list[threading.Event] = field(default_factory=list)
    connection: dict[str, str] | None = None
    """Another access to Railway than the right one."""
    look_at: str | None = None
    """Another database to look at than the right one."""
    other_environment: str | None = None
    owner_url: str = ""
    """Where ``url`` is that of a user who only looks: the one of who may do everything."""

    @property
    def access(self) -> dict[str, str]:
        """The environment variables that lead a command here."""
        return access_to(self.sandbox)

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

    def configure(self, name: str, *, skip_deploys: bool = True, **variables: str) -> None:
        made = {"projectId": self.sandbox.project_id, "environmentId": self.sandbox.environment_id,
                "serviceId": self.ids()[name], "variables": variables, "skipDeploys": skip_deploys}  # fmt: skip
        self.sandbox.graphql(_SET, {"i": made})

    def deployments(self, name: str, environment: str | None = None) -> list[dict[str, Any]]:
        """The deployments of a service, newest first."""
        wanted = {"projectId": self.sandbox.project_id, "serviceId": self.ids()[name],
                  "environmentId": environment or self.sandbox.environment_id}  # fmt: skip
        edges = self.sandbox.graphql(_DEPLOYMENTS, {"i": wanted})["deployments"]["edges"]
        return sorted((edge["node"] for edge in edges), key=lambda node: str(node["createdAt"]), reverse=True)

    def redeploy(self, name: str) -> None:
        self.rollout(name, lambda: self.deploy(self.ids()[name]))

    def rollout(self, name: str, begin: Callable[[], object]) -> None:
        """Begin a deployment and wait until it and the one before have come to rest."""
        known = {one["id"] for one in self.deployments(name)}
        begin()
        self.until(lambda: any(one["id"] not in known for one in self.deployments(name)))
        self.until(lambda: self.settled(name))

    def settled(self, name: str) -> bool:
        """Whether no deployment of the service is on its way in or out."""
        return not any(one["status"] in _RESTLESS for one in self.deployments(name))

    def ill(self, name: str) -> bool:
        """Whether the newest deployment crashed or its process is being started again and again."""
        newest = self.deployments(name)[0]
        restless = any(one["status"] in ("RESTARTING", "CRASHED") for one in newest["instances"])
        return restless or str(newest["status"]) == "CRASHED"

    def ended(self, name: str) -> bool:
        """Whether Railway says that the deployment before the newest is gone."""
        return str(self.deployments(name)[1]["status"]) == "REMOVED"

    def deployment_elsewhere(self) -> str:
        """A deployment of the same service in a copy of the environment."""
        if self.other_environment is None:
            made = {"projectId": self.sandbox.project_id, "name": "pr-42",
                    "sourceEnvironmentId": self.sandbox.environment_id}  # fmt: skip
            self.other_environment = str(self.sandbox.graphql(_ENVIRONMENT, {"i": made})["environmentCreate"]["id"])
        other = self.other_environment
        self.until(lambda: bool(self.deployments("schedule-daemon", other)))
        return str(self.deployments("schedule-daemon", other)[0]["id"])

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

    def pids(self, name: str) -> set[int]:
        return {int(one["pid"]) for one in self.sandbox.processes(name)}

    def signal(self, name: str, signal_name: str) -> None:
        """Send a signal to the runtime's process of a service."""
        newest = f"SELECT pid FROM WorkerInstance WHERE service = '{name}' ORDER BY startedAt DESC"
        self.until(lambda: Path(f"/proc/{self.sql(newest)[0]['pid']}").exists())
        os.kill(int(self.sql(newest)[0]["pid"]), getattr(signal, f"SIG{signal_name}"))

    def beating_row(self, kind: str, **columns: Any) -> None:
        """A row that somebody keeps fresh, whoever that is."""
        worker_id = f"forged-{len(self.forgers)}"
        names = ", ".join(["id", "workerType", *columns])
        values = ", ".join(_literal(value) for value in (worker_id, kind, *columns.values()))
        if columns.get("beats", 0) is None:
            # A Node application's table lacks the column; here it is NOT NULL, so the row keeps a constant.
            names, values = "id, workerType", f"{_literal(worker_id)}, {_literal(kind)}"
        self.sql(f"INSERT INTO WorkerInstance ({names}) VALUES ({values})")
        stop = threading.Event()

        def beat() -> None:
            with runtime.db.connect(self.url) as db:
                while not stop.wait(BEAT_MS / 1000):
                    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
                    db.change(f"UPDATE WorkerInstance SET lastHeartbeatAt = {now} WHERE id = '{worker_id}'", {})

        threading.Thread(target=beat, daemon=True).start()
        self.forgers.append(stop)

    # --- looking ------------------------------------------------------------------------------------------------

    def verify(self, **options: Any) -> Verification:
        options.setdefault("starting_seconds", 0.0)
        return verify(self.profile, self.railway, self.url, **options)

    def sql(self, statement: str) -> list[dict[str, Any]]:
        with runtime.db.connect(self.url) as db:
            return (
                db.rows(statement, {}) if statement.lstrip().startswith("SELECT") else [{"n": db.change(statement, {})}]
            )

    def doctor(self, **options: Any) -> tuple[Verification, list[Diagnosis]]:
        options.setdefault("starting_seconds", 0.0)
        url = self.url if self.look_at is None else self.look_at
        return doctor(self.profile, lambda: self.reconnect(self.connection), url or None, **options)

    def reconnect(self, connection: dict[str, str] | None) -> Railway:
        return connect(connection) if connection is not None else self.railway

    def count(self, statement: str) -> int:
        return len(self.sql(statement))

    def leads(self) -> bool:
        """Whether a living daemon holds the lease."""
        return bool(
            self.sql(
                "SELECT l.holderId FROM SchedulerLease l JOIN WorkerInstance w ON w.id = l.holderId"
                " WHERE w.status = 'RUNNING'"
            )
        )

    def heal(self) -> None:
        """Undo every fault, and wait until the system is as it was deployed."""
        self.sandbox.clear_faults()
        self.end_ghosts()
        for stop in self.forgers:
            stop.set()
        self.forgers.clear()
        self.connection = self.look_at = None
        if self.other_environment is not None:
            self.sandbox.graphql(_END_ENVIRONMENT, {"e": self.other_environment})
            self.other_environment = None
        with suppress(DatabaseError):
            self.sql("ALTER TABLE Hidden RENAME TO WorkerInstance")
        self.sql("DELETE FROM JobRun WHERE status <> 'RUNNING'")
        self.sql("UPDATE JobRun SET cancelRequested = 1")
        self.sql("UPDATE JobSchedule SET enabled = 0, nextRunAt = NULL")
        self.sql("DELETE FROM WorkerInstance WHERE status IN ('DEAD', 'STOPPED') OR id LIKE 'forged%'")
        self.sql("UPDATE SchedulerLease SET expiresAt = '1970-01-02' WHERE holderId = 'nobody'")
        if self.verify().health is Health.HEALTHY:
            return
        self._heal_railway()
        self.sql("DELETE FROM JobRun")
        self.sql("DELETE FROM WorkerInstance WHERE status IN ('DEAD', 'STOPPED') OR id LIKE 'forged%'")
        self.until(lambda: self.verify().health is Health.HEALTHY, 60)

    def _heal_railway(self) -> None:
        self.sandbox.graphql(_STAGE, {"e": self.sandbox.environment_id})
        sick = self._sick()
        known = self.ids()
        wanted = self.profile.services
        for name in known.keys() - wanted.keys() - {"MySQL"}:
            self.delete(name)
        if not any(one["status"] == "SUCCESS" and not one["deploymentStopped"] for one in self.deployments("MySQL")):
            self.redeploy("MySQL")
        for service in wanted.values():
            variables = {k: v for k, v in service.env.items() if isinstance(v, str)}
            settings = {"restartPolicyType": "ON_FAILURE", "numReplicas": 1, **deploy_settings(service)}
            if service.name not in known:
                self.create(service.name, variables, settings)
            elif service.name in sick:
                made = {"projectId": self.sandbox.project_id, "environmentId": self.sandbox.environment_id,
                        "serviceId": known[service.name], "variables": variables, "skipDeploys": True,
                        "replace": True}  # fmt: skip
                self.sandbox.graphql(_SET, {"i": made})
                self.settings(known[service.name], settings)
                for pid in self.pids(service.name):
                    with suppress(OSError):
                        os.kill(pid, signal.SIGCONT)
                self.redeploy(service.name)

    def _sick(self) -> set[str | None]:
        """The services with a check, or with a process, that is not as it should be."""
        found = self.verify()
        bad = {check.id.partition(":")[2] for check in found.checks if str(check.verdict) in ("fail", "inconclusive")}
        return bad | {row.service for row in found.census.rows if str(row.class_) not in ("expected", "stale-row")}

    def until(self, what: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {self.sandbox.logs(limit=20)}"
            time.sleep(0.1)

    def beating(self, kind: str, count: int = 1) -> bool:
        rows = self.sql(f"SELECT id FROM WorkerInstance WHERE workerType = '{kind}' AND status = 'RUNNING'")
        return len(rows) >= count


_RESTLESS = frozenset({"QUEUED", "WAITING", "INITIALIZING", "BUILDING", "DEPLOYING", "REMOVING"})
_STAGE = "mutation($e: String!) { environmentStageChanges(environmentId: $e, input: {}, merge: false) { id } }"


def _literal(value: Any) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


def access_to(sandbox: Sandbox) -> dict[str, str]:
    """The environment variables that lead a command to a sandbox."""
    return {
        "DEPLOYKIT_RAILWAY_URL": sandbox.endpoint,
        "RAILWAY_API_TOKEN": sandbox.api_token,
        "RAILWAY_PROJECT_ID": sandbox.project_id,
        "RAILWAY_ENVIRONMENT_ID": sandbox.environment_id,
    }


@contextmanager
def running(profile: Profile, folder: Path, *, database: str = "sqlite", leading: bool = True) -> Iterator[Stack]:
    """Deploy a profile, databases first, and wait until every process beats, daemons only if ``leading``."""
    with Sandbox.start(folder, source_dir=REPOSITORY, database=database, pace=0.02) as sandbox:
        url = sandbox.database_url()
        assert url is not None
        railway = connect(access_to(sandbox))
        stack = Stack(sandbox, profile, railway, url)
        with runtime.db.connect(url, create=url.startswith("sqlite")) as db:
            from runtime.migrations import migrate

            migrate(db)
        try:
            for service in profile.services.values():
                variables = {k: v for k, v in service.env.items() if isinstance(v, str)}
                stack.create(service.name, variables, deploy_settings(service))
            # A process beats before its deployment is active, and a fault aimed at an active one would meet none.
            stack.until(lambda: all(stack.settled(service.name) for service in profile.services.values()))
            if leading:
                stack.until(lambda: stack.beating("schedule_daemon", len(profile.daemons)))
            stack.until(lambda: stack.beating("job_worker", profile.expected_workers))
            yield stack
        finally:
            stack.end_ghosts()
            railway.close()
