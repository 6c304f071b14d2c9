"""A job worker inside somebody's web process: `worker = embedded.start(); …; worker.stop()`."""

from __future__ import annotations

import threading
from typing import Any

from runtime import handlers, log
from runtime.db.pool import Pool
from runtime.loop import Stop
from runtime.settings import Settings
from runtime.wakeup import listen
from runtime.worker import Worker

WHO = "[server]"
_running: list[Worker] = []


class EmbeddedWorker:
    """The worker, on a thread of its own. Whatever happens to it, the web process goes on."""

    def __init__(self, settings: Settings, connections: Pool | None = None) -> None:
        """`connections`: those of the web process, if it has some of its own to share."""
        self._stop = Stop()
        self._settings = settings
        self._connections = connections
        self.worker: Worker | None = None
        self.crashed = False
        self._thread = threading.Thread(target=self._run, name="job-worker", daemon=True)

    def start(self) -> None:
        log.info(f"{WHO} 🔄 Starting embedded job worker")
        log.info(f"{WHO} Job worker poll interval: {self._settings.job_worker_poll_interval_ms}ms")
        self._thread.start()

    def stop(self, timeout_seconds: float | None = None) -> None:
        """Drain and wait for the end."""
        self._stop.request()
        self._thread.join(timeout_seconds)

    def facts(self) -> dict[str, Any]:
        """How the worker is, for a health page."""
        worker = self.worker
        if self.crashed:
            return {"state": "crashed"}
        if worker is None or not worker.registered:
            return {"state": "starting"}
        return {
            "state": "running",
            "id": worker.identity.id,
            "poll_interval_ms": self._settings.job_worker_poll_interval_ms,
            "loop_age_ms": round(worker.pulse.age_seconds() * 1000),
        }

    def _run(self) -> None:
        try:
            registry = handlers.load(self._settings.jobs_module)
            self.worker = Worker(self._settings, registry, self._stop, self._connections)
            _running.append(self.worker)
            listener = listen(WHO, self._settings.wake_port, self.worker.wake)
            try:
                self.worker.run()
            finally:
                if listener is not None:
                    listener.close()
        except Exception as error:
            self.crashed = True
            log.exception(f"{WHO} Failed to start job worker: {error}", error)
            log.error(f"{WHO} Job worker crashed but web server continues")
        finally:
            if self.worker in _running:
                _running.remove(self.worker)


def start(settings: Settings | None = None) -> EmbeddedWorker:
    """Start a worker beside a web server. Raises `SettingsError` when the environment makes no sense."""
    embedded = EmbeddedWorker(settings or Settings.from_env())
    embedded.start()
    return embedded


def wake_here() -> None:
    """Tell the workers of this very process that there is something to do."""
    for worker in _running:
        worker.wake()
