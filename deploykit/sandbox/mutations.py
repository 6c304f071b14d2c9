"""Writes: one method per field of Railway's Mutation type."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from deploykit.sandbox import changesets
from deploykit.sandbox.access import NOT_AUTHORIZED
from deploykit.sandbox.config import REGIONS, Config, values
from deploykit.sandbox.platform import Refusal
from deploykit.sandbox.resolvers import Root
from deploykit.sandbox.state import Bucket, Environment, Service, Token, Trigger, new_id, timestamp
from deploykit.sandbox.views import View


class Mutation(Root):
    """Writes; each answers when it is accepted, as Railway does, not when it is done."""

    # ---- change sets and patches ------------------------------------------------------------------------------

    def environmentPreviewChangeSet(self, environmentId: str, input: Any) -> View:
        return changesets.preview(self._platform, self._access.environment(environmentId), input)

    async def environmentApplyChangeSet(
        self,
        environmentId: str,
        input: Any,
        commitMessage: str | None = None,
        baseConfigEtag: str | None = None,
        waitForCompletion: bool | None = None,
    ) -> View:
        environment = self._access.environment(environmentId)
        platform = self._platform
        record, deployed = changesets.apply(platform, environment, input, commitMessage, baseConfigEtag)
        slow = platform.faults.take("slow-apply")
        seconds = platform.pace.apply_seconds + (slow.parameters["seconds"] if slow else 0)
        created = {change["outputs"]["id"] for change in record.changes if (change.get("outputs") or {}).get("id")}
        databases = [one for one in deployed if one.service_id in created and one.variables.get("MYSQL_URL")]

        async def complete() -> None:
            await platform.pace.rest(seconds)
            # A database is made by a workflow of its own, which the apply waits for.
            await asyncio.gather(*(platform.deployments.settled(one) for one in databases))
            changesets.finish(record)
            platform.touch()

        work = platform.background(complete())
        if waitForCompletion:
            await asyncio.shield(work)
        return self._views.apply(record)

    def environmentPatchCommit(
        self, environmentId: str, patch: Config | None = None, commitMessage: str | None = None
    ) -> str:
        environment = self._access.environment(environmentId)
        record, _ = self._platform.commit(environment, patch or {}, commitMessage)
        return f"commitChanges/{environment.id}/{record.id}"

    def environmentStageChanges(self, environmentId: str, input: Config, merge: bool | None = None) -> View:
        environment = self._access.environment(environmentId)
        return self._views.patch(self._platform.stage(environment, input, merged=bool(merge)))

    def environmentPatchCommitStaged(
        self, environmentId: str, commitMessage: str | None = None, skipDeploys: bool | None = None
    ) -> str:
        environment = self._access.environment(environmentId)
        staged = environment.staged
        if staged is None or not staged.patch:
            raise Refusal("No patch to apply")
        record, _ = self._platform.commit(environment, staged.patch, commitMessage, skip_deploys=bool(skipDeploys))
        environment.staged = None
        return f"commitChanges/{environment.id}/{record.id}"

    # ---- environments and project -----------------------------------------------------------------------------

    def environmentCreate(self, input: dict[str, Any]) -> View:
        self._access.everything()
        self._access.project(input["projectId"])
        source_id = input.get("sourceEnvironmentId")
        source = self._access.environment(source_id) if source_id is not None else None
        environment = self._platform.create_environment(
            input["name"],
            source,
            ephemeral=bool(input.get("ephemeral")),
            skip_deploys=bool(input.get("skipInitialDeploys") or input.get("stageInitialChanges")),
        )
        return self._views.environment(environment)

    def environmentDelete(self, id: str) -> bool:
        self._access.everything()
        self._platform.delete_environment(self._access.environment(id))
        return True

    def environmentRename(self, id: str, input: dict[str, Any]) -> View:
        environment = self._access.environment(id)
        environment.name = input["name"]
        return self._views.environment(environment)

    def projectUpdate(self, id: str, input: dict[str, Any]) -> View:
        self._access.everything()
        project = self._access.project(id)
        names = {
            "name": "name", "description": "description", "isPublic": "is_public", "prDeploys": "pr_deploys",
            "botPrEnvironments": "bot_pr_environments", "focusedPrEnvironments": "focused_pr_environments",
            "baseEnvironmentId": "base_environment_id",
        }  # fmt: skip
        for key, value in input.items():
            setattr(project, names[key], value)
        project.updated_at = timestamp()
        self._platform.touch()
        return self._views.project(project)

    def projectTokenCreate(self, input: dict[str, Any]) -> str:
        self._access.everything()
        self._access.project(input["projectId"])
        environment = self._access.environment(input["environmentId"])
        token = Token(new_id(), new_id(), "project", input["name"], timestamp(), environment.id)
        self._state.tokens[token.value] = token
        return token.value

    # ---- services ---------------------------------------------------------------------------------------------

    def serviceCreate(self, input: dict[str, Any]) -> View:
        self._access.project(input["projectId"])
        named = self._state.environments.get(input.get("environmentId") or "")
        # Only a fork keeps a new service to itself; elsewhere it appears in every normal environment.
        normal = [one for one in self._state.environments.values() if one.source_environment_id is None]
        targets = [named] if named is not None and named.source_environment_id is not None else normal
        config: Config = {}
        if source := {key: value for key, value in (input.get("source") or {}).items() if value is not None}:
            config["source"] = source | ({"branch": input["branch"]} if input.get("branch") else {})
        if input.get("variables"):
            config["variables"] = {name: {"value": str(value)} for name, value in input["variables"].items()}
        if input.get("registryCredentials"):
            config["deploy"] = {"registryCredentials": dict(input["registryCredentials"])}
        service = self._platform.create_service(input.get("name"), targets, config)
        service.icon = input.get("icon")
        return self._views.service(service)

    def serviceUpdate(self, id: str, input: dict[str, Any]) -> View:
        service = self._access.service(id)
        if input.get("name") and input["name"] != service.name:
            if self._state.service_named(input["name"]):
                raise Refusal(f'A service named "{input["name"]}" already exists in this project')
            service.name = input["name"]
        if "icon" in input:
            service.icon = input["icon"]
        self._platform.touch()
        return self._views.service(service)

    def serviceDelete(self, id: str, environmentId: str | None = None) -> bool:
        service = self._access.service(id)
        environment = self._access.environment(environmentId) if environmentId is not None else None
        if environment is None:
            self._access.environments(
                None if self._access.token.kind != "project" else self._access.token.environment_id
            )
        self._platform.delete_service(service, environment)
        return True

    def serviceConnect(self, id: str, input: dict[str, Any]) -> View:
        source = {key: value for key, value in input.items() if value is not None}
        return self._set_source(id, {"repo": None, "image": None, "branch": None, **source})

    def serviceDisconnect(self, id: str) -> View:
        return self._set_source(id, None)

    def _set_source(self, service_id: str, source: Config | None) -> View:
        service = self._access.service(service_id)
        for environment in self._state.environments.values():
            if service.id in self._platform.environment_services(environment):
                patch = {"services": {service.id: {"source": source}}}
                self._platform.commit(environment, patch, "Connect source", skip_deploys=source is None)
        return self._views.service(service)

    def serviceInstanceUpdate(self, serviceId: str, input: dict[str, Any], environmentId: str | None = None) -> bool:
        service = self._access.service(serviceId)
        if len(input.get("preDeployCommand") or []) > 1:
            raise Refusal("Error in preDeployCommand - Invalid input")
        for environment in self._access.environments(environmentId):
            if service.id not in self._platform.environment_services(environment):
                if environmentId is not None:
                    raise Refusal("ServiceInstance not found")
                continue
            patch = {"services": {service.id: _instance_patch(input)}}
            self._platform.commit(environment, patch, "Update service", skip_deploys=True)
        return True

    def serviceInstanceLimitsUpdate(self, input: dict[str, Any]) -> bool:
        environment, service = self._access.instance(input["environmentId"], input["serviceId"])
        limits = {}
        if input.get("vCPUs") is not None:
            limits["cpu"] = input["vCPUs"]
        if input.get("memoryGB") is not None:
            limits["memoryBytes"] = int(input["memoryGB"] * 1_000_000_000)
        patch = {"services": {service.id: {"deploy": {"limitOverride": {"containers": limits}}}}}
        self._platform.commit(environment, patch, "Update limits", skip_deploys=True)
        return True

    def serviceInstanceAutoDeployUpdate(self, input: dict[str, Any]) -> View:
        environment, service = self._access.instance(input["environmentId"], input["serviceId"])
        off = set(environment.auto_deploy_off) - {service.id}
        environment.auto_deploy_off = sorted(off if input["enabled"] else off | {service.id})
        self._platform.touch()
        return {"enabled": input["enabled"]}

    # ---- deploying --------------------------------------------------------------------------------------------

    def serviceInstanceDeployV2(self, environmentId: str, serviceId: str, commitSha: str | None = None) -> str:
        environment, service = self._instance(environmentId, serviceId)
        return self._platform.deploy(environment, service, commit=commitSha).id

    def serviceInstanceDeploy(
        self, environmentId: str, serviceId: str, latestCommit: bool | None = None, commitSha: str | None = None
    ) -> bool:
        self.serviceInstanceDeployV2(environmentId, serviceId, commitSha)
        return True

    def serviceInstanceRedeploy(self, environmentId: str, serviceId: str) -> bool:
        self._platform.redeploy(*self._instance(environmentId, serviceId))
        return True

    def environmentTriggersDeploy(self, input: dict[str, Any]) -> bool:
        return self.serviceInstanceDeploy(input["environmentId"], input["serviceId"])

    def deploymentRedeploy(self, id: str, usePreviousImageTag: bool | None = None) -> View:
        deployment = self._access.deployment(id)
        if not self._platform.can_redeploy(deployment):
            raise Refusal("Cannot redeploy this deployment")
        environment, service = self._instance(deployment.environment_id, deployment.service_id)
        created = self._platform.deploy(environment, service, reason="redeploy", built=bool(usePreviousImageTag))
        return self._views.deployment(created)

    def deploymentRestart(self, id: str) -> bool:
        deployment = self._access.deployment(id)
        if deployment.status not in ("SUCCESS", "CRASHED", "SLEEPING"):
            raise Refusal("Cannot restart this deployment")
        self._platform.deployments.restart(deployment)
        return True

    def deploymentStop(self, id: str) -> bool:
        self._platform.deployments.stop(self._access.deployment(id))
        return True

    def deploymentRemove(self, id: str) -> bool:
        self._platform.deployments.remove(self._access.deployment(id))
        return True

    def deploymentCancel(self, id: str) -> bool:
        self._platform.deployments.cancel(self._access.deployment(id))
        return True

    def deploymentRollback(self, id: str) -> bool:
        self._platform.rollback(self._access.deployment(id))
        return True

    def deploymentInstanceExecutionCreate(self, input: dict[str, Any]) -> bool:
        environment_id, _, service_id = input["serviceInstanceId"].partition(":")
        environment, service = self._instance(environment_id, service_id)
        active = self._platform.deployments.active(environment.id, service.id)
        if not active:
            raise Refusal("Deployment not found")
        return self._platform.deployments.run_cron(active[0])

    # ---- variables --------------------------------------------------------------------------------------------

    def variableUpsert(self, input: dict[str, Any]) -> bool:
        return self.variableCollectionUpsert({**input, "variables": {input["name"]: input["value"]}})

    def variableCollectionUpsert(self, input: dict[str, Any]) -> bool:
        entries: Config = {name: {"value": str(value)} for name, value in input["variables"].items()}
        environment, scope = self._variable_scope(input)
        if input.get("replace"):
            section = self._stored_variables(environment, input.get("serviceId"))
            entries = {**dict.fromkeys(section), **entries}
        self._platform.commit(
            environment, scope(entries), "Update variables", skip_deploys=bool(input.get("skipDeploys"))
        )
        return True

    def variableDelete(self, input: dict[str, Any]) -> bool:
        environment, scope = self._variable_scope(input)
        self._platform.commit(environment, scope({input["name"]: None}), "Delete variable")
        return True

    def _variable_scope(self, input: dict[str, Any]) -> tuple[Environment, Callable[[Config], Config]]:
        """The environment, and how to wrap variables into a patch: without a service they are shared ones."""
        self._access.project(input["projectId"])
        environment = self._access.environment(input["environmentId"])
        service_id = input.get("serviceId")
        if service_id is None:
            return environment, lambda entries: {"sharedVariables": entries}
        self._instance(environment.id, service_id)
        return environment, lambda entries: {"services": {service_id: {"variables": entries}}}

    def _stored_variables(self, environment: Environment, service_id: str | None) -> dict[str, str]:
        if service_id is None:
            return values(environment.config.get("sharedVariables"))
        return values(self._platform.service_config(environment, service_id).get("variables"))

    # ---- volumes, buckets, networking -------------------------------------------------------------------------

    def volumeCreate(self, input: dict[str, Any]) -> View:
        self._access.project(input["projectId"])
        volume = self._platform.create_volume()
        if input.get("environmentId") is not None:
            environment = self._access.environment(input["environmentId"])
            size = {"sizeMB": 50_000, "region": input.get("region") or next(iter(REGIONS))}
            patch: Config = {"volumes": {volume.id: size}}
            if input.get("serviceId") is not None:
                self._access.instance(environment.id, input["serviceId"])
                mount = {volume.id: {"mountPath": input["mountPath"]}}
                patch["services"] = {input["serviceId"]: {"volumeMounts": mount}}
            self._platform.commit(environment, patch, "Create volume")
        return self._views.volume(volume)

    def volumeUpdate(self, volumeId: str, input: dict[str, Any]) -> View:
        volume = self._state.volumes.get(volumeId)
        if volume is None:
            raise Refusal(*NOT_AUTHORIZED)
        other = self._state.volume_named(input.get("name") or "")
        if other is not None and other is not volume:
            raise Refusal(f'A volume named "{input["name"]}" already exists in this project')
        volume.name = input.get("name") or volume.name
        self._platform.touch()
        return self._views.volume(volume)

    def volumeDelete(self, volumeId: str) -> bool:
        if volumeId not in self._state.volumes:
            raise Refusal(*NOT_AUTHORIZED)
        for environment in self._state.environments.values():
            mounted = {
                key: {"volumeMounts": {volumeId: None}}
                for key, config in self._platform.environment_services(environment).items()
                if volumeId in (config.get("volumeMounts") or {})
            }
            self._platform.commit(environment, {"volumes": {volumeId: None}, "services": mounted}, "Delete volume")
        del self._state.volumes[volumeId]
        return True

    def volumeInstanceUpdate(self, volumeId: str, input: dict[str, Any], environmentId: str | None = None) -> bool:
        for environment in self._access.environments(environmentId):
            if volumeId not in (environment.config.get("volumes") or {}):
                continue
            services = self._platform.environment_services(environment)
            holders = [key for key, config in services.items() if volumeId in (config.get("volumeMounts") or {})]
            mount = services[holders[0]]["volumeMounts"][volumeId] if holders else {"mountPath": ""}
            if input.get("mountPath") is not None:
                mount = {**mount, "mountPath": input["mountPath"]}
            target = input["serviceId"] if "serviceId" in input else next(iter(holders), None)
            patch: Config = {key: {"volumeMounts": {volumeId: None}} for key in holders if key != target}
            if target is not None:
                self._access.instance(environment.id, target)
                patch[target] = {"volumeMounts": {volumeId: mount}}
            self._platform.commit(environment, {"services": patch}, "Update volume")
        return True

    def bucketCreate(self, input: dict[str, Any]) -> View:
        self._access.project(input["projectId"])
        bucket = Bucket(new_id(), input.get("name") or f"bucket-{new_id()[:4]}", timestamp())
        self._state.buckets[bucket.id] = bucket
        self._platform.touch()
        return self._views.bucket(bucket)

    def serviceDomainCreate(self, input: dict[str, Any]) -> View:
        environment, service = self._access.instance(input["environmentId"], input["serviceId"])
        slug = "".join(letter if letter.isalnum() else "-" for letter in f"{service.name}-{environment.name}".lower())
        domain = f"{slug}-{new_id()[:4]}.up.railway.app"
        options = {"port": input["targetPort"]} if input.get("targetPort") else {}
        patch = {"services": {service.id: {"networking": {"serviceDomains": {domain: options}}}}}
        self._platform.commit(environment, patch, "Create domain", skip_deploys=True)
        created: View = next(
            one for one in self._views.domains(environment, service)["serviceDomains"] if one["domain"] == domain
        )
        return created

    def tcpProxyCreate(self, input: dict[str, Any]) -> View:
        environment, service = self._access.instance(input["environmentId"], input["serviceId"])
        port = str(input["applicationPort"])
        patch: Config = {"services": {service.id: {"networking": {"tcpProxies": {port: {}}}}}}
        self._platform.commit(environment, patch, "Create TCP proxy", skip_deploys=True)
        proxies = self._views.tcp_proxies(environment, service)
        return next(proxy for proxy in proxies if str(proxy["applicationPort"]) == port)

    def tcpProxyDelete(self, id: str) -> bool:
        environment_id, service_id, port = [*id.split(":"), "", ""][:3]
        environment, service = self._access.instance(environment_id, service_id)
        patch = {"services": {service.id: {"networking": {"tcpProxies": {port: None}}}}}
        self._platform.commit(environment, patch, "Delete TCP proxy", skip_deploys=True)
        return True

    def customDomainCreate(self, input: dict[str, Any]) -> View:
        environment, service = self._access.instance(input["environmentId"], input["serviceId"])
        domain = input["domain"]
        if any(domain in self._custom_domains(one) for one in self._platform.state.environments.values()):
            raise Refusal("Domain is already in use")
        self._put_domain(environment, service, domain, input.get("targetPort"), "Create custom domain")
        domains = self._views.domains(environment, service)["customDomains"]
        return next(one for one in domains if one["domain"] == domain)

    def customDomainUpdate(self, environmentId: str, id: str, targetPort: int | None = None) -> bool:
        environment = self._access.environment(environmentId)
        service_id = self._custom_domains(environment).get(id)
        if service_id is None:
            raise Refusal("Domain not found")
        _, service = self._access.instance(environmentId, service_id)
        self._put_domain(environment, service, id, targetPort, "Update custom domain")
        return True

    def _custom_domains(self, environment: Environment) -> dict[str, str]:
        """Domain → the id of the service it leads to."""
        return {
            domain: service_id
            for service_id, service in (environment.config.get("services") or {}).items()
            for domain in (service.get("networking") or {}).get("customDomains") or {}
        }

    def _put_domain(
        self, environment: Environment, service: Service, domain: str, port: int | None, message: str
    ) -> None:
        """Networking takes effect at once and deploys nothing (Railway docs: staged changes)."""
        patch: Config = {"services": {service.id: {"networking": {"customDomains": {domain: {"port": port}}}}}}
        self._platform.commit(environment, patch, message, skip_deploys=True)

    # ---- triggers ---------------------------------------------------------------------------------------------

    def deploymentTriggerCreate(self, input: dict[str, Any]) -> View:
        self._access.instance(input["environmentId"], input["serviceId"])
        trigger = Trigger(
            new_id(), input["environmentId"], input["serviceId"], input["repository"], input["branch"],
            bool(input.get("checkSuites")),
        )  # fmt: skip
        self._state.triggers[trigger.id] = trigger
        return self._views.trigger(trigger)

    def deploymentTriggerUpdate(self, id: str, input: dict[str, Any]) -> View:
        trigger = self._trigger(id)
        trigger.branch = input.get("branch") or trigger.branch
        trigger.repository = input.get("repository") or trigger.repository
        if input.get("checkSuites") is not None:
            trigger.check_suites = input["checkSuites"]
        return self._views.trigger(trigger)

    def deploymentTriggerDelete(self, id: str) -> bool:
        del self._state.triggers[self._trigger(id).id]
        return True

    def _trigger(self, trigger_id: str) -> Trigger:
        trigger = self._state.triggers.get(trigger_id)
        if trigger is None:
            raise Refusal(*NOT_AUTHORIZED)
        self._access.environment(trigger.environment_id)
        return trigger


_BUILD_FIELDS = {"buildCommand", "dockerfilePath", "builder", "nixpacksPlan", "watchPatterns"}
_CLEARABLE = {"startCommand", "buildCommand", "dockerfilePath", "rootDirectory", "healthcheckPath", "cronSchedule"}


def _instance_patch(update: dict[str, Any]) -> Config:
    """A ``ServiceInstanceUpdateInput`` as a config patch; an empty text clears a setting."""
    patch: Config = {"source": {}, "build": {}, "deploy": {}}
    value: Any
    for name, given in deepcopy(update).items():
        value = None if name in _CLEARABLE and given == "" else given
        if name == "source":
            patch["source"] = None if value is None else {**(patch["source"] or {}), **value}
        elif name == "rootDirectory":
            patch["source"] = {**(patch["source"] or {}), "rootDirectory": value}
        elif name == "railwayConfigFile":
            patch["configFile"] = value or None
        elif name in _BUILD_FIELDS:
            patch["build"][name] = value
        elif value is not None or name in _CLEARABLE or name == "registryCredentials":
            patch["deploy"][name] = value
    if update.get("cronSchedule"):
        # A cron service has exactly one replica; switching resets the count.
        patch["deploy"]["numReplicas"] = 1
    return {key: value for key, value in patch.items() if value != {}}
