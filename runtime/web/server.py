"""A small HTTP server with /health and /metrics, and an embedded job worker when it is asked for.

What a token opens (the control panel, /deploykit/status) is loaded at the first request for it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from runtime import log, metrics, start
from runtime.db.pool import Pool
from runtime.embedded import EmbeddedWorker
from runtime.loop import Stop
from runtime.settings import Settings
from runtime.web.exchange import Request, Response, as_json

if TYPE_CHECKING:
    from runtime.web.admin import Admin

WHO = "[server]"
ADDRESS = "0.0.0.0"
BODY_MOST_BYTES = 16_384
IDLE_CONNECTION_SECONDS = 120.0
"""Twice as long as the proxy keeps an unused connection (Railway docs: public networking, 60 s): one that we close
under its hands becomes an error of its own."""


class Web:
    """The web process. `run` returns when `stop` is requested and the embedded worker has drained."""

    def __init__(self, settings: Settings, stop: Stop) -> None:
        self.settings = settings
        self.stop = stop
        self._bell = stop.bell()
        self._began = time.monotonic()
        self._embedded: EmbeddedWorker | None = None
        self._pool: Pool | None = None
        self._admin: Admin | None = None
        self._lock = threading.Lock()

    def run(self) -> None:
        """Serve until told to stop.

        Raises OSError when the port is taken, `SettingsError` when a worker is wanted and there is no DATABASE_URL.
        """
        settings = self.settings
        log.info(f"{WHO} Starting application...")
        log.info(f"{WHO} PORT={settings.port} NODE_ENV={settings.node_env}")
        if settings.embedded_job_worker or settings.database_url is not None:
            self._pool = start.pool(settings)
        server = serve(settings.port, self._answer)
        log.info(
            f"{WHO} ✓ Listening on "
            + json.dumps({"address": ADDRESS, "port": server.server_port}, separators=(",", ":"))
        )
        log.info(f"{WHO} Control panel {'at /panel' if settings.admin_token else 'off (ADMIN_TOKEN not set)'}")
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
        self._embedded = EmbeddedWorker(self.settings, self._pool)
        self._embedded.start()

    def _answer(self, request: Request) -> Response:
        path = request.path
        if path == "/deploykit/status" or path == "/panel" or path.startswith("/panel/"):
            return self._administration().answer(request)
        if request.method == "POST":
            return as_json(405, {"error": "only GET"}, ("Allow", "GET, HEAD"))
        if path == "/health":
            return as_json(200, self._health())
        if path == "/metrics":
            return Response(200, metrics.CONTENT_TYPE, metrics.text(self._samples()).encode())
        if path == "/":
            return as_json(200, {"service": self.settings.railway_service_name or "web-server", "health": "/health"})
        return as_json(404, {"error": "not found"})

    def _administration(self) -> Admin:
        with self._lock:
            if self._admin is None:
                from runtime.web.admin import Admin  # here, so that a process nobody administers stays small

                self._admin = Admin(self.settings, self._pool)
            return self._admin

    def _samples(self) -> list[metrics.Sample]:
        worker = None if self._embedded is None else self._embedded.worker
        return [] if worker is None else worker.samples()

    def _health(self) -> dict[str, Any]:
        """Healthy means: this process answers. A database that is away is the worker's business, and shown."""
        worker = {"state": "disabled"} if self._embedded is None else self._embedded.facts()
        return {"status": "ok", "uptime_seconds": round(time.monotonic() - self._began, 1), "job_worker": worker}


def serve(port: int, answer: Callable[[Request], Response]) -> ThreadingHTTPServer:
    """A listening server on a thread of its own, and a thread for each connection; `answer` is called on those."""

    class Handler(_Handler):
        def answer(self, request: Request) -> Response:
            return answer(request)

    server = _Server((ADDRESS, port), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, name="http", daemon=True).start()
    return server


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is none of our concern."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            log.exception(f"{WHO} a connection ended in an error", error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_CONNECTION_SECONDS

    def answer(self, request: Request) -> Response:
        raise NotImplementedError

    def do_GET(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isdecimal() and len(length) < 10):
            return self._refuse(411, "send a Content-Length")
        if int(length) > BODY_MOST_BYTES:
            return self._refuse(413, "too long")
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(length))
        self._send(self._answered(Request(self.command, path, query, self.headers, body, self.client_address[0])))

    do_HEAD = do_POST = do_GET

    def _answered(self, request: Request) -> Response:
        try:
            return self.answer(request)
        except Exception as error:
            log.exception(f"{WHO} {request.method} {request.path!r} failed", error)
            return as_json(500, {"error": "internal error"})

    def _refuse(self, status: int, reason: str) -> None:
        self.close_connection = True  # the body was not read: what follows on this connection cannot be understood
        self._send(as_json(status, {"error": reason}, ("Connection", "close")))

    def _send(self, response: Response) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def version_string(self) -> str:
        return "deploykit"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: a health check every few seconds would bury everything else."""
