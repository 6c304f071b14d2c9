from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from deploykit.errors import AuthenticationError, UnreachableError
from deploykit.planning.snapshot import Possibly
from deploykit.railway.client import Railway
from deploykit.railway.snapshot import Snapshots, read
from tests.deploykit.railway.door import Door, Reply, data, error

WHEN = "2026-01-01T00:00:00.000Z"


def edges(*nodes: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"edges": [{"node": node} for node in nodes], "pageInfo": {"hasNextPage": more}}


def deployment(identity: str, status: str = "SUCCESS", instance: str | None = "RUNNING") -> dict[str, Any]:
    return {
        "id": identity,
        "status": status,
        "createdAt": WHEN,
        "deploymentStopped": False,
        "serviceId": "s1",
        "meta": {"reason": "deploy", "serviceManifest": {"deploy": {"startCommand": "run"}}},
        "instances": [{"id": f"{identity}-1", "status": instance}] if instance else [],
    }


def environment(*deployments: dict[str, Any], value: str | None = "true", sealed: bool = False) -> dict[str, Any]:
    """The answer to the one query, with one service `web` that has one variable."""
    active = [one for one in deployments if one["status"] == "SUCCESS"]
    service = {
        "serviceId": "s1",
        "serviceName": "web",
        "latestDeployment": {"id": deployments[0]["id"]} if deployments else None,
        "activeDeployments": active,
    }
    return {
        "environment": {
            "id": "environment",
            "name": "production",
            "configEtag": "etag-1",
            "config": {
                "services": {
                    "s1": {"deploy": {"startCommand": "run"}, "variables": {"FLAG": {"value": value}}},
                }
            },
            "serviceInstances": edges(service),
            "volumeInstances": edges(),
            "variables": edges({"name": "FLAG", "serviceId": "s1", "isSealed": sealed}),
        },
        "environmentStagedChanges": {"id": "p", "status": "STAGED", "lastAppliedError": None, "patch": {}},
        "project": {
            "name": "shop",
            "services": edges({"id": "s1", "name": "web"}, {"id": "s2", "name": "elsewhere"}),
            "volumes": edges(),
        },
        "deployments": edges(*deployments),
    }


def variables(**values: str) -> Reply:
    return data(deploymentSnapshot={"variables": values})


def test_one_request_reads_everything_but_what_a_deployment_was_created_with(door: Door, railway: Railway) -> None:
    door.say(data(**environment(deployment("d1"))), variables(FLAG="true"))
    found = read(railway)
    assert door.operations == ["Environment", "DeploymentVariables"]
    web = found.service("web")
    assert web is not None
    assert web.start_command == "run"
    assert [one.id for one in web.active] == ["d1"]
    assert web.active[0].variables == {"FLAG": "true"}
    assert web.active[0].settings == {"startCommand": "run"}
    assert found.services_elsewhere == ("elsewhere",)
    assert found.etag == "etag-1"


def test_a_deployment_that_was_seen_before_is_not_asked_about_again(door: Door, railway: Railway) -> None:
    door.say(data(**environment(deployment("d1"))), variables(FLAG="true"), data(**environment(deployment("d1"))))
    known: Snapshots = {}
    read(railway, known)
    again = read(railway, known)
    assert door.operations == ["Environment", "DeploymentVariables", "Environment"]
    assert again.services[0].active[0].variables == {"FLAG": "true"}


def test_a_list_that_was_cut_short_is_refused(door: Door, railway: Railway) -> None:
    for place in ("serviceInstances", "variables", "volumeInstances"):
        cut = environment()
        cut["environment"][place]["pageInfo"]["hasNextPage"] = True
        door.say(data(**cut))
        with pytest.raises(UnreachableError, match="cut a list short"):
            read(railway)


def test_where_values_are_withheld_the_names_are_read_and_the_snapshot_says_so(door: Door, railway: Railway) -> None:
    door.say(error("Not Authorized"), data(**environment(value=None)))
    found = read(railway)
    assert found.masked
    assert [one["variables"]["decryptVariables"] for one in door.asked] == [True, False]
    assert found.services[0].variables["FLAG"].value is None


def test_a_sealed_variable_is_known_by_its_name(door: Door, railway: Railway) -> None:
    door.say(data(**environment(value=None, sealed=True)))
    flag = read(railway).services[0].variables["FLAG"]
    assert flag.sealed
    assert flag.value is None


def test_an_environment_that_is_not_shown_is_a_question_of_rights(door: Door, railway: Railway) -> None:
    hidden = {**environment(), "environment": None}
    door.say(data(**hidden))
    with pytest.raises(AuthenticationError):
        read(railway)


@pytest.mark.parametrize(
    ("status", "instance", "possibly"),
    [
        ("QUEUED", None, Possibly.PENDING),
        ("WAITING", None, Possibly.PENDING),
        ("BUILDING", None, Possibly.PENDING),
        ("DEPLOYING", None, Possibly.PENDING),
        ("DEPLOYING", "CREATED", Possibly.RUNNING),
        ("SUCCESS", "RUNNING", Possibly.RUNNING),
        ("REMOVING", "RUNNING", Possibly.RUNNING),
        ("REMOVED", "RUNNING", Possibly.RUNNING),
        ("REMOVED", "REMOVED", Possibly.GONE),
        ("FAILED", None, Possibly.GONE),
        ("CRASHED", "CRASHED", Possibly.GONE),
        ("A_STATUS_OF_TOMORROW", None, Possibly.RUNNING),
        ("SUCCESS", "AN_INSTANCE_STATUS_OF_TOMORROW", Possibly.RUNNING),
    ],
)
def test_what_is_not_surely_gone_counts_as_running(
    door: Door, railway: Railway, status: str, instance: str | None, possibly: Possibly
) -> None:
    door.say(data(**environment(deployment("d1", status, instance))), variables())
    (found,) = read(railway).services[0].deployments
    assert found.possibly is possibly


def test_a_deployment_whose_variables_are_withheld_has_unknown_ones(door: Door, railway: Railway) -> None:
    door.say(data(**environment(deployment("d1"))), error("Not Authorized"))
    assert read(railway).services[0].active[0].variables is None


def test_values_that_were_read_are_masked_in_later_errors(door: Door, railway: Railway) -> None:
    door.say(data(**environment(value="marked-secret-value")))
    read(railway)
    assert "marked-secret-value" in railway.secrets


def test_keys_that_nobody_knows_yet_change_nothing(door: Door, railway: Railway) -> None:
    strange = deepcopy(environment())
    strange["environment"]["config"]["futureSection"] = {"a": 1}
    strange["environment"]["config"]["services"]["s1"]["futureKey"] = True
    door.say(data(**strange))
    assert read(railway).services[0].config["futureKey"] is True


@pytest.mark.parametrize("lost", ["configEtag", "config", "serviceInstances", "volumeInstances", "variables"])
def test_half_an_answer_is_never_taken_for_the_whole(door: Door, railway: Railway, lost: str) -> None:
    half = environment()
    del half["environment"][lost]
    door.say(data(**half))
    with pytest.raises(UnreachableError, match=lost):
        read(railway)
