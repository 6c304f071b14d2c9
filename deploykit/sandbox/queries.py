"""Reads: one method per field of Railway's Query type."""

from __future__ import annotations

from typing import Any

from deploykit.sandbox import usage, views
from deploykit.sandbox.access import NOT_AUTHORIZED
from deploykit.sandbox.config import REGIONS, Config
from deploykit.sandbox.log_filter import compile_filter
from deploykit.sandbox.platform import Refusal
from deploykit.sandbox.resolvers import Root
from deploykit.sandbox.state import Service
from deploykit.sandbox.views import PLAN_LIMITS, View, region

LOG_LIMIT = 100
LOG_LIMIT_MAX = 5000


class Query(Root):
    """Reads."""

    # ---- identity ---------------------------------------------------------------------------------------------

    def me(self) -> View:
        if self._access.token.kind != "account":
            raise Refusal(*NOT_AUTHORIZED)
        return self._views.user()

    def apiToken(self) -> View:
        self._access.everything()
        return {"workspaces": [{"id": self._state.workspace_id, "name": "Sandbox"}]}

    def projectToken(self) -> View:
        if self._access.token.kind != "project":
            raise Refusal("Project Token not found", "INTERNAL_SERVER_ERROR")
        return self._views.project_token(self._access.token)

    def workspace(self, workspaceId: str) -> View:
        self._access.everything()
        if workspaceId != self._state.workspace_id:
            raise Refusal(*NOT_AUTHORIZED)
        return self._views.workspace()

    # ---- project and environment ------------------------------------------------------------------------------

    def project(self, id: str) -> View:
        return self._views.project(self._access.project(id))

    def projects(self, **page: Any) -> View:
        self._access.everything()
        return self._views.connection([self._views.project(self._state.project)])(**page)

    def environment(self, id: str, projectId: str | None = None) -> View:
        if projectId is not None:
            self._access.project(projectId)
        return self._views.environment(self._access.environment(id))

    def environments(self, projectId: str, isEphemeral: bool | None = None, **page: Any) -> View:
        self._access.project(projectId)
        known = [one for one in self._state.environments.values() if isEphemeral in (None, one.ephemeral)]
        return self._views.connection(map(self._views.environment, known))(**page)

    def environmentStagedChanges(self, environmentId: str) -> View:
        environment = self._access.environment(environmentId)
        return self._views.patch(environment.staged) if environment.staged else self._views.no_patch(environment)

    def environmentPatch(self, id: str) -> View:
        patch = self._state.patches.get(id)
        if patch is None:
            raise Refusal(*NOT_AUTHORIZED)
        self._access.environment(patch.environment_id)
        return self._views.patch(patch)

    def environmentPatches(self, environmentId: str, **page: Any) -> View:
        environment = self._access.environment(environmentId)
        known = [one for one in reversed(self._state.patches.values()) if one.environment_id == environment.id]
        return self._views.connection(map(self._views.patch, known))(**page)

    def environmentChangeSetApply(self, environmentId: str, id: str) -> View:
        self._access.environment(environmentId)
        record = self._state.applies.get(id)
        if record is None or record.environment_id != environmentId:
            raise Refusal("ChangeSet apply not found")
        return self._views.apply(record)

    def workflowStatus(self, workflowId: str) -> View:
        patch = self._state.patches.get(workflowId.rpartition("/")[2])
        if patch is None:
            return {"status": "NotFound", "error": None}
        return {"status": patch.workflow, "error": patch.last_error}

    # ---- services ---------------------------------------------------------------------------------------------

    def service(self, id: str) -> View:
        return self._views.service(self._seen_service(id))

    def serviceInstance(self, environmentId: str, serviceId: str) -> View:
        environment, service = self._instance(environmentId, serviceId)
        return self._views.service_instance(environment, service)

    def serviceInstanceAutoDeployStatus(self, environmentId: str, projectId: str, serviceId: str) -> View:
        self._access.project(projectId)
        environment, service = self._instance(environmentId, serviceId)
        connected = self._platform.trigger_of(environment, service) is not None
        return {
            "enabled": connected and service.id not in environment.auto_deploy_off,
            "canEnable": connected,
            "reason": None if connected else "The service has no repository",
        }

    def serviceInstanceLimitOverride(self, environmentId: str, serviceId: str) -> Config | None:
        environment, service = self._instance(environmentId, serviceId)
        deploy = self._platform.service_config(environment, service.id).get("deploy") or {}
        override: Config | None = deploy.get("limitOverride")
        return override

    def serviceInstanceLimits(self, environmentId: str, serviceId: str) -> Config:
        override = self.serviceInstanceLimitOverride(environmentId, serviceId) or {}
        return {"containers": {**PLAN_LIMITS["containers"], **(override.get("containers") or {})}}

    def domains(self, environmentId: str, projectId: str, serviceId: str) -> View:
        self._access.project(projectId)
        environment, service = self._access.environment(environmentId), self._access.service(serviceId)
        return self._views.domains(environment, service)

    def tcpProxies(self, environmentId: str, serviceId: str) -> list[View]:
        return self._views.tcp_proxies(*self._instance(environmentId, serviceId))

    def volumeInstance(self, id: str) -> View:
        environment = self._access.environment(id.partition(":")[0])
        found = next((one for one in self._views.volume_instances(environment) if one["id"] == id), None)
        if found is None:
            raise Refusal(*NOT_AUTHORIZED)
        return found

    def deploymentTriggers(self, environmentId: str, projectId: str, serviceId: str, **page: Any) -> View:
        self._access.project(projectId)
        self._instance(environmentId, serviceId)
        known = [
            trigger
            for trigger in self._state.triggers.values()
            if (trigger.environment_id, trigger.service_id) == (environmentId, serviceId)
        ]
        return self._views.connection(map(self._views.trigger, known))(**page)

    def regions(self, projectId: str | None = None) -> list[View]:
        return [region(name) for name in REGIONS]

    # ---- variables --------------------------------------------------------------------------------------------

    def variables(
        self, environmentId: str, projectId: str, serviceId: str | None = None, unrendered: bool | None = None
    ) -> dict[str, str]:
        self._access.project(projectId)
        environment = self._access.environment(environmentId)
        if serviceId is None:
            return views.unrendered(environment.config.get("sharedVariables") or {})
        _, service = self._instance(environmentId, serviceId)
        readable = views.unrendered(self._platform.service_config(environment, service.id).get("variables") or {})
        if unrendered:
            return readable
        rendered = self._platform.rendered(environment, service)
        return {name: rendered[name] for name in readable}

    def variablesForServiceDeployment(self, environmentId: str, projectId: str, serviceId: str) -> dict[str, str]:
        own = self.variables(environmentId, projectId, serviceId)
        environment, service = self._instance(environmentId, serviceId)
        return self._platform.provided(environment, service) | own

    # ---- deployments ------------------------------------------------------------------------------------------

    def deployment(self, id: str) -> View:
        return self._views.deployment(self._access.deployment(id))

    def deployments(self, input: dict[str, Any], **page: Any) -> View:
        if input.get("environmentId") is not None:
            self._access.environment(input["environmentId"])
        elif self._access.token.kind == "project":
            raise Refusal(*NOT_AUTHORIZED)
        status = input.get("status") or {}
        known = [
            deployment
            for deployment in reversed(self._state.deployments.values())
            if input.get("environmentId") in (None, deployment.environment_id)
            and input.get("serviceId") in (None, deployment.service_id)
            and (not status.get("in") or deployment.status in status["in"])
            and deployment.status not in (status.get("notIn") or ())
        ]
        return self._views.connection(map(self._views.deployment, known))(**page)

    def deploymentEvents(self, id: str, **page: Any) -> View:
        return self._views.connection(map(self._views.event, self._access.deployment(id).events))(**page)

    def deploymentSnapshot(self, deploymentId: str) -> View:
        return self._views.snapshot(self._access.deployment(deploymentId))

    def deploymentInstanceExecutions(self, input: dict[str, Any], **page: Any) -> View:
        self._instance(input["environmentId"], input["serviceId"])
        records = self._state.deployments_of(input["environmentId"], input["serviceId"])
        ids = {deployment.id for deployment in records}
        known = [one for one in reversed(self._state.executions.values()) if one.deployment_id in ids]
        return self._views.connection(map(self._views.execution, known))(**page)

    def deploymentLogs(self, deploymentId: str, **selection: Any) -> list[View]:
        return self._logs(deploymentId, build=False, **selection)

    def buildLogs(self, deploymentId: str, **selection: Any) -> list[View]:
        return self._logs(deploymentId, build=True, **selection)

    def _logs(
        self,
        deployment_id: str,
        *,
        build: bool,
        limit: int | None = None,
        filter: str | None = None,
        startDate: str | None = None,
        endDate: str | None = None,
    ) -> list[View]:
        self._access.deployment(deployment_id)
        wanted = compile_filter(filter)
        lines = [
            line
            for line in self._platform.logs.of(deployment_id, build=build)
            if wanted(line) and _within(str(line["timestamp"]), startDate, endDate)
        ]
        # The live API answers one row more than asked for.
        return [self._views.log(line) for line in lines[-(min(limit or LOG_LIMIT, LOG_LIMIT_MAX) + 1) :]]

    def environmentLogs(
        self,
        environmentId: str,
        filter: str | None = None,
        anchorDate: str | None = None,
        beforeDate: str | None = None,
        beforeLimit: int | None = None,
        afterDate: str | None = None,
        afterLimit: int | None = None,
    ) -> list[View]:
        environment = self._access.environment(environmentId)
        ids = [one.id for one in self._state.deployments.values() if one.environment_id == environment.id]
        wanted = compile_filter(filter)
        anchor = anchorDate or "9999"
        lines = [line for line in self._platform.logs.of_all(ids) if wanted(line)]
        before = [line for line in lines if _within(str(line["timestamp"]), beforeDate, anchor)]
        after = [
            line
            for line in lines
            if str(line["timestamp"]) > anchor and _within(str(line["timestamp"]), None, afterDate)
        ]
        first = before[
            -(min(beforeLimit if beforeLimit is not None else LOG_LIMIT, LOG_LIMIT_MAX) or len(before) + 1) :
        ]
        chosen = first + after[: min(afterLimit if afterLimit is not None else LOG_LIMIT, LOG_LIMIT_MAX)]
        return [self._views.log(line) for line in chosen]

    # ---- figures ----------------------------------------------------------------------------------------------

    def metrics(
        self, measurements: list[str], startDate: str, endDate: str | None = None, **selection: Any
    ) -> list[View]:
        if selection.get("environmentId"):
            self._access.environment(selection["environmentId"])
        elif selection.get("projectId"):
            self._access.project(selection["projectId"])
        else:
            self._access.everything()
        return usage.metrics(self._platform.metrics, measurements, startDate, endDate, selection)

    def usage(
        self, measurements: list[str], startDate: str | None = None, endDate: str | None = None, **selection: Any
    ) -> list[View]:
        self._access.everything()
        groups = selection.get("groupBy") or []
        return usage.usage(self._platform.metrics, measurements, startDate, endDate, groups, self._state.project.id)

    def estimatedUsage(self, measurements: list[str], **_: Any) -> list[View]:
        self._access.everything()
        return usage.estimated(self._platform.metrics, measurements, self._state.project.id)

    # ---- eventual consistency ---------------------------------------------------------------------------------

    def _seen_service(self, service_id: str) -> Service:
        service = self._access.service(service_id)
        if not self._visible(service.id):
            raise Refusal("Service not found")
        return service


def _within(moment: str, start: str | None, end: str | None) -> bool:
    """Whether an RFC 3339 time in UTC lies between two others; texts of unequal precision still compare rightly."""
    return (start is None or moment >= start.rstrip("Z")) and (end is None or moment <= end)
