"""Injected trouble with running processes."""

from __future__ import annotations

from pathlib import Path

from tests.sandbox.conftest import FOREVER, POLITE, Driver
from tests.sandbox.test_deployments import REMOVE


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_zombie_survives_its_removal(railway: Driver) -> None:
    service = railway.service("undead", POLITE)
    deployment = railway.deploy(service)
    (process,) = railway.sandbox.processes("undead")
    railway.sandbox.fault("zombie", service="undead")
    railway.ask(REMOVE, id=deployment)
    railway.wait_status(deployment, "REMOVED")
    assert railway.deployment(deployment)["instances"][0]["status"] == "REMOVED"
    assert alive(process["pid"])
    assert railway.events("undead", "sigterm", "exit") == []


def test_railway_redeploys_by_itself(railway: Driver) -> None:
    service = railway.service("moved", POLITE, drainingSeconds=5)
    first = railway.deploy(service)
    railway.sandbox.fault("redeploy", service="moved")
    second = railway.instance(service)["latestDeployment"]["id"]
    railway.wait_status(second, "SUCCESS")
    railway.wait_status(first, "REMOVED")
    assert railway.deployment(second)["meta"]["reason"] == "migrate"


def test_somebody_edits_in_the_dashboard(railway: Driver) -> None:
    service = railway.service("edited", FOREVER, {"FLAG": "false"})
    railway.deploy(service)
    before = railway.etag()
    railway.sandbox.fault("dashboard-edit", service="edited", variable="FLAG", value="true", deploy=False)
    assert railway.config(decrypt=True)["services"][service]["variables"]["FLAG"] == {"value": "true"}
    assert railway.etag() != before
    railway.sandbox.fault("dashboard-edit", service="edited", setting="deploy.overlapSeconds", value=9, deploy=False)
    assert railway.instance(service)["overlapSeconds"] == 9
    railway.sandbox.fault("dashboard-edit", service="edited", replicas=3)
    railway.wait(lambda: len(railway.sandbox.processes("edited")) == 3)
    railway.sandbox.fault("dashboard-edit", service="edited", variable="STAGED", value="1", staged=True)
    query = "query($e: String!) { environmentStagedChanges(environmentId: $e) { status patch } }"
    staged = railway.ask(query, e=railway.sandbox.environment_id)
    assert (staged["status"], list(staged["patch"]["services"])) == ("STAGED", [service])


def test_a_process_can_be_stuck_and_come_back(railway: Driver) -> None:
    railway.deploy(railway.service("stuck", FOREVER))
    (process,) = railway.sandbox.processes("stuck")

    def state() -> str:
        return Path(f"/proc/{process['pid']}/stat").read_text().rpartition(")")[2].split()[0]

    fault = railway.sandbox.fault("stuck-process", service="stuck")
    railway.wait(lambda: state() == "T")
    railway.sandbox.clear_faults(fault["id"])
    railway.wait(lambda: state() == "S")


def test_a_stuck_process_is_still_removed(railway: Driver) -> None:
    service = railway.service("stuck-too", POLITE)
    deployment = railway.deploy(service)
    (process,) = railway.sandbox.processes("stuck-too")
    railway.sandbox.fault("stuck-process", service="stuck-too")
    railway.ask(REMOVE, id=deployment)
    railway.wait_status(deployment, "REMOVED")
    assert not alive(process["pid"])


def test_a_killed_process_is_restarted_under_the_same_replica(railway: Driver) -> None:
    for name, fault in (("killed", "kill-process"), ("hosted", "kill-guard")):
        railway.deploy(railway.service(name, FOREVER))
        railway.sandbox.fault(fault, service=name)
        starts = railway.wait_starts(name, 2)
        assert starts[0]["replica"] == starts[1]["replica"]
        assert [one["code"] for one in railway.events(name, "exit")] == [137]


def test_a_start_command_can_be_made_to_crash(railway: Driver) -> None:
    service = railway.service("fragile", FOREVER)
    railway.sandbox.fault("crash", service="fragile", code=7)
    railway.deploy(service)
    railway.wait(lambda: len(railway.events("fragile", "start")) == 2)
    assert railway.events("fragile", "exit")[0]["code"] == 7


def test_a_slow_start_runs_before_it_is_active(railway: Driver) -> None:
    service = railway.service("slow", FOREVER)
    railway.sandbox.fault("slow-start", service="slow", seconds=300)
    deployment = railway.deploy(service, "DEPLOYING")
    railway.wait(lambda: railway.sandbox.processes("slow"))
    assert railway.deployment(deployment)["status"] == "DEPLOYING"
    assert railway.instance(service)["activeDeployments"] == []
    railway.ask(REMOVE, id=deployment)
    railway.wait_status(deployment, "REMOVED")
    assert railway.sandbox.processes("slow") == []


def test_a_sleeping_service_runs_nothing(railway: Driver) -> None:
    service = railway.service("sleepy", FOREVER)
    deployment = railway.deploy(service)
    railway.sandbox.fault("sleep", service="sleepy")
    railway.wait_status(deployment, "SLEEPING")
    assert railway.sandbox.processes("sleepy") == []


def test_a_push_deploys_what_has_a_repository_and_is_not_switched_off(railway: Driver) -> None:
    names = ("pushed", "switched-off", "without")
    services = {name: railway.service(name, FOREVER, source=None) for name in names}
    for name in names[:2]:
        railway.update(services[name], source={"repo": "acme/app"})
    ids = {"projectId": railway.sandbox.project_id, "environmentId": railway.sandbox.environment_id}
    switch = (
        "mutation($i: ServiceInstanceAutoDeployUpdateInput!) { serviceInstanceAutoDeployUpdate(input: $i) { enabled } }"
    )
    status = """query($p: String!, $e: String!, $s: String!) {
      serviceInstanceAutoDeployStatus(projectId: $p, environmentId: $e, serviceId: $s) { enabled canEnable } }"""
    railway.ask(switch, i={**ids, "serviceId": services["switched-off"], "enabled": False})
    seen = [railway.ask(status, p=ids["projectId"], e=ids["environmentId"], s=services[name]) for name in names]
    assert [(one["enabled"], one["canEnable"]) for one in seen] == [(True, True), (False, True), (False, False)]
    railway.sandbox.fault("push")
    railway.wait_starts("pushed", 1)
    assert railway.instance(services["switched-off"])["latestDeployment"] is None
    assert railway.instance(services["without"])["latestDeployment"] is None
