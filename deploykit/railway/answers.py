"""What Railway's answers mean: status and body → data, or the error a person can act on.

Nearly all errors arrive as HTTP 200 with ``errors``, so transport is judged first and the body second
(Railway API: errors). Texts are matched without regard to case.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from deploykit.errors import (
    AuthenticationError,
    DeploykitError,
    RateLimitedError,
    StalePlanError,
    UnreachableError,
)
from deploykit.sources.printable import plain

HIDDEN = "«hidden»"
_URL_PASSWORD = re.compile(r"(\w://[^\s:/@]*:)[^\s/@]+@")
TOKEN_HINT = (
    "RAILWAY_TOKEN takes a project token (Railway → project → Settings → Tokens), RAILWAY_API_TOKEN an account or "
    "workspace token with RAILWAY_PROJECT_ID and RAILWAY_ENVIRONMENT_ID"
)


class OutcomeUnknownError(UnreachableError):
    """A mutation was sent and its answer was lost: it may or may not have taken effect. Look before you send again."""


class RefusedError(DeploykitError):
    """Railway understood the request and refuses it."""


class BusyError(RefusedError):
    """Railway refuses for the moment: a build is running, a throttle, an operation in progress. Wait and try again."""


_BUSY = (
    "cannot redeploy yet",
    "operation is already in progress",
    "too quickly",
    "per 30 seconds",
    "every 30s",
    "service deployment rate limit exceeded",
)


@contextmanager
def understood(where: str, otherwise: type[UnreachableError] = UnreachableError) -> Iterator[None]:
    """Take an answer apart: raises ``otherwise`` where it is not in the shape that was asked for.

    Railway's API moves every week, and a proxy may cut an answer short that is JSON all the same.
    """
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        # Of what stands there instead nothing is repeated: it may be a value.
        lacks = f": it lacks {error}" if isinstance(error, KeyError) else ""
        raise otherwise(
            f"Railway's answer is not what was asked for{lacks}",
            where=where,
            hint="run the same command again; if it stays, Railway's API changed: update deploykit, or report this",
        ) from error


def read(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    operation: str,
    endpoint: str,
    secrets: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The ``data`` of an answer. Raises the error it stands for; ``secrets`` are masked in every message."""
    where = f"{endpoint} ({operation})"
    if status == 429:
        pause = retry_after_seconds(headers.get("retry-after"))
        wait = "wait" if pause is None else f"wait {pause:.0f} s"
        raise RateLimitedError(
            "Railway limits the rate of requests",
            where=where,
            hint=f"{wait} and run the same command again; Hobby allows 1,000 requests an hour",
            retry_after_seconds=pause,
        )
    if status == 401:
        raise AuthenticationError("Railway refuses the token", where=where, hint=TOKEN_HINT)
    if status >= 500:
        raise UnreachableError(f"Railway answers {status}", where=where, hint="Railway has trouble: try again later")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UnreachableError(
            f"this is no answer of Railway's API (status {status})",
            where=where,
            hint="check DEPLOYKIT_RAILWAY_URL, and a proxy in between",
        )
    errors = answer.get("errors")
    if errors:
        raise _refusal(errors[0] if isinstance(errors, list) else {}, where, headers, secrets)
    if status >= 400:
        raise UnreachableError(f"Railway answers {status}", where=where, hint="check DEPLOYKIT_RAILWAY_URL")
    data = answer.get("data")
    if not isinstance(data, dict):
        raise UnreachableError("Railway's answer holds no data", where=where, hint="try again")
    return data


def _refusal(error: Any, where: str, headers: Mapping[str, str], secrets: tuple[str, ...]) -> DeploykitError:
    error = error if isinstance(error, dict) else {}
    message = said(str(error.get("message") or "an error without a message"), secrets)
    extensions = error.get("extensions")
    extensions = extensions if isinstance(extensions, dict) else {}
    code = str(extensions.get("code") or "")
    lower = message.lower()
    trace = extensions.get("traceId") or next(
        (headers[name] for name in ("x-trace-id", "x-request-id", "railway-trace-id", "cf-ray") if name in headers),
        None,
    )
    if trace:
        where = f"{where} trace {trace}"
    if code == "STALE_ENVIRONMENT_BASE":
        return StalePlanError(
            "the environment changed since the plan was made; nothing was applied",
            where=where,
            hint="run `deploykit plan` again and review it",
        )
    if "two factor" in lower:
        return AuthenticationError(message, where=where, hint="enable two-factor login for this workspace")
    if "project token not found" in lower:
        return AuthenticationError("Railway does not know this token", where=where, hint=TOKEN_HINT)
    if "not authorized" in lower or "unauthorized" in lower or "unauthenticated" in code.lower():
        return AuthenticationError(
            "Railway refuses: the token is wrong, lacks the right, or the project or environment does not exist",
            where=where,
            hint=TOKEN_HINT,
        )
    if any(text in lower for text in _BUSY):
        return BusyError(message, where=where, hint="Railway is busy with it: run the same command again in a minute")
    if code == "GRAPHQL_VALIDATION_FAILED" or code == "GRAPHQL_PARSE_FAILED":
        return RefusedError(
            f"Railway's API changed under us: {message}", where=where, hint="update deploykit, or report this"
        )
    if "problem processing request" in lower:
        return UnreachableError(message, where=where, hint="Railway has trouble with this request: try again")
    return RefusedError(message, where=where, hint="Railway's own words; see its dashboard for this service")


def retry_after_seconds(value: str | None) -> float | None:
    """``Retry-After`` in seconds: whole seconds or an HTTP date; None when absent or unreadable."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def said(text: str, secrets: tuple[str, ...]) -> str:
    """Somebody else's words as they are repeated: masked, on one line, without what would steer a terminal."""
    # Masked twice: a colour in the middle of a secret hides it the first time.
    return mask(plain(mask(text, secrets)), secrets)


def mask(text: str, secrets: tuple[str, ...]) -> str:
    """``text`` without any of the ``secrets``, and without the password of any URL in it."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, HIDDEN)
    return _URL_PASSWORD.sub(rf"\1{HIDDEN}@", text)
