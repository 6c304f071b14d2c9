"""What the guides tell a reader to write is what the runtime reads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "bundled-runtime.md"
LOAD = """
import sys
from runtime import handlers
found = handlers.load(sys.argv[1])
print(sorted(found.handlers), sorted(found.schedules))
"""


@pytest.mark.parametrize(
    ("language", "file", "module", "expected"),
    [
        ("python", "app_jobs.py", "app_jobs", "['send-digest'] ['daily-digest']"),
        ("toml", "jobs.toml", "jobs.toml", "['clean-up', 'warm-cache'] ['nightly-clean-up']"),
    ],
)
def test_the_jobs_of_the_guide_can_be_declared_as_they_stand(
    tmp_path: Path, language: str, file: str, module: str, expected: str
) -> None:
    (block,) = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    (tmp_path / file).write_text(block, "utf-8")
    command = [sys.executable, "-c", f"import sys; sys.path.append({str(ROOT)!r})\n{LOAD}", module]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected
