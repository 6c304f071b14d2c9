"""State as the GraphQL types show it: per type, field names to values or to functions of arguments.

A field that is missing here is not in the sandbox, and asking for it says so; nothing is answered null by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from deploykit.sandbox import variables
from deploykit.sandbox.config import REGIONS, Config, etag, masked, replicas, settings, values
from deploykit.sandbox.logs import LogLine
from deploykit.sandbox.platform import Platform
from deploykit.sandbox.state import (
    Bucket,
    ChangeSetApply,
    Deployment,
    Environment,
    Event,
    Execution,
    Patch,
    Project,
    Service,
    Token,
    Trigger,
    Volume,
    timestamp,
)

View = dict[str, Any]

PAGE = 100
PLAN_LIMITS = {"containers": {"cpu": 8, "memoryBytes": 8_000_000_000, "diskBytes": 100_000_000_000}}


class Views:
    """The views of one platform; ``hidden`` tells which new objects are not visible yet."""

    def __init__(self, platform: Platform, hidden: Callable[[str, str], bool], page_limit: int | None) -> None:
        self.platform, self.state = platform, platform.state
        self._hidden, self._page_limit = hidden, page_limit

    def connection(self, nodes: Iterable[View]) -> Callable[..., View]:
        """A connection over the nodes; what is too new to be visible is left out."""
        visible = [node for node in nodes if not self._hidden(str(node["id"]), str(node.get("createdAt") or ""))]

        def page(
            first: int | None = None,
            after: str | None = None,
            last: int | None = None,
            before: str | None = None,
            **_: Any,
        ) -> View:
            ids = [str(node["id"]) for node in visible]
            low = ids.index(after) + 1 if after in ids else 0
            high = ids.index(before) if before in ids else len(ids)
            size = min(first if first is not None else PAGE, self._page_limit or 10**9)
            if last is not None and first is None:
                low = max(low, high - last)
            chosen = visible[low:high][:size]
            return {
                "edges": [{"cursor": node["id"], "node": node} for node in chosen],
                "pageInfo": {
                    "hasNextPage": low + len(chosen) < high,
                    "hasPreviousPage": low > 0,
                    "startCursor": chosen[0]["id"] if chosen else None,
                    "endCursor": chosen[-1]["id"] if chosen else None,
                },
            }

        return page

    # ---- project ----------------------------------------------------------------------------------------------

    def project(self, project: Project) -> View:
        state = self.state
        return {
            "id": project.id,
            "name": project.name,
            "description": project.description,
            "createdAt": project.created_at,
            "updatedAt": project.updated_at,
            "deletedAt": None,
            "expiredAt": None,
            "isPublic": project.is_public,
            "isTempProject": False,
            "prDeploys": project.pr_deploys,
            "botPrEnvironments": project.bot_pr_environments,
            "focusedPrEnvironments": project.focused_pr_environments,
            "baseEnvironmentId": project.base_environment_id,
            "baseEnvironment": lambda: self._environment_or_none(project.base_environment_id),
            "primaryEnvironmentId": next((key for key, one in state.environments.items() if not one.ephemeral), None),
            "subscriptionType": "pro",
            "workspaceId": state.workspace_id,
            "workspace": self.workspace,
            "environments": lambda isEphemeral=None, sort=None, **page: self.connection(
                self.environment(one) for one in state.environments.values() if isEphemeral in (None, one.ephemeral)
            )(**page),
            "services": lambda **page: self.connection(map(self.service, state.living_services()))(**page),
            "volumes": lambda **page: self.connection(map(self.volume, state.volumes.values()))(**page),
            "buckets": lambda **page: self.connection(map(self.bucket, state.buckets.values()))(**page),
        }

    def workspace(self) -> View:
        return {
            "id": self.state.workspace_id,
            "name": "Sandbox",
            "createdAt": self.state.project.created_at,
            "updatedAt": self.state.project.updated_at,
            "plan": "PRO",
            "preferredRegion": next(iter(REGIONS)),
            "customer": self._customer,
            "projects": lambda **page: self.connection([self.project(self.state.project)])(**page),
        }

    def _customer(self) -> View:
        start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return {
            "id": self.state.workspace_id,
            "currentUsage": 0.0,
            "billingPeriod": {"start": timestamp(start), "end": timestamp((start + timedelta(days=32)).replace(day=1))},
            "usageLimit": None,
        }

    def user(self) -> View:
        return {
            "id": self.state.user_id,
            "email": "sandbox@localhost",
            "name": "Sandbox",
            "username": "sandbox",
            "createdAt": self.state.project.created_at,
            "isVerified": True,
            "workspaces": lambda: [self.workspace()],
        }

    def project_token(self, token: Token) -> View:
        return {
            "id": token.id,
            "name": token.name,
            "createdAt": token.created_at,
            "displayToken": f"{token.value[:4]}…",
            "projectId": self.state.project.id,
            "project": lambda: self.project(self.state.project),
            "environmentId": token.environment_id,
            "environment": lambda: self._environment_or_none(token.environment_id),
        }

    # ---- environment ------------------------------------------------------------------------------------------

    def environment(self, environment: Environment) -> View:
        platform = self.platform
        groups = {
            key: value["groupId"]
            for section in ("services", "volumes", "buckets")
            for key, value in (environment.config.get(section) or {}).items()
            if value.get("groupId")
        }
        return {
            "id": environment.id,
            "name": environment.name,
            "projectId": environment.project_id,
            "createdAt": environment.created_at,
            "updatedAt": environment.updated_at,
            "deletedAt": None,
            "canAccess": True,
            "isEphemeral": environment.ephemeral,
            "configEtag": etag(environment.config),
            "canvasGroupRefs": groups,
            "iacPartials": dict(environment.partials),
            "unmergedChangesCount": len(environment.staged.patch.get("services") or {}) if environment.staged else 0,
            "sourceEnvironment": lambda: self._environment_or_none(environment.source_environment_id),
            "config": lambda decryptVariables=None: masked(environment.config, decrypt=bool(decryptVariables)),
            "serviceInstances": lambda **page: self.connection(self.service_instances(environment))(**page),
            "volumeInstances": lambda **page: self.connection(self.volume_instances(environment))(**page),
            "variables": lambda **page: self.connection(self._variables(environment))(**page),
            "deployments": lambda **page: self.connection(
                self.deployment(one)
                for one in reversed(platform.state.deployments.values())
                if one.environment_id == environment.id
            )(**page),
            "deploymentTriggers": lambda **page: self.connection(
                self.trigger(one) for one in self.state.triggers.values() if one.environment_id == environment.id
            )(**page),
        }

    def _environment_or_none(self, environment_id: str | None) -> View | None:
        known = self.state.environments.get(environment_id or "")
        return self.environment(known) if known else None

    def _variables(self, environment: Environment) -> Iterable[View]:
        scopes: list[tuple[str | None, str, Config]] = [(None, "", environment.config.get("sharedVariables") or {})]
        for service_id, config in self.platform.environment_services(environment).items():
            scopes.append((service_id, self.state.services[service_id].name, config.get("variables") or {}))
        for scope, own, entries in scopes:
            for name, entry in entries.items():
                value = str(entry.get("value") or "")
                yield {
                    "id": f"{environment.id}:{scope or 'shared'}:{name}",
                    "name": name,
                    "isSealed": bool(entry.get("isSealed")),
                    "environmentId": environment.id,
                    "environment": lambda: self.environment(environment),
                    "serviceId": scope,
                    "service": lambda key=scope: self.service(self.state.services[key]),
                    "references": [".".join(variables.split(one, own)) for one in variables.REFERENCE.findall(value)],
                    "createdAt": environment.created_at,
                    "updatedAt": environment.updated_at,
                }

    def patch(self, patch: Patch) -> View:
        return {
            "id": patch.id,
            "status": patch.status,
            "message": patch.message,
            "createdAt": patch.created_at,
            "updatedAt": patch.updated_at,
            "appliedAt": patch.applied_at,
            "appliedBy": {**self.user(), "avatar": None} if patch.applied_at else None,
            "lastAppliedError": patch.last_error,
            "environmentId": patch.environment_id,
            "environment": lambda: self._environment_or_none(patch.environment_id),
            "patch": lambda decryptVariables=None: masked(patch.patch, decrypt=bool(decryptVariables)),
        }

    def no_patch(self, environment: Environment) -> View:
        """What `environmentStagedChanges` answers when nothing is staged: never null."""
        return self.patch(
            Patch(environment.id, environment.id, {}, "STAGED", environment.created_at, environment.created_at)
        )

    def apply(self, record: ChangeSetApply) -> View:
        return {
            "id": record.id,
            "status": record.status,
            "deploymentId": record.deployment_id,
            "stagedPatchId": record.staged_patch_id,
            "diagnostics": record.diagnostics,
            "changes": [] if record.status == "applying" else record.changes,
        }

    # ---- services ---------------------------------------------------------------------------------------------

    def service(self, service: Service) -> View:
        return {
            "id": service.id,
            "name": service.name,
            "icon": service.icon,
            "createdAt": service.created_at,
            "updatedAt": service.created_at,
            "deletedAt": service.deleted_at,
            "projectId": self.state.project.id,
            "project": lambda: self.project(self.state.project),
            "templateId": None,
            "groupId": None,
            "featureFlags": [],
            "isRestricted": False,
            "serviceInstances": lambda **page: self.connection(
                self.service_instance(environment, service)
                for environment in self.state.environments.values()
                if service.id in self.platform.environment_services(environment)
            )(**page),
        }

    def service_instances(self, environment: Environment) -> Iterable[View]:
        for service_id in self.platform.environment_services(environment):
            yield self.service_instance(environment, self.state.services[service_id])

    def service_instance(self, environment: Environment, service: Service) -> View:
        config = self.platform.service_config(environment, service.id)
        source, build, deploy = (config.get(part) or {} for part in ("source", "build", "deploy"))
        regions = deploy.get("multiRegionConfig") or {}
        options = settings(config, {})
        deployments = self.platform.deployments
        next_run = self.platform.next_cron_run(config)
        return {
            "id": f"{environment.id}:{service.id}",
            "serviceId": service.id,
            "serviceName": service.name,
            "service": lambda: self.service(service),
            "environmentId": environment.id,
            "createdAt": service.created_at,
            "updatedAt": environment.updated_at,
            "deletedAt": None,
            # Legacy count: 1 for services in several regions.
            "numReplicas": len(replicas(config)) if len(regions) <= 1 else 1,
            "region": None,
            "cronSchedule": options.cron,
            "nextCronRunAt": timestamp(next_run) if next_run else None,
            "startCommand": options.start_command,
            "preDeployCommand": deploy.get("preDeployCommand"),
            "buildCommand": build.get("buildCommand"),
            "builder": build.get("builder") if build.get("builder") in ("HEROKU", "NIXPACKS", "PAKETO") else "RAILPACK",
            "nixpacksPlan": build.get("nixpacksPlan"),
            "railpackInfo": None,
            "dockerfilePath": build.get("dockerfilePath"),
            "rootDirectory": source.get("rootDirectory"),
            "watchPatterns": build.get("watchPatterns") or [],
            "railwayConfigFile": config.get("configFile"),
            "sleepApplication": bool(deploy.get("sleepApplication")),
            "restartPolicyType": options.restart_policy,
            "restartPolicyMaxRetries": options.restart_limit,
            "overlapSeconds": deploy.get("overlapSeconds"),
            "drainingSeconds": deploy.get("drainingSeconds"),
            "healthcheckPath": options.healthcheck_path,
            "healthcheckTimeout": deploy.get("healthcheckTimeout"),
            "ipv6EgressEnabled": bool(deploy.get("ipv6EgressEnabled")),
            "isUpdatable": False,
            "upstreamUrl": None,
            "source": {"repo": source.get("repo"), "image": source.get("image")} if source else None,
            "domains": lambda: self.domains(environment, service),
            "latestDeployment": lambda: self._deployment_or_none(deployments.latest(environment.id, service.id)),
            "activeDeployments": lambda: [
                self.deployment(one) for one in deployments.active(environment.id, service.id)
            ],
        }

    def domains(self, environment: Environment, service: Service) -> View:
        networking = self.platform.service_config(environment, service.id).get("networking") or {}
        common = {
            "environmentId": environment.id, "serviceId": service.id, "projectId": self.state.project.id,
            "createdAt": service.created_at, "updatedAt": service.created_at, "deletedAt": None, "edgeId": None,
            "cdnMode": None, "syncStatus": "ACTIVE",
        }  # fmt: skip

        def listed(section: str, **more: Any) -> list[View]:
            known = networking.get(section) or {}
            return [
                {**common, **more, "id": domain, "domain": domain, "targetPort": (options or {}).get("port")}
                for domain, options in known.items()
            ]

        return {
            "customDomains": [
                {**domain, "isRailwayDomain": False, "status": self._domain_status(domain["domain"])}
                for domain in listed("customDomains")
            ],
            "serviceDomains": listed("serviceDomains", newDomainName=None, newHostLabel=None, suffix=None),
        }

    def _domain_status(self, domain: str) -> View:
        """A name server of nobody's: the record that would be needed, and that it is not there."""
        label, _, zone = domain.partition(".")
        record = {
            "currentValue": "", "fqdn": domain, "hostlabel": label, "zone": zone, "requiredValue": "sandbox.localhost",
            "purpose": "DNS_RECORD_PURPOSE_TRAFFIC_ROUTE", "recordType": "DNS_RECORD_TYPE_CNAME",
            "status": "DNS_RECORD_STATUS_REQUIRES_UPDATE",
        }  # fmt: skip
        return {"dnsRecords": [record], "verified": False}

    def tcp_proxies(self, environment: Environment, service: Service) -> list[View]:
        config = self.platform.service_config(environment, service.id)
        provided = self.platform.provided(environment, service)
        return [
            {
                "id": f"{environment.id}:{service.id}:{port}",
                "applicationPort": int(port),
                "domain": provided["RAILWAY_TCP_PROXY_DOMAIN"],
                "proxyPort": int(provided["RAILWAY_TCP_PROXY_PORT"]),
                "environmentId": environment.id,
                "serviceId": service.id,
                "createdAt": service.created_at,
                "updatedAt": service.created_at,
                "deletedAt": None,
                "syncStatus": "ACTIVE",
            }
            for port in (config.get("networking") or {}).get("tcpProxies") or {}
        ]

    def trigger(self, trigger: Trigger) -> View:
        return {
            "id": trigger.id,
            "provider": "github",
            "repository": trigger.repository,
            "branch": trigger.branch,
            "checkSuites": trigger.check_suites,
            "validCheckSuites": 0,
            "environmentId": trigger.environment_id,
            "projectId": self.state.project.id,
            "serviceId": trigger.service_id,
            "baseEnvironmentOverrideId": None,
        }

    def bucket(self, bucket: Bucket) -> View:
        return {
            "id": bucket.id,
            "name": bucket.name,
            "groupId": bucket.group_id,
            "createdAt": bucket.created_at,
            "updatedAt": bucket.created_at,
            "projectId": self.state.project.id,
            "project": lambda: self.project(self.state.project),
        }

    def volume(self, volume: Volume) -> View:
        return {
            "id": volume.id,
            "name": volume.name,
            "createdAt": volume.created_at,
            "projectId": self.state.project.id,
            "project": lambda: self.project(self.state.project),
            "volumeInstances": lambda **page: self.connection(
                instance
                for environment in self.state.environments.values()
                for instance in self.volume_instances(environment)
                if instance["volumeId"] == volume.id
            )(**page),
        }

    def volume_instances(self, environment: Environment) -> Iterable[View]:
        mounts: dict[str, tuple[str, Config]] = {
            volume_id: (service_id, mount)
            for service_id, config in self.platform.environment_services(environment).items()
            for volume_id, mount in (config.get("volumeMounts") or {}).items()
        }
        for volume_id, config in (environment.config.get("volumes") or {}).items():
            volume = self.state.volumes.get(volume_id)
            if volume is None:
                continue
            holder, mount = mounts.get(volume_id, (None, {}))
            yield {
                "id": f"{environment.id}:{volume_id}",
                "volumeId": volume_id,
                "volume": lambda one=volume: self.volume(one),
                "serviceId": holder,
                "service": lambda key=holder: self.service(self.state.services[key]),
                "environmentId": environment.id,
                "environment": lambda: self.environment(environment),
                "mountPath": mount.get("mountPath") or "",
                "region": config.get("region"),
                "sizeMB": int(config.get("sizeMB") or 0),
                "currentSizeMB": 0.0,
                "state": "READY",
                "isPendingDeletion": False,
                "externalId": volume_id,
                "createdAt": volume.created_at,
                "deletedAt": None,
            }

    # ---- deployments ------------------------------------------------------------------------------------------

    def deployment(self, deployment: Deployment) -> View:
        return {
            "id": deployment.id,
            "status": deployment.status,
            "createdAt": deployment.created_at,
            "updatedAt": deployment.updated_at,
            "statusUpdatedAt": deployment.status_updated_at,
            "deploymentStopped": deployment.stopped,
            "canRedeploy": self.platform.can_redeploy(deployment),
            "canRollback": self.platform.can_rollback(deployment),
            "meta": deployment.meta,
            "snapshotId": deployment.snapshot_id,
            "projectId": self.state.project.id,
            "environmentId": deployment.environment_id,
            "environment": lambda: self._environment_or_none(deployment.environment_id),
            "serviceId": deployment.service_id,
            "service": lambda: self.service(self.state.services[deployment.service_id]),
            "instances": [{"id": one.id, "status": one.status} for one in deployment.instances],
            "staticUrl": None,
            "url": None,
            "suggestAddServiceDomain": False,
        }

    def _deployment_or_none(self, deployment: Deployment | None) -> View | None:
        return self.deployment(deployment) if deployment else None

    def event(self, event: Event) -> View:
        empty = dict.fromkeys(("error", "reason", "detail", "attempt", "maxAttempts", "durationMs", "skipped"))
        return {
            "id": event.id,
            "step": event.step,
            "createdAt": event.created_at,
            "completedAt": event.completed_at,
            "payload": {**empty, **event.payload} if event.payload else None,
        }

    def snapshot(self, deployment: Deployment) -> View:
        shown = {name: value for name, value in deployment.variables.items() if name not in deployment.sealed}
        return {
            "id": deployment.snapshot_id,
            "variables": {name: value for name, value in shown.items() if not name.startswith("RAILWAY_")},
            "createdAt": deployment.created_at,
            "updatedAt": deployment.created_at,
        }

    def execution(self, execution: Execution) -> View:
        deployment = self.state.deployments.get(execution.deployment_id)
        return {
            "id": execution.id,
            "status": execution.status,
            "createdAt": execution.created_at,
            "updatedAt": execution.updated_at,
            "completedAt": execution.completed_at,
            "deploymentId": execution.deployment_id,
            "deploymentMeta": deployment.meta if deployment else {},
        }

    def log(self, line: LogLine) -> View:
        tags = {"pluginId": None, **line["tags"]}
        attributes = [{"key": key, "value": value} for key, value in line["attributes"].items()]
        return {**line, "tags": tags, "attributes": attributes}


def unrendered(config: Config) -> dict[str, str]:
    """The readable values of a variable map: sealed ones are missing."""
    readable = {name: entry for name, entry in (config or {}).items() if not entry.get("isSealed")}
    return values(readable)


def region(name: str) -> View:
    location, country = REGIONS[name]
    return {
        "id": name,
        "name": name,
        "region": name,
        "country": country,
        "location": location,
        "workspaceId": None,
        "deploymentConstraints": {"deprecationInfo": {"isDeprecated": False, "replacementRegion": ""}},
    }
