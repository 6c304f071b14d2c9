from __future__ import annotations

import hmac

import pytest

from runtime.web import tokens
from runtime.web.tokens import ADDRESSES_MOST, FAILURES_MOST, FAILURES_WINDOW_SECONDS, Throttle, matches


def test_only_the_whole_token_matches() -> None:
    assert matches(b"one", ["one"])
    assert matches(b"two", ["one", "two"])
    for wrong in (b"", b"on", b"onee", b"One", b"one two"):
        assert not matches(wrong, ["one", "two"])
    assert not matches(b"", [])


def test_a_token_need_not_be_ascii() -> None:
    assert matches("schlüssel-🔑".encode(), ["schlüssel-🔑"])
    assert not matches(b"\xff\xfe", ["schlüssel-🔑"])
    assert matches(b"\xff", [b"\xff".decode("utf-8", "surrogateescape")]), "as it may stand in the environment"


@pytest.mark.parametrize("given", [b"wrong", b"first", b"second"])
def test_every_token_is_compared_in_constant_time_whatever_is_given(
    given: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[bytes] = []

    def compare(given: bytes, token: bytes) -> bool:
        compared.append(token)
        return hmac.compare_digest(given, token)

    class Spy:
        compare_digest = staticmethod(compare)

    monkeypatch.setattr(tokens, "hmac", Spy)
    matches(given, ["first", "second"])
    assert compared == [b"first", b"second"]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_ten_wrong_tokens_in_a_minute_make_an_address_wait() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FAILURES_MOST):
        assert throttle.wait_seconds("a") == 0
        throttle.failed("a")
        clock.now += 1
    assert throttle.wait_seconds("a") == FAILURES_WINDOW_SECONDS - FAILURES_MOST
    assert throttle.wait_seconds("b") == 0, "nobody can lock out somebody else"
    clock.now += FAILURES_WINDOW_SECONDS - FAILURES_MOST
    assert throttle.wait_seconds("a") == 0


def test_failing_again_while_waiting_does_not_grow_anything() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(FAILURES_MOST * 5):
        throttle.failed("a")
    clock.now += FAILURES_WINDOW_SECONDS
    assert throttle.wait_seconds("a") == 0


def test_the_throttle_remembers_a_bounded_number_of_addresses() -> None:
    throttle = Throttle(Clock())
    for _ in range(FAILURES_MOST):
        throttle.failed("early")
    for number in range(ADDRESSES_MOST - 1):
        throttle.failed(str(number))
    assert throttle.wait_seconds("early") > 0
    throttle.failed("one more")
    assert throttle.wait_seconds("early") == 0
