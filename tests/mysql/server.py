"""A private MySQL or MariaDB for the tests: its own folder, socket and loopback port; gone when the tests are over.

The program comes from DEPLOYKIT_MYSQLD, PATH, /usr/sbin or the cache that `tests.mysql.provision` fills. One server of
each kind is started at most, when a test first asks for it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pymysql

from tests.mysql.provision import cache_folder

FLAVOURS = ("mariadb", "mysql")
PASSWORD = "a secret/with:odd@characters"
START_SECONDS = 120
STOP_SECONDS = 60
LOG_BYTES_MOST = 20_000_000


class NoServer(Exception):
    """Why there is none."""


@dataclass(slots=True)
class Server:
    """A running server. `url` names a database of which the test user may do everything."""

    flavour: str
    program: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_of("runtime")

    def url_of(self, database: str, parameters: str = "") -> str:
        quoted = "".join(f"%{ord(char):02X}" if not char.isalnum() else char for char in PASSWORD)
        return f"mysql://tester:{quoted}@127.0.0.1:{self.port}/{database}{parameters}"

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self, *options: str) -> None:
        """Start the server on its folder and wait until it answers. Raises `NoServer` with the end of its log."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command(), *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(pymysql.Error, OSError):
                self.root().close()
                return
            time.sleep(0.05)
        self.stop()
        raise NoServer(f"{self.program} did not start: …{self.log_tail()}")

    def _command(self) -> list[str]:
        data = self.folder / "data"
        return [
            str(self.program),
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={self.socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--tmpdir={self.folder}",
            f"--log-bin={self.folder / 'bin'}",
            "--server-id=1",
            "--max-binlog-size=16M",
            "--skip-name-resolve",
            "--max-connections=60",
            "--innodb-buffer-pool-size=64M",
            # A test that leaves a transaction open must not hang the next one for a day.
            "--lock-wait-timeout=20",
            *_as_root(),
        ]

    def root(self, database: str | None = None) -> pymysql.connections.Connection:
        """A connection with every right, over the socket."""
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, autocommit=True, ssl_disabled=True
        )

    def kill(self) -> None:
        """The server as a crash leaves it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End the server and wait for it: one that outlives its folder would write its log without end."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def log_tail(self, characters: int = 1500) -> str:
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def bound_log(self) -> None:
        """Between tests: a log that grows beyond reason is cut."""
        if self.log.stat().st_size > LOG_BYTES_MOST:
            os.truncate(self.log, 0)


def find(flavour: str) -> Path:
    """The program of that flavour. Raises `NoServer` with the reason why there is none."""
    for candidate in _candidates():
        if candidate.is_file() and os.access(candidate, os.X_OK) and _flavour_of(candidate) == flavour:
            return candidate
    cure = "python -m tests.mysql.provision" if flavour == "mysql" else "apt-get install mariadb-server"
    raise NoServer(f"no {flavour} server on this machine; {cure} gets one")


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("DEPLOYKIT_MYSQLD"):
        yield Path(named)
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    for name in ("mysqld", "mariadbd"):
        if found := shutil.which(name, path=path):
            yield Path(found)
    yield cache_folder() / "bin" / "mysqld"


@cache
def _flavour_of(program: Path) -> str | None:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return "mariadb" if "MariaDB" in done.stdout else "mysql"


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def create(flavour: str) -> Server:
    """A new server with an empty database, running. Raises `NoServer`. Whoever calls this calls `remove`."""
    program = find(flavour)
    # Short: the path of a socket may have 107 characters.
    server = Server(flavour, program, Path(tempfile.mkdtemp(prefix="dk-mysql-")), free_port())
    try:
        _initialise(server)
        server.start()
        _create_user(server)
    except BaseException:
        remove(server)
        raise
    return server


def remove(server: Server) -> None:
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


def _initialise(server: Server) -> None:
    data = server.folder / "data"
    if server.flavour == "mariadb":
        installer = shutil.which("mariadb-install-db") or shutil.which("mysql_install_db")
        if installer is None:
            raise NoServer("mariadb-install-db is missing; apt-get install mariadb-server brings it")
        command = [installer, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
        command += ["--skip-test-db", *_as_root()]
    else:
        command = [str(server.program), "--no-defaults", "--initialize-insecure", f"--datadir={data}", *_as_root()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
    if done.returncode != 0:
        raise NoServer(f"{command[0]} failed: …{(done.stderr or done.stdout)[-600:]}")


def _create_user(server: Server) -> None:
    with server.root() as root, root.cursor() as cursor:
        cursor.execute("CREATE USER tester@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
        cursor.execute("GRANT ALL ON *.* TO tester@'127.0.0.1'")
        cursor.execute("CREATE DATABASE runtime CHARACTER SET utf8mb4")


@cache
def shared(flavour: str) -> Server:
    """The one server of that flavour in this process, started at the first call and removed at the end."""
    server = create(flavour)
    atexit.register(remove, server)
    return server


_wanted: dict[str, str] = {}


def shared_or_reason(flavour: str) -> Server | str:
    """Like `shared`; the reason instead of an exception, and asked for only once."""
    if flavour not in _wanted:
        try:
            return shared(flavour)
        except NoServer as reason:
            _wanted[flavour] = str(reason)
    return _wanted[flavour]


@contextmanager
def empty_database(server: Server) -> Iterator[str]:
    """The URL of a database of that server without any table."""
    server.bound_log()
    with server.root() as root, root.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS empty_one")
        cursor.execute("CREATE DATABASE empty_one CHARACTER SET utf8mb4")
    yield server.url_of("empty_one")
    with server.root() as root, root.cursor() as cursor:
        cursor.execute("DROP DATABASE empty_one")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
