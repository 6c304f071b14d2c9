"""A URL that the operator gives us to ask or to tell: with a token in the header, or a secret in its path."""

from __future__ import annotations

import http.client
import urllib.request
from typing import Any

from deploykit.errors import UsageError
from deploykit.railway import address


def checked(url: str, what: str) -> str:
    """``url``; ``what`` names it. Raises UsageError, which never repeats it, for none, and for clear text to others."""
    parts = address.parsed(url)
    if parts is None:
        raise UsageError(f"a {what} is a URL, and needs https", hint=f"write the {what} as https://host/path")
    if address.in_clear_text(parts):
        raise UsageError(f"a {what} needs https", hint="plain http only to a loopback address")
    return url


def answered(request: urllib.request.Request, *, timeout_seconds: float, most_bytes: int) -> bytes:
    """The first bytes of the answer. Raises HTTPError for a status that is no success, a redirect among them, OSError.

    A redirect is not followed: it would take the token to another host, and turn what is posted into a question.
    """
    try:
        with _OPENER.open(request, timeout=timeout_seconds) as answer:
            body: bytes = answer.read(most_bytes)
            return body
    except http.client.HTTPException as error:  # half an answer, or none in HTTP
        raise OSError(type(error).__name__) from None


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_Stay)
