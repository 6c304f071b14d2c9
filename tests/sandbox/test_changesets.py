"""The change-set protocol, as the official engine speaks it."""

from __future__ import annotations

from typing import Any

import pytest

from deploykit.errors import DeploykitError
from tests.sandbox.conftest import FOREVER, Driver

APPLY = """mutation($e: String!, $i: JSON!, $b: String, $w: Boolean) {
  environmentApplyChangeSet(environmentId: $e, input: $i, baseConfigEtag: $b, waitForCompletion: $w) {
    id status deploymentId stagedPatchId diagnostics changes { kind path summary status outputs } } }"""
PREVIEW = """mutation($e: String!, $i: JSON!) {
  environmentPreviewChangeSet(environmentId: $e, input: $i) { changeSet diagnostics effects } }"""
STATUS = """query($e: String!, $id: String!) { environmentChangeSetApply(environmentId: $e, id: $id) {
  status diagnostics changes { status } } }"""
WORKFLOW = "query($id: String!) { workflowStatus(workflowId: $id) { status error } }"

Change = dict[str, Any]


def create(name: str, **node: Any) -> Change:
    address = f"service.{name}"
    resource = {"address": address, "type": "service", "kind": "empty", "name": name, **node}
    return {"kind": "resource.create", "address": address, "resource": resource, "path": f"resources.{address}"}


def literal(value: str) -> dict[str, str]:
    return {"type": "literal", "value": value}


def set_variable(service: str, name: str, after: Any) -> Change:
    path = f"resources.service.{service}.variables.{name}"
    return {"kind": "variable.set", "address": f"service.{service}", "variable": name, "after": after, "path": path}


def change_set(*changes: Change, **more: Any) -> dict[str, Any]:
    return {"version": 1, "changes": list(changes), "diagnostics": [], **more}


def apply(railway: Driver, *changes: Change, base: str | None = None, wait: bool = True, **more: Any) -> dict[str, Any]:
    environment = railway.sandbox.environment_id
    answer: dict[str, Any] = railway.ask(APPLY, e=environment, i=change_set(*changes, **more), b=base, w=wait)
    return answer


def preview(railway: Driver, *changes: Change) -> dict[str, Any]:
    answer: dict[str, Any] = railway.ask(PREVIEW, e=railway.sandbox.environment_id, i=change_set(*changes))
    return answer


