"""A small HTTP server with /health and /metrics, and an embedded job worker when it is asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runtime import log, metrics
from runtime.embedded import EmbeddedWorker
from runtime.loop import Stop
from runtime.settings import Settings

WHO = "[server]"
ADDRESS = "0.0.0.0"
Answer = tuple[int, str, bytes]


class Web:
    """The web process. `run` returns when `stop` is requested and the embedded worker has drained."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self.settings = settings
        self.stop = stop
        self._bell = stop.bell()
        self._began = time.monotonic()
        self._embedded: EmbeddedWorker | None = None

    def run(self) -> None:
        """Serve until told to stop.

        Raises OSError when the port is taken, `SettingsError` when a worker is wanted and there is no DATABASE_URL.
        """
        settings = self.settings
        log.info(f"{WHO} Starting application...")
        log.info(f"{WHO} PORT={settings.port} NODE_ENV={settings.node_env}")
        if settings.embedded_job_worker:
            settings.require_database_url()
        server = serve(settings.port, self._answer)
        log.info(
            f"{WHO} ✓ Listening on "
            + json.dumps({"address": ADDRESS, "port": server.server_port}, separators=(",", ":"))
        )
        if settings.schedule_daemon_enabled:
            log.warning(f"{WHO} ⚠️  SCHEDULE_DAEMON_ENABLED=true does nothing here; set it to false in the web service")
        self._start_worker()
        self._bell.wait(threading.TIMEOUT_MAX)
        log.info(f"{WHO} Stopping")
        if self._embedded is not None:
            self._embedded.stop()
        server.shutdown()
        server.server_close()

    def _start_worker(self) -> None:
        if not self.settings.embedded_job_worker:
            log.info(f"{WHO} ⏸️  Job worker disabled (EMBEDDED_JOB_WORKER not set to true)")
            return
        self._embedded = EmbeddedWorker(self.settings)
        self._embedded.start()

    def _answer(self, path: str) -> Answer:
        if path == "/health":
            return _json(200, self._health())
        if path == "/metrics":
            return 200, metrics.CONTENT_TYPE, metrics.text(self._samples()).encode()
        if path == "/":
            return _json(200, {"service": self.settings.railway_service_name or "web-server", "health": "/health"})
        return _json(404, {"error": "not found"})

    def _samples(self) -> list[metrics.Sample]:
        worker = None if self._embedded is None else self._embedded.worker
        return [] if worker is None else worker.samples()

    def _health(self) -> dict[str, Any]:
        """Healthy means: this process answers. A database that is away is the worker's business, and shown."""
        worker = {"state": "disabled"} if self._embedded is None else self._embedded.facts()
        return {"status": "ok", "uptime_seconds": round(time.monotonic() - self._began, 1), "job_worker": worker}


def serve(port: int, answer: Callable[[str], Answer]) -> ThreadingHTTPServer:
    """A listening server on its own thread. `answer` takes a path and gives status, content type and body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, content_type, body = answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Silent: a health check every few seconds would bury everything else."""

    server = ThreadingHTTPServer((ADDRESS, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="http", daemon=True).start()
    return server


def _json(status: int, value: Any) -> Answer:
    return status, "application/json", json.dumps(value).encode()
