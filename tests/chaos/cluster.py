"""Railway's high-availability MySQL on one machine: three nodes in Group Replication, and HAProxy in front.

One node is the primary; HAProxy sends every connection there, and ends them when another becomes it (Railway docs:
MySQL high availability).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pymysql

from tests.mysql import server as servers
from tests.mysql.server import NoServer, Server

NODES = 3
MEMBER_SECONDS = 90.0

_ROLE = """SELECT MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members
WHERE MEMBER_ID = @@server_uuid"""
_HAPROXY = """
global
  maxconn 400
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
listen primary
  bind 127.0.0.1:{port}
  option httpchk
  default-server check inter 300ms fall 1 rise 1 on-marked-down shutdown-sessions
"""


@dataclass(slots=True)
class Cluster:
    """A group with one primary. `port` leads to whichever node that is."""

    nodes: list[Server]
    addresses: list[int]
    group: str
    port: int
    haproxy: subprocess.Popen[bytes] | None = None
    health: list[ThreadingHTTPServer] = field(default_factory=list)
    """For each node one that HAProxy asks whether it is the primary."""

    @property
    def url(self) -> str:
        return f"mysql://chaos@127.0.0.1:{self.port}/runtime?ssl-mode=disabled"

    def role(self, number: int) -> tuple[str, str]:
        """State and role of a node, as itself says; ("", "") when it is not there."""
        with suppress(pymysql.Error, OSError), self.nodes[number].root() as root, root.cursor() as cursor:
            cursor.execute(_ROLE)
            row: Any = cursor.fetchone()
            return (row[0], row[1]) if row else ("", "")
        return "", ""

    def primary(self) -> int | None:
        return next((number for number in range(NODES) if self.role(number) == ("ONLINE", "PRIMARY")), None)

    def wait_for_primary(self) -> int:
        found = _until(self.primary, "no node became the primary")
        assert isinstance(found, int)
        return found

    def kill_primary(self) -> int:
        """The number of the node that was it."""
        number = self.wait_for_primary()
        self.nodes[number].kill()
        return number

    def rejoin(self, number: int) -> None:
        """Start a node again and have it catch up."""
        self.nodes[number].process = None
        self.start(number)
        self._join(number)

    def start(self, number: int) -> None:
        node = self.nodes[number]
        node.start(
            f"--server-id={number + 1}",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--report-host=127.0.0.1",
            "--skip-replica-start",
            "--max-connections=150",
            "--plugin-load-add=group_replication.so",
            f"--loose-group-replication-group-name={self.group}",
            f"--loose-group-replication-local-address=127.0.0.1:{self.addresses[number]}",
            "--loose-group-replication-group-seeds=" + ",".join(f"127.0.0.1:{port}" for port in self.addresses),
            "--loose-group-replication-start-on-boot=OFF",
            "--loose-group-replication-member-expel-timeout=0",
            "--loose-group-replication-recovery-get-public-key=ON",
        )

    def bootstrap(self) -> None:
        for number in range(NODES):
            self.start(number)
            _run(
                self.nodes[number],
                "SET SQL_LOG_BIN = 0",
                "CREATE USER replica@'%'",
                "GRANT REPLICATION SLAVE, GROUP_REPLICATION_STREAM ON *.* TO replica@'%'",
                "CREATE USER chaos@'127.0.0.1'",
                "GRANT ALL ON runtime.* TO chaos@'127.0.0.1'",
                "SET SQL_LOG_BIN = 1",
                "CHANGE REPLICATION SOURCE TO SOURCE_USER = 'replica' FOR CHANNEL 'group_replication_recovery'",
                "RESET BINARY LOGS AND GTIDS",
            )
            if number == 0:
                _run(self.nodes[0], "SET GLOBAL group_replication_bootstrap_group = ON")
            self._join(number)
            if number == 0:
                _run(self.nodes[0], "SET GLOBAL group_replication_bootstrap_group = OFF")
                _run(self.nodes[0], "CREATE DATABASE runtime CHARACTER SET utf8mb4")

    def _join(self, number: int) -> None:
        deadline = time.monotonic() + MEMBER_SECONDS
        while True:
            try:
                _run(self.nodes[number], "START GROUP_REPLICATION")
                break
            except pymysql.Error:
                # The group has not yet noticed that this member was gone.
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
        _until(lambda: self.role(number)[0] == "ONLINE", f"node {number} did not join: {self.nodes[number].log_tail()}")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running group. Raises `NoServer` where MySQL, its plugin or HAProxy is missing."""
    program = servers.find("mysql")
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if haproxy is None:
        raise NoServer("haproxy is not on this machine; apt-get install haproxy brings it")
    nodes = [
        Server("mysql", program, Path(tempfile.mkdtemp(prefix="dk-group-")), servers.free_port()) for _ in range(NODES)
    ]
    made = Cluster(nodes, [servers.free_port() for _ in nodes], str(uuid.uuid4()), servers.free_port())
    try:
        _initialise(nodes)
        made.bootstrap()
        _start_haproxy(made, haproxy)
        yield made
    finally:
        if made.haproxy is not None:
            made.haproxy.kill()
            made.haproxy.wait()
        for health in made.health:
            health.shutdown()
            health.server_close()
        for node in nodes:
            servers.remove(node)


def _initialise(nodes: list[Server]) -> None:
    """One new data folder, and a copy for each other node; each finds itself an identity when it starts."""
    servers._initialise(nodes[0])
    for node in nodes[1:]:
        shutil.copytree(nodes[0].folder / "data", node.folder / "data")
        (node.folder / "data" / "auto.cnf").unlink(missing_ok=True)


def _serve_health(made: Cluster, number: int) -> ThreadingHTTPServer:
    """Answers HAProxy's check with 200 while that node is the primary."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            leading = made.role(number) == ("ONLINE", "PRIMARY")
            self.send_response(200 if leading else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_OPTIONS = do_GET

        def log_message(self, format: str, *args: Any) -> None: ...

    health = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    health.daemon_threads = True
    threading.Thread(target=health.serve_forever, daemon=True).start()
    return health


def _start_haproxy(made: Cluster, program: str) -> None:
    made.health += [_serve_health(made, number) for number in range(NODES)]
    text = _HAPROXY.format(port=made.port)
    for number, (node, health) in enumerate(zip(made.nodes, made.health, strict=True)):
        text += f"  server node{number} 127.0.0.1:{node.port} check port {health.server_port}\n"
    folder = made.nodes[0].folder
    (folder / "haproxy.cfg").write_text(text)
    with (folder / "haproxy.log").open("wb") as log:
        made.haproxy = subprocess.Popen(
            [program, "-db", "-f", str(folder / "haproxy.cfg")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    # Before its first checks it takes every node for a good one, and gives them out in turn.
    _until(lambda: all(_leads_to_primary(made) for _ in range(2 * NODES)), "haproxy does not lead to the primary")


def _leads_to_primary(made: Cluster) -> bool:
    with suppress(pymysql.Error, OSError):
        through = pymysql.connect(host="127.0.0.1", port=made.port, user="chaos", ssl_disabled=True)
        with through, through.cursor() as cursor:
            cursor.execute("SELECT @@super_read_only")
            return cursor.fetchone() == (0,)
    return False


def _run(node: Server, *statements: str) -> None:
    with node.root() as root, root.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _until(look: Any, complaint: str) -> Any:
    deadline = time.monotonic() + MEMBER_SECONDS
    while (answer := look()) is None or answer is False:
        if time.monotonic() > deadline:
            raise AssertionError(complaint)
        time.sleep(0.1)
    return answer
