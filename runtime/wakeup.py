"""A best-effort knock on the worker's door over the private network: one datagram, no answer.

A lost datagram costs the poll interval and nothing else, so there is no retry and no error. What arrives is never read
for its contents: anybody who can reach the port can make a worker look at its queue, ten times a second at most.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from runtime import log

KNOCK = b"deploykit wake 1"
REST_SECONDS = 0.1
RESOLVE_AGAIN_SECONDS = 60.0
RESOLVE_PATIENCE_SECONDS = 0.5


class Wakeup:
    """Sends the knock to every address configured; does nothing where none is. Safe from several threads."""

    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        self._addresses = addresses
        self._resolved: list[tuple[socket.AddressFamily, tuple[object, ...]]] = []
        self._resolve_at = 0.0

    def send(self) -> None:
        if not self._addresses:
            return
        if time.monotonic() >= self._resolve_at:
            self._resolve_at = time.monotonic() + RESOLVE_AGAIN_SECONDS
            # Aside: a name server that does not answer takes ten seconds and more to be given up.
            resolving = threading.Thread(target=self._resolve, name="wakeup names", daemon=True)
            resolving.start()
            resolving.join(RESOLVE_PATIENCE_SECONDS)
        for family, address in self._resolved:
            with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(KNOCK, address)

    def _resolve(self) -> None:
        """A name may stand for several replicas: all of them are told. What cannot be found stays where it was."""
        found = []
        for host, port in self._addresses:
            with suppress(OSError, UnicodeError):  # the second: a name that can be none
                found += socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        self._resolved = list({(entry[0], entry[4]) for entry in found}) or self._resolved


class Listener(threading.Thread):
    """Hears knocks and calls `wake`."""

    def __init__(self, port: int, wake: Callable[[], None]) -> None:
        super().__init__(name="wakeup", daemon=True)
        self._wake = wake
        self._socket = _bind(port)
        self.port: int = self._socket.getsockname()[1]

    def run(self) -> None:
        while True:
            try:
                if self._socket.recv(64) != KNOCK:
                    continue
                # One look at the queue answers every knock that came before it; a later one stays for the next round.
                self._forget_earlier()
            except OSError:
                return
            self._wake()
            time.sleep(REST_SECONDS)

    def _forget_earlier(self) -> None:
        self._socket.setblocking(False)
        try:
            while self._socket.recv(64):
                pass
        except BlockingIOError:
            pass
        finally:
            self._socket.setblocking(True)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # closing alone does not end the thread's waiting
        self._socket.close()


def _bind(port: int) -> socket.socket:
    # Railway's private network speaks IPv6; one socket for both where the system has both.
    try:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", port))
        return sock
    except OSError:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", port))
        return sock


def listen(who: str, port: int, wake: Callable[[], None]) -> Listener | None:
    """A running listener, or None when none is configured or the port cannot be had: then polling has to do."""
    if not port:
        return None
    try:
        listener = Listener(port, wake)
    except OSError as error:
        log.warning(f"{who} cannot listen for wake-ups on port {port} ({error.strerror}); polling alone")
        return None
    listener.start()
    return listener
