"""A deployment's life with real processes, held against the timeline."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deploykit.errors import DeploykitError
from tests.sandbox.conftest import DEPLOY, FOREVER, POLITE, Driver

STOP = "mutation($id: String!) { deploymentStop(id: $id) }"
REMOVE = "mutation($id: String!) { deploymentRemove(id: $id) }"
RESTART = "mutation($id: String!) { deploymentRestart(id: $id) }"
CANCEL = "mutation($id: String!) { deploymentCancel(id: $id) }"
ROLLBACK = "mutation($id: String!) { deploymentRollback(id: $id) }"
UPSERT = "mutation($input: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $input) }"
COMMIT = "mutation($e: String!, $p: EnvironmentConfig!) { environmentPatchCommit(environmentId: $e, patch: $p) }"

LISTEN = (
    f'exec {sys.executable} -c "import http.server,os;'
    "http.server.HTTPServer(('127.0.0.1',int(os.environ['PORT'])),http.server.SimpleHTTPRequestHandler).serve_forever()\""
)


def upsert(railway: Driver, service: str, *, skip: bool = False, **variables: str) -> None:
    ids = {"projectId": railway.sandbox.project_id, "environmentId": railway.sandbox.environment_id}
    railway.ask(UPSERT, input={**ids, "serviceId": service, "variables": variables, "skipDeploys": skip})


def mount(railway: Driver, service: str) -> None:
    create = "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id } }"
    ids = {"projectId": railway.sandbox.project_id, "environmentId": railway.sandbox.environment_id}
    railway.ask(create, input={**ids, "serviceId": service, "mountPath": "/data"})


def test_a_process_sees_its_variables_and_railways_own_and_nothing_else(railway: Driver) -> None:
    service = railway.service(
        "env", "env; exec sleep 100", {"GREETING": "hi ${{RAILWAY_SERVICE_NAME}}", "PORT": "4000"}
    )
    deployment = railway.deploy(service)
    railway.wait(lambda: "GREETING=hi env" in railway.messages("env"))
    seen = dict(line.partition("=")[::2] for line in railway.messages("env"))
    assert seen["RAILWAY_DEPLOYMENT_ID"] == deployment
    assert seen["RAILWAY_REPLICA_ID"] == railway.deployment(deployment)["instances"][0]["id"]
    assert seen["PORT"] == "4000"
    known = {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_", "GREETING", "PORT"}
    assert {name for name in seen if not name.startswith("RAILWAY_")} <= known


def test_the_health_check_decides_when_a_deployment_becomes_active(railway: Driver) -> None:
    service = railway.service("healthy", LISTEN, healthcheckPath="/")
    railway.deploy(service)
    assert [one["event"] for one in railway.events("healthy")] == ["start", "ready"]


def test_a_failing_health_check_keeps_the_old_deployment(railway: Driver) -> None:
    service = railway.service("careful", POLITE, drainingSeconds=5)
    old = railway.deploy(service)
    railway.sandbox.fault("healthcheck-failure", service="careful")
    failed = railway.deploy(service, "FAILED")
    assert railway.deployment(old)["status"] == "SUCCESS"
    instance = railway.instance(service)
    assert [one["id"] for one in instance["activeDeployments"]] == [old]
    assert instance["latestDeployment"]["id"] == failed
    starts, exits = railway.events("careful", "start"), railway.events("careful", "exit")
    assert [one["deployment"] for one in starts] == [old, failed]
    assert [one["deployment"] for one in exits] == [failed]


def test_a_health_check_that_nobody_answers_fails_when_the_process_ends(railway: Driver) -> None:
    service = railway.service("mute", "exit 1", healthcheckPath="/", restartPolicyType="NEVER")
    railway.deploy(service, "FAILED")
    assert any("Healthcheck" in line for line in railway.messages("mute"))


def test_old_and_new_overlap_without_a_volume(railway: Driver) -> None:
    service = railway.service("overlapping", POLITE, drainingSeconds=5)
    old = railway.deploy(service)
    new = railway.deploy(service)
    railway.wait_status(old, "REMOVED")
    order = [(one["event"], one["deployment"]) for one in railway.events("overlapping")]
    assert order == [
        ("start", old), ("ready", old), ("start", new), ("ready", new), ("sigterm", old), ("exit", old),
    ]  # fmt: skip
    assert railway.events("overlapping", "exit")[0]["code"] == 0


def test_a_volume_stops_the_old_copy_first(railway: Driver) -> None:
    service = railway.service("exclusive", POLITE, drainingSeconds=5)
    mount(railway, service)
    old = railway.deploy(service)
    new = railway.deploy(service)
    order = [(one["event"], one["deployment"]) for one in railway.events("exclusive")]
    assert order == [
        ("start", old), ("ready", old), ("sigterm", old), ("exit", old), ("start", new), ("ready", new),
    ]  # fmt: skip


def test_a_volume_waits_for_a_copy_that_already_drains(railway: Driver) -> None:
    service = railway.service(
        "draining", "trap 'sleep 0.4; exit 0' TERM; while :; do sleep 0.05; done", drainingSeconds=5
    )
    mount(railway, service)
    old = railway.deploy(service)
    railway.ask(REMOVE, id=old)
    railway.deploy(service)
    events = [one["event"] for one in railway.events("draining")]
    assert events.index("exit") < len(events) - 1 - events[::-1].index("start")


def test_a_cancelled_deployment_does_not_stop_the_drain_it_began(railway: Driver, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    drain = f"trap 'while [ ! -e {gate} ]; do sleep 0.05; done; exit 0' TERM; while :; do sleep 0.05; done"
    service = railway.service("cancelled", drain, drainingSeconds=300)
    mount(railway, service)
    old = railway.deploy(service)
    new = railway.ask(DEPLOY, s=service, e=railway.sandbox.environment_id)
    railway.wait_status(old, "REMOVING")
    railway.ask(CANCEL, id=new)
    railway.wait_status(new, "REMOVED")
    gate.touch()
    railway.wait_status(old, "REMOVED")
    assert railway.sandbox.processes("cancelled") == []
    assert {one["deployment"] for one in railway.events("cancelled", "start")} == {old}


def test_overlap_seconds_keep_both_active(railway: Driver) -> None:
    service = railway.service("lingering", FOREVER, overlapSeconds=60)
    old, new = railway.deploy(service), railway.deploy(service)
    assert {one["id"] for one in railway.instance(service)["activeDeployments"]} == {old, new}


def test_a_first_process_without_handler_ignores_sigterm_and_is_killed(railway: Driver) -> None:
    service = railway.service("deaf", FOREVER, drainingSeconds=0)
    old = railway.deploy(service)
    railway.ask(REMOVE, id=old)
    railway.wait_status(old, "REMOVED")
    assert railway.events("deaf", "exit")[0]["code"] == 137
    assert railway.instance(service)["latestDeployment"] is None


def test_children_that_left_the_session_end_with_their_container(railway: Driver, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    service = railway.service("leaving", f"(setsid sh -c 'echo $$ > {note}; exec sleep 1000' &) ; exec sleep 1000")
    deployment = railway.deploy(service)
    pid = int(railway.wait(lambda: note.exists() and note.read_text().strip()))
    assert Path(f"/proc/{pid}").exists()
    railway.ask(REMOVE, id=deployment)
    railway.wait_status(deployment, "REMOVED")
    assert not Path(f"/proc/{pid}").exists()


def test_stop_keeps_the_record_and_remove_takes_it_away(railway: Driver) -> None:
    service = railway.service("parked", POLITE, drainingSeconds=5)
    deployment = railway.deploy(service)
    railway.ask(STOP, id=deployment)
    railway.wait(lambda: railway.deployment(deployment)["deploymentStopped"])
    assert railway.deployment(deployment)["status"] == "SUCCESS"
    railway.ask(REMOVE, id=deployment)
    railway.wait_status(deployment, "REMOVED")


def test_restart_keeps_deployment_replica_and_old_variables(railway: Driver) -> None:
    service = railway.service("again", f"echo X=$X; {POLITE}", {"X": "old"}, drainingSeconds=5)
    deployment = railway.deploy(service)
    upsert(railway, service, skip=True, X="new")
    railway.ask(RESTART, id=deployment)
    starts = railway.wait(lambda: len(found := railway.events("again", "start")) == 2 and found)
    assert len({(one["deployment"], one["replica"]) for one in starts}) == 1
    railway.wait(lambda: railway.messages("again").count("X=old") == 2)
    assert "X=new" not in railway.messages("again")


def test_exit_0_under_on_failure_is_success_but_stopped(railway: Driver) -> None:
    service = railway.service("done", "exit 0")
    deployment = railway.deploy(service)
    railway.wait(lambda: railway.deployment(deployment)["deploymentStopped"])
    found = railway.deployment(deployment)
    assert (found["status"], found["instances"][0]["status"]) == ("SUCCESS", "EXITED")


def test_failures_are_restarted_up_to_the_limit_and_then_crashed(railway: Driver) -> None:
    service = railway.service("failing", "exit 3", restartPolicyMaxRetries=2)
    deployment = railway.deploy(service, "CRASHED")
    assert len(railway.events("failing", "start")) == 3
    assert [one["code"] for one in railway.events("failing", "exit")] == [3, 3, 3]
    assert railway.deployment(deployment)["instances"][0]["status"] == "CRASHED"


def test_never_does_not_restart_and_always_restarts_even_after_0(railway: Driver) -> None:
    railway.deploy(railway.service("once", "exit 1", restartPolicyType="NEVER"), "CRASHED")
    assert len(railway.events("once", "start")) == 1
    railway.deploy(railway.service("ever", "exit 0", restartPolicyType="ALWAYS"))
    railway.wait(lambda: len(railway.events("ever", "start")) >= 3)


def test_without_a_start_command_the_deployment_fails_in_words(railway: Driver) -> None:
    railway.deploy(railway.service("empty"), "FAILED")
    assert "No start command could be found. Set deploy.startCommand" in railway.messages("empty")


def test_a_build_can_fail_and_a_failed_pre_deploy_command_stops_the_rollout(railway: Driver) -> None:
    service = railway.service("migrating", FOREVER, preDeployCommand=["echo migrating; exit 4"])
    railway.deploy(service, "FAILED")
    assert "Pre-deploy command failed with exit code 4" in railway.messages("migrating")
    assert [one["env_flags"] for one in railway.events("migrating", "start")] == [{}]
    railway.sandbox.fault("build-failure", service="migrating")
    railway.deploy(service, "FAILED")
    assert len(railway.events("migrating", "start")) == 1


def test_replicas_have_ports_and_ids_of_their_own_and_scale_without_a_deployment(railway: Driver) -> None:
    service = railway.service("wide", FOREVER, numReplicas=2)
    deployment = railway.deploy(service)
    ports = {one["port"] for one in railway.sandbox.processes("wide")}
    assert len(ports) == 2
    for count in (3, 1):
        regions = {"us-west2": {"numReplicas": count}}
        patch = {"services": {service: {"deploy": {"multiRegionConfig": regions}}}}
        railway.ask(COMMIT, e=railway.sandbox.environment_id, p=patch)
        railway.wait_processes("wide", count)
    assert railway.instance(service)["latestDeployment"]["id"] == deployment
    assert len({one["deployment"] for one in railway.events("wide", "start")}) == 1


def test_a_deployment_keeps_the_variables_of_its_creation(railway: Driver) -> None:
    service = railway.service("snapshot", FOREVER, {"V": "1"})
    first = railway.deploy(service)
    upsert(railway, service, V="2")
    second = railway.instance(service)["latestDeployment"]["id"]
    assert second != first
    query = "query($id: String!) { deploymentSnapshot(deploymentId: $id) { variables } }"
    assert [railway.ask(query, id=one)["variables"]["V"] for one in (first, second)] == ["1", "2"]


def test_a_rollback_brings_old_variables_back(railway: Driver) -> None:
    service = railway.service("back", f"echo V=$V; {POLITE}", {"V": "1"}, drainingSeconds=5)
    first = railway.deploy(service)
    upsert(railway, service, skip=True, V="2")
    second = railway.deploy(service)
    railway.wait_status(first, "REMOVED")
    railway.ask(ROLLBACK, id=first)
    railway.wait_status(second, "REMOVED")
    railway.wait(lambda: railway.messages("back").count("V=1") == 2)


def test_a_redeploy_waits_for_the_build(railway: Driver) -> None:
    service = railway.service("hasty", FOREVER)
    railway.sandbox.fault("slow-build", service="hasty", seconds=30)
    deployment = railway.ask(DEPLOY, s=service, e=railway.sandbox.environment_id)
    redeploy = "mutation($s: String!, $e: String!) { serviceInstanceRedeploy(serviceId: $s, environmentId: $e) }"
    with pytest.raises(DeploykitError, match="wait for the original deployment to finish building"):
        railway.ask(redeploy, s=service, e=railway.sandbox.environment_id)
    railway.ask(CANCEL, id=deployment)
    railway.wait_status(deployment, "REMOVED")


def test_deployments_of_one_service_go_one_after_the_other(railway: Driver) -> None:
    service = railway.service("queueing", FOREVER)
    railway.sandbox.fault("slow-build", service="queueing", seconds=0.3)
    environment = railway.sandbox.environment_id
    first, second = (railway.ask(DEPLOY, s=service, e=environment) for _ in range(2))
    railway.wait_status(second, "SUCCESS")
    assert [one["deployment"] for one in railway.events("queueing", "ready")] == [first, second]


def test_an_unknown_commit_creates_nothing(railway: Driver) -> None:
    service = railway.service("commits", FOREVER)
    query = """mutation($s: String!, $e: String!) {
      serviceInstanceDeployV2(serviceId: $s, environmentId: $e, commitSha: "f00") }"""
    with pytest.raises(DeploykitError, match="Commit not found"):
        railway.ask(query, s=service, e=railway.sandbox.environment_id)
    assert railway.instance(service)["latestDeployment"] is None


def test_a_cron_service_runs_when_told_and_skips_while_it_runs(railway: Driver) -> None:
    service = railway.service("nightly", FOREVER, cronSchedule="0 3 * * *")
    railway.deploy(service)
    assert railway.events("nightly", "start") == []
    run = "mutation($id: String!) { deploymentInstanceExecutionCreate(input: { serviceInstanceId: $id }) }"
    instance = (
        "query($s: String!, $e: String!) { serviceInstance(serviceId: $s, environmentId: $e) { id nextCronRunAt } }"
    )
    found = railway.ask(instance, s=service, e=railway.sandbox.environment_id)
    assert found["nextCronRunAt"].endswith("T03:00:00.000Z")
    assert [railway.ask(run, id=found["id"]) for _ in range(2)] == [True, False]
    railway.wait_starts("nightly", 1)


def test_the_events_of_a_deployment_tell_its_steps(railway: Driver) -> None:
    service = railway.service("steps", LISTEN, healthcheckPath="/")
    deployment = railway.deploy(service)
    query = "query($id: String!) { deploymentEvents(id: $id) { edges { node { step completedAt } } } }"
    nodes = [edge["node"] for edge in railway.ask(query, id=deployment)["edges"]]
    assert [one["step"] for one in nodes] == ["SNAPSHOT_CODE", "BUILD_IMAGE", "CREATE_CONTAINER", "HEALTHCHECK"]
    assert all(one["completedAt"] for one in nodes)


def test_logs_answer_one_row_more_than_asked_for(railway: Driver) -> None:
    service = railway.service("chatty", "for i in 1 2 3 4 5; do echo line $i; done; exec sleep 100")
    deployment = railway.deploy(service)
    railway.wait(lambda: "line 5" in railway.messages("chatty"))
    query = "query($id: String!, $f: String) { deploymentLogs(deploymentId: $id, limit: 2, filter: $f) { message } }"
    rows = railway.ask(query, id=deployment)
    assert [row["message"] for row in rows] == ["line 3", "line 4", "line 5"]
    assert [row["message"] for row in railway.ask(query, id=deployment, f='"line 2"')] == ["line 2"]
    environment = """query($e: String!, $f: String!) {
      environmentLogs(environmentId: $e, filter: $f, beforeLimit: 10) { message } }"""
    rows = railway.ask(environment, e=railway.sandbox.environment_id, f=f"@service:{service} -3")
    assert [row["message"] for row in rows] == ["line 1", "line 2", "line 4", "line 5"]
