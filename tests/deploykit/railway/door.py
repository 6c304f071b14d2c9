"""A Railway that says what it is told to say: real HTTP, scripted answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Reply:
    """One scripted answer. ``drop`` closes the connection instead of answering."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False

    def encoded(self) -> bytes:
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def data(**fields: Any) -> Reply:
    return Reply({"data": fields})


def error(message: str, code: str = "INTERNAL_SERVER_ERROR", **extensions: Any) -> Reply:
    return Reply({"data": None, "errors": [{"message": message, "extensions": {"code": code, **extensions}}]})


@dataclass
class Door:
    """The scripted server: ``replies`` in order, the last one again and again; ``asked`` is what it was sent."""

    endpoint: str
    replies: list[Reply] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def say(self, *replies: Reply) -> None:
        self.replies[:] = replies

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    @property
    def operations(self) -> list[str]:
        return [one["operation"] for one in self.asked]


@contextmanager
def opened() -> Iterator[Door]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            door.asked.append(
                {
                    "operation": body["operationName"],
                    "variables": body["variables"],
                    "query": parse_qs(urlsplit(self.path).query),
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                }
            )
            reply = door.next()
            if reply.drop:
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            content = reply.encoded()
            sent = {"Date": self.date_time_string(), **reply.headers}
            for name, value in {**sent, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    door = Door(f"http://127.0.0.1:{server.server_port}/graphql/v2")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
