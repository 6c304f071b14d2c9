from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime import heartbeats
from runtime.db import connect
from tests.browser import driver
from tests.browser.driver import Browser
from tests.mysql.server import free_port
from tests.runtime.support import LONGEST_SECONDS, eventually

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-browser-71f0"


@dataclass(frozen=True)
class Site:
    """A web process with its embedded worker and a schedule daemon, as the pre-launch profile starts them."""

    panel: str
    database: str


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database = f"sqlite://{tmp_path_factory.mktemp('site')}/jobs.db"
    port = free_port()
    shared = {"DATABASE_URL": database, "JOBS_MODULE": "runtime.demo", "DEPLOYKIT_PROFILE": "pre-launch"}
    web = {"PORT": str(port), "ADMIN_TOKEN": TOKEN, "EMBEDDED_JOB_WORKER": "true", "SCHEDULE_DAEMON_ENABLED": "false"}
    pulses = {"JOB_WORKER_POLL_INTERVAL_MS": "30000", "SCHEDULE_POLL_INTERVAL_MS": "3600000"}
    with ExitStack() as processes:
        for word, more in (("web", web), ("daemon", {"SCHEDULE_DAEMON_ENABLED": "true"})):
            processes.enter_context(_process(word, {**shared, **pulses, **more, "RAILWAY_SERVICE_NAME": word}))
        eventually(lambda: _all_alive(database))
        eventually(lambda: _answers(port))
        yield Site(f"http://127.0.0.1:{port}/panel", database)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    reason = driver.missing()
    if reason is not None:
        pytest.skip(reason)
    with driver.browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, site: Site) -> Browser:
    """The browser as somebody opens it for the first time: on a desk, light, nobody signed in."""
    chromium.devtools("Emulation.setScriptExecutionDisabled", {"value": False})
    chromium.devtools("Network.clearBrowserCookies", {})
    chromium.prefer("light")
    chromium.resize(1100, 1400)
    chromium.open(site.panel)
    return chromium


@contextmanager
def _process(word: str, variables: dict[str, str]) -> Iterator[None]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TZDIR") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "runtime", word],
        cwd=ROOT,
        env={**kept, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(LONGEST_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _all_alive(database: str) -> bool:
    if not Path(database.removeprefix("sqlite://")).exists():
        return False
    with connect(database) as db:
        try:
            return sum(beat.status == "RUNNING" for beat in heartbeats.read(db)) == 2
        except Exception:
            return False


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=LONGEST_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
