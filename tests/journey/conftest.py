"""The product as its user meets it: the command line in a folder of its own, against a running sandbox."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SECRETS_OF_OTHERS = ("RAILWAY_TOKEN", "RAILWAY_API_TOKEN", "DEPLOYKIT_RAILWAY_URL", "DEPLOYKIT_DATABASE_URL")


@dataclass(frozen=True)
class Answer:
    """What one command said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    """Runs ``deploykit`` in ``folder`` with a clean environment plus ``env``."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in SECRETS_OF_OTHERS and not name.startswith(("RAILWAY_", "DEPLOYKIT_RAILWAY"))
        }
        return {**kept, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1", **self.env, **more}

    def __call__(self, *args: str, timeout: float = 120, env: Mapping[str, str] | None = None) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "deploykit", *args],
            cwd=self.folder,
            env=self.environment(**(env or {})),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def at_a_terminal(self, *args: str, answer: bytes) -> Answer:
        """Run it on a terminal of its own and type ``answer`` at its first question; ``out`` is the whole screen."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            command = [sys.executable, "-m", "deploykit", *args]
            os.execvpe(command[0], command, self.environment())
        screen, deadline = b"", time.monotonic() + 120
        with suppress(OSError):  # the terminal ends with its command
            while time.monotonic() < deadline:
                if select.select([terminal], [], [], 0.5)[0]:
                    screen += os.read(terminal, 65536)
                elif b"to go on: " in screen:
                    os.write(terminal, answer)  # again while nothing follows: the line editor may have missed it
            os.kill(child, signal.SIGKILL)
        os.close(terminal)
        _, status = os.waitpid(child, 0)
        return Answer(os.waitstatus_to_exitcode(status), screen.decode(), "")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line in an empty folder, with no Railway in sight."""
    return Cli(tmp_path)


@dataclass
class Running(Cli):
    """The command line beside a running sandbox."""

    sandbox: dict[str, Any] = field(default_factory=dict)


def start(folder: Path, *options: str) -> Running:
    """Start a sandbox in ``folder`` and return a command line that talks to it."""
    cli = Cli(folder)
    answer = cli("sandbox", "start", "--state", str(folder / "railway"), "--format", "json", *options)
    assert answer.status == 0, answer.err
    said = answer.json
    return Running(
        folder,
        {
            "DEPLOYKIT_RAILWAY_URL": said["endpoint"],
            "RAILWAY_TOKEN": said["token"],
            "DEPLOYKIT_DATABASE_URL": said["database_url"],
        },
        said,
    )


@pytest.fixture(params=["sqlite"])
def railway(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Running]:
    """A running sandbox with a project that holds only its database."""
    running = start(tmp_path, "--database", request.param)
    try:
        yield running
    finally:
        stopped = running("sandbox", "stop", "--state", str(tmp_path / "railway"))
        assert stopped.status == 0, stopped.err
