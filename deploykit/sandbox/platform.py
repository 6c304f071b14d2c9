"""Railway's verbs in the sandbox: commit, deploy, create, delete. Everything that changes state goes through here."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from deploykit.sandbox import cron, database, variables
from deploykit.sandbox.config import (
    PREFERRED_REGION,
    Config,
    apply_patch,
    etag,
    merge,
    problems,
    replicas,
    runs_differently,
    values,
)
from deploykit.sandbox.deployments import Deployments, Snapshot, commit_of
from deploykit.sandbox.faults import Faults
from deploykit.sandbox.logs import Logs
from deploykit.sandbox.metrics import SAMPLE_EVERY_SECONDS, Metrics
from deploykit.sandbox.pace import Pace
from deploykit.sandbox.place import Place
from deploykit.sandbox.state import (
    BUILDING,
    IN_PROGRESS,
    Deployment,
    Environment,
    Patch,
    Service,
    State,
    Trigger,
    Volume,
    new_id,
    save,
    timestamp,
)
from deploykit.sandbox.timeline import Timeline

LOOPBACK = "127.0.0.1"
RECORDS_KEPT = 300


class Refusal(Exception):
    """The platform refuses; the text is Railway's own, ``code`` goes into the error's extensions."""

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Platform:
    """One project with its environments, its deployments and their processes."""

    def __init__(self, state: State, place: Place, pace: Pace) -> None:
        self.state, self.place, self.pace = state, place, pace
        self.timeline, self.faults, self.metrics = Timeline(), Faults(), Metrics()
        self.logs = Logs(place.folder / "logs")
        self.changed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.deployments = Deployments(
            state, place, pace, self.timeline, self.logs, self.faults, self.provided, self.touch
        )

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let work go on after the answer; it ends with the sandbox."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def touch(self) -> None:
        """Something changed that the state file should know."""
        self.changed = True

    # ---- reading ----------------------------------------------------------------------------------------------

    def environment_services(self, environment: Environment) -> dict[str, Config]:
        """Config by service id, for the services that have an instance in this environment."""
        services: dict[str, Config] = environment.config.get("services") or {}
        return {key: value for key, value in services.items() if key in self.state.services}

    def service_config(self, environment: Environment, service_id: str) -> Config:
        return self.environment_services(environment).get(service_id) or {}

    def provided(self, environment: Environment, service: Service) -> dict[str, str]:
        """Railway's own variables of a service, without those that only one deployment or replica has.

        Private domains are the loopback address: every process runs on this machine.
        """
        config = self.service_config(environment, service.id)
        networking = config.get("networking") or {}
        given = {
            "RAILWAY_PROJECT_NAME": self.state.project.name,
            "RAILWAY_PROJECT_ID": self.state.project.id,
            "RAILWAY_ENVIRONMENT": environment.name,
            "RAILWAY_ENVIRONMENT_NAME": environment.name,
            "RAILWAY_ENVIRONMENT_ID": environment.id,
            "RAILWAY_SERVICE_NAME": service.name,
            "RAILWAY_SERVICE_ID": service.id,
            "RAILWAY_PRIVATE_DOMAIN": LOOPBACK,
        }
        domains = [*(networking.get("customDomains") or {}), *(networking.get("serviceDomains") or {})]
        if domains:
            given |= {"RAILWAY_PUBLIC_DOMAIN": domains[0], "RAILWAY_STATIC_URL": domains[0]}
        for port in networking.get("tcpProxies") or {}:
            public = values(config.get("variables")).get("MYSQLPORT", port)
            given |= {"RAILWAY_TCP_PROXY_DOMAIN": LOOPBACK, "RAILWAY_TCP_PROXY_PORT": public}
            given |= {"RAILWAY_TCP_APPLICATION_PORT": port}
        return given

    def rendered(self, environment: Environment, service: Service, *, own_only: bool = True) -> dict[str, str]:
        """The service's variables with references resolved; with ``own_only=False`` also Railway's own."""
        unrendered = values(self.service_config(environment, service.id).get("variables"))

        def lookup(scope: str, name: str) -> str | None:
            if scope == variables.SHARED:
                return values(environment.config.get("sharedVariables")).get(name)
            other = service if scope == service.name else self.state.service_named(scope)
            if other is None or other.id not in self.environment_services(environment):
                return None
            mine = values(self.service_config(environment, other.id).get("variables"))
            return mine.get(name, self.provided(environment, other).get(name))

        shown = unrendered if own_only else self.provided(environment, service) | unrendered
        return {name: variables.render(value, service.name, lookup) for name, value in shown.items()}

    def snapshot(self, environment: Environment, service: Service) -> Snapshot:
        config = deepcopy(self.service_config(environment, service.id))
        sealed = [name for name, entry in (config.get("variables") or {}).items() if entry.get("isSealed")]
        return Snapshot(config, self.rendered(environment, service), sealed)

    def database_url(self, environment: Environment) -> str | None:
        """The rendered MYSQL_URL of the environment's first database service."""
        for service_id, config in self.environment_services(environment).items():
            if database.is_database((config.get("source") or {}).get("image")):
                return self.rendered(environment, self.state.services[service_id]).get("MYSQL_URL")
        return None

    def next_cron_run(self, config: Config) -> datetime | None:
        schedule = (config.get("deploy") or {}).get("cronSchedule")
        with contextlib.suppress(ValueError):
            return cron.next_after(schedule, datetime.now(UTC)) if schedule else None
        return None

    # ---- committing config ------------------------------------------------------------------------------------

    def commit(
        self, environment: Environment, patch: Config, message: str | None = None, *, skip_deploys: bool = False
    ) -> tuple[Patch, list[Deployment]]:
        """Merge a patch into the config and deploy what it changes, in the order of references.

        Raises Refusal for values of a wrong type; unknown keys pass here, unlike in a change set.
        """
        if any(problem["code"] != "unrecognized_keys" for problem in problems(patch)):
            raise Refusal("Problem processing request", "INTERNAL_SERVER_ERROR")
        after = apply_patch(environment.config, patch)
        return self.commit_config(environment, after, patch, message, skip_deploys=skip_deploys)

    def commit_config(
        self,
        environment: Environment,
        after: Config,
        patch: Config,
        message: str | None = None,
        *,
        skip_deploys: bool = False,
    ) -> tuple[Patch, list[Deployment]]:
        """As ``commit``, with the whole config that is to hold afterwards."""
        before = environment.config
        for service in (after.get("services") or {}).values():
            deploy = service.setdefault("deploy", {})
            deploy.setdefault("multiRegionConfig", {PREFERRED_REGION: {"numReplicas": 1}})
        environment.config = after
        environment.updated_at = timestamp()
        record = Patch(
            new_id(), environment.id, patch, "COMMITTED", timestamp(), timestamp(), message, applied_at=timestamp()
        )
        self.state.patches[record.id] = record
        while len(self.state.patches) > RECORDS_KEPT:
            del self.state.patches[next(iter(self.state.patches))]
        self._connect_triggers(environment)
        self._end_removed(environment, before, after)
        affected = self.affected(environment, before, after)
        self._scale(environment, before, after, without=affected)
        deployed = [] if skip_deploys else self.deploy_batch(environment, affected)
        self.touch()
        return record, deployed

    def affected(self, environment: Environment, before: Config, after: Config) -> list[str]:
        """Services that a commit deploys: changed ones that have a source or ran before."""
        old, new = before.get("services") or {}, after.get("services") or {}
        shared = {
            name
            for name in {**(before.get("sharedVariables") or {}), **(after.get("sharedVariables") or {})}
            if (before.get("sharedVariables") or {}).get(name) != (after.get("sharedVariables") or {}).get(name)
        }
        affected = []
        for service_id, config in new.items():
            unrendered = values(config.get("variables"))
            references = {
                variables.split(match, "")
                for value in unrendered.values()
                for match in variables.REFERENCE.findall(value)
            }
            touched = any((variables.SHARED, name) in references for name in shared)
            changed = service_id not in old or runs_differently(old[service_id], config) or touched
            ran = bool(self.state.deployments_of(environment.id, service_id))
            if changed and (_has_source(config) or ran):
                affected.append(service_id)
        return affected

    def trigger_of(self, environment: Environment, service: Service) -> Trigger | None:
        """What deploys the service on a push, if it has a repository."""
        found = (one for one in self.state.triggers.values() if one.service_id == service.id)
        return next((one for one in found if one.environment_id == environment.id), None)

    def _connect_triggers(self, environment: Environment) -> None:
        """Every service with a repository has one trigger, every other none."""
        here = self.environment_services(environment)
        for trigger in list(self.state.triggers.values()):
            if trigger.environment_id == environment.id and trigger.service_id not in here:
                del self.state.triggers[trigger.id]
        for service_id, config in here.items():
            source = config.get("source") or {}
            known = self.trigger_of(environment, self.state.services[service_id])
            if known is not None and known.repository != source.get("repo"):
                known = self.state.triggers.pop(known.id) and None
            if source.get("repo") and known is None:
                trigger = Trigger(new_id(), environment.id, service_id, source["repo"], source.get("branch") or "main")
                self.state.triggers[trigger.id] = trigger

    def push(self, environment: Environment, *, checks_pass: bool) -> list[Deployment]:
        """A push to every repository: deploys what has a trigger and is not switched off.

        A service that waits for CI is skipped when the checks fail.
        """
        deployed = []
        for trigger in [one for one in self.state.triggers.values() if one.environment_id == environment.id]:
            source = self.service_config(environment, trigger.service_id).get("source") or {}
            waits = trigger.check_suites or source.get("checkSuites")
            if trigger.service_id not in environment.auto_deploy_off and (checks_pass or not waits):
                deployed.append(self.deploy(environment, self.state.services[trigger.service_id], reason="push"))
        return deployed

    def _end_removed(self, environment: Environment, before: Config, after: Config) -> None:
        for service_id in set(before.get("services") or {}) - set(after.get("services") or {}):
            self._end_deployments(environment.id, service_id)
            elsewhere = any(
                service_id in (other.config.get("services") or {}) for other in self.state.environments.values()
            )
            if not elsewhere:
                self.state.services[service_id].deleted_at = timestamp()

    def _end_deployments(self, environment_id: str, service_id: str) -> None:
        for deployment in self.state.deployments_of(environment_id, service_id):
            if deployment.status not in ("REMOVED", "REMOVING", "FAILED", "SKIPPED"):
                self.deployments.remove(deployment)

    def _scale(self, environment: Environment, before: Config, after: Config, without: list[str]) -> None:
        for service_id, config in (after.get("services") or {}).items():
            old = (before.get("services") or {}).get(service_id)
            if old is None or service_id in without or sorted(replicas(old)) == sorted(replicas(config)):
                continue
            for deployment in self.deployments.active(environment.id, service_id)[:1]:
                if deployment.status == "SUCCESS" and not deployment.stopped:
                    self.deployments.scale(deployment, deepcopy(config))

    # ---- deploying --------------------------------------------------------------------------------------------

    def deploy_batch(self, environment: Environment, service_ids: list[str]) -> list[Deployment]:
        """Deploy several services; each waits for those of the batch it refers to. A circle goes in parallel."""
        names = {self.state.services[service_id].name: service_id for service_id in service_ids}
        needs: dict[str, set[str]] = {}
        for name, service_id in names.items():
            unrendered = values(self.service_config(environment, service_id).get("variables"))
            needs[service_id] = {
                names[other] for other in variables.referenced_services(unrendered, name) if other in names
            }
        created: dict[str, Deployment] = {}
        waiting = list(service_ids)
        while waiting:
            ready = [service_id for service_id in waiting if needs[service_id] <= set(created)]
            for service_id in ready or waiting:
                after = [created[other] for other in sorted(needs[service_id]) if other in created]
                created[service_id] = self.deploy(environment, self.state.services[service_id], after=after)
            waiting = [service_id for service_id in waiting if service_id not in created]
        return list(created.values())

    def deploy(
        self,
        environment: Environment,
        service: Service,
        *,
        reason: str = "deploy",
        commit: str | None = None,
        built: bool = False,
        after: list[Deployment] | None = None,
    ) -> Deployment:
        """A deployment with the current config and variables. Raises Refusal for an unknown commit."""
        snapshot = self.snapshot(environment, service)
        if commit is not None and commit != commit_of(snapshot.config):
            raise Refusal("Commit not found")
        return self.deployments.create(
            environment, service, snapshot, reason=reason, commit=commit, built=built, after=after
        )

    def redeploy(self, environment: Environment, service: Service) -> Deployment:
        """Deploy the latest deployment's code with the current variables. Raises Refusal while one is building."""
        latest = self.deployments.latest(environment.id, service.id)
        if latest is None:
            raise Refusal("No deployment found for service")
        if latest.status in BUILDING:
            raise Refusal("Cannot redeploy yet, please wait for the original deployment to finish building")
        return self.deploy(environment, service, reason="redeploy", built=True)

    def rollback(self, deployment: Deployment) -> Deployment:
        """A new deployment with the old image, settings and variables. Raises Refusal when that cannot be."""
        if not self.can_rollback(deployment):
            raise Refusal("Cannot rollback to this deployment")
        environment = self.state.environments[deployment.environment_id]
        service = self.state.services[deployment.service_id]
        snapshot = Snapshot(deepcopy(deployment.config), dict(deployment.variables), list(deployment.sealed))
        return self.deployments.create(environment, service, snapshot, reason="rollback", built=True)

    def can_rollback(self, deployment: Deployment) -> bool:
        return deployment.was_active and deployment.service_id in self.state.services

    def can_redeploy(self, deployment: Deployment) -> bool:
        return deployment.status not in IN_PROGRESS and deployment.status not in ("REMOVED", "REMOVING")

    # ---- services, volumes, environments ----------------------------------------------------------------------

    def create_service(
        self, name: str | None, environments: list[Environment], config: Config, *, deploys: bool = True
    ) -> Service:
        """A service with an instance in each of the environments. Raises Refusal when the name is taken."""
        name = name or f"service-{new_id()[:4]}"
        if self.state.service_named(name):
            raise Refusal(f'A service named "{name}" already exists in this project')
        if len(name) > 32:
            raise Refusal("Service name must be at most 32 characters")
        service = Service(new_id(), name, timestamp())
        self.state.services[service.id] = service
        for environment in environments:
            complete = self.with_database_variables(service, config)
            patch = {"services": {service.id: {"isCreated": True, **complete}}}
            self.commit(environment, patch, f"Create service {name}", skip_deploys=not deploys)
        return service

    def with_database_variables(self, service: Service, config: Config) -> Config:
        """The config of a new database service with the variables Railway's template gives it; others unchanged."""
        if not database.is_database((config.get("source") or {}).get("image")):
            return config
        mounts = list(config.get("volumeMounts") or {})
        folder = self.place.volume(mounts[0] if mounts else service.id)
        template = database.variables(folder, sqlite=self.place.database_server is None)
        entries = {name: {"value": value} for name, value in template.items()}
        return merge({"variables": entries}, config)  # type: ignore[no-any-return]

    def create_database(self, environment: Environment, name: str, region: str | None = None) -> Service:
        """A MySQL service with volume, variables and start command, as the template workflow makes it."""
        volume = self.create_volume(f"{name}-volume".lower())
        where = region or PREFERRED_REGION
        config: Config = {
            "source": {"image": database.IMAGE},
            "deploy": {
                "startCommand": database.START_COMMAND,
                "requiredMountPath": database.MOUNT_PATH,
                "multiRegionConfig": {where: {"numReplicas": 1}},
            },
            "volumeMounts": {volume.id: {"mountPath": database.MOUNT_PATH}},
        }
        environment.config.setdefault("volumes", {})[volume.id] = {"sizeMB": database.VOLUME_SIZE_MB, "region": where}
        return self.create_service(name, [environment], config)

    def create_volume(self, name: str | None = None) -> Volume:
        """A volume of the project, without instances yet."""
        wanted = name or "volume"
        taken = {volume.name for volume in self.state.volumes.values()}
        unique = wanted if wanted not in taken else f"{wanted}-{new_id()[:4]}"
        volume = Volume(new_id(), unique, timestamp())
        self.state.volumes[volume.id] = volume
        self.touch()
        return volume

    def delete_service(self, service: Service, environment: Environment | None) -> None:
        """Remove a service's instance from one environment, or from all."""
        for one in [environment] if environment else list(self.state.environments.values()):
            if service.id in (one.config.get("services") or {}):
                self.commit(one, {"services": {service.id: {"isDeleted": True}}}, f"Delete service {service.name}")
        if environment is None:
            service.deleted_at = service.deleted_at or timestamp()

    def create_environment(
        self, name: str, source: Environment | None, *, ephemeral: bool = False, skip_deploys: bool = False
    ) -> Environment:
        """An environment, empty or a copy of another one with every service, volume and setting.

        Sealed values are not copied (Railway docs: variables). Databases get an address of their own.
        """
        if any(environment.name == name for environment in self.state.environments.values()):
            raise Refusal(f'Environment named "{name}" already exists in this project')
        environment = Environment(new_id(), name, self.state.project.id, timestamp(), timestamp(), ephemeral=ephemeral)
        self.state.environments[environment.id] = environment
        if source is None:
            self.touch()
            return environment
        environment.source_environment_id = source.id
        copy = deepcopy(source.config)
        self._own_volumes(copy)
        for service_id, config in (copy.get("services") or {}).items():
            kept = (config.get("variables") or {}).items()
            config["variables"] = {key: value for key, value in kept if not value.get("isSealed")}
            if database.is_database((config.get("source") or {}).get("image")):
                folder = self.place.volume(
                    next(iter(config.get("volumeMounts") or {}), f"{environment.id}-{service_id}")
                )
                own = database.variables(folder, sqlite=self.place.database_server is None)
                config["variables"] |= {key: {"value": own[key]} for key in ("MYSQLPORT", "MYSQL_URL")}
        self.commit_config(environment, apply_patch({}, copy), copy, f"Create {name}", skip_deploys=skip_deploys)
        return environment

    def _own_volumes(self, config: Config) -> None:
        """Give a copied environment volumes of its own: two environments never share data."""
        for service in (config.get("services") or {}).values():
            for volume_id, mount in list((service.get("volumeMounts") or {}).items()):
                known = self.state.volumes.get(volume_id)
                copy = self.create_volume(known.name if known else None)
                service["volumeMounts"] = {copy.id: mount}
                volumes = config.setdefault("volumes", {})
                volumes[copy.id] = volumes.pop(volume_id, {})

    def delete_environment(self, environment: Environment) -> None:
        for service_id in environment.config.get("services") or {}:
            self._end_deployments(environment.id, service_id)
        self.state.environments.pop(environment.id, None)
        self.touch()

    # ---- staging ----------------------------------------------------------------------------------------

    def stage(self, environment: Environment, patch: Config, *, merged: bool) -> Patch:
        """Put a patch aside for a later commit; without ``merged`` it replaces what was staged before."""
        base = environment.staged.patch if environment.staged and merged else {}
        created = environment.staged.created_at if environment.staged else timestamp()
        # Nulls are kept: they delete when the patch is committed.
        combined = _overlay(base, patch)
        environment.staged = Patch(new_id(), environment.id, combined, "STAGED", created, timestamp())
        self.touch()
        return environment.staged

    # ---- time -------------------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Run cron services, take metrics, keep the state file; until cancelled or the folder has vanished."""
        due: dict[str, datetime | None] = {}
        sampled = 0.0
        loop = asyncio.get_running_loop()
        while self.place.folder.is_dir():
            await asyncio.sleep(0.5)
            self._run_due(due)
            if loop.time() - sampled >= SAMPLE_EVERY_SECONDS:
                sampled = loop.time()
                self._sample()
            if self.changed:
                self.save()

    def save(self) -> None:
        self.changed = False
        with contextlib.suppress(OSError):
            save(self.state, self.place.folder / "state.json")

    def _run_due(self, due: dict[str, datetime | None]) -> None:
        now = datetime.now(UTC)
        for environment in self.state.environments.values():
            for service_id in self.environment_services(environment):
                active = self.deployments.active(environment.id, service_id)[:1]
                if not active or not (active[0].config.get("deploy") or {}).get("cronSchedule"):
                    continue
                moment = due.setdefault(active[0].id, self.next_cron_run(active[0].config))
                if moment is not None and now >= moment:
                    self.deployments.run_cron(active[0])
                    due[active[0].id] = self.next_cron_run(active[0].config)

    def _sample(self) -> None:
        for deployment, instance in self.deployments.running():
            if instance.pid:
                self.metrics.read(
                    instance.pid,
                    environment=deployment.environment_id,
                    service=deployment.service_id,
                    deployment=deployment.id,
                    replica=instance.id,
                    region=instance.region,
                )


def config_etag(environment: Environment) -> str:
    """The opaque token of an environment's config."""
    return etag(environment.config)


def _has_source(config: Config) -> bool:
    source = config.get("source") or {}
    return bool(source.get("repo") or source.get("image"))


def _overlay(base: Any, patch: Any) -> Any:
    """``patch`` over ``base`` with nulls kept as values."""
    if not isinstance(patch, dict) or not isinstance(base, dict):
        return deepcopy(patch)
    return {**base, **{key: _overlay(base.get(key), value) for key, value in patch.items()}}
