"""Faults: names, aims, counts."""

from __future__ import annotations

import pytest

from deploykit.errors import UsageError
from deploykit.sandbox.faults import Faults


def added(**request: object) -> Faults:
    faults = Faults()
    faults.wait(faults.create(dict(request)))
    return faults


def test_a_fault_strikes_once_unless_counted() -> None:
    faults = added(name="build-failure")
    assert faults.take("build-failure", service="web")
    assert faults.take("build-failure", service="web") is None
    faults = added(name="build-failure", count=2)
    assert [bool(faults.take("build-failure", service="web")) for _ in range(3)] == [True, True, False]


def test_a_fault_without_end_strikes_until_cleared() -> None:
    faults = added(name="crash", count=None)
    assert all(faults.take("crash", service="web") for _ in range(5))
    faults.clear()
    assert faults.take("crash", service="web") is None


def test_a_fault_strikes_only_what_it_is_aimed_at() -> None:
    faults = added(name="rate-limited", field="serviceCreate")
    assert faults.take("rate-limited", fields=("environment",)) is None
    assert faults.take("rate-limited", fields=("environment", "serviceCreate"))
    faults = added(name="zombie", service="web")
    assert faults.take("zombie", service="daemon") is None


def test_occasions_can_pass_first() -> None:
    faults = added(name="crash", skip=2)
    assert [bool(faults.take("crash")) for _ in range(4)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        ({"name": "typo"}, "unknown fault"),
        ({"name": "crash", "seconds": 1}, "no parameter 'seconds'"),
        ({"name": "redeploy"}, "needs a service"),
        ({"name": "crash", "count": 0}, "whole number"),
        ({"name": "slow-build", "seconds": "long"}, "must be a number"),
    ],
)
def test_a_wrong_fault_is_refused(request_: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Faults().create(request_)
