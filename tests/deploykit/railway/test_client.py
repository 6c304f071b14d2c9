from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from deploykit.errors import (
    AuthenticationError,
    ConfigurationError,
    DeploykitError,
    Exit,
    RateLimitedError,
    UnreachableError,
)
from deploykit.railway.answers import OutcomeUnknownError, RefusedError
from deploykit.railway.client import READ_TRIES, Railway, connect
from tests.deploykit.railway.door import Door, Reply, data, error

TOKEN = "a-marked-token-4711"
HTML = Reply("<html>bad gateway</html>", 502)


def environ(door: Door, **more: str) -> dict[str, str]:
    return {"DEPLOYKIT_RAILWAY_URL": door.endpoint, "RAILWAY_TOKEN": TOKEN, **more}


# ---- asking ---------------------------------------------------------------------------------------------------


def test_every_request_names_its_operation_in_the_body_and_in_the_query_string(door: Door, railway: Railway) -> None:
    door.say(data(apiToken={}))
    assert railway.run("IdentifyBearer") == {"apiToken": {}}
    assert door.asked[0]["operation"] == "IdentifyBearer"
    assert door.asked[0]["query"] == {"op": ["IdentifyBearer"]}


def test_requests_and_mutations_are_counted(door: Door, railway: Railway) -> None:
    door.say(data(deploymentStop=True))
    railway.run("IdentifyBearer")
    railway.run("StopDeployment", id="1")
    assert (railway.requests, railway.mutations) == (2, 1)


def test_the_rate_limit_is_remembered_as_railway_last_stated_it(door: Door, railway: Railway) -> None:
    stated = {"X-RateLimit-Limit": "1000", "X-RateLimit-Remaining": "998", "X-RateLimit-Reset": "60"}
    door.say(Reply({"data": {}}, headers=stated))
    railway.run("IdentifyBearer")
    assert (railway.budget.limit, railway.budget.remaining, railway.budget.reset) == (1000, 998, "60")


@pytest.mark.parametrize("hours", [-3, 3])
def test_the_time_is_taken_from_railways_clock_where_this_machines_is_wrong(
    door: Door, railway: Railway, hours: int
) -> None:
    true = datetime.now(UTC) + timedelta(hours=hours)
    door.say(Reply({"data": {}}, headers={"Date": format_datetime(true, usegmt=True)}))
    railway.run("IdentifyBearer")
    assert abs(railway.now() - true) < timedelta(minutes=1)


@pytest.mark.parametrize("date", ["yesterday", ""])
def test_a_date_that_is_none_changes_nothing(door: Door, railway: Railway, date: str) -> None:
    door.say(Reply({"data": {}}, headers={"Date": date}))
    railway.run("IdentifyBearer")
    assert railway.ahead_seconds == 0.0


# ---- trying again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [HTML, error("Problem processing request"), Reply(drop=True)])
def test_a_read_is_tried_again(door: Door, railway: Railway, trouble: Reply) -> None:
    door.say(trouble, trouble, data(apiToken={}))
    assert railway.run("IdentifyBearer") == {"apiToken": {}}
    assert len(door.asked) == 3


def test_a_read_is_given_up_after_a_few_tries(door: Door, railway: Railway, pauses: list[float]) -> None:
    door.say(HTML)
    with pytest.raises(UnreachableError, match="502") as caught:
        railway.run("IdentifyBearer")
    assert len(door.asked) == READ_TRIES
    assert pauses == sorted(pauses)
    assert caught.value.exit_code == Exit.UNREACHABLE


def test_retry_after_is_honoured(door: Door, railway: Railway, pauses: list[float]) -> None:
    door.say(Reply("slow down", 429, {"Retry-After": "7"}), data(apiToken={}))
    railway.run("IdentifyBearer")
    assert [round(pause) for pause in pauses] == [7]


def test_a_wait_of_many_minutes_is_left_to_the_person(door: Door, railway: Railway, pauses: list[float]) -> None:
    door.say(Reply("slow down", 429, {"Retry-After": "1800"}))
    with pytest.raises(RateLimitedError) as caught:
        railway.run("IdentifyBearer")
    assert caught.value.retry_after_seconds == 1800
    assert not pauses


@pytest.mark.parametrize("trouble", [HTML, error("Problem processing request"), Reply(drop=True)])
def test_a_mutation_is_sent_once_and_its_outcome_is_called_unknown(
    door: Door, railway: Railway, trouble: Reply
) -> None:
    door.say(trouble)
    with pytest.raises(OutcomeUnknownError, match="StopDeployment took effect is unknown"):
        railway.run("StopDeployment", id="1")
    assert len(door.asked) == 1


def test_a_mutation_that_was_throttled_did_nothing(door: Door, railway: Railway) -> None:
    door.say(Reply("slow down", 429, {"Retry-After": "1"}))
    with pytest.raises(RateLimitedError) as caught:
        railway.run("StopDeployment", id="1")
    assert not isinstance(caught.value, OutcomeUnknownError)


