"""A deployment's life as real processes: build, start, health check, take over, drain, remove.

The order is Railway's (docs: deployments, deployment teardown, healthchecks, volumes). Deployments of one service go
one after the other; those of different services run side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploykit.sandbox import database, guard
from deploykit.sandbox.config import Config, Settings, settings
from deploykit.sandbox.faults import Faults
from deploykit.sandbox.health import answers_200
from deploykit.sandbox.logs import Logs
from deploykit.sandbox.pace import Pace
from deploykit.sandbox.place import Place, process_environment
from deploykit.sandbox.processes import Container
from deploykit.sandbox.replica import Replica, RestartPolicy
from deploykit.sandbox.state import (
    BUILDING,
    ENDED_INSTANCE,
    IN_PROGRESS,
    Deployment,
    Environment,
    Event,
    Execution,
    Instance,
    Service,
    State,
    new_id,
    timestamp,
)
from deploykit.sandbox.timeline import Timeline, flags

RECORDS_PER_SERVICE = 100
CLOSING_SECONDS = 3.0


class Failure(Exception):
    """The deployment cannot go on; the text goes to its log."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a deployment takes with it when it is created: settings, rendered variables, which of them are sealed."""

    config: Config
    variables: dict[str, str]
    sealed: list[str]


def commit_of(config: Config) -> str:
    """The commit a source stands at: made up, but always the same for the same repository and branch."""
    source = config.get("source") or {}
    return hashlib.sha1(f"{source.get('repo')}@{source.get('branch', 'main')}".encode()).hexdigest()


