"""What was sent and is not answered in the shape that was asked for may have been done all the same."""

from __future__ import annotations

import pytest

from deploykit.railway import execute
from deploykit.railway.answers import OutcomeUnknownError
from deploykit.railway.client import Railway
from tests.deploykit.railway.door import Door, data


@pytest.mark.parametrize("answer", [None, {}, ["odd"], {"status": "applied"}])
def test_the_outcome_of_a_change_set_with_an_odd_answer_is_unknown(
    door: Door, railway: Railway, answer: object
) -> None:
    door.say(data(environmentApplyChangeSet=answer))
    with pytest.raises(OutcomeUnknownError):
        execute.apply_change_set(railway, {}, "etag")
    assert door.operations == ["ApplyChangeSet"]


def test_the_outcome_of_a_deploy_with_an_odd_answer_is_unknown(door: Door, railway: Railway) -> None:
    door.say(data())
    with pytest.raises(OutcomeUnknownError):
        execute.deploy(railway, "service")
    assert door.operations == ["DeployService"]
