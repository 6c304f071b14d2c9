"""The transport: tokens, error shapes, rate limits, and the faults in front of the resolvers."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploykit.sandbox import Sandbox
from tests.sandbox.conftest import Driver

NAME = "query($id: String!) { environment(id: $id) { id name } }"
Reply = tuple[int, dict[str, str], Any]


def post(sandbox: Sandbox, body: Any, headers: dict[str, str], path: str = "/graphql/v2?query=Test") -> Reply:
    place = urlsplit(sandbox.endpoint)
    connection = http.client.HTTPConnection(place.hostname or "", place.port or 0, timeout=10)
    try:
        text = body if isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request("POST", path, text, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
        kind = answer.headers.get("Content-Type") or ""
        decoded = json.loads(content) if "json" in kind else content.decode()
        return answer.status, {key.lower(): value for key, value in answer.headers.items()}, decoded
    finally:
        connection.close()


def bearer(sandbox: Sandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.api_token}"}


def project(sandbox: Sandbox) -> dict[str, str]:
    return {"project-access-TOKEN": sandbox.token}


def asked(sandbox: Sandbox, headers: dict[str, str], query: str, **variables: Any) -> str:
    """The first error's message, or "" for success."""
    status, _, answer = post(sandbox, {"query": query, "variables": variables}, headers)
    assert status == 200
    return str(answer["errors"][0]["message"]) if "errors" in answer else ""


def test_both_token_kinds_read_the_environment(sandbox: Sandbox) -> None:
    for headers in (bearer(sandbox), project(sandbox)):
        assert asked(sandbox, headers, NAME, id=sandbox.environment_id) == ""


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "Not Authorized"),
        ({"Authorization": "Bearer nonsense"}, "Not Authorized"),
        ({"Project-Access-Token": "nonsense"}, "Project Token not found"),
    ],
)
def test_a_missing_or_unknown_token(sandbox: Sandbox, headers: dict[str, str], message: str) -> None:
    assert asked(sandbox, headers, NAME, id=sandbox.environment_id) == message


def test_a_token_in_the_other_kinds_header(sandbox: Sandbox) -> None:
    swapped = {"Authorization": f"Bearer {sandbox.token}"}, {"Project-Access-Token": sandbox.api_token}
    assert asked(sandbox, swapped[0], NAME, id=sandbox.environment_id) == "Not Authorized"
    assert asked(sandbox, swapped[1], NAME, id=sandbox.environment_id) == "Project Token not found"


def test_a_project_token_stays_in_its_environment(fresh_railway: Driver) -> None:
    sandbox = fresh_railway.sandbox
    create = "mutation($i: EnvironmentCreateInput!) { environmentCreate(input: $i) { id } }"
    other = fresh_railway.ask(create, i={"projectId": sandbox.project_id, "name": "pr-1"})["id"]
    assert asked(sandbox, bearer(sandbox), NAME, id=other) == ""
    assert asked(sandbox, project(sandbox), NAME, id=other) == "Not Authorized"
    assert asked(sandbox, project(sandbox), "{ me { id } }") == "Not Authorized"


def test_an_empty_id_is_not_authorized(sandbox: Sandbox) -> None:
    assert asked(sandbox, bearer(sandbox), NAME, id="") == "Not Authorized"


def test_an_execution_error_carries_path_code_and_trace_id(sandbox: Sandbox) -> None:
    _, _, answer = post(sandbox, {"query": NAME, "variables": {"id": "x"}}, bearer(sandbox))
    (error,) = answer["errors"]
    assert (answer["data"], error["path"]) == (None, ["environment"])
    assert set(error["extensions"]) == {"code", "traceId"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nonsense }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "{ environment(id: 1) { iacPartials } }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": NAME, "variables": {"id": 5}}, "BAD_USER_INPUT"),
    ],
)
def test_a_clients_mistake_is_400(sandbox: Sandbox, body: dict[str, Any], code: str) -> None:
    status, _, answer = post(sandbox, body, bearer(sandbox))
    assert (status, answer["errors"][0]["extensions"]["code"]) == (400, code)


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"query": 1}', b"\xff\xfe"])
def test_a_body_that_is_no_request_is_400(sandbox: Sandbox, body: bytes) -> None:
    assert post(sandbox, body, bearer(sandbox))[0] == 400


def test_another_host_name_is_refused(sandbox: Sandbox) -> None:
    assert post(sandbox, {"query": "{ me { id } }"}, {**bearer(sandbox), "Host": "evil.example"})[0] == 403


