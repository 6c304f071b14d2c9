"""API requests and wall time of a plan, beside Railway's own engine on the same sandbox in the same run.

    python -m bench.apply

Needs node and npm for the engine (npm ``railway``); both plan the pre-launch profile on a project that holds only its
database, and again when it is applied.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from deploykit.rendering.render import render
from tests.apply.stage import Stage, bundled, staged
from tests.sandbox.engine import authored, run


def measured(stage: Stage, work: Callable[[], object]) -> tuple[int, float]:
    """How many requests ``work`` sent, and how many seconds it took."""
    stage.sandbox.reset_requests()
    began = time.monotonic()
    work()
    return int(stage.sandbox.requests()["total_requests"]), time.monotonic() - began


def main() -> None:
    """Print one line per situation."""
    profile = bundled("pre-launch")
    with tempfile.TemporaryDirectory() as name, staged(Path(name) / "railway") as stage:
        file = authored(Path(name) / "iac", render(profile)[".railway/railway.ts"])
        for situation in ("nothing applied yet", "already applied"):
            ours = measured(stage, lambda: stage.plan(profile))
            theirs = measured(stage, lambda: run(stage.sandbox, "plan", file))
            print(
                f"{situation}: {ours[0]} requests in {ours[1]:.2f} s, "
                f"Railway's engine {theirs[0]} in {theirs[1]:.2f} s "
                f"(ratio {ours[0] / theirs[0]:.2f} and {ours[1] / theirs[1]:.2f})"
            )
            stage.apply(profile)


if __name__ == "__main__":
    main()
