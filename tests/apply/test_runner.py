"""The runner as Railway's command starts it: a process, one request on stdin, one response on stdout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploykit.commands.evaluate import evaluate
from deploykit.commands.runner import parse
from deploykit.errors import UsageError
from deploykit.planning.authored import graph_of
from deploykit.planning.graph import graph
from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from deploykit.profile.write import profile_text
from deploykit.rendering.render import render
from tests.apply.stage import START, Stage, bundled, daemon_in_web, staged
from tests.deploykit.rendering.evaluators import comparable
from tests.journey.conftest import REPOSITORY
from tests.sandbox import engine

PYTHON = ".railway/railway.py"
TYPESCRIPT = ".railway/railway.ts"


@pytest.fixture
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("railway")) as stage:
        yield stage


@dataclass
class Command:
    """Railway's command line in a repository, with our runner for an engine."""

    folder: Path
    stage: Stage

    def request(self, command: str, **more: Any) -> dict[str, Any]:
        """What ``railway config plan --runner`` writes (railwayapp/cli: src/commands/config/runner.rs)."""
        sandbox = self.stage.sandbox
        ids = {"projectId": sandbox.project_id, "environmentId": sandbox.environment_id}
        names = {"projectName": "demo", "environment": "production", "environmentName": "production"}
        backboard = {"endpoint": sandbox.endpoint, "token": sandbox.token, "authType": "project-token", **ids}
        return {
            "command": command, "cwd": str(self.folder), "file": None, "includeTypes": False, "pretty": False,
            "revealValues": False, "context": {**ids, **names},
            "backboard": {**backboard, "decryptVariables": False, "merge": True}, **more,
        }  # fmt: skip

    def __call__(self, command: str, **more: Any) -> dict[str, Any]:
        return self.send(json.dumps(self.request(command, **more)))

    def send(self, text: str) -> dict[str, Any]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAILWAY_", "DEPLOYKIT_"))}
        kept["PATH"] = f"{Path(sys.executable).parent}:{kept['PATH']}"  # its python3 has Railway's SDK
        done = subprocess.run(
            [sys.executable, "-m", "deploykit.cli.runner"],
            input=text.encode(),
            cwd="/",
            env={**kept, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert self.stage.sandbox.token.encode() not in done.stdout + done.stderr
        response: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if response["ok"] else 1), done.stderr
        assert {"ok", "command", "file", "diagnostics"} <= response.keys()
        return response

    def has(self, profile: Profile, *names: str) -> None:
        """Both the profile and what is rendered from it."""
        path = self.folder / "profiles" / f"{profile.name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(profile_text(profile), "utf-8")
        written = load(path).profile
        assert written is not None
        shutil.rmtree(self.folder / ".railway", ignore_errors=True)
        (self.folder / ".railway").mkdir()
        for name in names or (PYTHON,):
            (self.folder / name).write_text(render(written)[name], "utf-8")

    def writes(self, text: str) -> None:
        """An IaC file that deploykit did not write."""
        (self.folder / ".railway").mkdir(exist_ok=True)
        (self.folder / PYTHON).write_text(text, "utf-8")


@pytest.fixture
def railway(stage: Stage, tmp_path: Path) -> Command:
    return Command(tmp_path, stage)


def test_it_plans_and_applies_in_the_safe_order_and_then_finds_nothing_to_do(railway: Command) -> None:
    railway.has(daemon_in_web())
    planned = railway("plan")
    assert planned["ok"], planned["diagnostics"]
    assert planned["diff"].splitlines() == ["+ Create service web-server", "+ Create service job-worker"]
    applied = railway("apply")
    assert (applied["ok"], applied["applyResult"]["status"]) == (True, "applied")
    assert {one["status"] for one in applied["applyResult"]["changes"]} == {"applied"}
    assert railway("plan")["diff"] == "No changes."

    railway.has(bundled("pre-launch"))
    moved = railway("plan")
    changes = moved["changeSet"]["changes"]
    first = {one["address"]: number for number, one in reversed(list(enumerate(changes)))}
    assert first["service.web-server"] < first["service.schedule-daemon"] < first["service.job-worker"]
    assert "no other service may start a daemon" in changes[0]["details"][0]
    assert [one["severity"] for one in changes if one["kind"] == "resource.delete"] == ["destructive"]
    assert railway("apply")["ok"]
    assert railway("plan")["diff"] == "No changes."
    assert all(len(alive) <= 1 for alive in railway.stage.daemons())
    assert railway.stage.plan(bundled("pre-launch")).plan.empty
    assert (railway.folder / ".deploykit" / "history" / "2" / "pre-launch.yaml").is_file()


def test_nothing_is_destroyed_without_a_plan_that_was_shown(railway: Command) -> None:
    railway.has(bundled("1000-users"))
    assert railway("apply")["ok"], "nothing is destroyed by it"
    railway.has(bundled("pre-launch"))
    railway.stage.sandbox.reset_requests()
    refused = railway("apply")
    assert not refused["ok"]
    assert "no plan of it was shown" in refused["diagnostics"][-1]["message"]
    assert "applyResult" not in refused
    assert railway("plan")["ok"]
    railway.stage.sandbox.fault("dashboard-edit", service="web-server", variable="EXTRA", value="1")
    stale = railway("apply")
    assert (stale["ok"], stale["applyResult"]["status"]) == (False, "failed")
    assert "moved since the plan was reviewed: web-server" in stale["diagnostics"][-1]["message"]
    assert not railway.stage.mutations()


def test_a_failure_is_a_failure_and_says_what_was_applied(railway: Command) -> None:
    railway.has(bundled("pre-launch"))
    railway.stage.sandbox.fault("build-failure", service="schedule-daemon")
    failed = railway("apply")
    assert (failed["ok"], failed["applyResult"]["status"]) == (False, "failed")
    assert failed["diagnostics"][-1]["message"].startswith("APPLY_FAILED: ")
    railway.stage.sandbox.clear_faults()
    railway.stage.sandbox.fault("apply-failed-empty-changes")
    railway.has(bundled("100-users"))
    railway.stage.sandbox.reset_requests()
    failed = railway("apply")
    assert not failed["ok"], "an empty list of changes is no success"
    assert {one["status"] for one in failed["applyResult"]["changes"]} == {"failed"}
    railway.stage.sandbox.clear_faults()
    assert railway("apply")["ok"], "the same command again goes on from what is there"


def test_a_folder_that_keeps_no_record_is_named_before_anything_is_done(railway: Command) -> None:
    railway.has(bundled("1000-users"))
    (railway.folder / ".deploykit").write_text("in the way")
    planned = railway("plan")
    assert planned["ok"], planned["diagnostics"]
    railway.stage.sandbox.reset_requests()
    refused = railway("apply")
    said = refused["diagnostics"][-1]
    assert (refused["ok"], "internal error" in said["message"]) == (False, False)
    assert ".deploykit" in said["path"]
    assert "rights" in said["message"]
    assert not railway.stage.mutations()


@pytest.mark.node
def test_current_and_plan_are_what_railways_own_engine_answers(railway: Command, tmp_path: Path) -> None:
    stage = railway.stage
    before, after = bundled("pre-launch"), bundled("1000-users")
    stage.apply(before)
    railway.has(after, TYPESCRIPT)
    theirs = engine.authored(tmp_path / "engine", render(after)[TYPESCRIPT])

    ours, official = railway("current"), engine.run(stage.sandbox, "current", theirs)
    assert by_address(ours["currentGraph"]) == by_address(official["currentGraph"])
    assert ours["currentEnvironment"]["configEtag"] == official["currentEnvironment"]["configEtag"]

    ours, official = railway("plan"), engine.run(stage.sandbox, "plan", theirs)
    assert comparable(ours["desiredGraph"])["edges"] == comparable(official["desiredGraph"])["edges"]
    assert what(ours) == what(official)
    assert by_address(ours["currentGraph"]) == by_address(official["currentGraph"])
    stage.apply(after)
    assert railway("plan")["diff"] == engine.run(stage.sandbox, "plan", theirs)["diff"] == "No changes."
    railway.has(before, TYPESCRIPT)
    theirs = engine.authored(tmp_path / "engine", render(before)[TYPESCRIPT])
    assert what(railway("plan")) == what(engine.run(stage.sandbox, "plan", theirs)), "what is not in the file goes"


def test_somebody_who_is_logged_in_has_a_bearer_token_and_a_wrong_one_is_refused_unread(railway: Command) -> None:
    railway.has(bundled("pre-launch"))
    backboard = railway.request("current")["backboard"]
    logged_in = {**backboard, "authType": "bearer", "token": railway.stage.sandbox.api_token}
    assert railway("current", backboard=logged_in)["currentGraph"]["resources"]
    refused = railway("current", backboard={**logged_in, "token": "marked-wrong-token"})
    assert not refused["ok"]
    assert "marked-wrong-token" not in json.dumps(refused)


def by_address(found: dict[str, Any]) -> dict[str, Any]:
    return {node["address"]: comparable({"resources": [node], "edges": []})["resources"][0]
            for node in found["resources"]}  # fmt: skip


def what(response: dict[str, Any]) -> list[tuple[str, str, str]]:
    entries = [one for one in response["changeSet"]["changes"] if one["kind"] != "deploykit.step"]
    return sorted((one["kind"], one["path"], one["severity"]) for one in entries)


SHOP = """
from railway_sdk import define_railway, github, mysql, preserve, project, ref, service, volume

def main():
    db = mysql("MySQL")
    web = service("web", source=github("acme/app"), start={web!r}, env={{
        "DATABASE_URL": ref(db, "MYSQL_URL"), "SCHEDULE_DAEMON_ENABLED": "false", "EMBEDDED_JOB_WORKER": "true",
        "JOB_WORKER_POLL_INTERVAL_MS": "30000", "DATABASE_CONNECTION_LIMIT": "5", "NODE_ENV": "production",
        "API_TOKEN_FILE": "/marked-value-4711"}}, {more})
    restart = {{"restartPolicyType": "ALWAYS"}}
    clock = service("clock", source=github("acme/app"), start={clock!r}, deploy=restart, env={{
        "DATABASE_URL": ref(db, "MYSQL_URL"), "SCHEDULE_DAEMON_ENABLED": "{daemon}", "EMBEDDED_JOB_WORKER": "false",
        "SCHEDULE_POLL_INTERVAL_MS": "3600000", "DATABASE_CONNECTION_LIMIT": "5", "NODE_ENV": "production"}})
    return project("shop", {{"resources": [db, web, clock]}})
"""


def shop(daemon: str = "true", more: str = "") -> str:
    return SHOP.format(web=START["web"], clock=START["daemon"], daemon=daemon, more=more)


def test_a_file_of_somebody_elses_is_planned_and_applied_in_the_same_order(railway: Command) -> None:
    railway.writes(shop())
    planned = railway("plan")
    assert planned["ok"], planned["diagnostics"]
    assert "marked-value-4711" not in json.dumps(planned)
    assert "marked-value-4711" in json.dumps(railway("plan", revealValues=True))
    assert railway("apply")["ok"]
    assert railway("plan")["diff"] == "No changes."
    assert railway.stage.daemons()[-1] == ("clock",)
    for file in (railway.folder / ".deploykit").rglob("*"):
        assert not file.is_file() or b"marked-value-4711" not in file.read_bytes(), file


def test_what_it_cannot_carry_over_and_what_breaks_a_rule_is_an_error_at_its_address(railway: Command) -> None:
    railway.writes(shop(more='build="make"'))
    refused = railway("plan")
    assert not refused["ok"]
    assert "resources.service.web.build" in [one["path"] for one in refused["diagnostics"]]
    railway.writes(shop().replace('"/marked-value-4711"', "preserve()"))
    (missing,) = [one for one in railway("plan")["diagnostics"] if one["severity"] == "error"]
    assert missing["path"] == "resources.service.web.variables.API_TOKEN_FILE"
    railway.writes(shop().replace('"SCHEDULE_DAEMON_ENABLED": "false"', '"SCHEDULE_DAEMON_ENABLED": "true"'))
    refused = railway("plan")
    assert not refused["ok"]
    assert "DK1" in " ".join(one["message"] for one in refused["diagnostics"] if one["severity"] == "error")
    assert "changeSet" not in refused


def test_a_rendered_file_that_is_stale_is_refused_and_an_edited_one_is_run(railway: Command) -> None:
    railway.has(bundled("pre-launch"))
    changed = bundled("pre-launch").model_copy(update={"description": "changed since"})
    (railway.folder / "profiles" / "pre-launch.yaml").write_text(profile_text(changed), "utf-8")
    stale = railway("plan")
    assert not stale["ok"]
    assert "deploykit render pre-launch" in stale["diagnostics"][0]["message"]
    railway.has(bundled("pre-launch"))
    file = railway.folder / PYTHON
    file.write_text(file.read_text("utf-8").replace("3600000", "900000"), "utf-8")
    edited = railway("plan", revealValues=True)
    assert edited["diagnostics"][0]["severity"] == "warning"
    assert "900000" in json.dumps(edited["changeSet"])


@pytest.mark.node
def test_a_typescript_file_is_run_as_railways_command_runs_it(tmp_path: Path) -> None:
    profile = bundled("1000-users")
    file = engine.authored(tmp_path, render(profile)[TYPESCRIPT])
    assert comparable(graph_of(evaluate(file))) == comparable(graph(profile))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no request"),
        ("[]", "no request"),
        ("{", "no request"),
        ('{"command": "plan"}', "no request"),
        ('{"command": "plan", "backboard": {"token": 1, "environmentId": "e", "projectId": "p"}}', "no request"),
        ('{"command": "stage", "backboard": {"token": "t", "environmentId": "e", "projectId": "p"}}', "'stage'"),
    ],
)
def test_what_is_no_request_is_refused_without_repeating_it(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(text)


def test_a_bad_request_is_answered_with_a_diagnostic(railway: Command) -> None:
    for text, words in ((railway.stage.sandbox.token, "no request"),
                        (json.dumps(railway.request("plan")), "no .railway/railway.ts")):  # fmt: skip
        answer = railway.send(text)
        assert not answer["ok"]
        assert words in answer["diagnostics"][0]["message"]
