"""The saved plan: what was reviewed runs, whole and once, or nothing does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploykit.commands.plan import mark_used, plan, read_saved, save
from deploykit.errors import StalePlanError
from tests.apply.stage import bundled, staged


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a plan that was just saved."""
    with staged(tmp_path_factory.mktemp("railway")) as stage:
        planned = plan(bundled("pre-launch"), stage.railway)
    path = tmp_path_factory.mktemp("project") / "plan.json"
    save(path, planned, profile_path=Path("profiles/pre-launch.yaml"), remove=())
    return path.read_text("utf-8")


@pytest.fixture
def path(reviewed: str, tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(reviewed, "utf-8")
    return path


def test_a_plan_that_nobody_touched_runs_until_it_is_used_up(path: Path) -> None:
    saved = read_saved(path)
    assert read_saved(path) == saved
    mark_used(path, saved)
    with pytest.raises(StalePlanError, match="applied already"):
        read_saved(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda saved: saved.pop("key"),
        lambda saved: saved.update(drift=[]),
        lambda saved: saved.update(changes=7),
        lambda saved: saved.update(expires_at_epoch_seconds="never"),
        lambda saved: saved["steps"].pop(),
        lambda saved: [change.update(destructive=not change["destructive"]) for change in saved["changes"]],
        lambda saved: saved.pop("checksum"),
    ],
    ids=[
        "no key",
        "a list of drift",
        "a number of changes",
        "no date",
        "a step less",
        "otherwise destructive",
        "unsealed",
    ],
)
def test_a_plan_that_was_changed_after_its_review_does_not_run(path: Path, edit: Callable[[Any], Any]) -> None:
    saved = json.loads(path.read_text("utf-8"))
    edit(saved)
    path.write_text(json.dumps(saved), "utf-8")
    with pytest.raises(StalePlanError, match=r"changed after it was reviewed|no saved plan") as refused:
        read_saved(path)
    assert refused.value.hint == "plan again"


def test_half_a_plan_does_not_run(path: Path) -> None:
    path.write_text(path.read_text("utf-8")[:500], "utf-8")
    with pytest.raises(StalePlanError, match="damaged"):
        read_saved(path)


def test_a_plan_of_another_version_or_of_yesterday_does_not_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    with monkeypatch.context() as later:
        later.setattr("deploykit.commands.plan.time.time", lambda: now + 24 * 3600 + 1)
        with pytest.raises(StalePlanError, match="older than a day"):
            read_saved(path)
    monkeypatch.setattr("deploykit.commands.plan.__version__", "99.0")
    with pytest.raises(StalePlanError, match="another version"):
        read_saved(path)
