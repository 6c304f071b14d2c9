"""`deploykit render`: writes what a profile says, and tells when a folder says otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploykit.cli.main import run
from deploykit.commands import render
from deploykit.errors import DeploykitError, Exit, UsageError
from deploykit.profile.schema import Profile
from tests.deploykit.commands.render_support import files_in


def _profile(*services: str) -> Profile:
    return Profile.model_validate({"version": 1, "name": "p", "services": {name: {"role": "web"} for name in services}})


def test_the_artefacts_are_written_once_and_found_fresh_after_that(tmp_path: Path) -> None:
    first = render.write(_profile("web"), tmp_path)
    assert {artefact.state for artefact in first} == {render.State.WRITTEN}
    assert files_in(tmp_path) == sorted(artefact.path for artefact in first)
    assert {artefact.state for artefact in render.check(_profile("web"), tmp_path)} == {render.State.UNCHANGED}
    before = (tmp_path / "RUNBOOK.md").stat().st_mtime_ns
    assert {artefact.state for artefact in render.write(_profile("web"), tmp_path)} == {render.State.UNCHANGED}
    assert (tmp_path / "RUNBOOK.md").stat().st_mtime_ns == before


def test_an_edited_a_missing_and_a_leftover_file_are_named(tmp_path: Path) -> None:
    render.write(_profile("web", "old"), tmp_path)
    with (tmp_path / "RUNBOOK.md").open("a") as file:
        file.write("by hand\n")
    (tmp_path / "compose.yaml").unlink()
    found = {artefact.path: artefact for artefact in render.check(_profile("web", "old"), tmp_path)}
    assert found["RUNBOOK.md"] == render.Artefact("RUNBOOK.md", render.State.DIFFERS, edited=True)
    assert found["compose.yaml"].state is render.State.MISSING
    leftovers = [a.path for a in render.check(_profile("web"), tmp_path) if a.state is render.State.STALE]
    assert leftovers == ["old/railway.toml", "old/variables.env"]


def test_a_changed_line_end_is_a_difference(tmp_path: Path) -> None:
    render.write(_profile("web"), tmp_path)
    path = tmp_path / "RUNBOOK.md"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    states = {artefact.path: artefact.state for artefact in render.check(_profile("web"), tmp_path)}
    assert states["RUNBOOK.md"] is render.State.DIFFERS


def test_files_of_a_service_that_is_gone_are_removed_unless_somebody_edited_them(tmp_path: Path) -> None:
    render.write(_profile("web", "old", "kept"), tmp_path)
    with (tmp_path / "kept" / "variables.env").open("a") as file:
        file.write("MINE=1\n")
    render.write(_profile("web"), tmp_path)
    assert not (tmp_path / "old").exists()
    assert files_in(tmp_path / "kept") == ["variables.env"]


def test_a_file_of_somebody_else_is_never_overwritten_and_then_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    with pytest.raises(DeploykitError, match=r"not rendered by deploykit.*compose\.yaml") as caught:
        render.write(_profile("web"), tmp_path)
    assert caught.value.hint is not None
    assert "--force" in caught.value.hint
    assert files_in(tmp_path) == ["compose.yaml"]
    render.write(_profile("web"), tmp_path, force=True)
    assert "rendered by deploykit" in (tmp_path / "compose.yaml").read_text()


def test_a_folder_where_a_file_belongs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "RUNBOOK.md").mkdir()
    with pytest.raises(DeploykitError, match="a folder stands where a file belongs"):
        render.write(_profile("web"), tmp_path)


def test_only_some_artefacts_can_be_chosen(tmp_path: Path) -> None:
    chosen = render.write(_profile("web"), tmp_path, only=[".railway/*.py", "railway.toml"])
    assert [artefact.path for artefact in chosen] == [".railway/railway.py", "railway.toml"]
    with pytest.raises(UsageError, match="no artefact matches nothing"):
        render.write(_profile("web"), tmp_path, only=["nothing"])


def test_the_command_writes_checks_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = ["--project-dir", str(tmp_path)]
    assert run(["render", "pre-launch", *project]) == Exit.OK
    assert (tmp_path / "out" / "pre-launch" / "web-server" / "variables.env").is_file()
    assert run(["render", "pre-launch", "--check", *project]) == Exit.OK
    (tmp_path / "out" / "pre-launch" / "compose.yaml").unlink()
    capsys.readouterr()
    assert run(["render", "pre-launch", "--check", *project]) == Exit.FAILED
    assert "+ compose.yaml is missing" in capsys.readouterr().out
    assert run(["render", "pre-launch", "--check", "--format", "json", *project]) == Exit.FAILED
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "deploykit.render/1"
    assert {"path": "compose.yaml", "state": "missing", "edited": False} in answer["files"]


def test_an_unknown_profile_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "pre-lunch", "--project-dir", str(tmp_path)]) == Exit.CONFIGURATION
    assert "did you mean 'pre-launch'?" in capsys.readouterr().err