def stored(railway: Driver, result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = railway.config(decrypt=True)["services"][result["changes"][0]["outputs"]["id"]]
    return found


def test_a_created_service_is_compiled_and_deployed_once(railway: Driver) -> None:
    node = create(
        "made",
        source={"type": "github", "repo": "acme/app", "branch": "main"},
        deploy={"startCommand": FOREVER, "numReplicas": 1, "restartPolicyType": "ON_FAILURE", "drainingSeconds": 3},
        variables={"A": literal("1"), "B": {"type": "sharedReference", "name": "X"}},
    )
    result = apply(railway, node, declared=["service.made"])
    assert result["status"] == "applied"
    service = stored(railway, result)
    assert service["source"] == {"repo": "acme/app", "branch": "main"}
    assert service["deploy"] == {
        "startCommand": FOREVER,
        "drainingSeconds": 3,
        "multiRegionConfig": {"us-west2": {"numReplicas": 1}},
    }
    assert service["variables"] == {"A": {"value": "1"}, "B": {"value": "${{shared.X}}"}}
    railway.wait_status(result["deploymentId"], "SUCCESS")
    assert len(railway.events("made", "start")) == 1


def test_apply_is_asynchronous(railway: Driver) -> None:
    railway.sandbox.fault("slow-apply", seconds=0.2)
    result = apply(railway, create("later"), wait=False)
    assert (result["status"], result["changes"]) == ("applying", [])
    environment = railway.sandbox.environment_id
    railway.wait(lambda: railway.ask(STATUS, e=environment, id=result["id"])["status"] == "applied")
    workflow = f"commitChanges/{environment}/{result['stagedPatchId']}"
    assert railway.ask(WORKFLOW, id=workflow) == {"status": "Complete", "error": None}


def test_a_preview_drops_what_is_stored_already_and_changes_nothing(railway: Driver) -> None:
    apply(railway, create("seen", variables={"A": literal("1")}))
    before = railway.etag()
    same, other = set_variable("seen", "A", literal("1")), set_variable("seen", "B", literal("2"))
    answer = preview(railway, same, other)
    assert answer["changeSet"]["changes"] == [other]
    assert railway.etag() == before


def test_an_update_that_spells_out_a_default_is_dropped_only_if_a_read_would_show_it(railway: Driver) -> None:
    apply(railway, create("defaults", deploy={"startCommand": "x"}))
    change = {"kind": "resource.update", "address": "service.defaults", "field": "deploy", "path": "p"}
    regions = {"multiRegionConfig": {"us-west2": {"numReplicas": 1}}}
    same = {**change, "after": {"startCommand": "x", **regions}}
    assert preview(railway, same)["changeSet"]["changes"] == []
    spelled = {**change, "after": {"startCommand": "x", "overlapSeconds": 5, **regions}}
    assert preview(railway, spelled)["changeSet"]["changes"] == [spelled]


def test_a_stale_base_is_refused_and_nothing_happens(railway: Driver) -> None:
    base = railway.etag()
    apply(railway, create("first"), base=base)
    after = railway.etag()
    with pytest.raises(DeploykitError, match="environment changed since this plan"):
        apply(railway, create("second"), base=base)
    assert railway.etag() == after


def test_the_version_has_to_be_1(railway: Driver) -> None:
    with pytest.raises(DeploykitError, match="Unsupported RailwayChangeSet version: undefined"):
        railway.ask(PREVIEW, e=railway.sandbox.environment_id, i={"changes": []})


def test_preserve_on_a_new_service_is_refused_by_the_strict_validator(railway: Driver) -> None:
    with pytest.raises(DeploykitError, match=r"Invalid RailwayChangeSet patch: .*unrecognized_keys.*type"):
        apply(railway, create("preserved", variables={"S": {"type": "preserve"}}))


def test_a_raw_number_is_refused(railway: Driver) -> None:
    with pytest.raises(DeploykitError, match="invalid_type"):
        apply(railway, create("raw", variables={"N": {"type": "raw", "value": 4}}))


def test_one_change_that_cannot_be_made_stops_the_whole_commit(railway: Driver) -> None:
    before = railway.etag()
    result = apply(railway, create("innocent"), set_variable("nobody", "A", literal("1")))
    assert result["status"] == "failed"
    assert [change["status"] for change in result["changes"]] == ["noop", "failed"]
    assert "service.nobody does not exist" in result["diagnostics"][0]["message"]
    assert railway.etag() == before


def test_a_name_that_is_taken_fails(railway: Driver) -> None:
    apply(railway, create("twice"))
    result = apply(railway, create("twice"))
    assert result["status"] == "failed"
    assert 'A service named "twice" already exists' in result["diagnostics"][0]["message"]


def test_variables_are_set_and_deleted(railway: Driver) -> None:
    created = apply(railway, create("vars", variables={"OLD": literal("1")}))
    delete = {"kind": "variable.delete", "address": "service.vars", "variable": "OLD", "path": "p"}
    reference = {"type": "reference", "resource": "service.vars", "output": "RAILWAY_SERVICE_NAME"}
    apply(railway, delete, set_variable("vars", "NEW", reference))
    assert stored(railway, created)["variables"] == {"NEW": {"value": "${{vars.RAILWAY_SERVICE_NAME}}"}}


def test_a_sealed_value_never_comes_back_but_reaches_the_process(railway: Driver) -> None:
    sealed = {"type": "literal", "value": "s3cret", "isSealed": True}
    created = apply(
        railway, create("sealed", variables={"KEY": sealed}, deploy={"startCommand": "echo got $KEY; sleep 100"})
    )
    service = created["changes"][0]["outputs"]["id"]
    assert stored(railway, created)["variables"]["KEY"]["value"] is None
    ids = {"p": railway.sandbox.project_id, "e": railway.sandbox.environment_id, "s": service}
    query = "query($p: String!, $e: String!, $s: String) { variables(projectId: $p, environmentId: $e, serviceId: $s) }"
    assert railway.ask(query, **ids) == {}
    railway.deploy(service)
    railway.wait(lambda: "got s3cret" in railway.messages("sealed"))


def test_replaced_fields_lose_what_is_not_named_and_keep_what_the_platform_owns(railway: Driver) -> None:
    created = apply(railway, create("replaced", deploy={"startCommand": "a", "healthcheckPath": "/x"}))
    update = {"kind": "resource.update", "address": "service.replaced", "field": "deploy", "path": "p"}
    apply(railway, {**update, "after": {"startCommand": "b"}})
    assert stored(railway, created)["deploy"]["startCommand"] == "b"
    assert "healthcheckPath" not in stored(railway, created)["deploy"]


def test_a_service_may_mount_a_volume_that_stands_after_it(railway: Driver) -> None:
    attachments = {"store": {"volume": "volume.store", "mountPath": "/data"}}
    volume = {"kind": "resource.create", "address": "volume.store", "resource": {"type": "volume", "name": "store"}}
    created = apply(railway, create("holder", volumeAttachments=attachments), volume)
    volume_id = created["changes"][1]["outputs"]["id"]
    assert stored(railway, created)["volumeMounts"] == {volume_id: {"mountPath": "/data"}}


def test_a_deleted_service_loses_its_processes_and_frees_its_name(railway: Driver) -> None:
    created = apply(railway, create("doomed", deploy={"startCommand": FOREVER}))
    service = created["changes"][0]["outputs"]["id"]
    railway.deploy(service)
    apply(railway, {"kind": "resource.delete", "address": "service.doomed", "path": "p"})
    railway.wait(lambda: railway.events("doomed", "exit"))
    assert service not in railway.config().get("services", {})  # left out when nothing is left
    assert apply(railway, create("doomed"))["status"] == "applied"


def test_a_database_comes_with_volume_variables_and_a_running_deployment(railway: Driver) -> None:
    node = {"address": "database.MySQL", "type": "database", "engine": "mysql", "name": "MySQL", "image": "mysql:8.4"}
    change = {"kind": "resource.create", "address": "database.MySQL", "resource": node, "path": "p"}
    consumer = create(
        "consumer",
        source={"type": "github", "repo": "a/b"},
        deploy={"startCommand": "echo URL=$URL; sleep 100"},
        variables={"URL": {"type": "reference", "resource": "database.MySQL", "output": "MYSQL_URL"}},
    )
    result = apply(railway, consumer, change)
    assert result["status"] == "applied"
    database = railway.config()["services"][result["changes"][1]["outputs"]["id"]]
    assert database["source"] == {"image": "mysql:9"}, "the image asked for is ignored, as Railway does"
    assert {"MYSQL_URL", "MYSQL_ROOT_PASSWORD", "MYSQLHOST"} <= set(database["variables"])
    assert len(database["volumeMounts"]) == 1
    lines = railway.wait(lambda: [one for one in railway.messages("consumer") if one.startswith("URL=sqlite:////")])
    assert lines == [f"URL={railway.sandbox.database_url()}"]
    order = [one["service"] for one in railway.sandbox.timeline() if one["event"] == "ready"]
    assert order.index("MySQL") < order.index("consumer")


@pytest.mark.parametrize("fault", ["apply-fails-after-applied", "apply-failed-empty-changes", "stale-etag"])
def test_injected_failures_leave_the_config_alone(railway: Driver, fault: str) -> None:
    before = railway.etag()
    railway.sandbox.fault(fault)
    if fault == "stale-etag":
        with pytest.raises(DeploykitError, match="environment changed"):
            apply(railway, create("unlucky"), base=before)
    else:
        result = apply(railway, create("unlucky"))
        expected = {"apply-fails-after-applied": "applied", "apply-failed-empty-changes": "failed"}[fault]
        assert result["status"] == expected
        if fault == "apply-fails-after-applied":
            workflow = f"commitChanges/{railway.sandbox.environment_id}/{result['stagedPatchId']}"
            assert railway.ask(WORKFLOW, id=workflow)["status"] == "Error"
        else:
            assert (result["changes"], len(result["diagnostics"])) == ([], 1)
    assert railway.etag() == before


def test_an_apply_can_fail_halfway(railway: Driver) -> None:
    railway.sandbox.fault("apply-fails-halfway", applied=1)
    result = apply(railway, create("half-one"), create("half-two"))
    assert result["status"] == "failed"
    assert [change["status"] for change in result["changes"]] == ["applied", "failed"]
    assert apply(railway, create("half-two"))["status"] == "applied"
