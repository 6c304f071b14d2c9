"""Verify against real processes: healthy is proved, and looking changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploykit.cli.main import run
from deploykit.commands.ghosts import end, ghosts
from deploykit.commands.status import StatusTables
from deploykit.commands.watch import watch
from deploykit.errors import AuthenticationError, Exit, UnreachableError
from deploykit.profile.write import profile_text
from deploykit.railway.client import connect
from deploykit.report import verify as report
from deploykit.verification.checks import Health
from runtime import schedules
from runtime.db import connect as connect_database
from tests.verify.faults import edit, ghost_service, replicas, rolled_back
from tests.verify.stack import Stack, bundled, running


def test_the_healthy_system_is_proved(stack: Stack) -> None:
    found = stack.verify()
    assert found.health is Health.HEALTHY
    assert [str(row.class_) for row in found.census.rows if str(row.class_) != "stale-row"] == ["expected"] * 3
    said = report.sentence(found)
    for words in ("1 of 1 schedule daemons", "1 of 1 job workers", "0 others", "poll 3600000 ms as planned"):
        assert words in said


def test_looking_sends_no_mutation_and_writes_no_row(stack: Stack) -> None:
    stack.sandbox.reset_requests()
    before = stack.sql("SELECT COUNT(*) AS jobs FROM JobRun")
    stack.verify()
    stack.doctor()
    ghosts(stack.profile, stack.railway, stack.url)
    assert stack.sandbox.requests()["total_mutations"] == 0
    assert stack.sql("SELECT COUNT(*) AS jobs FROM JobRun") == before


def test_the_guides_last_query_and_the_census_agree(stack: Stack) -> None:
    rows = stack.sql(
        "SELECT workerType, COUNT(*) AS n FROM WorkerInstance WHERE status = 'RUNNING' GROUP BY workerType"
    )
    counted = stack.verify().census
    assert {row["workerType"]: row["n"] for row in rows} == {
        "schedule_daemon": counted.alive("schedule_daemon"),
        "job_worker": counted.alive("job_worker"),
    }


def test_smoke_runs_a_job_and_a_schedule_to_their_ends_and_leaves_the_schedule_as_it_was(tmp_path: Path) -> None:
    profile = bundled("pre-launch")
    web = profile.services["web-server"]
    quick = web.model_copy(update={"env": {**web.env, "JOB_WORKER_POLL_INTERVAL_MS": "500"}})
    profile = profile.model_copy(update={"services": {**profile.services, "web-server": quick}})
    with running(profile, tmp_path / "sandbox") as stack:
        found = stack.verify(smoke=True)
        steps = {check.id: str(check.verdict) for check in found.checks if check.id.startswith("smoke:")}
        assert steps == {"smoke:job": "pass", "smoke:schedule": "pass"}
        assert found.health is Health.HEALTHY
        with connect_database(stack.url) as db:
            assert not any(schedule.enabled for schedule in schedules.read(db))


def test_the_json_holds_no_secret_and_every_check_has_its_shape(stack: Stack) -> None:
    value = json.loads(json.dumps(report.as_json(stack.verify()), default=str))
    assert value["schema"] == "deploykit.verify/1"
    assert value["verdict"] == "healthy"
    assert all(set(check) == {"id", "verdict", "summary", "hint", "evidence"} for check in value["checks"])
    text = json.dumps(value)
    assert stack.url not in text
    assert stack.sandbox.api_token not in text


def test_an_unreachable_railway_is_an_error_and_no_verdict(stack: Stack) -> None:
    nowhere = {"DEPLOYKIT_RAILWAY_URL": "http://127.0.0.1:9/graphql/v2", "RAILWAY_TOKEN": "x"}
    with pytest.raises(UnreachableError, match="cannot be reached"):
        connect(nowhere)
    wrong = {"DEPLOYKIT_RAILWAY_URL": stack.sandbox.endpoint, "RAILWAY_TOKEN": "wrong"}
    with pytest.raises(AuthenticationError):
        connect(wrong)


def test_a_dead_database_is_inconclusive_and_says_unreachable(stack: Stack) -> None:
    stack_url, stack.url = stack.url, "mysql://root:hunter2@127.0.0.1:9/railway"
    try:
        found = stack.verify()
    finally:
        stack.url = stack_url
    assert (found.health, found.exit_code) == (Health.INCONCLUSIVE, Exit.UNREACHABLE)
    assert "hunter2" not in report.text(found, verbose=True)


def test_a_daemon_by_hand_is_killed_on_this_machine_and_proved_gone(stack: Stack) -> None:
    process = stack.by_hand("daemon")
    found = ghosts(stack.profile, stack.railway, stack.url)
    assert [(str(row.class_), row.status) for row, _ in found.plan] == [("foreign", "STANDBY")]
    after = end(stack.profile, stack.railway, stack.url, found)
    assert after.left.plan == ()
    assert after.done[0].startswith("sent SIGTERM")
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("kind", ["daemon", "worker"])
def test_a_ghost_on_another_machine_is_fenced_in_the_database_and_ends(
    stack: Stack, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = stack.by_hand(kind)
    found = ghosts(stack.profile, stack.railway, stack.url)
    monkeypatch.setattr("deploykit.commands.ghosts.socket.gethostname", lambda: "elsewhere")
    after = end(stack.profile, stack.railway, stack.url, found)
    assert [told.partition(" ")[0] for told in after.done] == ["fenced"]
    assert after.left.plan == ()
    assert process.wait(timeout=30) == 0


def test_a_ghost_service_is_deleted_only_by_its_name(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ghost_service("cron", "schedule-daemon")(stack)
    for name, value in stack.access.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "pre-launch.yaml"
    path.write_text(profile_text(stack.profile), "utf-8")
    kill = ["--project-dir", str(tmp_path), "ghosts", str(path), "--database-url", stack.url, "--kill", "--yes"]
    assert run(kill) == Exit.USAGE
    assert "--allow-destructive" in capsys.readouterr().err
    assert run([*kill, "--allow-destructive"]) == Exit.USAGE
    assert "--remove 'cron'" in capsys.readouterr().err
    assert stack.deployments("cron")
    assert run([*kill, "--allow-destructive", "--remove", "cron"]) == Exit.OK
    assert not stack.sandbox.processes("cron")


def test_what_only_a_person_can_end_is_not_waited_for(stack: Stack) -> None:
    """Extra replicas are left to apply; the daemon by hand beside them is ended, and proved gone."""
    replicas("web-server", "job_worker")(stack)
    by_hand = stack.by_hand("daemon")
    found = ghosts(stack.profile, stack.railway, stack.url)
    told: list[str] = []
    after = end(stack.profile, stack.railway, stack.url, found, report=told.append)
    assert by_hand.wait(timeout=30) == 0
    assert {row.kind for row, _ in found.plan} == {"schedule_daemon", "job_worker", "web"}
    assert {row.kind for row, _ in after.left.plan} == {"job_worker", "web"}
    assert {line for line in told if "still there" in line} <= {"1 still there; looking again"}


def test_a_ghost_service_is_deleted_and_proved_gone(stack: Stack) -> None:
    ghost_service("cron", "schedule-daemon")(stack)
    found = ghosts(stack.profile, stack.railway, stack.url)
    assert found.destructive
    after = end(stack.profile, stack.railway, stack.url, found)
    assert after.left.plan == ()
    assert "cron" not in stack.ids()


def test_a_worker_in_the_daemons_service_is_switched_off_by_its_flag(stack: Stack) -> None:
    """A daemon service that was given the web server's command and flag: the process there is of the wrong kind."""
    stack.settings(stack.ids()["schedule-daemon"], {"startCommand": "exec python -m runtime web"})
    edit("schedule-daemon", EMBEDDED_JOB_WORKER="true")(stack)
    stack.until(lambda: stack.beating("job_worker", 2))
    found = ghosts(stack.profile, stack.railway, stack.url)
    assert [str(row.class_) for row, _ in found.plan] == ["misconfigured"]
    after = end(stack.profile, stack.railway, stack.url, found, starting_seconds=0.0)
    assert after.left.plan == ()


