"""A container's first process: starts one command and outlives none of its descendants.

Railway ends a container as a whole. Here every replica has a guard of its own: the parent of the start command and, on
Linux, the adoptive parent of whatever that command leaves behind (``PR_SET_CHILD_SUBREAPER``), also of children that
called ``setsid``. When the command ends, when the sandbox asks for it, or when the sandbox itself is gone, the guard
kills every descendant before it ends. The command in turn dies with its guard (``PR_SET_PDEATHSIG``).

The file runs on its own, ``python -I -S guard.py``, because a guard must start within milliseconds: standard library
only. It speaks lines of JSON. In: one specification ``{"argv","env","cwd"}``, then ``{"do":"go"}`` (the start has been
written down), ``{"do":"signal","number":N}``, ``{"do":"stop"}``, ``{"do":"kill"}``. Out: ``{"started":PID}``,
``{"stop":"delivered"|"ignored"}``, ``{"exited":CODE}`` once nothing is left (128 + N after signal N).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux; elsewhere nothing happens)."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int, number: int = signal.SIGKILL) -> None:
    """Have the kernel send ``number`` to this process when ``parent`` ends (Linux; elsewhere nothing happens).

    The parent may have ended between the fork and this call: then the process ends itself.
    """
    _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def descendants(root: int) -> list[int]:
    """Process ids of everything below ``root``, parents first; empty where ``/proc`` does not exist."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError), open(f"/proc/{entry}/stat", encoding="latin-1") as stat:
                # The command name may hold spaces and parentheses; the parent is the second field after the last one.
                parent = int(stat.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def end_descendants(keep: frozenset[int] = frozenset(), patience_seconds: float = 10.0) -> bool:
    """Kill everything below this process except the trees of ``keep``; True when nothing is left.

    Killing a process hands its children to us, so the search repeats until it finds nobody.
    """
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        kept = {pid for tree in keep for pid in [tree, *descendants(tree)]}
        left = [pid for pid in descendants(os.getpid()) if pid not in kept]
        if not left:
            return True
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError, OSError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.002)
    return False


def handles_terminate(pid: int) -> bool:
    """Whether SIGTERM reaches the process: it catches the signal, or blocks it in order to wait for it.

    Process 1 of a container has no default action: without either SIGTERM changes nothing and only SIGKILL ends it
    (Railway docs: Node.js SIGTERM handling).
    """
    try:
        with open(f"/proc/{pid}/status", encoding="latin-1") as status:
            masks = [int(line.split()[1], 16) for line in status if line.startswith(("SigCgt:", "SigBlk:"))]
    except OSError:
        return not _LINUX
    return any(mask & (1 << (signal.SIGTERM - 1)) for mask in masks)


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class Guard:
    """One command under watch; ``run`` returns when nothing of it is left."""

    def __init__(self, orders: int, reports: int, output: int, errors: int) -> None:
        self.orders, self.reports, self.output, self.errors = orders, reports, output, errors
        self._buffer = b""
        self._gate = -1
        self._child = 0

    def run(self) -> None:
        adopt_orphans()
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        ended: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(signal.SIGTERM))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        die_with_parent(os.getppid(), signal.SIGTERM)
        specification = self._next_order(wait=True) or {}
        if "argv" not in specification:
            return
        self._child = self._fork(specification)
        self._report(started=self._child)
        code: int | None = None
        while code is None and not ended:
            ready, _, _ = select.select([self.orders, woken], [], [])
            if woken in ready:
                os.read(woken, 512)
            if self.orders in ready and not self._obey():
                break
            code = self._reap()
        # The container ends with its first process, and with the sandbox: nobody stays behind.
        with contextlib.suppress(OSError):
            os.killpg(self._child, signal.SIGKILL)
        end_descendants()
        self._report(exited=code if code is not None else 128 + signal.SIGKILL)

    def _fork(self, specification: dict[str, object]) -> int:
        gate, self._gate = os.pipe()
        guard = os.getpid()
        child = os.fork()
        if child:
            os.close(gate)
            os.close(self.output)
            os.close(self.errors)
            return child
        try:
            os.setsid()
            die_with_parent(guard)
            os.close(self._gate)
            if not os.read(gate, 1):
                os._exit(0)
            self._become(specification)
        except BaseException as error:
            os.write(2, f"cannot start: {error}\n".encode())
        os._exit(127)

    def _become(self, specification: dict[str, object]) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(self.output, 1)
        os.dup2(self.errors, 2)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.closerange(3, 256)
        os.chdir(str(specification["cwd"]))
        argv, env = specification["argv"], specification["env"]
        assert isinstance(argv, list)
        assert isinstance(env, dict)
        os.execve(argv[0], argv, env)

    def _obey(self) -> bool:
        """Carry out waiting orders; False when the sandbox is gone or wants the end."""
        order = self._next_order(wait=False)
        while order is not None:
            match order.get("do"):
                case "go":
                    os.write(self._gate, b"g")
                case "signal":
                    with contextlib.suppress(OSError):
                        os.kill(self._child, int(str(order["number"])))
                case "stop":
                    self._stop()
                case _:
                    return False
            order = self._next_order(wait=False)
        return self.orders >= 0

    def _stop(self) -> None:
        """SIGTERM to the first process alone, and only if it has a handler, as in a container."""
        if handles_terminate(self._child):
            with contextlib.suppress(OSError):
                os.kill(self._child, signal.SIGTERM)
            self._report(stop="delivered")
        else:
            self._report(stop="ignored")

    def _reap(self) -> int | None:
        """Collect ended children; the command's exit code once it has ended."""
        code: int | None = None
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._child:
                    code = _exit_code(found[1])
        return code

    def _next_order(self, *, wait: bool) -> dict[str, object] | None:
        while b"\n" not in self._buffer:
            if not wait and not select.select([self.orders], [], [], 0)[0]:
                return None
            chunk = os.read(self.orders, 65536)
            if not chunk:
                self.orders = -1
                return {"do": "end"}
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        order: dict[str, object] = json.loads(line)
        return order

    def _report(self, **what: object) -> None:
        with contextlib.suppress(OSError):
            os.write(self.reports, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    Guard(0, 1, int(sys.argv[1]), int(sys.argv[2])).run()
