"""A tunnel is a real process that forwards real connections: opened, waited for, and ended with all its children."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploykit.commands.tunnel import tunnel
from deploykit.errors import UnreachableError, UsageError

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def far() -> Iterator[int]:
    """A service that says hello to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            while True:
                try:
                    with listener.accept()[0] as client:
                        client.sendall(b"hello")
                except OSError:
                    return

        threading.Thread(target=greet, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def near() -> int:
    """A port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))


def url(port: int) -> str:
    return f"mysql://reader:hunter2@127.0.0.1:{port}/railway"


def forwarder(near: int, far: int) -> str:
    return f"{shlex.quote(sys.executable)} -m tests.chaos.forwarder {near} {far}"


def opens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def silent(text: str) -> None:
    """Nobody listens."""


def test_what_is_read_goes_through_the_tunnel_which_is_gone_afterwards(near: int, far: int) -> None:
    told: list[str] = []
    with (
        tunnel(forwarder(near, far), url(near), told.append),
        socket.create_connection(("127.0.0.1", near), timeout=5) as client,
    ):
        assert client.recv(5) == b"hello"
    assert not opens(near)
    assert "hunter2" not in " ".join(told)


@pytest.mark.parametrize("ending", [KeyboardInterrupt, RuntimeError])
def test_it_is_ended_on_errors_and_on_ctrl_c_too(near: int, far: int, ending: type[BaseException]) -> None:
    with pytest.raises(ending), tunnel(forwarder(near, far), url(near), silent):
        raise ending
    assert not opens(near)


def test_the_children_of_a_wrapper_script_are_ended_with_it(near: int, far: int, tmp_path: Path) -> None:
    script = tmp_path / "bastion"
    script.write_text(f"#!/bin/sh\n{forwarder(near, far)} &\necho $! > {tmp_path}/pid\nwait\n")
    script.chmod(0o700)
    with tunnel(str(script), url(near), silent):
        child = int((tmp_path / "pid").read_text())
        assert opens(near)
    assert not opens(near)
    assert not _runs(child)


def test_a_child_that_ignores_sigterm_is_killed(near: int, far: int, tmp_path: Path) -> None:
    stubborn = tmp_path / "stubborn.py"
    stubborn.write_text(
        "import signal, sys\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "from tests.chaos.proxy import Proxy\nwith Proxy(int(sys.argv[2]), near_port=int(sys.argv[1])):\n"
        "    signal.pause()\n"
    )
    with tunnel(f"{shlex.quote(sys.executable)} {stubborn} {near} {far}", url(near), silent):
        assert opens(near)
    assert not opens(near)


def test_without_a_command_nothing_happens() -> None:
    with tunnel(None, None, silent):
        pass


def test_a_command_that_dies_says_its_last_words(near: int) -> None:
    dying = "sh -c 'echo Permission denied; exit 255'"
    with pytest.raises(UnreachableError) as caught, tunnel(dying, url(near), silent):
        pytest.fail("it never opened")
    assert "status 255" in caught.value.message
    assert "Permission denied" in caught.value.message
    assert "in the foreground" in (caught.value.hint or "")


def test_a_port_that_never_opens_is_an_error_and_no_hang(near: int) -> None:
    never = tunnel("sleep 60", url(near), silent, opens_within_seconds=0.3)
    with pytest.raises(UnreachableError, match=f"{near} did not open within"), never:
        pytest.fail("it never opened")


def test_a_near_port_that_somebody_holds_is_refused_before_another_database_is_read(far: int) -> None:
    with pytest.raises(UsageError, match="something else listens"), tunnel("sleep 60", url(far), silent):
        pytest.fail("we would read whatever is there")


@pytest.mark.parametrize(
    ("command", "database_url"),
    [
        ("sleep 60", None),
        ("sleep 60", "sqlite:////tmp/x.db"),
        ("no-such-program-anywhere", url(9)),
        ("ssh 'unclosed", url(9)),
        ("  ", url(9)),
    ],
    ids=["no near end", "a file", "no such program", "a quote left open", "blank"],
)
def test_what_makes_no_sense_is_wrong_usage_with_an_example(command: str, database_url: str | None) -> None:
    with pytest.raises(UsageError) as caught, tunnel(command, database_url, silent):
        pytest.fail("it never opened")
    assert "ssh -N -L" in (caught.value.hint or "")


def _runs(pid: int) -> bool:
    """Whether a process runs; one that nobody has asked for its status yet does not."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.02)
    return True
