"""Nothing outlives the sandbox, whatever is killed with SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploykit.sandbox import Sandbox, guard
from tests.sandbox.conftest import Driver

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's subreapers exist on Linux only")

# Leaves two sessions of its own behind, one of them twice removed.
RUNAWAYS = "(setsid sh -c '(setsid sleep 1000 &) ; sleep 1001' &) ; cd / && sleep 1002"


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    return [one for one in guard.descendants(pid) if parent(one) == pid]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.mark.parametrize(
    "killed",
    [["server"], ["warden"], ["guard"], ["warden", "server"], ["server", "guard"], ["warden", "guard"]],
    ids="-and-".join,
)
def test_no_process_survives(tmp_path: Path, killed: list[str]) -> None:
    sandbox = Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite", empty=True)
    try:
        railway = Driver(sandbox)
        railway.deploy(railway.service("runaway", RUNAWAYS, restartPolicyType="NEVER"))
        warden = sandbox.pid
        (server,) = children(warden)
        guards = children(server)
        (main,) = [one["pid"] for one in sandbox.processes("runaway")]
        railway.wait(lambda: len(guard.descendants(server)) >= 6)
        processes = [one for one in guard.descendants(server) if one not in guards]
        assert main in processes
        for pid in [pid for name in killed for pid in {"warden": [warden], "server": [server], "guard": guards}[name]]:
            os.kill(pid, signal.SIGKILL)
        railway.wait(lambda: not any(running(pid) for pid in processes), lambda: f"left: {processes}")
        if killed != ["guard"]:
            railway.wait(lambda: not running(server) and not running(warden))
    finally:
        sandbox.stop()


def test_the_sandbox_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, signal; from deploykit.sandbox import Sandbox; "
        f"s = Sandbox.start({str(tmp_path / 'state')!r}, database='sqlite', empty=True); print(s.pid, flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running(pid)


def test_a_vanished_folder_ends_the_sandbox(tmp_path: Path) -> None:
    sandbox = Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite", empty=True)
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    try:
        Driver(sandbox).wait(lambda: not running(sandbox.pid) or _ended(sandbox))
    finally:
        sandbox.stop()


def _ended(sandbox: Sandbox) -> bool:
    assert sandbox._process is not None
    return sandbox._process.poll() is not None


def test_a_process_without_a_sigterm_handler_is_recognised() -> None:
    listening = "import signal,time; signal.signal(15, lambda *_: None); print('up', flush=True); time.sleep(60)"
    waiting = "import signal,time; signal.pthread_sigmask(0, [15]); print('up', flush=True); time.sleep(60)"
    deaf = "import time; print('up', flush=True); time.sleep(60)"
    for code, expected in ((listening, True), (waiting, True), (deaf, False)):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            handles = guard.handles_terminate(process.pid)
            process.kill()
            assert handles is expected, code
