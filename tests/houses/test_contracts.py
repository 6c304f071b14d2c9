"""The import contracts hold, and each of them notices when it is broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("lint-imports")

pytestmark = pytest.mark.skipif(not PROGRAM.is_file(), reason="import-linter is not installed beside this Python")


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    # Started in the copy and told to look there first, so that it judges the copy.
    return subprocess.run(
        [str(PROGRAM), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("deploykit", "runtime"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_import_points_down() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "planted", "contract"),
    [
        ("runtime/retry.py", "import pydantic", "runtime is light"),
        ("runtime/retry.py", "import deploykit.errors", "runtime is light"),
        ("deploykit/verification/liveness.py", "import socket", "deciding does no I/O"),
        ("deploykit/profile/schema.py", "import deploykit.commands.render", "every room has a floor"),
        ("deploykit/report/render.py", "import deploykit.rendering.render", "every room has a floor"),
        ("deploykit/attic/__init__.py", "", "every room has a floor"),
    ],
)
def test_a_planted_import_or_an_unplaced_folder_breaks_its_contract(
    copy: Path, file: str, planted: str, contract: str
) -> None:
    path = copy / file
    path.parent.mkdir(exist_ok=True)
    path.write_text((path.read_text("utf-8") if path.exists() else "") + f"\n{planted}\n", "utf-8")
    done = _lint(copy)
    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(contract in line for line in broken) or contract in done.stdout
