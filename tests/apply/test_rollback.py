"""Going back to a recorded profile, as an operator does it: on the command line, against a running sandbox."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploykit.cli.main import run
from deploykit.commands.applied import HISTORY, KEPT, Attempt, Place, Record, chosen_profile, records
from deploykit.commands.rollback import back_to
from deploykit.errors import ConfigurationError, Exit
from deploykit.planning.plan import fingerprint
from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from deploykit.profile.write import profile_text
from tests.apply.stage import Stage, bundled, daemon_in_web

HERE = Place("project", "environment")
NOTHING: dict[str, Any] = {"changes": [], "steps": []}


@dataclass
class Operator:
    """Somebody at a command line in a folder with profiles."""

    folder: Path
    stage: Stage
    capture: pytest.CaptureFixture[str]

    def __call__(self, *args: str, status: int = Exit.OK) -> str:
        code = run(["--project-dir", str(self.folder), *args])
        said = self.capture.readouterr()
        assert code == status, said.err
        return said.out if status == Exit.OK else said.err

    def has(self, profile: Profile) -> None:
        path = self.folder / "profiles" / f"{profile.name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(profile_text(profile), "utf-8")

    def apply(self, *args: str) -> None:
        self("apply", *args, "--yes", "--allow-destructive")


@pytest.fixture
def operator(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Operator:
    for name in ("RAILWAY_API_TOKEN", "RAILWAY_PROJECT_ID", "RAILWAY_ENVIRONMENT_ID", "DEPLOYKIT_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DEPLOYKIT_RAILWAY_URL", stage.sandbox.endpoint)
    monkeypatch.setenv("RAILWAY_TOKEN", stage.sandbox.token)
    operator = Operator(tmp_path, stage, capsys)
    for profile in (bundled("pre-launch"), bundled("1000-users"), daemon_in_web()):
        operator.has(profile)
    return operator


def test_a_rollback_restores_what_was_live_and_a_rollback_of_it_goes_forward_again(operator: Operator) -> None:
    operator.apply("pre-launch", "--remove", "job-worker")
    first = operator.stage.stored()
    operator.apply("daemon-in-web", "--remove", "schedule-daemon")
    second = operator.stage.stored()

    said = operator("rollback")
    assert "Back to record 1: pre-launch" in said
    assert "Railway's own rollback button" in said
    closing, opening = said.index("configure web-server"), said.index("configure schedule-daemon")
    assert closing < opening, "the web server stops scheduling before the daemon's own service may"
    assert "delete service job-worker   (destructive)" in said, "what the later profile brought goes again"
    assert operator.stage.stored() == second, "a rollback only plans"
    unnamed = operator("apply", "--yes", "--allow-destructive", status=Exit.USAGE)
    assert "--remove 'job-worker'" in unnamed
    operator.apply("--remove", "job-worker")
    assert operator.stage.stored() == first
    assert "Nothing to do" in operator("plan", "pre-launch")

    forward = json.loads(operator("rollback", "--format", "json"))
    assert (forward["schema"], forward["record"]["profile"]) == ("deploykit.rollback/1", "daemon-in-web")
    operator.apply("--remove", "schedule-daemon")
    assert operator.stage.stored() == second
    assert all(len(alive) <= 1 for alive in operator.stage.daemons())
    listed = json.loads(operator("rollback", "--list", "--format", "json"))["records"]
    assert [(one["id"], one["profile"], one["reached"]) for one in listed] == [
        (4, "daemon-in-web", True), (3, "pre-launch", True), (2, "daemon-in-web", True), (1, "pre-launch", True),
    ]  # fmt: skip


def test_an_apply_that_fails_is_not_recorded_as_reached_and_its_rollback_restores_what_was(operator: Operator) -> None:
    operator.apply("pre-launch", "--remove", "job-worker")
    before = operator.stage.stored()
    operator.stage.sandbox.fault("build-failure", service="schedule-daemon")
    operator("apply", "1000-users", "--yes", status=Exit.PARTIAL)
    operator.stage.sandbox.clear_faults()
    assert operator.stage.stored() != before
    assert [one.reached for one in records(operator.folder)] == [True, False]
    assert json.loads((operator.folder / ".deploykit" / "applied.json").read_text("utf-8"))["profile"] == "pre-launch"
    operator("rollback", "2", status=Exit.CONFIGURATION)
    assert "Back to record 1: pre-launch" in operator("rollback")
    operator.apply("--remove", "job-worker")
    assert operator.stage.stored() == before


def test_an_apply_that_touches_nothing_leaves_no_record(operator: Operator) -> None:
    operator.apply("pre-launch", "--remove", "job-worker")
    operator.apply("pre-launch")
    assert [one.id for one in records(operator.folder)] == [1]
    operator("plan", "1000-users")
    operator.stage.sandbox.fault("dashboard-edit", service="web-server", variable="EXTRA", value="1")
    operator("apply", "--yes", status=Exit.STALE_PLAN)
    assert [one.id for one in records(operator.folder)] == [1]


def test_verify_without_a_name_takes_the_profile_as_it_was_applied(operator: Operator) -> None:
    operator.apply("pre-launch", "--remove", "job-worker")
    changed = bundled("pre-launch").model_copy(update={"description": "edited since"})
    operator.has(changed)
    assert Path(chosen_profile(operator.folder)).parent.name == "1"
    operator.apply("pre-launch")
    shutil.rmtree(operator.folder / HISTORY)
    assert chosen_profile(operator.folder) == "pre-launch", "without its record it is found by name"


def test_a_rule_that_a_recorded_profile_breaks_today_stops_it(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.apply("pre-launch", "--remove", "job-worker")
    operator.apply("1000-users")
    operator.stage.sandbox.reset_requests()
    refused = with_rule_broken(operator.folder, records(operator.folder)[0])
    assert "DK101" in operator("rollback", status=Exit.CONFIGURATION), refused
    assert not operator.stage.mutations()


def with_rule_broken(folder: Path, record: Record) -> Path:
    """As if the record had been made before the rule was: its text breaks it, and its digest is right."""
    import hashlib

    text = record.path.read_text("utf-8").replace("SCHEDULE_DAEMON_ENABLED: false", "SCHEDULE_DAEMON_ENABLED: true")
    record.path.write_text(text, "utf-8")
    about = record.folder / "record.json"
    value = {**json.loads(about.read_text("utf-8")), "text_sha256": hashlib.sha256(text.encode()).hexdigest()}
    about.write_text(json.dumps(value), "utf-8")
    return record.path


# ---- the records alone ----------------------------------------------------------------------------------------------


def reached(folder: Path, profile: Profile, place: Place = HERE, *, through: bool = True) -> None:
    file = folder / "profiles" / f"{profile.name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(profile_text(profile), "utf-8")
    attempt = Attempt(folder, load(file), file, place, NOTHING)
    attempt.begun()
    if through:
        attempt.reached()


def numbered(number: int) -> Profile:
    return bundled("pre-launch").model_copy(update={"description": f"number {number}"})


def test_a_record_is_private_self_contained_and_names_who_and_when(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    (folder / "base.yaml").write_text(profile_text(bundled("pre-launch").model_copy(update={"name": "base"})), "utf-8")
    text = """
