"""A TCP proxy between a process and its database, for the faults that only a network has.

The connection must be plain (`ssl-mode=disabled`), so that the proxy can see a COMMIT pass by.
"""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import Literal

Fate = Literal["lost on the way", "answer lost"]

_COMMIT = b"\x07\x00\x00\x00\x03COMMIT"
"""MySQL's packet for it: seven bytes, the first of its exchange, command "query" (MySQL protocol: COM_QUERY)."""


class Proxy:
    """Listens on a loopback port and passes everything on, until told otherwise.

    `black_hole` keeps connections open and passes nothing, as a lost route does; `cut` ends them and refuses new ones;
    `heal` undoes both. `spoil_next_commit` has the next COMMIT lost on the way, or lets it arrive and loses the answer:
    the client sees its connection break either way, and cannot tell which it was.
    """

    def __init__(self, port: int, *, near_port: int = 0) -> None:
        """Pass on to ``port``; listen on ``near_port``, 0 for any free one."""
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", near_port))
        self.port: int = self._listener.getsockname()[1]
        self._passing = threading.Event()
        self._passing.set()
        self._refusing = False
        self._fate: Fate | None = None
        self.spoiled = threading.Event()
        """Set once a COMMIT has met its fate."""
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cut()
        self._passing.set()
        self._listener.close()

    def black_hole(self) -> None:
        self._passing.clear()

    def cut(self) -> None:
        self._refusing = True

    def heal(self) -> None:
        self._refusing = False
        self._passing.set()

    def spoil_next_commit(self, fate: Fate) -> None:
        self.spoiled.clear()
        self._fate = fate

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                client.close()
            else:
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            self._passing.wait()
            with socket.create_connection(self._target, timeout=10) as server:
                self._relay(client, server)

    def _relay(self, client: socket.socket, server: socket.socket) -> None:
        """Until one side ends, or a fault ends both."""
        losing_answer = False
        while not self._refusing:
            ready, _, _ = select.select([client, server], [], [], 0.02)
            self._passing.wait()
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                if source is server:
                    if losing_answer:
                        self.spoiled.set()
                        return
                    client.sendall(data)
                    continue
                if self._fate is not None and data.startswith(_COMMIT):
                    fate, self._fate = self._fate, None
                    if fate == "lost on the way":
                        self.spoiled.set()
                        return
                    losing_answer = True
                server.sendall(data)
