"""What goes into an answer of the web process, and what comes out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.message import Message


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read whole. `path` and `query` are as they were sent, percent signs and all."""

    method: str
    path: str
    query: str
    headers: Message
    body: bytes
    peer: str
    """Address of who is connected: on Railway that is its proxy."""

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer; its length and date are added by the server."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


def as_json(status: int, value: Any, *headers: tuple[str, str]) -> Response:
    return Response(status, "application/json", json.dumps(value).encode(), headers)
