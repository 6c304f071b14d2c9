"""Patches, variables, environments, services: the older doors."""

from __future__ import annotations

from typing import Any

import pytest

from deploykit.errors import DeploykitError
from tests.sandbox.conftest import FOREVER, Driver
from tests.sandbox.test_deployments import COMMIT, upsert

STAGE = """mutation($e: String!, $p: EnvironmentConfig!, $m: Boolean) {
  environmentStageChanges(environmentId: $e, input: $p, merge: $m) { status } }"""
COMMIT_STAGED = (
    "mutation($e: String!, $s: Boolean) { environmentPatchCommitStaged(environmentId: $e, skipDeploys: $s) }"
)
VARIABLES = """query($p: String!, $e: String!, $s: String, $u: Boolean) {
  variables(projectId: $p, environmentId: $e, serviceId: $s, unrendered: $u) }"""


def variables(railway: Driver, service: str | None, *, unrendered: bool = False) -> dict[str, str]:
    ids = {"p": railway.sandbox.project_id, "e": railway.sandbox.environment_id, "s": service}
    found: dict[str, str] = railway.ask(VARIABLES, **ids, u=unrendered)
    return found


def variable_patch(service: str, **values: str | None) -> dict[str, Any]:
    entries = {name: None if value is None else {"value": value} for name, value in values.items()}
    return {"services": {service: {"variables": entries}}}


def test_staged_changes_wait_for_their_commit(railway: Driver) -> None:
    environment, service = railway.sandbox.environment_id, railway.service("staged", FOREVER, {"OLD": "1"})
    before = railway.etag()
    railway.ask(STAGE, e=environment, p=variable_patch(service, A="1"), m=True)
    railway.ask(STAGE, e=environment, p=variable_patch(service, OLD=None), m=True)
    assert railway.etag() == before
    railway.ask(COMMIT_STAGED, e=environment, s=True)
    assert variables(railway, service) == {"A": "1"}
    with pytest.raises(DeploykitError, match="No patch to apply"):
        railway.ask(COMMIT_STAGED, e=environment)


def test_staging_without_merge_discards_what_others_staged(railway: Driver) -> None:
    environment, service = railway.sandbox.environment_id, railway.service("discarded")
    railway.ask(STAGE, e=environment, p=variable_patch(service, THEIRS="1"), m=True)
    railway.ask(STAGE, e=environment, p=variable_patch(service, OURS="2"))
    railway.ask(COMMIT_STAGED, e=environment)
    assert variables(railway, service) == {"OURS": "2"}


def test_a_commit_deploys_a_service_that_ran_and_leaves_one_that_never_did(railway: Driver) -> None:
    ran, never = railway.service("ran", FOREVER), railway.service("never", FOREVER)
    first = railway.deploy(ran)
    for service in (ran, never):
        railway.ask(COMMIT, e=railway.sandbox.environment_id, p=variable_patch(service, A="1"))
    assert railway.instance(ran)["latestDeployment"]["id"] != first
    assert railway.instance(never)["latestDeployment"] is None


def test_a_collection_of_variables_is_one_deployment_and_skip_deploys_none(railway: Driver) -> None:
    service = railway.service("collected", FOREVER)
    first = railway.deploy(service)
    upsert(railway, service, skip=True, A="1", B="2")
    assert railway.instance(service)["latestDeployment"]["id"] == first
    upsert(railway, service, A="3", B="4")
    railway.wait(lambda: len(railway.events("collected", "start")) == 2)


def test_every_door_changes_the_etag(railway: Driver) -> None:
    service = railway.service("doors", FOREVER)
    tags = [railway.etag()]
    upsert(railway, service, skip=True, A="1")
    tags.append(railway.etag())
    railway.update(service, drainingSeconds=4)
    tags.append(railway.etag())
    railway.ask(COMMIT, e=railway.sandbox.environment_id, p=variable_patch(service, A="2"))
    tags.append(railway.etag())
    assert len(set(tags)) == len(tags)


def test_without_a_service_id_a_variable_is_shared(railway: Driver) -> None:
    ids = {"projectId": railway.sandbox.project_id, "environmentId": railway.sandbox.environment_id}
    mutation = "mutation($i: VariableUpsertInput!) { variableUpsert(input: $i) }"
    railway.ask(mutation, i={**ids, "name": "DSN", "value": "x", "skipDeploys": True})
    assert variables(railway, None)["DSN"] == "x"
    service = railway.service("sharing", None, {"MINE": "<${{shared.DSN}}>"})
    assert variables(railway, service) == {"MINE": "<x>"}
    assert variables(railway, service, unrendered=True) == {"MINE": "<${{shared.DSN}}>"}


def test_replace_deletes_every_other_variable(railway: Driver) -> None:
    service = railway.service("replaced", None, {"A": "1", "B": "2"})
    ids = {"projectId": railway.sandbox.project_id, "environmentId": railway.sandbox.environment_id}
    mutation = "mutation($i: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $i) }"
    railway.ask(
        mutation, i={**ids, "serviceId": service, "variables": {"C": "3"}, "replace": True, "skipDeploys": True}
    )
    assert variables(railway, service) == {"C": "3"}


def test_settings_can_be_cleared(railway: Driver) -> None:
    service = railway.service("cleared", FOREVER, cronSchedule="0 * * * *", healthcheckPath="/x", rootDirectory="app")
    railway.update(service, cronSchedule=None, healthcheckPath="", rootDirectory="")
    config = railway.config()["services"][service]
    assert set(config["deploy"]) == {"startCommand", "multiRegionConfig"}
    assert "source" not in config


def test_service_names_are_unique_in_the_project(railway: Driver) -> None:
    railway.service("unique")
    with pytest.raises(DeploykitError, match='A service named "unique" already exists in this project'):
        railway.service("unique")


def test_a_copied_environment_copies_every_service_with_data_of_its_own(fresh_railway: Driver) -> None:
    railway = fresh_railway
    railway.deploy(railway.service("daemon", FOREVER, {"SCHEDULE_DAEMON_ENABLED": "true"}))
    source = {"projectId": railway.sandbox.project_id, "sourceEnvironmentId": railway.sandbox.environment_id}
    create = "mutation($i: EnvironmentCreateInput!) { environmentCreate(input: $i) { id } }"
    other = railway.ask(create, i={**source, "name": "pr-7", "ephemeral": True, "skipInitialDeploys": True})["id"]
    assert {one["environment"] for one in railway.events("daemon", "start")} == {railway.sandbox.environment_id}
    deploy = "mutation($e: String!, $s: String!) { serviceInstanceDeployV2(environmentId: $e, serviceId: $s) }"
    (service,) = railway.config()["services"]
    railway.wait_status(railway.ask(deploy, e=other, s=service), "SUCCESS")
    assert {one["environment"] for one in railway.sandbox.processes()} == {"production", "pr-7"}
    railway.ask("mutation($id: String!) { environmentDelete(id: $id) }", id=other)
    railway.wait(lambda: {one["environment"] for one in railway.sandbox.processes()} == {"production"})


def test_circles_of_references_deploy_in_parallel(railway: Driver) -> None:
    one = railway.service("circle-one", FOREVER, {"X": "${{circle-two.Y}}"})
    two = railway.service("circle-two", FOREVER, {"Y": "y"})
    for service in (one, two):
        railway.deploy(service)
    patch = variable_patch(one, Z="1")
    patch["services"] |= variable_patch(two, Y="${{circle-one.Z}}")["services"]
    railway.ask(COMMIT, e=railway.sandbox.environment_id, p=patch)
    for service in (one, two):
        railway.wait_status(railway.instance(service)["latestDeployment"]["id"], "SUCCESS")


def test_measured_memory_becomes_metrics(railway: Driver) -> None:
    service = railway.service("measured", FOREVER)
    railway.deploy(service)
    query = """query($e: String!, $s: String!) {
      metrics(environmentId: $e, serviceId: $s, measurements: [MEMORY_USAGE_GB], groupBy: [SERVICE_ID],
      startDate: "2020-01-01T00:00:00Z") { tags { serviceId } values { value } } }"""
    (series,) = railway.wait(lambda: railway.ask(query, e=railway.sandbox.environment_id, s=service))
    assert series["tags"] == {"serviceId": service}
    assert 0 < series["values"][0]["value"] < 1


def test_a_patch_with_values_of_a_wrong_type_changes_nothing(railway: Driver) -> None:
    service = railway.service("typed", FOREVER)
    before = railway.etag()
    for deploy in ({"drainingSeconds": "soon"}, {"multiRegionConfig": {"us-west2": {"numReplicas": 0}}}):
        with pytest.raises(DeploykitError, match="Problem processing request"):
            railway.ask(COMMIT, e=railway.sandbox.environment_id, p={"services": {service: {"deploy": deploy}}})
    assert railway.etag() == before
