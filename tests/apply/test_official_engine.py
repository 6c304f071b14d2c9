"""After our apply, Railway's own engine finds nothing to do for the file that we render."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.rendering.render import render
from tests.apply.stage import BUNDLED, bundled, staged
from tests.sandbox.engine import authored, run

pytestmark = pytest.mark.node


def test_railways_own_engine_plans_nothing_after_our_apply(tmp_path: Path) -> None:
    with staged(tmp_path / "railway") as stage:
        for name in BUNDLED:
            profile = bundled(name)
            file = authored(tmp_path / name, render(profile)[".railway/railway.ts"])
            before = run(stage.sandbox, "plan", file)
            assert before["changeSet"]["changes"], "it sees what is missing"
            stage.apply(profile)
            after = run(stage.sandbox, "plan", file)
            assert (name, after["diff"], after["diagnostics"]) == (name, "No changes.", [])
