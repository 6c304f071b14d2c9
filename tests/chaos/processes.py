"""The runtime as real processes, to be killed, stopped and continued."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LONGEST_SECONDS = 30.0
MOST_TRIES = 100

FAST = {
    "HEARTBEAT_INTERVAL_MS": "200",
    "JOB_WORKER_POLL_INTERVAL_MS": "100",
    "SCHEDULE_POLL_INTERVAL_MS": "500",
    "SCHEDULE_DAEMON_ENABLED": "true",
    "JOBS_MODULE": "tests.chaos.handlers",
    "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "10",
}
"""A worker counts as dead after 0.9 s and a lease lasts 0.6 s, so that faults take seconds and not minutes."""


@dataclass(slots=True)
class Process:
    """One worker or daemon. `log` is everything it has said so far."""

    kind: str
    popen: subprocess.Popen[bytes]
    file: Path

    @property
    def log(self) -> str:
        return self.file.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def id(self) -> str | None:
        """The id under which it is registered now; another after it was declared dead."""
        found = re.findall(r"registered: (\S+)", self.log)
        return found[-1] if found else None

    @property
    def alive(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.popen.send_signal(number)

    def kill(self) -> None:
        """As Railway ends a process without draining seconds, and as the kernel does without memory."""
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        return self.popen.wait(LONGEST_SECONDS)


@dataclass(slots=True)
class Fleet:
    """Starts processes for one database; all of them are gone when the test is over."""

    url: str
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    @property
    def executions(self) -> Path:
        """Where handlers write down what they did (tests/chaos/handlers.py)."""
        return self.folder / "executions"

    def worker(self, *, url: str | None = None, **variables: str) -> Process:
        return self.start("worker", url=url, **variables)

    def daemon(self, *, url: str | None = None, **variables: str) -> Process:
        return self.start("daemon", url=url, **variables)

    def start(self, kind: str, *, url: str | None = None, module: str = "runtime", **variables: str) -> Process:
        file = self.folder / f"{kind}-{len(self.processes)}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUTF8": "1",
            "CHAOS_EXECUTIONS": str(self.executions),
            **FAST,
            **self.settings,
            **variables,
            "DATABASE_URL": url or self.url,
        }
        with file.open("wb") as log:
            popen = subprocess.Popen(
                [sys.executable, "-m", module, kind],
                cwd=REPOSITORY,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        process = Process(kind, popen, file)
        self.processes.append(process)
        return process

    def freeze(self, process: Process) -> None:
        """Freeze it where others can go on: SQLite's one lock has no end as long as a frozen process holds it."""
        if not self.url.startswith("sqlite:"):
            process.freeze()
            return
        with closing(sqlite3.connect(self.url.removeprefix("sqlite://"), timeout=0.02, isolation_level=None)) as other:
            for _ in range(MOST_TRIES):
                process.freeze()
                with suppress(sqlite3.OperationalError):
                    other.execute("BEGIN IMMEDIATE")
                    other.execute("ROLLBACK")
                    return
                process.thaw()
        raise AssertionError("it holds the lock at every look")

    def end(self) -> None:
        for process in self.processes:
            process.thaw()
            process.signal(signal.SIGKILL)
        for process in self.processes:
            process.popen.wait()


@contextmanager
def fleet(url: str, folder: Path, **settings: str) -> Iterator[Fleet]:
    started = Fleet(url, folder, settings)
    try:
        yield started
    except BaseException:
        for process in started.processes:
            print(f"--- {process.kind} {process.pid}\n{process.log[-3000:]}")
        raise
    finally:
        started.end()
