"""What no change set carries, and what cannot be read: pushes, domains, masked and sealed values. On a sandbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import runtime.db
from deploykit.commands.apply import apply
from deploykit.errors import AuthenticationError, DeploykitError, PartialApplyError, StalePlanError, UnreachableError
from deploykit.profile.schema import Profile, Service
from deploykit.railway.client import Railway
from runtime import heartbeats
from runtime.db import Database, MissingTable, SchemaError
from runtime.identity import Identity
from runtime.migrations import migrate
from tests.apply.stage import START, Stage, bundled, staged


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("railway")) as stage:
        stage.apply(bundled("pre-launch"))
        yield stage


def with_web(profile: Profile, **settings: Any) -> Profile:
    return with_service(profile, "web-server", **settings)


def with_service(profile: Profile, name: str, **settings: Any) -> Profile:
    service = type(profile.services[name]).model_validate(
        {**profile.services[name].model_dump(exclude_unset=True), **settings}
    )
    return profile.model_copy(update={"services": {**profile.services, name: service}})


def own_mutations(stage: Stage) -> list[str]:
    """The mutations in the order they were sent, previews left out."""
    requests = stage.sandbox.requests()["requests"]
    fields = [field for request in requests if request["kind"] == "mutation" for field in request["fields"]]
    return [field for field in fields if field != "environmentPreviewChangeSet"]


def test_pushes_to_the_daemon_are_switched_off_before_anything_is_configured_and_on_again_when_wanted(
    stage: Stage,
) -> None:
    stage.apply(with_service(bundled("pre-launch"), "schedule-daemon", autodeploy="on_push"))
    held = with_service(bundled("100-users"), "schedule-daemon", autodeploy="off")
    stage.sandbox.reset_requests()
    stage.apply(held)
    assert own_mutations(stage)[0] == "serviceInstanceAutoDeployUpdate"
    assert stage.plan(held).plan.empty
    free = with_service(bundled("100-users"), "schedule-daemon", autodeploy="on_push")
    assert [step.action for step in stage.plan(free).plan.steps][-1] == "switch on pushes to"
    stage.apply(free)
    assert stage.plan(free).plan.empty
    assert [change.kind for change in stage.plan(held).plan.changes if change.own] == ["autodeploy.off"]


def test_a_domain_is_added_to_a_service_that_exists_without_a_deployment(stage: Stage) -> None:
    stage.apply(bundled("pre-launch"))
    starts = len([one for one in stage.sandbox.timeline() if one["event"] == "start"])
    wanted = with_web(bundled("pre-launch"), domains=["app.example.com"])
    stage.sandbox.reset_requests()
    result = stage.apply(wanted)
    assert own_mutations(stage) == ["customDomainCreate"]
    assert result.notes == ("set at the registrar of app.example.com: CNAME app → sandbox.localhost",)
    assert stage.plan(wanted).plan.empty
    moved = with_web(bundled("pre-launch"), domains=[{"domain": "app.example.com", "port": 3000}])
    stage.sandbox.reset_requests()
    stage.apply(moved)
    assert own_mutations(stage) == ["customDomainUpdate"]
    assert stage.plan(moved).plan.empty
    assert len([one for one in stage.sandbox.timeline() if one["event"] == "start"]) == starts


def test_a_volume_that_is_taken_away_no_longer_keeps_two_daemons_apart(stage: Stage) -> None:
    guarded = with_service(bundled("pre-launch"), "schedule-daemon", volume={"mount": "/data"}, guard="volume")
    stage.apply(guarded)
    assert stage.plan(guarded).plan.empty
    stage.apply(bundled("pre-launch"))
    assert stage.plan(bundled("pre-launch")).plan.empty
    assert max(len(alive) for alive in stage.daemons()) == 1


def test_the_only_region_of_a_service_can_be_another_one(stage: Stage) -> None:
    there = with_service(bundled("pre-launch"), "schedule-daemon", replicas={"europe-west4-drams3a": 1})
    stage.apply(there)
    assert stage.plan(there).plan.empty
    daemon = next(one for one in stage.plan(there).live.services if one.name == "schedule-daemon")
    assert daemon.config["deploy"]["multiRegionConfig"] == {"europe-west4-drams3a": {"numReplicas": 1}}
    assert max(len(alive) for alive in stage.daemons()) == 1


def test_a_domain_that_somebody_has_is_an_error_that_names_what_was_done(stage: Stage) -> None:
    stage.apply(with_web(bundled("pre-launch"), domains=["taken.example.com"]))
    other = with_service(bundled("pre-launch"), "schedule-daemon", domains=["taken.example.com"])
    with pytest.raises(DeploykitError, match="already in use"):
        stage.apply(other)


def test_a_step_of_which_one_half_was_done_is_an_apply_in_part(stage: Stage) -> None:
    stage.apply(with_web(bundled("pre-launch"), domains=["half-taken.example.com"]))
    other = with_service(
        bundled("pre-launch"), "schedule-daemon", domains=["free.example.com", "half-taken.example.com"]
    )
    with pytest.raises(PartialApplyError, match="already in use"):
        stage.apply(other)


@pytest.mark.parametrize(
    ("fault", "parameters", "partial"),
    [
        ("apply-fails-halfway", {"applied": 1}, True),
        ("apply-fails-halfway", {"applied": 0}, False),
        ("apply-failed-empty-changes", {}, False),
    ],
)
def test_a_commit_that_fails_is_in_part_only_when_something_of_it_was_done(
    stage: Stage, fault: str, parameters: dict[str, Any], partial: bool
) -> None:
    stage.apply(bundled("pre-launch"))
    env = bundled("pre-launch").services["web-server"].env
    stage.sandbox.fault(fault, **parameters)
    with pytest.raises(DeploykitError, match="did not apply") as stopped:
        stage.apply(with_web(bundled("pre-launch"), env={**env, "ONE": "1", "TWO": "2"}))
    assert isinstance(stopped.value, PartialApplyError) is partial


def test_a_commit_that_railway_took_on_and_that_nobody_saw_end_is_an_apply_in_part(stage: Stage) -> None:
    stage.apply(bundled("pre-launch"))
    wanted = with_web(bundled("pre-launch"), draining_seconds=29)
    stage.sandbox.fault("slow-apply", seconds=0.5)
    stage.sandbox.fault("error", field="environmentChangeSetApply", message="Not Authorized", count=None)
    with pytest.raises(PartialApplyError, match=r"done so far: configure web-server: .*not seen to its end"):
        stage.apply(wanted)
    stage.sandbox.clear_faults()
    stage.apply(wanted)
    assert stage.plan(wanted).plan.empty


def test_a_new_service_gets_its_domain_and_is_held_back(tmp_path: Any) -> None:
    wanted = with_web(bundled("pre-launch"), domains=["new.example.com"], autodeploy="off")
    with staged(tmp_path) as fresh:
        planned = fresh.plan(wanted)
        fresh.apply(wanted, planned=planned)
        assert set(fresh.mutations()) == {
            "environmentApplyChangeSet", "serviceInstanceAutoDeployUpdate", "customDomainCreate",
        }  # fmt: skip
        assert fresh.plan(wanted).plan.empty


def test_what_moved_since_the_review_is_told_with_its_author(stage: Stage) -> None:
    stage.apply(bundled("100-users"))
    planned = stage.plan(bundled("pre-launch"))
    stage.sandbox.fault("dashboard-edit", service="web-server", variable="EXTRA", value="1")
    with pytest.raises(StalePlanError, match=r"web-server \(changed by Sandbox at \d\d:\d\d:\d\d UTC"):
        stage.apply(bundled("pre-launch"), planned=planned)


def test_a_commit_that_is_throttled_for_a_moment_is_waited_for_not_given_up(stage: Stage) -> None:
    stage.apply(bundled("pre-launch"))
    stage.sandbox.fault("rate-limited", field="environmentApplyChangeSet", retry_after_seconds=0.1)
    stage.apply(bundled("100-users"))
    stage.sandbox.fault("rate-limited", field="environmentApplyChangeSet", retry_after_seconds=600)
    with pytest.raises(DeploykitError) as stopped:
        stage.apply(bundled("pre-launch"))
    assert "wait 600 s" in (stopped.value.hint or "")
    stage.apply(bundled("pre-launch"))
    assert stage.plan(bundled("pre-launch")).plan.empty


RUN_NOW = "mutation($id: String!) { deploymentInstanceExecutionCreate(input: {serviceInstanceId: $id}) }"


@pytest.mark.parametrize("code", [0, 1])
def test_a_scheduled_run_that_ends_meanwhile_is_no_failed_start(tmp_path: Path, code: int) -> None:
    wanted = bundled("pre-launch")
    nightly = {"role": "other", "name": "nightly", "source": {"repo": "owner/app"}, "start": f"exit {code}"}
    nightly |= {"cron": "0 0 1 1 *", "restart": {"policy": "never"}}
    services = {**wanted.services, "nightly": Service.model_validate(nightly)}
    wanted = wanted.model_copy(update={"services": services})
    ran: list[bool] = []

    def run_it(seconds: float) -> None:
        live = {one.name: one for one in fresh.plan(wanted).live.services}
        if "nightly" in live and live["nightly"].deployments and not ran:
            ran.append(True)
            where = f"{fresh.sandbox.environment_id}:{live['nightly'].id}"
            fresh.sandbox.graphql(RUN_NOW, {"id": where})
        time.sleep(seconds)

    with staged(tmp_path) as fresh:
        fresh.sandbox.fault("slow-start", service="web-server", seconds=1.5)
        planned = fresh.plan(wanted)
        apply(wanted, fresh.railway, reviewed=planned.plan.drift, key=planned.key, sleep=run_it, patience_seconds=30)
        assert [one["event"] for one in fresh.sandbox.timeline() if one["service"] == "nightly"] == ["start", "exit"]
        assert fresh.plan(wanted).plan.empty


@pytest.mark.parametrize("fault", ["timeout-before-effect", "timeout-after-effect", "server-error", "duplicate"])
@pytest.mark.parametrize("field", ["customDomainCreate", "serviceInstanceAutoDeployUpdate"])
def test_an_answer_that_is_lost_is_looked_for_not_sent_again_blindly(stage: Stage, field: str, fault: str) -> None:
    number = len(stage.sandbox.timeline())
    stage.apply(with_service(bundled("pre-launch"), "schedule-daemon", autodeploy="on_push"))
    wanted = with_service(bundled("pre-launch"), "schedule-daemon", autodeploy="off")
    wanted = with_web(wanted, domains=[f"{field.lower()}-{fault}-{number}.example.com"])
    stage.sandbox.fault(fault, field=field)
    stage.apply(wanted)
    stage.sandbox.clear_faults()
    assert stage.plan(wanted).plan.empty


COMMIT = "mutation($e: String!, $p: EnvironmentConfig!) { environmentPatchCommit(environmentId: $e, patch: $p) }"


def test_a_token_that_reads_no_values_reaches_the_goal_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.apply(bundled("pre-launch"))
    run = type(stage.railway).run

    def withheld(railway: Railway, operation: str, **variables: Any) -> Any:
        if variables.get("decryptVariables") or operation == "DeploymentVariables":
            raise AuthenticationError("Not Authorized")
        return run(railway, operation, **variables)

    monkeypatch.setattr(type(stage.railway), "run", withheld)
    assert stage.plan(bundled("pre-launch")).plan.steps == ()
    stage.apply(bundled("100-users"))
    assert stage.plan(bundled("100-users")).plan.empty
    assert stage.daemons()[-1] == ("schedule-daemon",)


def test_a_sealed_flag_stops_before_anything_is_touched_and_no_loop_follows(tmp_path: Any) -> None:
    with staged(tmp_path) as fresh:
        fresh.apply(bundled("pre-launch"))
        service = next(one.id for one in fresh.plan(bundled("pre-launch")).live.services if one.name == "web-server")
        sealed: dict[str, Any] = {"variables": {"SCHEDULE_DAEMON_ENABLED": {"value": "false", "isSealed": True}}}
        patch = {"services": {service: sealed}}
        fresh.sandbox.graphql(COMMIT, {"e": fresh.sandbox.environment_id, "p": patch})
        fresh.sandbox.reset_requests()
        with pytest.raises(DeploykitError, match="sealed") as stopped:
            fresh.apply(bundled("100-users"))
        assert "delete the variable" in (stopped.value.hint or "")
        assert not fresh.mutations()
        gone: dict[str, Any] = {"variables": {"SCHEDULE_DAEMON_ENABLED": None}}
        patch = {"services": {service: gone}}
        fresh.sandbox.graphql(COMMIT, {"e": fresh.sandbox.environment_id, "p": patch})
        fresh.apply(bundled("100-users"))
        assert fresh.plan(bundled("100-users")).plan.empty


def test_a_daemon_that_only_its_heart_betrays_stops_the_apply_before_a_second_one_starts(tmp_path: Path) -> None:
    wanted = bundled("pre-launch")
    start = f": what no flag tells; {START['web']}"
    stranger = Service(name="by-hand", role="other", source=wanted.services["web-server"].source, start=start)
    with staged(tmp_path / "railway") as fresh:
        fresh.apply(wanted.model_copy(update={"services": {"by-hand": stranger}}))
        by_hand = fresh.plan(wanted).live.service("by-hand")
        assert by_hand is not None
        url = f"sqlite:///{tmp_path / 'jobs.db'}"
        with runtime.db.connect(url, create=True) as database:
            migrate(database)
            heart = replace(IDENTITY, service="by-hand", deployment=by_hand.deployments[0].id)
            heartbeats.register(database, heart)
        planned = fresh.plan(wanted)
        assert planned.plan.blocked is None  # a plan reads no heartbeats: nothing else tells
        fresh.sandbox.reset_requests()
        with pytest.raises(DeploykitError, match="by-hand schedules"):
            fresh.apply(wanted, planned=planned, database_url=url)
        assert not fresh.mutations()


def test_a_database_that_is_away_for_a_moment_stops_no_heart(tmp_path: Path) -> None:
    wanted = bundled("pre-launch")
    jobs = tmp_path / "jobs.db"
    with runtime.db.connect(f"sqlite:///{jobs}", create=True) as database:
        migrate(database)
        heartbeats.register(database, replace(IDENTITY, service="schedule-daemon", deployment="a-zombie"))

    def away(seconds: float) -> None:
        if jobs.exists():
            jobs.rename(tmp_path / "away.db")
        time.sleep(seconds)

    with staged(tmp_path / "railway") as fresh:
        planned = fresh.plan(wanted)
        with pytest.raises(UnreachableError, match="heart still beats"):
            apply(
                wanted,
                fresh.railway,
                reviewed=planned.plan.drift,
                key=planned.key,
                database_url=f"sqlite:///{jobs}",
                sleep=away,
                patience_seconds=1,
            )
        assert not jobs.exists()
        assert not fresh.mutations()


@pytest.mark.parametrize(("error", "read"), [(MissingTable("no such table"), True), (SchemaError("denied"), False)])
def test_tables_that_we_may_not_read_are_not_read_and_those_that_are_not_there_hold_no_heart(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: SchemaError, read: bool
) -> None:
    def refuse(database: Database) -> list[heartbeats.Heartbeat]:
        raise error

    monkeypatch.setattr(heartbeats, "read", refuse)
    url = f"sqlite:///{tmp_path / 'jobs.db'}"
    runtime.db.connect(url, create=True).close()
    assert stage.apply(bundled("pre-launch"), database_url=url).heartbeats_read is read


IDENTITY = Identity(
    id="heart", kind="schedule_daemon", service=None, deployment=None, replica=None, hostname="there", pid=1,
    profile=None, poll_interval_ms=60_000, heartbeat_interval_ms=10_000,
)  # fmt: skip