def test_a_rollback_on_railway_that_brings_a_daemon_flag_back_is_named_as_that(stack: Stack) -> None:
    rolled_back(stack)
    found, causes = stack.doctor()
    assert found.health is Health.UNHEALTHY
    assert "web-server" in " ".join(check.summary for check in found.checks if str(check.verdict) == "fail")
    assert (causes[0].cause, causes[0].id) == ("web-server is a second schedule daemon", "two-daemons")
    assert "rollback on Railway" in causes[0].because


def test_waiting_ends_as_soon_as_the_system_is_healthy(stack: Stack) -> None:
    stack.deploy(stack.ids()["schedule-daemon"])
    assert stack.verify(wait_seconds=60, starting_seconds=60).health is Health.HEALTHY


def test_watching_ends_at_the_first_unhealthy_look(stack: Stack) -> None:
    told: list[str] = []

    def report_and_break(text: str) -> None:
        if "watching for another" in text and not told:
            told.append(text)
            stack.by_hand("worker")

    assert stack.verify(for_seconds=600, report=report_and_break).health is Health.UNHEALTHY


def test_the_profile_applied_last_is_the_default(tmp_path: Path) -> None:
    from deploykit.commands.applied import chosen_profile
    from deploykit.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="nothing was applied"):
        chosen_profile(tmp_path)
    (tmp_path / ".deploykit").mkdir()
    (tmp_path / ".deploykit" / "applied.json").write_text('{"profile": "pre-launch"}')
    assert chosen_profile(tmp_path) == "pre-launch"


def test_the_web_process_tells_of_the_job_tables_where_the_database_is_private(tmp_path: Path) -> None:
    profile = bundled("pre-launch")
    web = profile.services["web-server"]
    open_web = web.model_copy(update={"env": {**web.env, "ADMIN_TOKEN": "a-long-admin-token-of-32-characters"}})
    profile = profile.model_copy(update={"services": {**profile.services, "web-server": open_web}})
    with running(profile, tmp_path / "sandbox") as stack:
        port = stack.sandbox.processes("web-server")[0]["port"]
        url = f"http://127.0.0.1:{port}"
        found = stack.verify(tables=StatusTables(url, "a-long-admin-token-of-32-characters"))
        assert found.health is Health.HEALTHY
        refused = stack.verify(tables=StatusTables(url, "wrong"))
        assert refused.health is Health.INCONCLUSIVE


def test_watch_tells_of_a_ghost_that_comes_and_stays_in_its_budget(stack: Stack) -> None:
    looks = watch(stack.profile, stack.railway, stack.url, every_seconds=0.1, count=3, starting_seconds=0.0)
    first, second = next(looks), next(looks)
    assert second.budget.requests == 2
    stack.by_hand("daemon")
    third = next(looks)
    assert (first.changed, second.changed, third.changed) == (True, False, True)
    assert any("came as foreign" in event for event in third.events)
