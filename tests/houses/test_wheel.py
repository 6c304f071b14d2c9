"""The wheel, installed elsewhere, is the whole product: profiles, templates and queries come with it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """A fresh environment with nothing of this checkout on its path."""

    wheel: Path
    bin: Path
    folder: Path

    def run(self, program: str, *args: str) -> subprocess.CompletedProcess[str]:
        kept = {"HOME": os.environ.get("HOME", "/"), "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
        return subprocess.run(
            [str(self.bin / program), *args],
            cwd=self.folder,
            env=kept,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def python(self, code: str) -> str:
        done = self.run("python", "-c", code)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    if importlib.util.find_spec("build") is None:
        pytest.skip("the package 'build' is not installed")
    # With the backend at hand nothing has to be downloaded.
    isolation = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    build = [sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(folder / "dist"), str(ROOT)]
    _done(build, folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    _done([sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)], folder)
    # What it depends on comes from here; a path in a .pth file does not bring an editable install of ours along.
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    work = folder / "work"
    work.mkdir()
    return Installed(wheel, folder / "venv" / "bin", work)


def _done(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_profiles_templates_queries_and_no_test(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    wanted = {f"deploykit/bundled/profiles/{path.name}" for path in (ROOT / "profiles").glob("*.yaml")}
    wanted |= {f"deploykit/bundled/{path.relative_to(ROOT)}" for path in (ROOT / "templates").rglob("*.j2")}
    wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / "runtime" / "sql").rglob("*.sql")}
    wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / "deploykit").rglob("*.graphql")}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


def test_what_runs_is_what_was_installed(installed: Installed) -> None:
    where = installed.python(
        "import deploykit, runtime\n"
        "from deploykit.commands.profiles import bundled\n"
        "from deploykit.rendering.render import templates\n"
        "print(deploykit.__file__, runtime.__file__, bundled(), templates(), sep='\\n')"
    )
    venv_folder = str(installed.bin.parent)
    assert all(line.startswith(venv_folder) for line in where.splitlines()), where
    assert "/bundled/" in where


def test_render_takes_profile_and_templates_from_the_wheel(installed: Installed) -> None:
    done = installed.run("deploykit", "render", "pre-launch")
    assert done.returncode == 0, done.stderr
    rendered = installed.folder / "out" / "pre-launch"
    assert "rendered by deploykit from profiles/pre-launch.yaml" in (rendered / "RUNBOOK.md").read_text("utf-8")
    assert (rendered / ".railway" / "railway.py").is_file()


def test_init_and_lint_work_in_a_folder_of_its_own(installed: Installed) -> None:
    assert installed.run("deploykit", "init").returncode == 0
    done = installed.run("deploykit", "lint")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("args", [["--help"], ["plan", "--help"], ["verify", "--help"], ["map", "1000-users"]])
def test_every_door_opens(installed: Installed, args: list[str]) -> None:
    done = installed.run("deploykit", *args)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_runtime_starts_and_migrates(installed: Installed) -> None:
    url = f"sqlite:///{installed.folder}/jobs.db"
    code = "import os, sys, runpy; os.environ['DATABASE_URL'] = sys.argv.pop(1); runpy.run_module('runtime')"
    done = installed.run("python", "-c", code, url, "migrate")
    assert done.returncode == 0, done.stderr
