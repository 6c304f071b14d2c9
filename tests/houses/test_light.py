"""The runtime stays light: what a process of its own loads is looked at from inside that process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    "deploykit",
    "pydantic",
    "click",
    "httpx2",
    "httpx",
    "jinja2",
    "yaml",
    "graphql",
    "rich",
    "cryptography",
    "logging",
    "asyncio",
    "http.server",
    "urllib.request",
    "email",
    "ctypes",
    "unittest",
    "encodings.idna",
}
LOOK = """
import json, sys
import {module}
from runtime.db import connect
try:
    connect({url!r}, connect_timeout_seconds=1)
except Exception:
    pass
print(json.dumps(sorted(sys.modules)))
"""


def loaded(module: str, url: str) -> set[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {sys.path!r}\n" + LOOK.format(module=module, url=url),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["runtime.worker", "runtime.daemon", "runtime.embedded", "runtime"])
def test_a_process_on_mysql_loads_nothing_heavy(module: str) -> None:
    modules = loaded(module, "mysql://u:p@127.0.0.1:1/d")
    assert "pymysql" in modules
    assert not modules & HEAVY
    assert "sqlite3" not in modules, "the other driver stays away"


def test_a_process_on_sqlite_does_not_load_the_mysql_driver() -> None:
    modules = loaded("runtime.worker", "sqlite:///nowhere/x.db")
    assert "sqlite3" in modules
    assert not modules & (HEAVY | {"pymysql", "ssl"})
