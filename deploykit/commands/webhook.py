"""Tell somebody when the verdict changes, and only then."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploykit.commands import operators_url
from deploykit.errors import UnreachableError

TIMEOUT_SECONDS = 10.0


def tell_on_change(url: str, memory: Path, result: Mapping[str, Any]) -> bool:
    """POST the JSON ``result`` when its verdict is another one than last time; whether it was sent.

    The first verdict is told only when it is bad. ``memory`` holds the last verdict of each profile, and is written
    after the receiver took it, so that a lost message is told again. Raises UnreachableError, UsageError.
    """
    checked(url)
    known = _remembered(memory)
    key = f"{result['profile']}@{result['environment']}"
    before, now = known.get(key, "healthy"), result["verdict"]
    if before != now:
        _post(url, {**result, "verdict_before": before})
    _remember(memory, {**known, key: now})
    return bool(before != now)


def checked(url: str) -> str:
    """``url``. Raises UsageError for what is no webhook."""
    return operators_url.checked(url, "webhook")


def _post(url: str, body: Mapping[str, Any]) -> None:
    data = json.dumps(body, ensure_ascii=False, default=str).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"}, method="POST")
    host = urlsplit(url).hostname
    hint = "check its address; the same command tells it again"
    try:
        operators_url.answered(request, timeout_seconds=TIMEOUT_SECONDS, most_bytes=0)
    except urllib.error.HTTPError as error:
        # The path of a webhook is its password: only the host is named.
        raise UnreachableError(f"the webhook answered {error.code}", where=host, hint=hint) from None
    except (OSError, ValueError) as error:
        raise UnreachableError(f"the webhook does not answer: {error}", where=host, hint=hint) from None


def _remembered(memory: Path) -> dict[str, str]:
    try:
        value = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _remember(memory: Path, verdicts: Mapping[str, str]) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    fresh = memory.with_name(f"{memory.name}.{os.getpid()}")
    fresh.write_text(json.dumps(verdicts, indent=2), "utf-8")
    fresh.replace(memory)
