"""A way to a private database: the command that the user names, ``ssh -L`` for instance, for as long as we read."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from deploykit.errors import UnreachableError, UsageError

OPENS_WITHIN_SECONDS = 30.0
ENDS_WITHIN_SECONDS = 3.0
MYSQL_PORT = 3306
LONGEST_WORDS = 300


@contextmanager
def tunnel(
    command: str | None,
    database_url: str | None,
    report: Callable[[str], None],
    *,
    opens_within_seconds: float = OPENS_WITHIN_SECONDS,
) -> Iterator[None]:
    """Run ``command`` while the body runs, which begins once the host and port of ``database_url`` accept.

    The command and all that it started are ended afterwards, whatever happens. Does nothing without a command. Raises
    UsageError, and UnreachableError when the command ends by itself or its port never opens. Only the program's name
    is told: its arguments may hold a password.
    """
    if command is None:
        yield
        return
    words, near = _words(command), _near_end(database_url)
    place = f"{near[0]}:{near[1]}"
    if _accepts(near):
        # The command could not listen there, and we would read whatever database is behind that port.
        raise UsageError(f"something else listens on {place} already", hint="choose another near port for the tunnel")
    report(f"opening a tunnel with {words[0]}")
    with _running(words) as (process, said):
        _wait_until_open(process, said, words[0], near, opens_within_seconds)
        report(f"the tunnel is open: {place} accepts")
        yield


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--tunnel is no command line: {error}", hint=_HINT) from None
    if not words:
        raise UsageError("--tunnel names no command", hint=_HINT)
    return words


def _near_end(database_url: str | None) -> tuple[str, int]:
    if not database_url:
        raise UsageError("--tunnel needs its near end", hint=_HINT)
    try:
        parts = urlsplit(database_url)
        host, port = parts.hostname, parts.port or MYSQL_PORT
    except ValueError:
        host, port = None, MYSQL_PORT
    if not host:
        raise UsageError("the database URL names no host that a tunnel could open", hint=_HINT)
    return host, port


@contextmanager
def _running(words: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], deque[str]]]:
    """The command in a session of its own, and what it said last."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise UsageError(f"the tunnel's command {words[0]!r} does not start: {error.strerror}", hint=_HINT) from None
    said: deque[str] = deque(maxlen=3)
    listener = threading.Thread(target=_listen, args=(process, said), daemon=True)
    listener.start()
    try:
        yield process, said
    finally:
        _end(process)
        listener.join(1.0)


def _listen(process: subprocess.Popen[bytes], said: deque[str]) -> None:
    assert process.stdout is not None
    with process.stdout as lines, suppress(ValueError):
        while line := lines.readline(LONGEST_WORDS):
            if text := line.decode(errors="replace").strip():
                said.append(text)


def _wait_until_open(
    process: subprocess.Popen[bytes], said: deque[str], program: str, near: tuple[str, int], seconds: float
) -> None:
    deadline = time.monotonic() + seconds
    place = f"{near[0]}:{near[1]}"
    while not _accepts(near):
        status = process.poll()
        if status is not None:
            time.sleep(0.1)  # for its last words to arrive
            raise UnreachableError(
                f"the tunnel ended with status {status} before {place} accepted{_last(said)}",
                where=program,
                hint="run the command by hand; it must stay in the foreground (ssh without -f), and may ask nothing",
            )
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"the tunnel runs, and {place} did not open within {seconds:g} s{_last(said)}",
                where=program,
                hint="host and port of the database URL must be the near end of the tunnel; " + _HINT,
            )
        time.sleep(0.05)
    if process.poll() is not None:
        raise UnreachableError(f"the tunnel ended, and somebody else answers on {place}{_last(said)}", where=program)


def _accepts(near: tuple[str, int]) -> bool:
    try:
        socket.create_connection(near, timeout=1.0).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the command with all its children: a wrapper script must not leave its ssh behind."""
    for number, patience in ((signal.SIGTERM, ENDS_WITHIN_SECONDS), (signal.SIGKILL, ENDS_WITHIN_SECONDS)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            process.poll()
            if not _group_lives(process.pid):
                return
            time.sleep(0.02)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _last(said: deque[str]) -> str:
    return f"; it said: {' / '.join(said)}" if said else ""


_HINT = (
    "--tunnel 'ssh -N -L 3307:mysql.railway.internal:3306 bastion' "
    "--database-url mysql://reader:…@127.0.0.1:3307/railway"
)
