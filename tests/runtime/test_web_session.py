from __future__ import annotations

import pytest

from runtime.web.session import COOKIE, LIFETIME_SECONDS, Session, Sessions

TOKEN = "a-token"


def sent_back(set_cookie: str) -> str:
    """What a browser sends for a Set-Cookie header."""
    return set_cookie.partition(";")[0]


def test_a_session_comes_back_from_its_cookie() -> None:
    sessions = Sessions(TOKEN)
    session = sessions.start()
    cookie = sent_back(sessions.cookie(session, secure=True))
    assert sessions.read(cookie) == session
    assert sessions.read(f"other=1; {cookie}; more=2") == session
    assert Sessions(TOKEN).read(cookie) == session, "another replica knows it too"


def test_a_new_token_ends_every_session() -> None:
    sessions = Sessions(TOKEN)
    assert Sessions("another").read(sent_back(sessions.cookie(sessions.start(), secure=True))) is None


def test_a_session_ends_by_itself() -> None:
    now = [1_000_000.0]
    sessions = Sessions(TOKEN, lambda: now[0])
    cookie = sent_back(sessions.cookie(sessions.start(), secure=True))
    now[0] += LIFETIME_SECONDS - 1
    assert sessions.read(cookie) is not None
    now[0] += 1
    assert sessions.read(cookie) is None


def test_a_session_cannot_be_made_or_made_longer_without_the_token() -> None:
    sessions = Sessions(TOKEN)
    session = sessions.start()
    name, _, value = sent_back(sessions.cookie(session, secure=True)).partition("=")
    expires_at, nonce, signature = value.split(".")
    for forged in (
        f"{int(expires_at) + 1}.{nonce}.{signature}",
        f"{expires_at}.{'0' * 32}.{signature}",
        f"{expires_at}.{nonce}.{'0' * 64}",
        f"{expires_at}.{nonce}.",
        f"{expires_at}.{nonce}.{sessions.form_token(session)}",
    ):
        assert sessions.read(f"{name}={forged}") is None


@pytest.mark.parametrize(
    "cookies", ["", "=", ";;", COOKIE, f"{COOKIE}=", f"{COOKIE}=..", f"{COOKIE}=²..", f"{COOKIE}={'9' * 5000}.a.b"]
)
def test_a_cookie_that_makes_no_sense_is_no_session(cookies: str) -> None:
    assert Sessions(TOKEN).read(cookies) is None


def test_the_cookie_is_out_of_reach_of_scripts_other_sites_and_clear_text() -> None:
    sessions = Sessions(TOKEN)
    attributes = sessions.cookie(sessions.start(), secure=True).split("; ")[1:]
    assert attributes == ["Path=/panel", f"Max-Age={LIFETIME_SECONDS}", "HttpOnly", "SameSite=Strict", "Secure"]
    assert "Secure" not in sessions.cookie(sessions.start(), secure=False)
    assert "Max-Age=0" in sessions.ending(secure=True)


def test_a_form_token_belongs_to_one_session() -> None:
    sessions = Sessions(TOKEN)
    one, two = sessions.start(), sessions.start()
    assert sessions.is_form_token(one, sessions.form_token(one))
    assert not sessions.is_form_token(two, sessions.form_token(one))
    assert not sessions.is_form_token(one, "")
    assert sessions.form_token(Session(one.nonce, 0)) not in sessions.cookie(one, secure=True)
