"""Real processes: one guarded container per replica, its output as lines, its end as an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploykit.sandbox import guard, logs

GUARD = Path(guard.__file__)
_LIVE: set[int] = set()  # guards of this server; everything else below it is a stray

OnLine = Callable[[str, bool], None]
OnStart = Callable[[int], None]


class _Lines(asyncio.Protocol):
    """Cuts a pipe's bytes into lines; a line without end is cut at the limit."""

    def __init__(self, on_line: OnLine, stderr: bool) -> None:
        self._on_line, self._stderr, self._rest = on_line, stderr, b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > logs.LINE_LIMIT_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._on_line(line.decode("utf-8", "replace").rstrip("\r"), self._stderr)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self._on_line(self._rest.decode("utf-8", "replace"), self._stderr)


class Container:
    """One start command while it runs.

    ``pid`` is the command's own process. ``ended`` resolves to its exit code (128 + N after signal N) once no process
    of the container is left.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = 0
        self.deaf = asyncio.Event()  # set when SIGTERM was asked for and nobody listens to it
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @classmethod
    async def start(
        cls, argv: Sequence[str], env: Mapping[str, str], cwd: Path, *, on_line: OnLine, on_start: OnStart
    ) -> Container:
        """Start a command. ``on_start`` is called with its process id before its first instruction."""
        loop = asyncio.get_running_loop()
        output, output_end = os.pipe()
        errors, errors_end = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), str(output_end), str(errors_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(output_end, errors_end),
            env={"PATH": os.defpath},
            start_new_session=True,
        )
        os.close(output_end)
        os.close(errors_end)
        _LIVE.add(process.pid)
        container = cls(process)
        for descriptor, stderr in ((output, False), (errors, True)):
            pipe = os.fdopen(descriptor, "rb", buffering=0)
            await loop.connect_read_pipe(lambda stderr=stderr: _Lines(on_line, stderr), pipe)  # type: ignore[misc]
        await loop.connect_read_pipe(lambda: _Reports(container, on_start), process.stdout)
        container._order(argv=list(argv), env=dict(env), cwd=str(cwd))
        await asyncio.wait([container.started, container.ended], return_when=asyncio.FIRST_COMPLETED)
        return container

    def stop(self) -> None:
        """Ask the first process to end (SIGTERM), as far as it listens."""
        self._order(do="stop")

    def kill(self) -> None:
        """End every process of the container at once."""
        self._order(do="kill")

    def signal(self, number: int) -> None:
        """Send any signal to the first process."""
        self._order(do="signal", number=number)

    def kill_guard(self) -> None:
        """End the container the hard way: its guard is killed, as when a host fails."""
        self._process.kill()

    def _order(self, **order: object) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return  # it has ended; its exit code is on the way

    def _report(self, report: dict[str, object], on_start: OnStart) -> None:
        if "started" in report:
            self.pid = int(str(report["started"]))
            on_start(self.pid)
            self._order(do="go")
            self.started.set_result(self.pid)
        elif report.get("stop") == "ignored":
            self.deaf.set()
        elif "exited" in report and not self.ended.done():
            self.ended.set_result(int(str(report["exited"])))

    def _guard_ended(self) -> None:
        assert self._process.stdin is not None
        self._process.wait()
        _LIVE.discard(self._process.pid)
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        if not self.ended.done():
            # The guard was killed: the command died with it, what it had left behind has become ours.
            guard.end_descendants(keep=frozenset(_LIVE))
            self.ended.set_result(128 + signal.SIGKILL)


class _Reports(asyncio.Protocol):
    def __init__(self, container: Container, on_start: OnStart) -> None:
        self._container, self._on_start, self._rest = container, on_start, b""

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._container._report(json.loads(line), self._on_start)

    def connection_lost(self, exc: Exception | None) -> None:
        self._container._guard_ended()
