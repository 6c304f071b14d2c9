"""The sandbox as a program: ``python -m deploykit.sandbox.server --state DIR``.

Two processes. The outer one, the warden, only waits: when the server ends, however it ends, the warden ends everything
that is left below it. With the guard around every start command that makes three watchers one inside the other, any two
of which may be killed without leaving a process behind. The server owns the state and one event loop; HTTP threads hand
their requests to that loop, so that nothing of the state needs a lock.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

from deploykit.errors import DeploykitError, Exit
from deploykit.sandbox import guard

T = TypeVar("T")

GRAPHQL_PATH = "/graphql/v2"
CONTROL_PATH = "/sandbox/"
BODY_LIMIT_BYTES = 10_000_000
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
DATABASE_PATIENCE_SECONDS = 90.0


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of the server."""
    parser = argparse.ArgumentParser(prog="python -m deploykit.sandbox.server", description="A local Railway.")
    parser.add_argument("--state", type=Path, required=True, help="folder for state, logs, volumes and databases")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--source-dir", type=Path, default=Path(), help="folder that start commands run in")
    parser.add_argument("--project", default="sandbox", help="name of the project")
    parser.add_argument("--database", choices=("auto", "mysql", "sqlite"), default="auto")
    parser.add_argument("--empty", action="store_true", help="without the MySQL service that a new project gets")
    parser.add_argument(
        "--pace", type=float, default=1.0, help="scales overlap, draining, time-outs; 0.1 is ten times as fast"
    )
    parser.add_argument("--build-seconds", type=float, default=None, help="how long a build takes")
    parser.add_argument("--requests-per-hour", type=int, default=1_000_000)
    parser.add_argument("--requests-per-second", type=int, default=10_000)
    parser.add_argument("--iac-partials", action="store_true", help="answer Environment.iacPartials")
    parser.add_argument("--lifeline", type=int, default=None, help="end when this file descriptor is closed")
    return parser.parse_args(argv)


