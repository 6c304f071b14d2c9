"""An http(s) address that a token or a secret is sent to. Pure."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def parsed(url: str) -> SplitResult | None:
    """The parts of ``url``; None for what is no http(s) URL."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # an unfinished [ or a port that is no number
        return None
    return parts if known else None


def in_clear_text(parts: SplitResult) -> bool:
    """Whether what is sent there could be read on the way."""
    return parts.scheme == "http" and parts.hostname not in LOOPBACK
