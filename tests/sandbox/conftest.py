"""A running sandbox, and a few words to drive it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploykit.sandbox import Sandbox

PATIENCE_SECONDS = 20.0
CREATE = "mutation($input: ServiceCreateInput!) { serviceCreate(input: $input) { id } }"
UPDATE = """mutation($s: String!, $e: String!, $input: ServiceInstanceUpdateInput!) {
  serviceInstanceUpdate(serviceId: $s, environmentId: $e, input: $input) }"""
DEPLOY = "mutation($s: String!, $e: String!) { serviceInstanceDeployV2(serviceId: $s, environmentId: $e) }"
DEPLOYMENT = """query($id: String!) { deployment(id: $id) {
  id status deploymentStopped canRollback canRedeploy meta instances { id status } } }"""
INSTANCE = """query($s: String!, $e: String!) { serviceInstance(serviceId: $s, environmentId: $e) {
  numReplicas startCommand overlapSeconds
  latestDeployment { id status } activeDeployments { id status instances { id status } } } }"""
CONFIG = "query($e: String!, $d: Boolean) { environment(id: $e) { config(decryptVariables: $d) configEtag } }"

# Ends in an orderly way on SIGTERM, like a well-behaved daemon.
POLITE = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
FOREVER = "echo up; exec sleep 1000"


@dataclass
class Driver:
    """Talks to one sandbox in the words of the tests."""

    sandbox: Sandbox

    def ask(self, query: str, **variables: Any) -> Any:
        """The only root field of the answer's data. Raises DeploykitError."""
        return next(iter(self.sandbox.graphql(query, variables).values()))

    def service(
        self, name: str, start: str | None = None, variables: dict[str, str] | None = None, **settings: Any
    ) -> str:
        """A service without source, and so without a deployment; its id."""
        source = settings.pop("source", None)
        given = {"projectId": self.sandbox.project_id, "name": name, "variables": variables or {}}
        service: str = self.ask(CREATE, input=given)["id"]
        if start is not None:
            settings["startCommand"] = start
        if source is not None:
            settings["source"] = source
        if settings:
            self.update(service, **settings)
        return service

    def update(self, service: str, **settings: Any) -> None:
        self.ask(UPDATE, s=service, e=self.sandbox.environment_id, input=settings)

    def deploy(self, service: str, *wanted: str) -> str:
        """Deploy and wait for one of the statuses (SUCCESS); the deployment's id."""
        deployment: str = self.ask(DEPLOY, s=service, e=self.sandbox.environment_id)
        self.wait_status(deployment, *(wanted or ("SUCCESS",)))
        return deployment

    def deployment(self, deployment: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(DEPLOYMENT, id=deployment)
        return found

    def instance(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(INSTANCE, s=service, e=self.sandbox.environment_id)
        return found

    def config(self, *, decrypt: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(CONFIG, e=self.sandbox.environment_id, d=decrypt)["config"]
        return found

    def etag(self) -> str:
        return str(self.ask(CONFIG, e=self.sandbox.environment_id)["configEtag"])

    def wait_status(self, deployment: str, *wanted: str) -> None:
        self.wait(lambda: self.deployment(deployment)["status"] in wanted, lambda: str(self.deployment(deployment)))

    def wait(self, condition: Callable[[], Any], explain: Callable[[], str] = lambda: "condition") -> Any:
        """Wait for a condition; its value."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if value := condition():
                return value
            time.sleep(0.01)
        raise AssertionError(f"not within {PATIENCE_SECONDS} s: {explain()}")

    def wait_processes(self, service: str, count: int) -> None:
        self.wait(lambda: len(self.sandbox.processes(service)) == count)

    def wait_starts(self, service: str, count: int) -> list[dict[str, Any]]:
        """Wait until the service was started so often; the start events."""
        self.wait(lambda: len(self.events(service, "start")) == count)
        return self.events(service, "start")

    def events(self, service: str, *names: str) -> list[dict[str, Any]]:
        """Timeline events of a service by its name."""
        events = self.sandbox.timeline()
        return [one for one in events if one["service"] == service and (not names or one["event"] in names)]

    def messages(self, service: str) -> list[str]:
        return [line["message"] for line in self.sandbox.logs(service, 5000)]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """An empty sandbox for all tests of a module: each uses services of its own."""
    folder = tmp_path_factory.mktemp("sandbox")
    sources = tmp_path_factory.mktemp("sources")
    with Sandbox.start(folder, source_dir=sources, database="sqlite", empty=True) as running:
        yield running


@pytest.fixture
def railway(sandbox: Sandbox) -> Iterator[Driver]:
    yield Driver(sandbox)
    sandbox.clear_faults()


@pytest.fixture
def fresh_railway(tmp_path: Path) -> Iterator[Driver]:
    """A sandbox for one test alone."""
    with Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite", empty=True) as running:
        yield Driver(running)