# ---- the warden -----------------------------------------------------------------------------------------------


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM, SIGINT, the shutdown endpoint or the end of the lifeline; the exit status."""
    options = arguments(argv)
    guard.adopt_orphans()
    warden = os.getpid()
    server = os.fork()
    if server == 0:
        guard.adopt_orphans()
        guard.die_with_parent(warden, signal.SIGTERM)
        os._exit(_serve(options))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: os.kill(server, received))
    _, status = os.waitpid(server, 0)
    guard.end_descendants()
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else int(Exit.FAILED)


def _serve(options: argparse.Namespace) -> int:
    try:
        return asyncio.run(Server(options).run())
    except DeploykitError as error:
        print(f"error: {error.message}", *([f"hint: {error.hint}"] if error.hint else []), sep="\n", file=sys.stderr)
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    finally:
        guard.end_descendants()
        sys.stdout.flush()
        sys.stderr.flush()


# ---- the server -----------------------------------------------------------------------------------------------


class Server:
    """One platform behind one loopback port."""

    def __init__(self, options: argparse.Namespace) -> None:
        # Imported after the fork, so that the warden stays small.
        from deploykit.sandbox import state as states
        from deploykit.sandbox.api import Api
        from deploykit.sandbox.control import Control
        from deploykit.sandbox.database import choose
        from deploykit.sandbox.limits import RateLimit
        from deploykit.sandbox.pace import Pace
        from deploykit.sandbox.place import Place
        from deploykit.sandbox.platform import Platform

        self.options = options
        folder = options.state.resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (folder / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeploykitError("a sandbox runs on this folder already", where=str(folder)) from None
        except OSError as error:
            raise DeploykitError(f"cannot write to the state folder: {error.strerror}", where=str(folder)) from None
        loaded = states.load(folder / "state.json")
        self.fresh = loaded is None
        self.stopping = asyncio.Event()
        pace = Pace(factor=options.pace)
        if options.build_seconds is not None:
            pace = Pace(factor=options.pace, building_seconds=options.build_seconds)
        place = Place(folder, options.source_dir.resolve(), choose(options.database))
        self.platform = Platform(loaded or states.fresh(options.project), place, pace)
        limit = RateLimit(options.requests_per_hour, options.requests_per_second)
        self.api = Api(self.platform, limit, iac_partials=options.iac_partials)
        self.control = Control(self.platform, self.api, self.stopping)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stopping.set)
        if self.options.lifeline is not None:
            loop.add_reader(self.options.lifeline, self.stopping.set)
        http = _listen(self, loop, self.options.port)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        time_keeper = asyncio.create_task(self.platform.keep_time())
        try:
            await self._provision()
            self._announce(http.server_address[1])
            stopped = asyncio.create_task(self.stopping.wait())
            await asyncio.wait([stopped, time_keeper], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.platform.save()
            time_keeper.cancel()
            await self.platform.deployments.close()
            await asyncio.to_thread(http.shutdown)
            http.server_close()
            with contextlib.suppress(OSError):
                (self.platform.place.folder / "sandbox.json").unlink()
        return 0

    async def _provision(self) -> None:
        """A new project starts with a running MySQL, as Railway users have it; an old one goes on where it was."""
        platform = self.platform
        environment = next(iter(platform.state.environments.values()))
        if not self.fresh:
            platform.deployments.resume()
            return
        if self.options.empty:
            return
        service = platform.create_database(environment, "MySQL")
        deployment = platform.deployments.latest(environment.id, service.id)
        if deployment is None:
            return
        settled = asyncio.create_task(platform.deployments.settled(deployment))
        stopped = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([settled, stopped], timeout=DATABASE_PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if deployment.status == "FAILED":
            lines = [str(line["message"]) for line in platform.logs.of(deployment.id)][-5:]
            raise DeploykitError(
                "the sandbox's database did not start: " + " | ".join(lines), hint="try --database sqlite"
            )

    def _announce(self, port: int) -> None:
        """Print and keep the access data; the file is readable by its owner only."""
        path = self.platform.place.folder / "sandbox.json"
        text = json.dumps(self.control.announcement(port), indent=2)
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
        temporary.replace(path)
        print(text, flush=True)


def _listen(server: Server, loop: asyncio.AbstractEventLoop, port: int) -> ThreadingHTTPServer:
    class BoundHandler(Handler):
        sandbox = server
        event_loop = loop

    try:
        http = ThreadingHTTPServer(("127.0.0.1", port), BoundHandler)
    except OSError as error:
        raise DeploykitError(
            f"cannot listen on 127.0.0.1:{port}: {error.strerror}", hint="choose another --port"
        ) from None
    http.daemon_threads = True
    return http


class Handler(BaseHTTPRequestHandler):
    """HTTP in and out; everything else happens on the event loop."""

    sandbox: Server
    event_loop: asyncio.AbstractEventLoop
    protocol_version = "HTTP/1.1"
    server_version = "deploykit-sandbox"
    sys_version = ""
    timeout = 120

    def do_POST(self) -> None:
        body = self._body() if self._addressed() else None
        if body is None:
            return
        if self.path.split("?")[0].rstrip("/") == GRAPHQL_PATH:
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = self._on_loop(self.sandbox.api.answer(headers, body))
            if answer is not None:
                self._send(answer)
        else:
            self._control(body)

    def do_GET(self) -> None:
        if self._addressed():
            self._control(b"")

    def do_DELETE(self) -> None:
        if self._addressed():
            self._control(b"")

    def _control(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self._on_loop(self.sandbox.control.answer(self.command, self.path, headers, body))
        if answer is not None:
            self._send(answer)

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            return asyncio.run_coroutine_threadsafe(work, self.event_loop).result()
        except (RuntimeError, asyncio.CancelledError):
            self.close_connection = True  # the sandbox is closing
            return None

    def _addressed(self) -> bool:
        """A page in a browser must not reach us through a name that it has pointed at this machine."""
        host = self.headers.get("Host") or ""
        if (host.rpartition(":")[0] or host) in LOOPBACK_NAMES:
            return True
        self.close_connection = True
        self.send_error(403)
        return False

    def _body(self) -> bytes | None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= BODY_LIMIT_BYTES:
            self.close_connection = True
            self.send_error(413)
            return None
        return self.rfile.read(length)

    def _send(self, answer: Any) -> None:
        if answer.body is None:
            threading.Event().wait(answer.hang_seconds)
            self.close_connection = True
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Type": answer.content_type}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: requests are counted, not printed."""


if __name__ == "__main__":
    sys.exit(main())
