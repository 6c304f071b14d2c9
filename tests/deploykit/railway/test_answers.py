from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from deploykit.errors import AuthenticationError, DeploykitError, RateLimitedError, StalePlanError, UnreachableError
from deploykit.railway.answers import (
    HIDDEN,
    BusyError,
    OutcomeUnknownError,
    RefusedError,
    mask,
    read,
    retry_after_seconds,
    said,
    understood,
)


def answer(message: str, code: str = "INTERNAL_SERVER_ERROR", status: int = 200, **extensions: Any) -> DeploykitError:
    """The error that one answer of Railway's stands for."""
    body = {"data": None, "errors": [{"message": message, "extensions": {"code": code, **extensions}}]}
    with pytest.raises(DeploykitError) as caught:
        read(status, {}, json.dumps(body).encode(), operation="Some", endpoint="https://railway.test")
    return caught.value


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Not Authorized", AuthenticationError),
        ("Project Token not found", AuthenticationError),
        ("Two Factor Authentication Required", AuthenticationError),
        ("Problem processing request", UnreachableError),
        ("Project not found", RefusedError),
        ("ServiceInstance not found", RefusedError),
        ("Commit not found", RefusedError),
        ("Cannot redeploy yet, please wait for the original deployment to finish building", BusyError),
        ("operation is already in progress", BusyError),
        ("Whoa there pal! You are creating volumes too quickly. Try again in a sec", BusyError),
        ("You are creating projects too quickly", BusyError),
        ("Free plan: 1 project per 30 seconds", BusyError),
        ("Only one environment can be created per user every 30s", BusyError),
        ("Service deployment rate limit exceeded", BusyError),
        ('A service named "web" already exists in this project', RefusedError),
        ('A volume named "data" already exists in this project', RefusedError),
        ("Error in preDeployCommand - Invalid input", RefusedError),
        ("No patch to apply", RefusedError),
        ("Unsupported RailwayChangeSet version: 2", RefusedError),
        ('Invalid RailwayChangeSet patch: [{"code":"unrecognized_keys"}]', RefusedError),
    ],
)
def test_every_known_text_has_its_error(message: str, kind: type[DeploykitError]) -> None:
    assert type(answer(message)) is kind
    assert type(answer(message.upper())) is kind


def test_a_stale_base_is_a_stale_plan() -> None:
    error = answer("The environment changed since this plan was computed.", "STALE_ENVIRONMENT_BASE")
    assert type(error) is StalePlanError
    assert "nothing was applied" in error.message


@pytest.mark.parametrize("code", ["GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"])
def test_a_field_that_railway_dropped_is_named(code: str) -> None:
    assert "Cannot query field 'x'" in answer("Cannot query field 'x'", code, 400).message


def test_the_trace_id_is_shown_for_a_support_request() -> None:
    assert "trace 42-abc" in str(answer("Whatever", traceId="42-abc").where)


def test_the_trace_id_may_come_in_a_header() -> None:
    body = json.dumps({"errors": [{"message": "Whatever"}]}).encode()
    with pytest.raises(RefusedError) as caught:
        read(200, {"cf-ray": "ray-1"}, body, operation="Some", endpoint="https://railway.test")
    assert "trace ray-1" in str(caught.value.where)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"{}", b'{"data": null}', b'{"data": []}'])
def test_what_is_no_answer_is_never_taken_for_one(body: bytes) -> None:
    with pytest.raises(UnreachableError):
        read(200, {}, body, operation="Some", endpoint="https://railway.test")


@pytest.mark.parametrize("errors", [["text"], [{}], [{"message": None}], {"message": "no list"}])
def test_a_malformed_error_is_still_an_error(errors: Any) -> None:
    with pytest.raises(DeploykitError):
        read(200, {}, json.dumps({"errors": errors}).encode(), operation="Some", endpoint="https://railway.test")


def test_extensions_in_no_known_form_hide_no_message() -> None:
    body = json.dumps({"errors": [{"message": "Not Authorized", "extensions": ["odd"]}]}).encode()
    with pytest.raises(AuthenticationError):
        read(200, {}, body, operation="Some", endpoint="https://railway.test")


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"message": "Unauthorized"}'])
def test_401_is_a_matter_of_the_token_whatever_the_body(body: bytes) -> None:
    with pytest.raises(AuthenticationError):
        read(401, {}, body, operation="Some", endpoint="https://railway.test")


@pytest.mark.parametrize(
    "take", [lambda it: it["b"], lambda it: it["a"]["c"], lambda it: it["a"].get, lambda it: int(it["d"])]
)
def test_an_answer_of_another_shape_is_railways_and_repeats_nothing_of_it(take: Callable[[Any], Any]) -> None:
    with (
        pytest.raises(OutcomeUnknownError, match="not what was asked for") as caught,
        understood("here", OutcomeUnknownError),
    ):
        take({"a": None, "d": "marked-value"})
    assert "marked-value" not in caught.value.message
    assert (caught.value.where, bool(caught.value.hint)) == ("here", True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m \x1b[2J\x1b[Hgone", "red gone"),
        ("\x1b]0;a title\x07words", "words"),
        ("\x1b]0;a title\x1b\\words", "words"),
        ("two\r\n\tlines", "two lines"),
        ("a\x1bb\x9bc\u202ed", "a·b·c·d"),
        ("⏱️  Polling every 3600s", "⏱️  Polling every 3600s"),
        ("marked-\x1b[1msecret", HIDDEN),
        ("a\x1b[0mmarked-secret", f"a{HIDDEN}"),
    ],
)
def test_what_somebody_says_steers_no_terminal(text: str, shown: str) -> None:
    assert said(text, ("marked-secret",)) == shown
    assert "\x1b" not in answer(text).message


def test_throttling_is_seen_before_the_body_is_read() -> None:
    with pytest.raises(RateLimitedError) as caught:
        read(429, {"retry-after": "3"}, b"<html>", operation="Some", endpoint="https://railway.test")
    assert caught.value.retry_after_seconds == 3


def test_retry_after_may_be_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < (retry_after_seconds(later) or 0) <= 90


@pytest.mark.parametrize(("text", "seconds"), [(None, None), ("", None), ("soon", None), ("5", 5.0), ("-1", 0.0)])
def test_retry_after_in_any_other_form(text: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(text) == seconds


def test_the_longest_secret_is_masked_first() -> None:
    assert mask("abcdefgh", ("abcd", "abcdefgh")) == "«hidden»"
