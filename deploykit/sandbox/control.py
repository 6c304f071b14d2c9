"""What only the sandbox has: ``/sandbox/…`` to watch it and to make things go wrong."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deploykit.errors import DeploykitError
from deploykit.sandbox.access import identify
from deploykit.sandbox.api import Answer, Api
from deploykit.sandbox.faults import KINDS
from deploykit.sandbox.platform import Platform, Refusal
from deploykit.sandbox.trouble import Trouble

SCHEMA = "deploykit.sandbox/1"


class Control:
    """The control endpoints. ``key`` opens the two that only look: health and timeline."""

    def __init__(self, platform: Platform, api: Api, stopping: asyncio.Event) -> None:
        self.platform, self.api, self._stopping = platform, api, stopping
        self._trouble = Trouble(platform)
        self.key = secrets.token_urlsafe(24)
        self._port = 0

    def announcement(self, port: int) -> dict[str, Any]:
        """The access data that the sandbox prints; it holds tokens. ``pid`` is the warden's."""
        self._port = port
        state = self.platform.state
        tokens = {token.kind: token.value for token in reversed(state.tokens.values())}
        environment = next(iter(state.environments.values()))
        base = f"http://127.0.0.1:{port}"
        return {
            "schema": SCHEMA,
            "endpoint": f"{base}/graphql/v2",
            "token": tokens["project"],
            "project_id": state.project.id,
            "environment_id": environment.id,
            "database_url": self.platform.database_url(environment),
            "timeline": f"{base}/sandbox/timeline?key={self.key}",
            "api_token": tokens["account"],
            "workspace_token": tokens["workspace"],
            "control": f"{base}/sandbox",
            "pid": os.getppid(),
        }

    async def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to one request below ``/sandbox/``."""
        parts = urlsplit(path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        route = (method, parts.path.rstrip("/").removeprefix("/sandbox"))
        try:
            if not self._allowed(route, query, headers):
                return _answer(401, {"error": "missing or wrong token"})
            request = json.loads(body) if body else {}
            return self._route(*route, query, request)
        except DeploykitError as error:
            return _answer(400, {"error": error.message, "hint": error.hint})
        except Refusal as refusal:
            return _answer(400, {"error": str(refusal), "hint": None})
        except ValueError as error:
            return _answer(400, {"error": f"invalid request: {error}", "hint": None})

    def _allowed(self, route: tuple[str, str], query: dict[str, str], headers: Mapping[str, str]) -> bool:
        looks = route in (("GET", "/timeline"), ("GET", "/health"))
        if looks and hmac.compare_digest(query.get("key", "").encode(), self.key.encode()):
            return True
        try:
            identify(self.platform.state, headers)
        except Refusal:
            return False
        return True

    def _route(self, method: str, path: str, query: dict[str, str], request: dict[str, Any]) -> Answer:
        match method, path:
            case "GET", "/health":
                return _answer(200, {"status": "ok"})
            case "GET", "/timeline":
                return _answer(200, self.platform.timeline.events(int(query.get("since_ms", "0"))))
            case "GET", "/status":
                return _answer(200, self._status())
            case "GET", "/logs":
                return _answer(200, self._logs(query))
            case "GET", "/requests":
                return _answer(200, self._requests())
            case "DELETE", "/requests":
                self.api.queries.clear()
                self.api.mutations.clear()
                self.api.requests.clear()
                self.api.total_requests = 0
                return _answer(200, {"status": "ok"})
            case "GET", "/faults":
                kinds = {name: {"meaning": kind.meaning, **kind.parameters} for name, kind in KINDS.items()}
                return _answer(200, {"waiting": self.platform.faults.listing(), "known": kinds})
            case "POST", "/faults":
                return _answer(200, self._inject(request))
            case "DELETE", _ if path.startswith("/faults"):
                number = path.removeprefix("/faults").strip("/")
                dropped = self._trouble.clear(int(number) if number else None)
                return _answer(200, {"cleared": [fault.describe() for fault in dropped]})
            case "POST", "/shutdown":
                self._stopping.set()
                return _answer(200, {"status": "stopping"})
        return _answer(404, {"error": f"no such endpoint: {method} /sandbox{path}"})

    def _inject(self, request: dict[str, Any]) -> dict[str, Any]:
        fault = self._trouble.inject(request)
        if fault.name == "budget":
            self.api.rate_limit.set_budget(int(fault.parameters["per_hour"]), int(fault.parameters["per_second"]))
        return fault.describe()

    def _requests(self) -> dict[str, Any]:
        queries, mutations = dict(self.api.queries), dict(self.api.mutations)
        return {
            "queries": queries,
            "mutations": mutations,
            # A preview is a mutation by name only.
            "total_mutations": sum(mutations.values()) - mutations.get("environmentPreviewChangeSet", 0),
            "total_requests": self.api.total_requests,
            "requests": list(self.api.requests),
        }

    def _status(self) -> dict[str, Any]:
        """Every process of the sandbox, and the services with their deployments."""
        state, deployments = self.platform.state, self.platform.deployments
        processes = [
            {
                "service": state.services[deployment.service_id].name,
                "environment": state.environments[deployment.environment_id].name
                if deployment.environment_id in state.environments
                else None,
                "deployment": deployment.id,
                "status": deployment.status,
                "replica": instance.id,
                "pid": instance.pid,
                "port": instance.port or deployment.variables.get("PORT"),
                "instance_status": instance.status,
            }
            for deployment, instance in deployments.running()
        ]
        services = [
            {
                "service": state.services[service_id].name,
                "environment": environment.name,
                "active": [one.id for one in deployments.active(environment.id, service_id)],
                "latest": getattr(deployments.latest(environment.id, service_id), "status", None),
            }
            for environment in state.environments.values()
            for service_id in self.platform.environment_services(environment)
        ]
        announced = self.announcement(self._port)
        public = {key: announced[key] for key in ("schema", "endpoint", "project_id", "environment_id")}
        return {**public, "services": services, "processes": processes}

    def _logs(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """The latest run-time and build lines, of one service or of all."""
        state = self.platform.state
        ids = [
            deployment.id
            for deployment in state.deployments.values()
            if query.get("service") in (None, state.services[deployment.service_id].name)
        ]
        lines = [
            {
                "timestamp": line["timestamp"],
                "service": state.services[str(line["tags"]["serviceId"])].name,
                "deployment": line["tags"]["deploymentId"],
                "severity": line["severity"],
                "message": line["message"],
            }
            for line in self.platform.logs.of_all(ids)
        ]
        return lines[-int(query.get("limit", "200")) :]


def _answer(status: int, value: Any) -> Answer:
    return Answer(status, json.dumps(value).encode() + b"\n")