class Deployments:
    """Starts, replaces, stops and removes; every public method returns at once or when its effect is complete."""

    def __init__(
        self,
        state: State,
        place: Place,
        pace: Pace,
        timeline: Timeline,
        logs: Logs,
        faults: Faults,
        provided: Callable[[Environment, Service], dict[str, str]],
        on_change: Callable[[], None],
    ) -> None:
        self.state, self.place, self.pace = state, place, pace
        self.timeline, self.logs, self.faults = timeline, logs, faults
        self._provided, self._on_change = provided, on_change
        self._replicas: dict[str, Replica] = {}
        self._zombies: list[Replica] = []
        self._lanes: dict[tuple[str, str], asyncio.Lock] = {}
        self._settled: dict[str, asyncio.Event] = {}
        self._removed: dict[str, asyncio.Event] = {}
        self._closing = False
        self._rollouts: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # ---- asked from outside -----------------------------------------------------------------------------------

    def create(
        self,
        environment: Environment,
        service: Service,
        snapshot: Snapshot,
        *,
        reason: str,
        commit: str | None = None,
        built: bool = False,
        after: list[Deployment] | None = None,
    ) -> Deployment:
        """A new deployment, on its way. ``built`` skips the build; ``after`` are deployments to wait for."""
        moment = timestamp()
        source = snapshot.config.get("source") or {}
        meta: dict[str, Any] = {
            "reason": reason,
            "serviceManifest": {
                "build": snapshot.config.get("build") or {},
                "deploy": snapshot.config.get("deploy") or {},
            },
            "rootDirectory": source.get("rootDirectory"),
            "configFile": snapshot.config.get("configFile"),
        }
        if source.get("image"):
            meta["image"] = source["image"]
        if source.get("repo"):
            meta |= {"repo": source["repo"], "branch": source.get("branch", "main")}
            meta |= {
                "commitHash": commit or commit_of(snapshot.config),
                "commitMessage": "Sandbox",
                "commitAuthor": "sandbox",
            }
        deployment = Deployment(
            new_id(), service.id, environment.id, new_id(), moment, moment, moment,
            config=snapshot.config, variables=snapshot.variables, sealed=snapshot.sealed, meta=meta,
        )  # fmt: skip
        self.state.deployments[deployment.id] = deployment
        self._settled[deployment.id] = asyncio.Event()
        self._forget_old(environment, service)
        self._rollouts[deployment.id] = self._background(self._roll_out(deployment, built, after or []))
        self._on_change()
        return deployment

    def active(self, environment_id: str, service_id: str) -> list[Deployment]:
        """What is deployed and running, newest first: also a predecessor that still overlaps or drains."""
        return [
            deployment
            for deployment in self.state.deployments_of(environment_id, service_id)
            if deployment.status in ("SUCCESS", "SLEEPING")
            or (deployment.status == "REMOVING" and not deployment.stopped)
        ]

    def latest(self, environment_id: str, service_id: str) -> Deployment | None:
        """The newest deployment that was not removed."""
        records = self.state.deployments_of(environment_id, service_id)
        return next((deployment for deployment in records if deployment.status != "REMOVED"), None)

    async def settled(self, deployment: Deployment) -> None:
        """Wait until the deployment is active, failed or removed."""
        if event := self._settled.get(deployment.id):
            await event.wait()

    def stop(self, deployment: Deployment) -> None:
        """End the processes, keep the record (GraphQL: ``deploymentStop``)."""
        self._background(self._stop(deployment))

    def remove(self, deployment: Deployment) -> None:
        """End the processes and move the deployment to history (GraphQL: ``deploymentRemove``)."""
        if deployment.status in IN_PROGRESS:
            self.cancel(deployment)
        else:
            self._background(self._retire(deployment))

    def cancel(self, deployment: Deployment) -> None:
        """Abort a deployment that is not active yet."""
        if task := self._rollouts.get(deployment.id):
            task.cancel()

    def restart(self, deployment: Deployment) -> None:
        """End and start every process under the same deployment, with its old variables."""
        draining = self._draining(deployment)
        for instance in deployment.instances:
            replica = self._replicas.get(instance.id)
            if replica is not None and not replica.ended.is_set():
                self._background(replica.restart(draining))
            else:
                self._start_replica(deployment, instance)
        self._set(deployment, "SUCCESS")

    def scale(self, deployment: Deployment, config: Config) -> None:
        """Start or end replicas of an active deployment until they match ``config`` (no new deployment)."""
        wanted = list(settings(config, deployment.variables).replicas)
        deployment.config["deploy"] = {
            **(deployment.config.get("deploy") or {}),
            "multiRegionConfig": (config.get("deploy") or {}).get("multiRegionConfig"),
        }
        deployment.meta["serviceManifest"]["deploy"] = deployment.config["deploy"]
        for instance in [entry for entry in deployment.instances if entry.status not in ENDED_INSTANCE]:
            if instance.region in wanted:
                wanted.remove(instance.region)
            elif replica := self._replicas.get(instance.id):
                self._background(self._drop_replica(deployment, replica))
        for region in wanted:
            instance = Instance(new_id(), region)
            deployment.instances.append(instance)
            self._start_replica(deployment, instance)
        self._on_change()

    def put_to_sleep(self, deployment: Deployment) -> None:
        """Serverless sleep: no process is left, nothing restarts it but a new deployment."""
        self._background(self._stop(deployment, "SLEEPING"))

    def run_cron(self, deployment: Deployment) -> bool:
        """Start one execution of a cron service; False when the previous one still runs (it is skipped then)."""
        if any(instance.status not in ENDED_INSTANCE for instance in deployment.instances):
            return False
        execution = Execution(new_id(), deployment.id, "RUNNING", timestamp(), timestamp())
        self.state.executions[execution.id] = execution
        while len(self.state.executions) > RECORDS_PER_SERVICE:
            del self.state.executions[next(iter(self.state.executions))]
        deployment.instances = [Instance(new_id(), settings(deployment.config, deployment.variables).replicas[0])]
        self._start_replica(deployment, deployment.instances[0], execution)
        return True

    def signal(self, deployment: Deployment, number: int, *, guards: bool = False) -> int:
        """Send a signal to all processes of the deployment (STOP, CONT, KILL); how many containers were reached."""
        reached = 0
        for instance in deployment.instances:
            replica = self._replicas.get(instance.id)
            if replica is None or replica.ended.is_set() or replica.container is None:
                continue
            reached += 1
            if guards:
                replica.container.kill_guard()
            elif number == signal.SIGKILL:
                replica.container.signal(number)
            else:
                for pid in [replica.container.pid, *guard.descendants(replica.container.pid)]:
                    with contextlib.suppress(OSError):
                        os.kill(pid, number)
        return reached

    def running(self) -> list[tuple[Deployment, Instance]]:
        """Every instance with a process, zombies included."""
        by_instance = {i.id: (d, i) for d in self.state.deployments.values() for i in d.instances}
        living = [r for r in [*self._replicas.values(), *self._zombies] if r.container and not r.container.ended.done()]
        return [by_instance[replica.instance.id] for replica in living if replica.instance.id in by_instance]

    def resume(self) -> None:
        """After a restart of the sandbox: what was active starts again, what was on its way has failed."""
        for deployment in self.state.deployments.values():
            if deployment.status in IN_PROGRESS:
                self._set(deployment, "FAILED")
            elif deployment.status == "REMOVING":
                self._finish_removal(deployment)
            elif deployment.status == "SUCCESS":
                for instance in deployment.instances:
                    if instance.status not in ENDED_INSTANCE:
                        self._start_replica(deployment, instance)

    async def close(self) -> None:
        """End everything: applications first, their databases after them, nobody longer than a few seconds."""
        self._closing = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        replicas = [*self._zombies, *self._replicas.values()]
        databases = [replica for replica in replicas if self._is_database(replica)]
        await asyncio.gather(
            *(replica.stop(CLOSING_SECONDS, patient=False) for replica in replicas if replica not in databases)
        )
        await asyncio.gather(*(replica.stop(database.DRAINING_SECONDS, patient=False) for replica in databases))

    # ---- the life of a deployment -----------------------------------------------------------------------------

    async def _roll_out(self, deployment: Deployment, built: bool, after: list[Deployment]) -> None:
        lane = self._lanes.setdefault((deployment.environment_id, deployment.service_id), asyncio.Lock())
        try:
            async with lane:
                await self._build(deployment, built, after)
                await self._deploy(deployment)
        except (Failure, OSError, ValueError) as failure:
            # Besides a Failure: a full disk, or a MYSQLPORT that is no number.
            self._log(deployment, str(failure), stderr=True)
            await self._stop(deployment, "FAILED")
        except asyncio.CancelledError:
            if not self._closing:
                # A task of its own: the cancellation must not reach the clearing up.
                self._background(self._retire(deployment))
        finally:
            self._rollouts.pop(deployment.id, None)
            self._settled[deployment.id].set()

    async def _build(self, deployment: Deployment, built: bool, after: list[Deployment]) -> None:
        await self.pace.rest(self.pace.queued_seconds)
        if after:
            with self._step(deployment, "WAIT_FOR_DEPENDENCIES"):
                await asyncio.gather(*(self.settled(other) for other in after))
        self._set(deployment, "INITIALIZING")
        with self._step(deployment, "SNAPSHOT_CODE"):
            await self.pace.rest(self.pace.initializing_seconds)
        if built:
            return
        name = self._service(deployment).name
        self._set(deployment, "BUILDING")
        with self._step(deployment, "BUILD_IMAGE"):
            self._build_log(deployment, f"Using the sources in {self.place.sources}; the sandbox builds no image")
            await self.pace.rest(self.pace.building_seconds)
            if slow := self.faults.take("slow-build", service=name):
                await self.pace.rest(slow.parameters["seconds"])
            if self.faults.take("build-failure", service=name):
                self._build_log(deployment, "Build failed (injected fault build-failure)", stderr=True)
                raise Failure("Build failed")

    async def _deploy(self, deployment: Deployment) -> None:
        options = self._settings(deployment)
        self._set(deployment, "DEPLOYING")
        await self.pace.rest(self.pace.deploying_seconds)
        if options.pre_deploy_command:
            with self._step(deployment, "PRE_DEPLOY_COMMAND"):
                await self._pre_deploy(deployment, options.pre_deploy_command)
        if options.cron is None:
            self._refuse_without_command(deployment, options)
            if options.exclusive:
                # The volume is free only when the old processes are gone, also those that already drain.
                # Tasks of their own: a removal that has begun goes on when this deployment is cancelled.
                draining = [self._background(self._retire(old)) for old in self._predecessors(deployment, "REMOVING")]
                await asyncio.gather(*map(asyncio.shield, draining))
            await self._start(deployment, options)
        deployment.was_active = True
        self._set(deployment, "SUCCESS")
        for instance in deployment.instances:
            self._record("ready", deployment, instance)
        self._note_end(deployment)
        for old in self._predecessors(deployment):
            self._background(self._retire(old, options_of=deployment))

    async def _start(self, deployment: Deployment, options: Settings) -> None:
        """Start all replicas and wait for their health check, if there is one. Raises Failure."""
        with self._step(deployment, "CREATE_CONTAINER"):
            deployment.instances = [Instance(new_id(), region) for region in options.replicas]
            replicas = [self._start_replica(deployment, instance) for instance in deployment.instances]
            await asyncio.gather(*(replica.started.wait() for replica in replicas if replica))
        name = self._service(deployment).name
        if slow := self.faults.take("slow-start", service=name):
            await self.pace.rest(slow.parameters["seconds"])
        if self.faults.take("healthcheck-failure", service=name):
            with self._step(deployment, "HEALTHCHECK", error="injected fault healthcheck-failure"):
                await self.pace.rest(self.pace.health_poll_seconds)
                raise Failure("Healthcheck failed (injected fault healthcheck-failure)")
        if database.is_database(options.image):
            await self._await_database(deployment)
        elif options.healthcheck_path:
            with self._step(deployment, "HEALTHCHECK"):
                await self._await_health(deployment, options)

    async def _await_health(self, deployment: Deployment, options: Settings) -> None:
        path = options.healthcheck_path or "/"
        deadline = asyncio.get_running_loop().time() + self.pace.scaled(options.healthcheck_timeout_seconds)
        waiting = list(deployment.instances)
        while True:
            checks = await asyncio.gather(*(answers_200(self._port(deployment, one), path) for one in waiting))
            waiting = [instance for instance, healthy in zip(waiting, checks, strict=True) if not healthy]
            if not waiting:
                return
            if deployment.stopped:
                raise Failure(f"Healthcheck on {path} failed: the process ended")
            if asyncio.get_running_loop().time() >= deadline:
                raise Failure(
                    f"Healthcheck on {path} failed: no answer 200 within {options.healthcheck_timeout_seconds:g} s"
                )
            await self.pace.rest(self.pace.health_poll_seconds)

    async def _await_database(self, deployment: Deployment) -> None:
        if self.place.database_server is None:
            return
        port = int(deployment.variables.get("MYSQLPORT", "3306"))
        ready = asyncio.create_task(database.accepts_connections(port))
        ended = asyncio.create_task(self._all_ended(deployment))
        await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
        failed = ended.done() or not ready.result()
        ready.cancel()
        ended.cancel()
        if failed:
            raise Failure("The database server did not start")

    async def _all_ended(self, deployment: Deployment) -> None:
        replicas = [self._replicas.get(instance.id) for instance in deployment.instances]
        await asyncio.gather(*(replica.ended.wait() for replica in replicas if replica is not None))

    async def _pre_deploy(self, deployment: Deployment, command: str) -> None:
        instance = Instance(f"pre-deploy-{new_id()}", "")
        container = await self._launch(deployment, instance, ["/bin/sh", "-c", command], flags_shown=False)
        try:
            code = await container.ended
        finally:
            container.kill()
        if code != 0:
            raise Failure(f"Pre-deploy command failed with exit code {code}")

    def _refuse_without_command(self, deployment: Deployment, options: Settings) -> None:
        if options.start_command or database.is_database(options.image):
            return
        if options.image:
            raise Failure(f"No start command: the sandbox pulls no image, and {options.image} would bring the command")
        raise Failure("No start command could be found. Set deploy.startCommand")

    def _predecessors(self, deployment: Deployment, *more: str) -> list[Deployment]:
        return [
            other
            for other in self.state.deployments_of(deployment.environment_id, deployment.service_id)
            if other is not deployment and other.status in ("SUCCESS", "SLEEPING", "CRASHED", *more)
        ]

    async def _retire(self, deployment: Deployment, options_of: Deployment | None = None) -> None:
        """Take a deployment out of service: overlap, SIGTERM, draining, SIGKILL, removed."""
        if options_of is not None:
            await self.pace.rest(self.pace.scaled(self._settings(options_of).overlap_seconds))
        removed = self._removed.setdefault(deployment.id, asyncio.Event())
        if deployment.status == "REMOVING":
            await removed.wait()
        if deployment.status == "REMOVED":
            return
        self._set(deployment, "REMOVING")
        with self._step(deployment, "DRAIN_INSTANCES"):
            living = [instance for instance in deployment.instances if instance.id in self._replicas]
            if living and self.faults.take("zombie", service=self._service_name(deployment)):
                self._zombies += [self._replicas.pop(instance.id) for instance in living]
            else:
                await self._end_replicas(deployment)
        self._finish_removal(deployment)

    def _finish_removal(self, deployment: Deployment) -> None:
        for instance in deployment.instances:
            # A zombie's own record keeps changing with its process; the platform's has ended.
            deployment.instances[deployment.instances.index(instance)] = Instance(
                instance.id,
                instance.region,
                "REMOVED",
                instance.pid,
                instance.port,
                instance.restarts,
                instance.exit_code,
            )
        self._set(deployment, "REMOVED")
        self._removed.setdefault(deployment.id, asyncio.Event()).set()

    async def _stop(self, deployment: Deployment, status: str | None = None) -> None:
        await self._end_replicas(deployment)
        for instance in deployment.instances:
            if instance.status not in ENDED_INSTANCE:
                instance.status = "STOPPED"
        if status:
            self._set(deployment, status)
        self._on_change()

    async def _end_replicas(self, deployment: Deployment) -> None:
        draining = self._draining(deployment)
        replicas = [self._replicas[instance.id] for instance in deployment.instances if instance.id in self._replicas]
        await asyncio.gather(*(replica.stop(draining) for replica in replicas))
        for replica in replicas:
            self._replicas.pop(replica.instance.id, None)

    async def _drop_replica(self, deployment: Deployment, replica: Replica) -> None:
        await replica.stop(self._draining(deployment))
        self._replicas.pop(replica.instance.id, None)
        if replica.instance in deployment.instances:
            deployment.instances.remove(replica.instance)
        self._on_change()

    # ---- processes --------------------------------------------------------------------------------------------

    def _start_replica(
        self, deployment: Deployment, instance: Instance, execution: Execution | None = None
    ) -> Replica | None:
        options = self._settings(deployment)
        if database.is_database(options.image) and self.place.database_server is None:
            self._database_folder(deployment).mkdir(parents=True, exist_ok=True)
            instance.status = "RUNNING"
            return None

        def on_end() -> None:
            if execution is not None:
                execution.status = instance.status
                execution.completed_at = execution.updated_at = timestamp()
            self._note_end(deployment)

        replica = Replica(
            instance,
            RestartPolicy(options.restart_policy, options.restart_limit),
            self.pace,
            launch=lambda one: self._launch_start_command(deployment, one),
            on_sigterm=lambda one: self._record("sigterm", deployment, one),
            on_end=on_end,
        )
        self._replicas[instance.id] = replica
        return replica

    def _note_end(self, deployment: Deployment) -> None:
        """A replica ended for good: without any left, an active deployment that failed has crashed."""
        crashed = any(instance.status == "CRASHED" for instance in deployment.instances)
        if deployment.status == "SUCCESS" and deployment.stopped and crashed:
            self._set(deployment, "CRASHED")
        self._on_change()

    async def _launch_start_command(self, deployment: Deployment, instance: Instance) -> Container:
        options = self._settings(deployment)
        argv = ["/bin/sh", "-c", options.start_command or "exit 127"]
        if database.is_database(options.image) and self.place.database_server is not None:
            try:
                argv = await asyncio.to_thread(
                    database.command,
                    self.place.database_server,
                    self._database_folder(deployment),
                    deployment.variables,
                )
            except (OSError, subprocess.SubprocessError) as error:
                self._log(deployment, f"cannot prepare the database: {error}", stderr=True)
                argv = ["/bin/sh", "-c", "exit 1"]
        elif crash := self.faults.take("crash", service=self._service(deployment).name):
            argv = ["/bin/sh", "-c", f"echo 'ended by the injected fault crash'; exit {int(crash.parameters['code'])}"]
        return await self._launch(deployment, instance, argv)

    async def _launch(
        self, deployment: Deployment, instance: Instance, argv: list[str], *, flags_shown: bool = True
    ) -> Container:
        environment = self._environment(deployment, instance)
        shown = flags(environment) if flags_shown else {}
        service, tags = self._service(deployment).name, self._tags(deployment, instance)

        def on_start(pid: int) -> None:
            instance.pid = pid
            self._record("start", deployment, instance, shown)

        container = await Container.start(
            argv,
            environment,
            self._working_folder(deployment),
            on_line=lambda text, stderr: self.logs.write(service, tags, text, stderr=stderr),
            on_start=on_start,
        )
        pid = container.pid
        container.ended.add_done_callback(
            lambda ended: self._record("exit", deployment, instance, shown, pid=pid, code=ended.result())
        )
        return container

    def _environment(self, deployment: Deployment, instance: Instance) -> dict[str, str]:
        environment, service = self.state.environments[deployment.environment_id], self._service(deployment)
        if instance.port is None and "PORT" not in deployment.variables:
            instance.port = database.free_port()
        mounted = self._settings(deployment).volume
        volume = self.state.volumes.get(mounted[0]) if mounted else None
        return process_environment(
            deployment, instance, place=self.place, provided=self._provided(environment, service), volume=volume
        )

    def _port(self, deployment: Deployment, instance: Instance) -> int:
        given = deployment.variables.get("PORT", "")
        return int(given) if given.isdigit() else instance.port or 0

    def _working_folder(self, deployment: Deployment) -> Path:
        root = (deployment.config.get("source") or {}).get("rootDirectory") or ""
        return self.place.sources / root.strip("/")

    def _database_folder(self, deployment: Deployment) -> Path:
        volume = self._settings(deployment).volume
        return self.place.volume(volume[0] if volume else deployment.service_id)

    # ---- small things -----------------------------------------------------------------------------------------

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _set(self, deployment: Deployment, status: str) -> None:
        deployment.status = status
        deployment.status_updated_at = deployment.updated_at = timestamp()
        self._on_change()

    @contextmanager
    def _step(self, deployment: Deployment, step: str, **payload: Any) -> Iterator[None]:
        event = Event(new_id(), step, timestamp(), payload=payload or None)
        deployment.events.append(event)
        try:
            yield
        except Failure as failure:
            event.payload = {"error": str(failure), **payload}
            raise
        finally:
            event.completed_at = timestamp()

    def _record(
        self, event: str, deployment: Deployment, instance: Instance, shown: dict[str, str] | None = None, **facts: Any
    ) -> None:
        if shown is None:
            shown = flags(deployment.variables)
        self.timeline.record(
            event,
            **{
                "service": self._service_name(deployment),
                "environment": deployment.environment_id,
                "deployment": deployment.id,
                "replica": instance.id,
                "pid": instance.pid,
                "env_flags": shown,
                **facts,
            },
        )

    def _log(self, deployment: Deployment, text: str, *, stderr: bool = False) -> None:
        self.logs.write(self._service_name(deployment), self._tags(deployment, None), text, stderr=stderr)

    def _build_log(self, deployment: Deployment, text: str, *, stderr: bool = False) -> None:
        self.logs.build(self._service_name(deployment), self._tags(deployment, None), text, stderr=stderr)

    def _tags(self, deployment: Deployment, instance: Instance | None) -> dict[str, str | None]:
        return {
            "projectId": self.state.project.id,
            "environmentId": deployment.environment_id,
            "serviceId": deployment.service_id,
            "deploymentId": deployment.id,
            "deploymentInstanceId": instance.id if instance else None,
            "snapshotId": deployment.snapshot_id,
        }

    def _service(self, deployment: Deployment) -> Service:
        return self.state.services[deployment.service_id]

    def _service_name(self, deployment: Deployment) -> str:
        return self._service(deployment).name

    def _settings(self, deployment: Deployment) -> Settings:
        return settings(deployment.config, deployment.variables)

    def _draining(self, deployment: Deployment) -> float:
        options = self._settings(deployment)
        if database.is_database(options.image):
            return database.DRAINING_SECONDS
        return self.pace.scaled(options.draining_seconds)

    def _is_database(self, replica: Replica) -> bool:
        owner = next((d for d in self.state.deployments.values() if replica.instance in d.instances), None)
        return owner is not None and database.is_database(self._settings(owner).image)

    def _forget_old(self, environment: Environment, service: Service) -> None:
        """Keep the state bounded: the oldest ended deployments of a service leave the records."""
        records = self.state.deployments_of(environment.id, service.id)
        for deployment in records[RECORDS_PER_SERVICE:]:
            if deployment.status in ("REMOVED", "FAILED", "SKIPPED"):
                self.state.deployments.pop(deployment.id)
                self._settled.pop(deployment.id, None)
                self._removed.pop(deployment.id, None)


def is_building(deployment: Deployment) -> bool:
    """Whether a redeploy has to wait for this deployment."""
    return deployment.status in BUILDING
