"""Being signed in to the control panel: a signed cookie that ends by itself, and nothing kept on the server.

The key comes from ADMIN_TOKEN, so that every replica knows every session and a new token ends them all.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

COOKIE = "deploykit_panel"
LIFETIME_SECONDS = 12 * 3600
_DIGEST = "sha256"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who knew the token. `expires_at` is in seconds since 1970."""

    nonce: str
    expires_at: int


class Sessions:
    """Issues and checks sessions."""

    def __init__(self, token: str, now: Callable[[], float] = time.time) -> None:
        self._key = hmac.digest(token.encode("utf-8", "surrogateescape"), b"deploykit control panel 1", _DIGEST)
        self._now = now

    def start(self) -> Session:
        return Session(os.urandom(16).hex(), int(self._now()) + LIFETIME_SECONDS)

    def cookie(self, session: Session, *, secure: bool) -> str:
        """The Set-Cookie header of a session."""
        value = f"{session.expires_at}.{session.nonce}.{self._session_signature(session)}"
        return _cookie(value, LIFETIME_SECONDS, secure)

    def ending(self, *, secure: bool) -> str:
        """The Set-Cookie header that makes the browser forget."""
        return _cookie("", 0, secure)

    def read(self, cookies: str) -> Session | None:
        """The session in a Cookie header; None for one that is forged, over, or not there."""
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            expires_at, _, rest = value.partition(".")
            nonce, _, signature = rest.partition(".")
            if name != COOKIE or not (expires_at.isascii() and expires_at.isdecimal() and len(expires_at) < 15):
                continue
            session = Session(nonce, int(expires_at))
            if _same(signature, self._session_signature(session)) and session.expires_at > self._now():
                return session
        return None

    def form_token(self, session: Session) -> str:
        """What every form of this session carries, so that no other site's form can act in its name."""
        return self._sign(f"form {session.nonce}")

    def is_form_token(self, session: Session, given: str) -> bool:
        return _same(given, self.form_token(session))

    def _session_signature(self, session: Session) -> str:
        return self._sign(f"session {session.expires_at} {session.nonce}")

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "replace"), _DIGEST).hexdigest()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _cookie(value: str, seconds: int, secure: bool) -> str:
    text = f"{COOKIE}={value}; Path=/panel; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    return f"{text}; Secure" if secure else text