def test_a_mutation_that_never_left_did_nothing(pauses: list[float]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    railway = Railway(f"http://127.0.0.1:{port}/graphql/v2", {})
    with pytest.raises(UnreachableError) as caught:
        railway.run("StopDeployment", id="1")
    railway.close()
    assert not isinstance(caught.value, OutcomeUnknownError)


# ---- who we are -----------------------------------------------------------------------------------------------


def test_a_project_token_is_found_out_by_asking(door: Door) -> None:
    door.say(data(projectToken={"projectId": "p", "environmentId": "e"}))
    railway = connect(environ(door))
    assert (railway.project_id, railway.environment_id) == ("p", "e")
    assert door.asked[0]["headers"]["project-access-token"] == TOKEN
    assert "authorization" not in door.asked[0]["headers"]


def test_an_account_token_in_the_same_variable_is_sent_as_bearer(door: Door) -> None:
    door.say(error("Project Token not found"), data(apiToken={}))
    railway = connect(environ(door, RAILWAY_PROJECT_ID="p", RAILWAY_ENVIRONMENT_ID="e"))
    assert (railway.project_id, railway.environment_id) == ("p", "e")
    assert door.asked[1]["headers"]["authorization"] == f"Bearer {TOKEN}"
    assert "project-access-token" not in door.asked[1]["headers"]


def test_an_environment_is_found_by_its_name(door: Door) -> None:
    nodes = [{"node": {"id": "e1", "name": "staging"}}, {"node": {"id": "e2", "name": "production"}}]
    door.say(error("Project Token not found"), data(apiToken={}), data(project={"environments": {"edges": nodes}}))
    railway = connect(environ(door, RAILWAY_PROJECT_ID="p"), environment_name="production")
    assert railway.environment_id == "e2"


def test_an_unknown_environment_is_refused_with_the_known_names(door: Door) -> None:
    nodes = [{"node": {"id": "e1", "name": "staging"}}]
    door.say(error("Project Token not found"), data(apiToken={}), data(project={"environments": {"edges": nodes}}))
    with pytest.raises(ConfigurationError) as caught:
        connect(environ(door, RAILWAY_PROJECT_ID="p"), environment_name="production")
    assert "staging" in str(caught.value.hint)


def test_an_account_token_needs_a_project(door: Door) -> None:
    door.say(data(apiToken={}))
    with pytest.raises(ConfigurationError, match="RAILWAY_PROJECT_ID"):
        connect({"DEPLOYKIT_RAILWAY_URL": door.endpoint, "RAILWAY_API_TOKEN": TOKEN})


def test_a_project_token_for_another_project_is_a_mistake_worth_stopping_for(door: Door) -> None:
    door.say(data(projectToken={"projectId": "p", "environmentId": "e"}))
    with pytest.raises(ConfigurationError, match="RAILWAY_PROJECT_ID"):
        connect(environ(door, RAILWAY_PROJECT_ID="another"))


def test_without_a_token_nothing_is_sent(door: Door) -> None:
    with pytest.raises(AuthenticationError) as caught:
        connect({"DEPLOYKIT_RAILWAY_URL": door.endpoint})
    assert caught.value.exit_code == Exit.AUTHENTICATION
    assert "RAILWAY_TOKEN" in caught.value.message
    assert not door.asked


def test_a_wrong_token_ends_with_the_status_for_authentication_and_does_not_show_it(door: Door) -> None:
    door.say(error(f"Not Authorized: {TOKEN}"))
    with pytest.raises(AuthenticationError) as caught:
        connect(environ(door))
    assert caught.value.exit_code == Exit.AUTHENTICATION
    assert TOKEN not in f"{caught.value.message} {caught.value.hint} {caught.value.where}"


@pytest.mark.parametrize("token", ["two words", "ümlaut", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_refused_unsent(door: Door, token: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        connect({**environ(door), "RAILWAY_TOKEN": token})
    assert token not in caught.value.message
    assert not door.asked


@pytest.mark.parametrize(
    "url",
    [
        "https://user:marked-password@127.0.0.1:9/graphql",
        "https://marked-password@127.0.0.1:9/graphql",
        "http://[::1",
        "https://127.0.0.1:port/",
        "https://127.0.0.1:99999/",
    ],
)
def test_an_address_that_holds_a_login_or_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect({"DEPLOYKIT_RAILWAY_URL": url, "RAILWAY_TOKEN": TOKEN})
    assert "marked-password" not in f"{caught.value.message} {caught.value.hint} {caught.value.where}"


@pytest.mark.parametrize("reply", [data(), data(projectToken=None), data(projectToken=["odd"]), data(projectToken={})])
def test_a_railway_that_answers_something_else_is_no_internal_error(door: Door, reply: Reply) -> None:
    door.say(reply)
    with pytest.raises(UnreachableError, match="not what was asked for"):
        connect(environ(door))


def test_what_an_address_asks_for_is_not_shown() -> None:
    with pytest.raises(UnreachableError) as caught:
        connect({"DEPLOYKIT_RAILWAY_URL": "http://127.0.0.1:9/graphql?key=marked-key", "RAILWAY_TOKEN": TOKEN})
    assert caught.value.where == "http://127.0.0.1:9/graphql"


@pytest.mark.parametrize("url", ["http://railway.example/graphql", "ftp://127.0.0.1/", "nonsense"])
def test_a_token_goes_out_in_clear_text_to_this_machine_only(url: str) -> None:
    with pytest.raises(ConfigurationError):
        connect({"DEPLOYKIT_RAILWAY_URL": url, "RAILWAY_TOKEN": TOKEN})


def test_a_secret_in_railways_own_words_is_masked(door: Door, railway: Railway) -> None:
    railway.secrets.append("marked-secret-value")
    door.say(error("cannot parse marked-secret-value"))
    with pytest.raises(RefusedError) as caught:
        railway.run("StopDeployment", id="1")
    assert "marked-secret-value" not in caught.value.message


def test_every_error_says_what_to_do_next(door: Door, railway: Railway) -> None:
    for reply in (HTML, Reply("slow", 429), error("Not Authorized"), error("Whatever"), Reply("plain text")):
        door.say(reply)
        with pytest.raises(DeploykitError) as caught:
            railway.run("IdentifyBearer")
        assert caught.value.hint
        assert caught.value.where
