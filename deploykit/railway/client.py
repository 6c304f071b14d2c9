"""The only HTTP client: one door to Railway's GraphQL API.

Reads are retried; mutations are sent once, and when their answer is lost the caller is told that the outcome is
unknown. Railway docs: public API; a query string is added because the bare path is throttled harder.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2

from deploykit import __version__
from deploykit.errors import AuthenticationError, ConfigurationError, RateLimitedError, UnreachableError
from deploykit.railway import address
from deploykit.railway.answers import TOKEN_HINT, OutcomeUnknownError, read, understood
from deploykit.railway.operations import document, is_mutation

ENDPOINT = "https://backboard.railway.com/graphql/v2"
TIMEOUT_SECONDS = 90.0
READ_TRIES = 4
LONGEST_PAUSE_SECONDS = 30.0
"""A longer Retry-After is handed to the person instead of waited for."""

DATE_SECONDS = 2.0

Headers = Mapping[str, str]


@dataclass(slots=True)
class Budget:
    """The rate limit as Railway last stated it."""

    limit: int | None = None
    remaining: int | None = None
    reset: str | None = None

    @property
    def left(self) -> tuple[int, int] | None:
        """(requests left, limit), None while Railway has not told."""
        return None if self.remaining is None or self.limit is None else (self.remaining, self.limit)


@dataclass(slots=True)
class Railway:
    """A connection to one environment of one project."""

    endpoint: str
    headers: dict[str, str]
    project_id: str = ""
    environment_id: str = ""
    secrets: list[str] = field(default_factory=list)
    """Texts that must never appear in a message: the token, and values that were sent or read."""
    requests: int = 0
    mutations: int = 0
    budget: Budget = field(default_factory=Budget)
    report: Callable[[str], None] = lambda text: None
    ahead_seconds: float = 0.0
    """Railway's clock minus this machine's, by the Date of its last answer; whole seconds and travel make 2 s of it."""
    _http: httpx2.Client | None = None

    def run(self, name: str, /, **variables: Any) -> dict[str, Any]:
        """Send the operation ``name``; its data.

        Raises AuthenticationError, RateLimitedError, UnreachableError, RefusedError, StalePlanError; for a mutation
        whose answer is lost OutcomeUnknownError.
        """
        text = document(name)
        if is_mutation(text):
            return self._mutate(name, text, variables)
        for tries_left in range(READ_TRIES - 1, -1, -1):
            try:
                return self._send(name, text, variables)
            except RateLimitedError as error:
                pause = error.retry_after_seconds if error.retry_after_seconds is not None else 2.0
                if not tries_left or pause > LONGEST_PAUSE_SECONDS:
                    raise
                self.report(f"Railway asks to wait {pause:.0f} s")
            except UnreachableError:
                if not tries_left:
                    raise
                pause = 0.2 * 2 ** (READ_TRIES - 1 - tries_left)
            time.sleep(pause + random.uniform(0, 0.1))
        raise AssertionError("unreachable: the last try returns or raises")

    def _mutate(self, name: str, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        self.mutations += 1
        try:
            return self._send(name, text, variables)
        except RateLimitedError:
            raise  # refused in front of the API: nothing happened
        except _NeverSentError as error:
            raise UnreachableError(error.message, where=error.where, hint=error.hint) from None
        except UnreachableError as error:
            raise OutcomeUnknownError(
                f"{error.message}; whether {name} took effect is unknown",
                where=error.where,
                hint="run the same command again: it looks first and goes on from what is there",
            ) from None

    def _send(self, name: str, text: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        self.requests += 1
        body = {"query": text, "operationName": name, "variables": dict(variables)}
        try:
            response = self.http.post(
                self.endpoint, params={"op": name}, content=json.dumps(body).encode(), headers=self.headers
            )
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise _NeverSentError(
                f"Railway cannot be reached: {_short(error)}", where=self.endpoint, hint="check the network and the URL"
            ) from None
        except httpx2.TimeoutException:
            raise UnreachableError("Railway does not answer in time", where=self.endpoint, hint="try again") from None
        except httpx2.HTTPError as error:
            raise UnreachableError(
                f"the connection to Railway broke: {_short(error)}", where=self.endpoint, hint="try again"
            ) from None
        headers = {key.lower(): value for key, value in response.headers.items()}
        self._note_budget(headers)
        self._note_date(headers.get("date"))
        return read(
            response.status_code,
            headers,
            response.content,
            operation=name,
            endpoint=self.endpoint,
            secrets=tuple(self.secrets),
        )

    @property
    def http(self) -> httpx2.Client:
        """The connection pool, opened at the first use."""
        if self._http is None:
            loopback = urlsplit(self.endpoint).hostname in address.LOOPBACK
            # A proxy of the operator's must not carry what stays on this machine.
            self._http = httpx2.Client(timeout=TIMEOUT_SECONDS, trust_env=not loopback)
        return self._http

    def close(self) -> None:
        """Close the connection pool."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def now(self) -> datetime:
        """The time by Railway's clock, which is what its deployments are dated with; this machine's may be wrong."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead_seconds)

    def _note_date(self, date: str | None) -> None:
        try:
            ahead = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds() if date else 0.0
        except (ValueError, TypeError):
            return
        self.ahead_seconds = ahead if abs(ahead) > DATE_SECONDS else 0.0

    def _note_budget(self, headers: Headers) -> None:
        self.budget = Budget(
            _int(headers.get("x-ratelimit-limit"), self.budget.limit),
            _int(headers.get("x-ratelimit-remaining"), self.budget.remaining),
            headers.get("x-ratelimit-reset", self.budget.reset),
        )


class _NeverSentError(UnreachableError):
    """The request never left: nothing can have happened."""


def connect(
    environ: Mapping[str, str] = os.environ,
    *,
    environment_name: str | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Railway:
    """Connect with the token in the environment, and find out which project and environment it is for.

    ``RAILWAY_TOKEN`` may hold a project token (Railway CLI) or an account token (Terraform's habit), so the header is
    found by asking, never by the variable's name alone. ``environment_name`` picks the environment when only
    ``RAILWAY_PROJECT_ID`` is given. Raises AuthenticationError, ConfigurationError, UnreachableError.
    """
    endpoint = _endpoint(environ.get("DEPLOYKIT_RAILWAY_URL") or ENDPOINT)
    token = environ.get("RAILWAY_TOKEN") or environ.get("RAILWAY_API_TOKEN")
    if not token:
        raise AuthenticationError("no Railway token: RAILWAY_TOKEN is not set", hint=TOKEN_HINT)
    _check_token(token)
    railway = Railway(endpoint, {}, secrets=[token], report=report)
    if environ.get("RAILWAY_TOKEN") and _as_project_token(railway, token):
        return _checked_against(railway, environ)
    _as_bearer(railway, token)
    _choose_environment(railway, environ, environment_name)
    return railway


def connected(
    endpoint: str | None,
    token: str,
    *,
    project_token: bool,
    project_id: str,
    environment_id: str,
    report: Callable[[str], None] = lambda text: None,
) -> Railway:
    """A connection whose token and place are known: nothing is asked before the first request.

    Somebody who is logged in with Railway's command has a token that no query identifies. Raises
    AuthenticationError for what cannot be a token, ConfigurationError for a bad endpoint.
    """
    checked = _endpoint(endpoint or ENDPOINT)
    _check_token(token)
    header = {"project-access-token": token} if project_token else {"authorization": f"Bearer {token}"}
    return Railway(checked, _headers(**header), project_id, environment_id, secrets=[token], report=report)


def _check_token(token: str) -> None:
    if not token.isascii() or any(character.isspace() for character in token):
        raise AuthenticationError("the Railway token holds characters that no token has", hint="copy it again")


def _endpoint(url: str) -> str:
    """``url`` as it is asked and shown: what may be a secret, a login or a query, is refused or left out."""
    parts = address.parsed(url)
    if parts is None:
        raise ConfigurationError("DEPLOYKIT_RAILWAY_URL is no http(s) URL", hint="unset it to use Railway itself")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "DEPLOYKIT_RAILWAY_URL holds a login, which would replace the token",
            where=parts.hostname,
            hint="write it without user and password: the token comes from RAILWAY_TOKEN",
        )
    if address.in_clear_text(parts):
        raise ConfigurationError(
            "DEPLOYKIT_RAILWAY_URL would send the token in clear text",
            where=parts.hostname,
            hint="use https; plain http is for a sandbox on this machine only",
        )
    return parts._replace(query="", fragment="").geturl()


def _headers(**token: str) -> dict[str, str]:
    source = {"x-source": f"deploykit {__version__}", "user-agent": f"deploykit/{__version__}"}
    return {"content-type": "application/json", **source, **token}


def _as_project_token(railway: Railway, token: str) -> bool:
    railway.headers = _headers(**{"project-access-token": token})
    try:
        with understood(railway.endpoint):
            found = railway.run("IdentifyProjectToken")["projectToken"]
            railway.project_id, railway.environment_id = str(found["projectId"]), str(found["environmentId"])
    except AuthenticationError:
        return False
    return True


def _as_bearer(railway: Railway, token: str) -> None:
    railway.headers = _headers(authorization=f"Bearer {token}")
    try:
        railway.run("IdentifyBearer")
    except AuthenticationError as error:
        raise AuthenticationError("Railway refuses this token", where=railway.endpoint, hint=error.hint) from None


def _checked_against(railway: Railway, environ: Mapping[str, str]) -> Railway:
    """A project token knows where it belongs; contradicting it is a mistake worth stopping for."""
    for name, actual in (
        ("RAILWAY_PROJECT_ID", railway.project_id),
        ("RAILWAY_ENVIRONMENT_ID", railway.environment_id),
    ):
        wanted = environ.get(name)
        if wanted and wanted != actual:
            raise ConfigurationError(
                f"{name} names another place than the token is for", hint=f"unset {name}, or use the other token"
            )
    return railway


def _choose_environment(railway: Railway, environ: Mapping[str, str], environment_name: str | None) -> None:
    project_id, environment_id = environ.get("RAILWAY_PROJECT_ID"), environ.get("RAILWAY_ENVIRONMENT_ID")
    if not project_id:
        raise ConfigurationError(
            "an account or workspace token reaches many projects: RAILWAY_PROJECT_ID is not set",
            hint="copy it from the project's settings, or use a project token",
        )
    railway.project_id = project_id
    if environment_id:
        railway.environment_id = environment_id
        return
    with understood(railway.endpoint):
        environments = railway.run("ProjectEnvironments", projectId=project_id)["project"]["environments"]["edges"]
        names = {edge["node"]["name"]: edge["node"]["id"] for edge in environments}
    if environment_name not in names:
        raise ConfigurationError(
            f"the project has no environment {environment_name!r}",
            hint=f"it has: {', '.join(sorted(names))}; set RAILWAY_ENVIRONMENT_ID or `environment:` in the profile",
        )
    railway.environment_id = names[environment_name]


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _int(text: str | None, otherwise: int | None) -> int | None:
    return int(text) if text and text.isdigit() else otherwise
