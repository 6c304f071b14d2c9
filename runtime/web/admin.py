"""What a token opens: the control panel and /deploykit/status. Loaded at the first request for one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from runtime import log
from runtime.db import Database, DatabaseError, SchemaError, Unreachable
from runtime.db.pool import Pool
from runtime.settings import Settings
from runtime.web import status
from runtime.web.exchange import Request, Response, as_json
from runtime.web.panel import Panel
from runtime.web.tokens import Throttle, matches

KEPT_SECONDS = 0.5
"""However often it is asked, the status is read this often at most."""
TURN_SECONDS = 5.0
NO_STORE = ("Cache-Control", "no-store")


class Admin:
    """Answers requests for the panel and the status. One at a time asks the database, over a connection of its own."""

    def __init__(self, settings: Settings, pool: Pool | None) -> None:
        self._settings = settings
        self._pool = pool
        wanted = (settings.admin_token, settings.deploykit_status_token)
        self._tokens = [token.strip() for token in wanted if token is not None]
        self._throttle = Throttle()
        self._turn = threading.Lock()
        self._kept: tuple[float, Response] | None = None
        self._panel = Panel(settings, self._connection, self._throttle)

    def answer(self, request: Request) -> Response:
        address = self._address(request)
        if request.path == "/deploykit/status":
            return self._status(request, address)
        return self._panel.answer(request, address)

    def _status(self, request: Request, address: str) -> Response:
        if not self._tokens:
            return as_json(404, {"error": "not found: neither ADMIN_TOKEN nor DEPLOYKIT_STATUS_TOKEN is set"}, NO_STORE)
        if request.method == "POST":
            return as_json(405, {"error": "only GET"}, ("Allow", "GET, HEAD"), NO_STORE)
        wait_seconds = self._throttle.wait_seconds(address)
        if wait_seconds > 0:
            return as_json(
                429, {"error": "too many wrong tokens"}, ("Retry-After", str(int(wait_seconds) + 1)), NO_STORE
            )
        scheme, _, given = request.header("Authorization").partition(" ")
        # Headers are read as Latin-1: this gives back the bytes that were sent.
        if scheme.lower() != "bearer" or not matches(given.strip().encode("latin-1", "replace"), self._tokens):
            if scheme:
                self._throttle.failed(address)
                log.warning(f"[status] wrong token from {address}")
            return as_json(401, {"error": "wrong token"}, ("WWW-Authenticate", 'Bearer realm="deploykit"'), NO_STORE)
        return self._read_status()

    def _read_status(self) -> Response:
        kept = self._kept
        if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        try:
            with self._connection() as db:
                response = as_json(200, status.read(db), NO_STORE)
        except SchemaError:
            return as_json(503, {"error": "the job tables are missing, or the right to read them"}, NO_STORE)
        except DatabaseError:
            return as_json(503, {"error": "the database does not answer"}, NO_STORE)
        self._kept = time.monotonic(), response
        return response

    @contextmanager
    def _connection(self) -> Iterator[Database]:
        """A new connection for the length of the block: never a stale one, and none left open.

        Raises `Unreachable` when there is no database, no connection left, or no turn within five seconds.
        """
        if self._pool is None:
            raise Unreachable("DATABASE_URL is not set", "set it to mysql://… or sqlite:///…")
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise Unreachable(f"the database has been busy for {TURN_SECONDS:g} s", "try again in a moment")
        try:
            db = self._pool.reserve()
            try:
                yield db
            finally:
                self._pool.release(db)
        finally:
            self._turn.release()

    def _address(self, request: Request) -> str:
        """Who asks. Only behind Railway's proxy is X-Real-IP the proxy's word (Railway docs: public networking)."""
        behind_proxy = self._settings.railway_service_name is not None
        return (request.header("X-Real-IP")[:45] if behind_proxy else "") or request.peer