version: 1
name: shop
extends: base
services:
  web-server:
    autodeploy: on_push
    env:
      JWT_SECRET: !secret
      API_KEY: !secret OPERATORS_NAME
"""
    file = folder / "shop.yaml"
    file.write_text(text, "utf-8")
    loaded = load(file)
    assert loaded.profile is not None
    Attempt(tmp_path, loaded, file, HERE, NOTHING).reached()
    shutil.rmtree(folder)

    (record,) = records(tmp_path)
    again = load(record.path)
    assert again.profile is not None
    assert not again.findings
    assert again.profile == loaded.profile.model_copy(update={"extends": None})
    assert fingerprint(again.profile) == record.fingerprint
    assert "JWT_SECRET: !secret\n" in record.path.read_text("utf-8")
    assert "@" in record.by
    assert record.at.endswith("Z")
    for path in (record.folder, record.path, record.folder / "record.json", tmp_path / ".deploykit" / "applied.json"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_finding_that_is_suppressed_in_the_profile_is_suppressed_in_its_record(tmp_path: Path) -> None:
    from deploykit.rules import check

    profile = bundled("pre-launch")
    file = tmp_path / "pre-launch.yaml"
    file.write_text(profile_text(profile), "utf-8")
    (finding,) = [one for one in check(load(file)) if one.code == "DK312"]
    lines = profile_text(profile).splitlines()
    lines.insert(finding.place.line - 1, "# deploykit: ignore[DK312] a shell loop has none")
    file.write_text("\n".join(lines) + "\n", "utf-8")
    assert not check(load(file))
    Attempt(tmp_path, load(file), file, HERE, NOTHING).reached()
    (record,) = records(tmp_path)
    assert not check(load(record.path))
    assert "a shell loop has none" in record.path.read_text("utf-8")


def test_the_last_twenty_are_kept_and_the_last_that_was_reached_whatever_failed_since(tmp_path: Path) -> None:
    for number in range(3):
        reached(tmp_path, numbered(number))
    for number in range(3, KEPT + 5):
        reached(tmp_path, numbered(number), through=False)
    kept = [one.id for one in records(tmp_path)]
    assert kept == [3, *range(6, KEPT + 6)]
    assert back_to(records(tmp_path), HERE).id == 3


def test_the_default_is_the_last_that_was_reached_with_another_profile(tmp_path: Path) -> None:
    for number in (1, 2, 2, 3, 3):
        reached(tmp_path, numbered(number))
    assert back_to(records(tmp_path), HERE).id == 3
    reached(tmp_path, numbered(4), through=False)
    assert back_to(records(tmp_path), HERE).id == 5
    reached(tmp_path, numbered(5), Place("project", "staging"))
    assert back_to(records(tmp_path), HERE).id == 5, "another environment's applies do not count"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda record: (record.folder / "record.json").write_text("{", "utf-8"), "cannot be read"),
        (lambda record: (record.folder / "record.json").unlink(), "cannot be read"),
        (lambda record: record.path.write_text("version: 1\n", "utf-8"), "somebody changed it"),
        (lambda record: (record.folder / "record.json").write_text('{"schema": "x"}', "utf-8"), "another version"),
    ],
)
def test_a_damaged_record_is_named_and_refused_and_no_older_one_taken_instead(
    tmp_path: Path, spoil: Any, words: str
) -> None:
    for number in (1, 2, 3):
        reached(tmp_path, numbered(number))
    spoil(records(tmp_path)[1])
    for number_asked in (None, 2):
        with pytest.raises(ConfigurationError, match=words):
            back_to(records(tmp_path), HERE, number_asked)
    assert back_to(records(tmp_path), HERE, 1).id == 1


def test_a_record_from_another_place_or_with_a_number_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing was applied"):
        back_to(records(tmp_path), HERE)
    reached(tmp_path, numbered(1))
    with pytest.raises(ConfigurationError, match="nothing to go back to"):
        back_to(records(tmp_path), HERE)
    with pytest.raises(ConfigurationError, match="another project or environment"):
        back_to(records(tmp_path), Place("project", "staging"), 1)
    with pytest.raises(ConfigurationError, match="no record 7"):
        back_to(records(tmp_path), HERE, 7)
