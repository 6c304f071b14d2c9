"""`deploykit --help` and `--version` load nothing heavy: the door opens at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"pydantic", "jinja2", "rich", "httpx2", "graphql", "yaml", "pymysql"}
LOOK = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr))
from deploykit.__main__ import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("args", [["--help"], ["--version"], [], ["no-such-verb"]])
def test_the_door_opens_without_the_furniture(args: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *args], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "click" in loaded
    assert not loaded & HEAVY


def test_help_lists_the_verbs_and_the_exit_codes() -> None:
    command = [sys.executable, "-m", "deploykit", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    for verb in ("init", "render", "plan", "apply", "verify", "map"):
        assert f"\n  {verb} " in shown
    assert "8 unhealthy or ghost" in shown
