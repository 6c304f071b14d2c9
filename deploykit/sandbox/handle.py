"""A running sandbox as seen from outside: start, attach, watch, break, stop. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from deploykit.errors import DeploykitError, UsageError

START_PATIENCE_SECONDS = 120.0
STOP_PATIENCE_SECONDS = 30.0
LOG_LIMIT_BYTES = 1_000_000


class Sandbox:
    """The access data of a sandbox and its control endpoints.

    ``token`` is a project token of the one environment, ``api_token`` an account token. A context manager: leaving it
    stops the sandbox.
    """

    def __init__(self, state_dir: Path, access: dict[str, Any], process: subprocess.Popen[str] | None = None) -> None:
        self.state_dir = state_dir
        self.access = access
        self.endpoint: str = access["endpoint"]
        self.token: str = access["token"]
        self.api_token: str = access["api_token"]
        self.workspace_token: str = access["workspace_token"]
        self.project_id: str = access["project_id"]
        self.environment_id: str = access["environment_id"]
        self.timeline_url: str = access["timeline"]
        self._process = process
        self._temporary = False

    # ---- life -------------------------------------------------------------------------------------------------

    @classmethod
    def start(
        cls,
        state_dir: str | Path | None = None,
        *,
        port: int = 0,
        source_dir: str | Path | None = None,
        database: str = "auto",
        project: str = "sandbox",
        empty: bool = False,
        pace: float = 1.0,
        build_seconds: float | None = None,
        requests_per_hour: int | None = None,
        requests_per_second: int | None = None,
        iac_partials: bool = False,
        detach: bool = False,
    ) -> Self:
        """Start a sandbox in the background and wait until it answers.

        Without ``state_dir`` it lives in a temporary folder that ``stop`` removes. It ends with the calling process
        unless ``detach`` is true. Raises DeploykitError when it cannot start.
        """
        folder = Path(state_dir) if state_dir else Path(tempfile.mkdtemp(prefix="deploykit-sandbox-"))
        options = {
            "--state": folder,
            "--port": port,
            "--source-dir": Path(source_dir or ".").resolve(),
            "--database": database,
            "--project": project,
            "--pace": pace,
            "--build-seconds": build_seconds,
            "--requests-per-hour": requests_per_hour,
            "--requests-per-second": requests_per_second,
        }
        argv = [str(part) for name, value in options.items() if value is not None for part in (name, value)]
        argv += ["--empty"] * empty + ["--iac-partials"] * iac_partials
        process = _spawn(argv, folder, detach=detach)
        try:
            access = _await_access(process, folder)
        except BaseException:
            process.kill()
            process.wait()
            if state_dir is None:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        sandbox = cls(folder, access, process)
        sandbox._temporary = state_dir is None
        return sandbox

    @classmethod
    def attach(cls, state_dir: str | Path) -> Self:
        """The sandbox that runs on this state folder. Raises DeploykitError when none does."""
        folder = Path(state_dir)
        try:
            access = json.loads((folder / "sandbox.json").read_text("utf-8"))
            sandbox = cls(folder, access)
            sandbox.control("GET", "/health")
        except (OSError, ValueError, KeyError, DeploykitError):
            hint = "deploykit sandbox start"
            raise DeploykitError("no sandbox is running here", where=str(folder), hint=hint) from None
        return sandbox

    def stop(self) -> None:
        """End the sandbox and every process it started; returns when they are gone."""
        with contextlib.suppress(DeploykitError):  # it may have ended already
            self.control("POST", "/shutdown")
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                self._process.wait(STOP_PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
        else:
            _await_end(self.state_dir)
        if self._temporary:
            shutil.rmtree(self.state_dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the warden, the outermost process."""
        return int(self.access["pid"])

    # ---- looking ----------------------------------------------------------------------------------------------

    def timeline(self, since_ms: int = 0) -> list[dict[str, Any]]:
        """Every process start and end, oldest first."""
        events: list[dict[str, Any]] = self.control("GET", f"/timeline?since_ms={since_ms}")
        return events

    def status(self) -> dict[str, Any]:
        """Services with their deployments, and every running process with its pid and port."""
        status: dict[str, Any] = self.control("GET", "/status")
        return status

    def processes(self, service: str | None = None) -> list[dict[str, Any]]:
        """The running processes, of one service or of all."""
        return [one for one in self.status()["processes"] if service in (None, one["service"])]

    def logs(self, service: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """The latest log lines, oldest first."""
        chosen = f"&service={urllib.request.quote(service)}" if service else ""  # type: ignore[attr-defined]
        lines: list[dict[str, Any]] = self.control("GET", f"/logs?limit={limit}{chosen}")
        return lines

    def requests(self) -> dict[str, Any]:
        """How often each root field was asked for: ``queries``, ``mutations``, ``total_mutations``, ``requests``."""
        counts: dict[str, Any] = self.control("GET", "/requests")
        return counts

    def reset_requests(self) -> None:
        """Count requests from zero again."""
        self.control("DELETE", "/requests")

    def database_url(self) -> str | None:
        """Where the first database service is, or None while there is none."""
        environment, project = self.environment_id, self.project_id
        query = "query($p: String!) { project(id: $p) { services { edges { node { id name } } } } }"
        services = self.graphql(query, {"p": project})["project"]["services"]["edges"]
        for edge in services:
            document = (
                "query($p: String!, $e: String!, $s: String) "
                "{ variables(projectId: $p, environmentId: $e, serviceId: $s) }"
            )
            found = self.graphql(document, {"p": project, "e": environment, "s": edge["node"]["id"]})["variables"]
            if "MYSQL_URL" in found:
                return str(found["MYSQL_URL"])
        return None

    # ---- faults -----------------------------------------------------------------------------------------------

    def fault(self, name: str, **parameters: Any) -> dict[str, Any]:
        """Inject a fault; ``service``, ``field``, ``count``, ``skip`` aim it. Raises DeploykitError."""
        fault: dict[str, Any] = self.control("POST", "/faults", {"name": name, **parameters})
        return fault

    def faults(self) -> dict[str, Any]:
        """The ``waiting`` faults and all ``known`` ones with their meaning."""
        listing: dict[str, Any] = self.control("GET", "/faults")
        return listing

    def clear_faults(self, fault_id: int | None = None) -> None:
        """Drop one fault or all."""
        self.control("DELETE", "/faults" if fault_id is None else f"/faults/{fault_id}")

    # ---- asking -----------------------------------------------------------------------------------------------

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send one document with the account token; the ``data``. Raises DeploykitError for any error."""
        body = {"query": query, "variables": variables or {}}
        answer = _request("POST", self.endpoint, self.api_token, body)
        if answer.get("errors"):
            raise DeploykitError(answer["errors"][0]["message"], where=self.endpoint)
        data: dict[str, Any] = answer["data"]
        return data

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask a control endpoint, ``/sandbox`` left out. Raises DeploykitError."""
        return _request(method, self.access["control"] + path, self.api_token, body)


def _spawn(argv: list[str], folder: Path, *, detach: bool) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "deploykit.sandbox.server", *argv]
    # The sandbox's own messages; its processes' lines are elsewhere.
    with _own_log(folder) as log:
        if detach:
            return subprocess.Popen(
                program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        # Our end of the pipe closes when this process ends, whatever ends it.
        return subprocess.Popen(
            [*program, "--lifeline", "0"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def _own_log(folder: Path) -> IO[bytes]:
    path = folder / "sandbox.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return path.open("wb" if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES else "ab")
    except OSError as error:
        raise DeploykitError(f"cannot write to the state folder: {error.strerror}", where=str(folder)) from None


def _await_access(process: subprocess.Popen[str], folder: Path) -> dict[str, Any]:
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    path = folder / "sandbox.json"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            words = (folder / "sandbox.log").read_text("utf-8", "replace").strip().splitlines()[-3:]
            raise DeploykitError("the sandbox did not start: " + " ".join(words), where=str(folder))
        with contextlib.suppress(OSError, ValueError):
            access: dict[str, Any] = json.loads(path.read_text("utf-8"))
            if access["pid"] == process.pid:
                return access
        time.sleep(0.02)
    raise DeploykitError(f"the sandbox did not start within {START_PATIENCE_SECONDS:g} s", where=str(folder))


def _await_end(folder: Path) -> None:
    """The server holds the folder's lock for as long as it lives."""
    deadline = time.monotonic() + STOP_PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError), (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)


def _request(method: str, url: str, token: str, body: dict[str, Any] | None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace")
        try:
            problem = json.loads(text)
        except ValueError:
            problem = {"error": text[:200]}
        message = problem.get("error") or (problem.get("errors") or [{}])[0].get("message") or text[:200]
        kind = UsageError if error.code == 400 and "error" in problem else DeploykitError
        raise kind(str(message), where=url.split("?")[0], hint=problem.get("hint")) from None
    except (OSError, ValueError) as error:
        raise DeploykitError(f"the sandbox does not answer: {error}", where=url.split("?")[0]) from None


__all__ = ["Sandbox"]
