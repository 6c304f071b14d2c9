from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime import client, heartbeats, jobs
from runtime.db import connect
from runtime.loop import Stop
from runtime.migrations import migrate
from runtime.settings import SettingsError
from runtime.web.server import Web
from tests.mysql.server import free_port
from tests.runtime.support import LONGEST_SECONDS, ended, eventually, settings


@contextmanager
def serving(url: str | None = None, **variables: str) -> Iterator[int]:
    port = free_port()
    web = Web(settings(url, PORT=str(port), **variables), Stop())
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: _answers(port))
        yield port
    finally:
        web.stop.request()
        thread.join(LONGEST_SECONDS)


def _answers(port: int) -> bool:
    try:
        get(port, "/health")
    except OSError:
        return False
    return True


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LONGEST_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def health(port: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(port, "/health")[1])
    return found


def test_health_answers_without_a_database() -> None:
    with serving() as port:
        assert get(port, "/health")[0] == 200
        assert health(port)["job_worker"] == {"state": "disabled"}
        assert get(port, "/nothing")[0] == 404
        assert get(port, "/health?x=1")[0] == 200


def test_the_log_says_what_the_guide_promises(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with serving(
        f"sqlite://{tmp_path}/jobs.db", EMBEDDED_JOB_WORKER="true", JOB_WORKER_POLL_INTERVAL_MS="30000"
    ) as port:
        eventually(lambda: health(port)["job_worker"]["state"] == "running")
    said = capfd.readouterr().out
    for line in (
        "[server] Starting application...",
        f"[server] PORT={port} NODE_ENV=production",
        f'[server] ✓ Listening on {{"address":"0.0.0.0","port":{port}}}',
        "[server] 🔄 Starting embedded job worker",
        "[server] Job worker poll interval: 30000ms",
        "🔄 Job worker starting",
    ):
        assert line + "\n" in said


def test_without_the_flag_the_log_says_that_there_is_no_worker(capfd: pytest.CaptureFixture[str]) -> None:
    with serving():
        pass
    assert "[server] ⏸️  Job worker disabled (EMBEDDED_JOB_WORKER not set to true)" in capfd.readouterr().out


def test_the_daemons_flag_in_the_web_service_is_warned_about(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(SCHEDULE_DAEMON_ENABLED="true"):
        pass
    assert "SCHEDULE_DAEMON_ENABLED=true does nothing here" in capfd.readouterr().out


def test_a_job_enqueued_in_the_web_process_starts_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite://{tmp_path}/jobs.db"
    monkeypatch.setenv("DATABASE_URL", url)
    with connect(url, create=True) as db:
        migrate(db)
        with serving(
            url, EMBEDDED_JOB_WORKER="true", JOB_WORKER_POLL_INTERVAL_MS="3600000", JOBS_MODULE="runtime.demo"
        ) as port:
            eventually(lambda: health(port)["job_worker"]["state"] == "running")
            ended(db, client.enqueue("noop"))
            assert "runtime_jobs_completed_total 1\n" in get(port, "/metrics")[1]
        assert heartbeats.read(db)[0].status == "STOPPED"
        assert jobs.summary(db).completed == 1


def test_a_worker_that_cannot_start_leaves_the_web_process_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(f"sqlite://{tmp_path}/jobs.db", EMBEDDED_JOB_WORKER="true", JOBS_MODULE="no_such_module") as port:
        eventually(lambda: health(port)["job_worker"]["state"] == "crashed")
        assert get(port, "/health")[0] == 200
    assert "Job worker crashed but web server continues" in capfd.readouterr().err


def test_a_database_that_is_away_leaves_the_web_process_healthy(tmp_path: Path) -> None:
    with serving(f"mysql://u:p@127.0.0.1:{free_port()}/d", EMBEDDED_JOB_WORKER="true") as port:
        assert health(port)["job_worker"] == {"state": "starting"}


def test_a_worker_without_a_database_url_is_refused() -> None:
    web = Web(settings(None, PORT=str(free_port()), EMBEDDED_JOB_WORKER="true"), Stop())
    with pytest.raises(SettingsError, match="DATABASE_URL is not set"):
        web.run()
