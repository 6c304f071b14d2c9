"""The rendered files of this repository are the ones its own profile gives."""

from __future__ import annotations

from deploykit.commands import render
from tests.deploykit.rendering.profiles import REPOSITORY, real

OWN = (".railway/railway.py", "railway.toml")
RENDER = f"deploykit render pre-launch --out . {' '.join(f'--only {path}' for path in OWN)}"


def test_this_repository_is_rendered_from_its_pre_launch_profile() -> None:
    found = render.check(real(REPOSITORY / "profiles" / "pre-launch.yaml"), REPOSITORY, only=OWN)
    assert {artefact.state for artefact in found} == {render.State.UNCHANGED}, f"run: {RENDER}"
