"""Faults that act at once: on processes, on the config, on the platform's own initiative."""

from __future__ import annotations

import json
import signal
from typing import Any

from deploykit.errors import UsageError
from deploykit.sandbox.config import PREFERRED_REGION, Config, merge
from deploykit.sandbox.faults import KINDS, Fault
from deploykit.sandbox.platform import Platform
from deploykit.sandbox.state import Deployment, Environment, Service


class Trouble:
    """Injects faults into a platform and takes them back."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def inject(self, request: dict[str, Any]) -> Fault:
        """Add a fault; one that acts at once does so now. Raises UsageError."""
        fault = self._platform.faults.create(request)
        if not KINDS[fault.name].at_once:
            self._platform.faults.wait(fault)
            return fault
        if fault.name == "budget":
            return fault
        environment = next(iter(self._platform.state.environments.values()))
        if fault.name == "push":
            self._platform.push(environment, checks_pass=fault.parameters["checks"] == "success")
            return fault
        service = self._platform.state.service_named(fault.service or "")
        if service is None:
            names = ", ".join(sorted(known.name for known in self._platform.state.living_services()))
            raise UsageError(f"no service {fault.service!r} in the sandbox", hint=f"services: {names or 'none'}")
        active = self._platform.deployments.active(environment.id, service.id)
        match fault.name:
            case "redeploy":
                self._platform.deploy(environment, service, reason="migrate", built=True)
            case "dashboard-edit":
                self._edit(environment, service, fault.parameters)
            case "stuck-process":
                self._platform.faults.wait(fault)
                self._signal(active, signal.SIGSTOP)
            case "kill-process":
                self._signal(active, signal.SIGKILL)
            case "kill-guard":
                for deployment in active:
                    self._platform.deployments.signal(deployment, signal.SIGKILL, guards=True)
            case "sleep":
                for deployment in active:
                    self._platform.deployments.put_to_sleep(deployment)
        return fault

    def clear(self, fault_id: int | None = None) -> list[Fault]:
        """Drop faults; processes that were stopped go on."""
        dropped = self._platform.faults.clear(fault_id)
        for fault in dropped:
            service = self._platform.state.service_named(fault.service or "")
            if fault.name == "stuck-process" and service:
                for environment in self._platform.state.environments.values():
                    self._signal(self._platform.deployments.active(environment.id, service.id), signal.SIGCONT)
        return dropped

    def _signal(self, deployments: list[Deployment], number: int) -> None:
        for deployment in deployments:
            self._platform.deployments.signal(deployment, number)

    def _edit(self, environment: Environment, service: Service, edit: dict[str, Any]) -> None:
        change: Config = {}
        if edit["variable"]:
            value = edit["value"]
            # A command line reads `value=true` as a boolean; what a person types into the dashboard is text.
            text = value if isinstance(value, str) else json.dumps(value)
            change["variables"] = {edit["variable"]: None if value is None else {"value": text}}
        if edit["setting"]:
            *sections, key = str(edit["setting"]).split(".")
            inner: Config = {key: edit["value"]}
            for section in reversed(sections):
                inner = {section: inner}
            change = merge(change, inner)
        if edit["replicas"] is not None:
            regions = (self._platform.service_config(environment, service.id).get("deploy") or {}).get(
                "multiRegionConfig"
            ) or {}
            region = next(iter(regions), PREFERRED_REGION)
            count = {"multiRegionConfig": {region: {"numReplicas": int(edit["replicas"])}}}
            change = merge(change, {"deploy": count})
        patch = {"services": {service.id: change}}
        if edit["staged"]:
            self._platform.stage(environment, patch, merged=True)
        else:
            self._platform.commit(environment, patch, "Edited in the dashboard", skip_deploys=not edit["deploy"])
