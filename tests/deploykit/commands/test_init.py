"""`deploykit init`: sets up a repository and overwrites nothing in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml as pyyaml

from deploykit.cli.main import run
from deploykit.commands.init import Action, init
from deploykit.commands.profiles import checked
from deploykit.errors import Exit
from tests.deploykit.commands.render_support import files_in

WRITTEN = [
    ".env.example",
    ".github/workflows/deploykit.yml",
    ".gitignore",
    ".pre-commit-config.yaml",
    "profiles/100-users.yaml",
    "profiles/1000-users.yaml",
    "profiles/pre-launch.yaml",
    "profiles/profile.schema.json",
]
SCRIPTS = {
    "start": "node dist/index.js",
    "daemon:schedules": "node dist/daemon.js",
    "worker:jobs": "node dist/worker.js",
}


@pytest.mark.parametrize("prepared", [True, False])
def test_every_written_profile_breaks_no_rule(tmp_path: Path, prepared: bool) -> None:
    if prepared:
        (tmp_path / "package.json").write_text(json.dumps({"scripts": SCRIPTS}))
        (tmp_path / ".env").write_text("JWT_SECRET=hunter2\n")
    init(tmp_path)
    for name in ("pre-launch", "100-users", "1000-users"):
        profile, _, _ = checked(tmp_path, name)
        assert profile.name == name
        assert len(profile.daemons) == len(profile.workers) == 1
    assert profile.services["job-worker"].start == (
        "exec node dist/worker.js" if prepared else "exec python -m runtime worker"
    )
    assert ("JWT_SECRET" in profile.services["web-server"].env) is prepared


def test_workflow_and_hook_are_valid_yaml_and_run_lint(tmp_path: Path) -> None:
    init(tmp_path)
    workflow = pyyaml.safe_load((tmp_path / ".github/workflows/deploykit.yml").read_text())
    assert workflow["jobs"]["lint"]["steps"][-1]["run"] == "deploykit lint --format github"
    hook = pyyaml.safe_load((tmp_path / ".pre-commit-config.yaml").read_text())
    assert hook["repos"][0]["hooks"][0]["entry"] == "deploykit lint"


def test_editors_find_the_schema_that_the_profiles_name(tmp_path: Path) -> None:
    init(tmp_path)
    first = (tmp_path / "profiles" / "pre-launch.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=profile.schema.json"
    assert "services" in json.loads((tmp_path / "profiles" / "profile.schema.json").read_text())["properties"]


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    for path in WRITTEN:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"mine {path}\n")
    done = {file.path: file for file in init(tmp_path).files}
    for path in WRITTEN:
        assert (tmp_path / path).read_text().startswith(f"mine {path}\n")
        assert done[path].action is (Action.EXTENDED if path == ".gitignore" else Action.KEPT)
    assert "- repo: local" in done[".pre-commit-config.yaml"].note


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    init(tmp_path)
    before = {path: (tmp_path / path).read_bytes() for path in files_in(tmp_path)}
    again = init(tmp_path)
    assert {file.action for file in again.files} == {Action.KEPT}
    assert {path: (tmp_path / path).read_bytes() for path in files_in(tmp_path)} == before
    assert sorted(before) == WRITTEN


def test_profiles_that_extend_ours_are_not_put_beside_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "pre-launch.yaml").write_text("version: 1\n")
    done = {file.path: file for file in init(tmp_path).files}
    assert files_in(tmp_path / "profiles") == ["pre-launch.yaml", "profile.schema.json"]
    assert done["profiles/100-users.yaml"].note == "not written: your own pre-launch.yaml is there"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"node_modules", b"node_modules\n.deploykit/\n.env\n"),
        (b"/.deploykit\r\nx\r\n", b"/.deploykit\r\nx\r\n.env\r\n"),
        (b".env\n.deploykit/\n", b".env\n.deploykit/\n"),
    ],
)
def test_gitignore_gets_only_the_lines_it_lacks(tmp_path: Path, before: bytes, after: bytes) -> None:
    (tmp_path / ".gitignore").write_bytes(before)
    init(tmp_path)
    assert (tmp_path / ".gitignore").read_bytes() == after


def test_no_value_of_a_secret_is_shown_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text("JWT_SECRET=hunter2\n")
    assert run(["init", "--project-dir", str(tmp_path)]) == Exit.OK
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
    assert all("hunter2" not in (tmp_path / path).read_text() for path in WRITTEN)
    assert "JWT_SECRET=\n" in (tmp_path / ".env.example").read_text()


def test_the_command_says_what_it_did_and_what_comes_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"start": "node dist/index.js"}}))
    assert run(["init", "--project-dir", str(tmp_path)]) == Exit.OK
    shown = capsys.readouterr().out
    assert "+ profiles/pre-launch.yaml created" in shown
    assert "say how your schedule daemon starts" in shown
    assert "deploykit rehearse pre-launch" in shown
    assert run(["init", "--format", "json", "--project-dir", str(tmp_path)]) == Exit.OK
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "deploykit.init/1"
    assert {file["action"] for file in answer["files"]} == {"kept"}
    assert answer["processes"][0]["command"] == "exec node dist/index.js"
