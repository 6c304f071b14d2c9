"""The daemon's lease and its firing, searched exhaustively: see `lease_model`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.lease_model import Bounds, Guards, search

POLICIES = ("ALL", "LATEST")

WITHOUT = {
    "token": "a fire was committed under a token that was no longer the newest",
    "lock": "a fire was committed under a token that was no longer the newest",
    "compare": "a schedule fired after it was switched off",
    "watermark": "a due time became two jobs",
    "unique": "a due time became two jobs",
    "atomic": "a due time counts as dealt with, and nothing was written for it",
}


@pytest.mark.parametrize("policy", POLICIES)
def test_no_interleaving_of_two_daemons_breaks_a_promise(policy: str) -> None:
    result = search(Guards(), Bounds(), policy)
    assert result.counterexample is None, str(result.counterexample)
    assert result.states > 100_000, "the search has become too small to mean much"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("guard", WITHOUT)
def test_each_guard_is_needed(guard: str, policy: str) -> None:
    result = search(replace(Guards(), **{guard: False}), Bounds(), policy)
    assert result.counterexample is not None, f"nothing goes wrong without {guard}"
    assert result.counterexample.fault == WITHOUT[guard]
