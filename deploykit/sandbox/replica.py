"""One replica of a deployment: its process, restarted by policy, ended in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from deploykit.sandbox.pace import Pace
from deploykit.sandbox.processes import Container
from deploykit.sandbox.state import Instance


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """``ON_FAILURE`` (up to ``limit`` restarts), ``ALWAYS`` (no limit) or ``NEVER`` (Railway docs: restart policy)."""

    kind: str
    limit: int

    def restarts(self, exit_code: int, already: int) -> bool:
        if self.kind == "ALWAYS":
            return True
        return self.kind == "ON_FAILURE" and exit_code != 0 and already < self.limit


class Replica:
    """Keeps an instance's command running until told otherwise.

    ``launch`` starts the command once and answers its container, or raises OSError when this machine cannot.
    ``on_end`` is called when no restart follows.
    """

    def __init__(
        self,
        instance: Instance,
        policy: RestartPolicy,
        pace: Pace,
        launch: Callable[[Instance], Awaitable[Container]],
        on_sigterm: Callable[[Instance], None],
        on_end: Callable[[], None],
    ) -> None:
        self.instance = instance
        self.container: Container | None = None
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self._policy, self._pace, self._launch = policy, pace, launch
        self._on_sigterm, self._on_end = on_sigterm, on_end
        self._stopping = asyncio.Event()
        self._again = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            while await self._live_once():
                pass
        except OSError:
            self.instance.status = "CRASHED"
        finally:
            self.started.set()
            self.ended.set()
            self._on_end()

    async def _live_once(self) -> bool:
        """One life of the process; whether another one follows."""
        instance = self.instance
        if self._stopping.is_set():
            instance.status = "STOPPED"
            return False
        instance.status = "INITIALIZING" if instance.pid is None else "RESTARTING"
        self.container = await self._launch(instance)
        instance.pid = self.container.pid
        if not self.container.ended.done():
            instance.status = "REMOVING" if self._stopping.is_set() else "RUNNING"
        self.started.set()
        instance.exit_code = await self.container.ended
        if self._stopping.is_set():
            instance.status = "STOPPED"
            return False
        if self._again:
            self._again = False
            instance.status = "RESTARTING"
            return True
        if not self._policy.restarts(instance.exit_code, instance.restarts):
            instance.status = "EXITED" if instance.exit_code == 0 else "CRASHED"
            return False
        instance.status = "RESTARTING"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._pace.backoff(instance.restarts))
        instance.restarts += 1
        return True

    async def stop(self, draining_seconds: float, *, patient: bool = True) -> None:
        """SIGTERM, then SIGKILL after the draining time; returns when no process is left.

        Without patience a process that does not listen to SIGTERM is killed at once.
        """
        if self.ended.is_set():
            return
        self._stopping.set()
        self.instance.status = "REMOVING"
        await self.started.wait()
        await self._end_container(draining_seconds, patient=patient)
        await self.ended.wait()

    async def restart(self, draining_seconds: float) -> None:
        """End the process as ``stop`` does and start it again under the same identity."""
        self._again = self.container is not None and not self.container.ended.done()
        self.instance.status = "RESTARTING"
        await self._end_container(draining_seconds)

    async def _end_container(self, draining_seconds: float, *, patient: bool = True) -> None:
        container = self.container
        if container is None or container.ended.done():
            return
        self._on_sigterm(self.instance)
        container.stop()
        deaf = asyncio.create_task(container.deaf.wait())
        waited: set[asyncio.Future[Any]] = {container.ended} if patient else {container.ended, deaf}
        await asyncio.wait(waited, timeout=draining_seconds, return_when=asyncio.FIRST_COMPLETED)
        deaf.cancel()
        if not container.ended.done():
            container.kill()
            await asyncio.wait([container.ended])