def test_every_answer_has_rate_limit_headers(sandbox: Sandbox) -> None:
    _, headers, _ = post(sandbox, {"query": "{ me { id } }"}, bearer(sandbox))
    assert {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(headers)


def test_an_exhausted_budget_is_429_with_retry_after(fresh_railway: Driver) -> None:
    sandbox = fresh_railway.sandbox
    sandbox.fault("budget", per_hour=1, per_second=10)
    body = {"query": "{ me { id } }"}
    assert post(sandbox, body, bearer(sandbox))[0] == 200
    status, headers, page = post(sandbox, body, bearer(sandbox))
    assert (status, "<html>" in page) == (429, True)
    assert int(headers["retry-after"]) > 3500


def test_injected_answers(railway: Driver) -> None:
    sandbox, body = railway.sandbox, {"query": "{ me { id } }"}
    sandbox.fault("rate-limited", retry_after_seconds=None)
    status, headers, _ = post(sandbox, body, bearer(sandbox))
    assert (status, "retry-after" in headers) == (429, False)
    sandbox.fault("server-error", status=503)
    assert post(sandbox, body, bearer(sandbox))[0] == 503
    sandbox.fault("problem-processing", field="me")
    assert asked(sandbox, bearer(sandbox), "{ me { id } }") == "Problem processing request"
    sandbox.fault("error", message="Whoa there pal!")
    assert asked(sandbox, bearer(sandbox), "{ me { id } }") == "Whoa there pal!"
    assert asked(sandbox, bearer(sandbox), "{ me { id } }") == ""


def test_an_answer_can_be_lost_before_and_after_the_effect(railway: Driver) -> None:
    sandbox = railway.sandbox
    create = "mutation($i: ServiceCreateInput!) { serviceCreate(input: $i) { id } }"
    names = "query($id: String!) { project(id: $id) { services { edges { node { name } } } } }"
    for name, fault, exists in (("before", "timeout-before-effect", False), ("after", "timeout-after-effect", True)):
        sandbox.fault(fault, field="serviceCreate")
        body = {"query": create, "variables": {"i": {"projectId": sandbox.project_id, "name": name}}}
        with pytest.raises(http.client.HTTPException):
            post(sandbox, body, bearer(sandbox))
        edges = railway.ask(names, id=sandbox.project_id)["services"]["edges"]
        assert (name in {edge["node"]["name"] for edge in edges}) is exists


def test_new_objects_become_visible_late(railway: Driver) -> None:
    sandbox = railway.sandbox
    sandbox.fault("lag", field="serviceCreate", seconds=1.5)
    service = railway.service("laggard")
    query = "query($s: String!, $e: String!) { serviceInstance(serviceId: $s, environmentId: $e) { id } }"
    headers = bearer(sandbox)
    assert asked(sandbox, headers, query, s=service, e=sandbox.environment_id) == "ServiceInstance not found"
    railway.wait(lambda: asked(sandbox, headers, query, s=service, e=sandbox.environment_id) == "")


def test_answers_can_hold_what_nobody_knows_yet(railway: Driver) -> None:
    railway.service("odd", "exec sleep 100")
    service = railway.service("odd-too", "exec sleep 100")
    deployment = railway.deploy(service)
    railway.sandbox.fault("unknown-status", field="deployment")
    assert railway.deployment(deployment)["status"] == "PAUSED"
    railway.sandbox.fault("extra-keys", field="environment")
    assert "futureField" in railway.config()
    railway.sandbox.fault("page-limit", size=1)
    query = "query($id: String!) { project(id: $id) { services { edges { node { id } } pageInfo { hasNextPage } } } }"
    page = railway.ask(query, id=railway.sandbox.project_id)["services"]
    assert (len(page["edges"]), page["pageInfo"]["hasNextPage"]) == (1, True)


def test_connections_can_be_paged_through(railway: Driver) -> None:
    for number in range(3):
        railway.service(f"paged-{number}")
    query = """query($id: String!, $after: String) { project(id: $id) { services(first: 2, after: $after) {
      edges { node { name } } pageInfo { hasNextPage endCursor } } } }"""
    names, after = [], None
    while True:
        page = railway.ask(query, id=railway.sandbox.project_id, after=after)["services"]
        names += [edge["node"]["name"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert len(names) == len(set(names))
    assert {"paged-0", "paged-1", "paged-2"} <= set(names)


def test_requests_are_counted_by_root_field(railway: Driver) -> None:
    railway.sandbox.reset_requests()
    railway.service("counted")
    railway.config()
    counts = railway.sandbox.requests()
    assert counts["queries"] == {"environment": 1}
    assert counts["mutations"] == {"serviceCreate": 1}
    assert counts["total_mutations"] == 1


def test_a_subscription_over_post_is_refused_in_words(sandbox: Sandbox) -> None:
    body = {"query": 'subscription { deployment(id: "x") { status } }'}
    status, _, answer = post(sandbox, body, bearer(sandbox))
    assert (status, "WebSocket" in answer["errors"][0]["message"]) == (400, True)


def test_the_control_endpoints_want_a_token(sandbox: Sandbox) -> None:
    assert post(sandbox, {"name": "crash"}, {}, "/sandbox/faults")[0] == 401
    assert post(sandbox, {"name": "typo"}, bearer(sandbox), "/sandbox/faults")[0] == 400
    assert post(sandbox, b"{", bearer(sandbox), "/sandbox/faults")[0] == 400
    assert post(sandbox, {}, bearer(sandbox), "/sandbox/nothing")[0] == 404


def test_the_timeline_url_answers_by_itself(sandbox: Sandbox) -> None:
    import urllib.request

    with urllib.request.urlopen(sandbox.timeline_url, timeout=10) as answer:
        assert isinstance(json.load(answer), list)
