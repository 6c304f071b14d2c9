from __future__ import annotations

import json
import subprocess
import sys
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
from tests.runtime.site import TOKEN, connected, get, serving
from tests.runtime.support import ended, eventually, settings

ROOT = Path(__file__).parents[2]


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


def test_what_needs_no_body_is_answered_to_get_and_head_only() -> None:
    with serving() as port, connected(port) as connection:
        connection.request("HEAD", "/health")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0
        connection.request("POST", "/health", b"x=1")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        answer.read()
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200, "the connection goes on"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": "16385"}, 413),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "9" * 5000}, 411),
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_a_body_that_is_too_long_or_of_unknown_length_is_not_read(headers: dict[str, str], status: int) -> None:
    with serving() as port, connected(port) as connection:
        connection.putrequest("POST", "/panel/sign-in")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (status, "close")


def test_an_answer_that_fails_says_nothing_about_why(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Web) -> dict[str, Any]:
        raise RuntimeError("inner matters")

    with serving() as port:
        monkeypatch.setattr(Web, "_health", fail)
        assert get(port, "/health") == (500, '{"error": "internal error"}')
    assert "inner matters" in capfd.readouterr().err


def test_the_log_says_whether_there_is_a_control_panel(capfd: pytest.CaptureFixture[str]) -> None:
    with serving():
        pass
    with serving(ADMIN_TOKEN=TOKEN):
        pass
    said = capfd.readouterr().out
    assert "[server] Control panel off (ADMIN_TOKEN not set)\n" in said
    assert "[server] Control panel at /panel\n" in said
    assert TOKEN not in said


LOOK = """
import sys
from email.message import Message
from runtime.loop import Stop
from runtime.settings import Settings
from runtime.web.exchange import Request
from runtime.web.server import Web

web = Web(Settings.from_env({"ADMIN_TOKEN": "x"}), Stop())
for path in sys.argv[1:]:
    assert web._answer(Request("GET", path, "", Message(), b"", "192.0.2.1")).status < 400
print(*sys.modules)
"""


@pytest.mark.parametrize(("last", "loaded"), [("/metrics", False), ("/panel", True)])
def test_the_panel_is_loaded_at_the_first_request_for_it(last: str, loaded: bool) -> None:
    look = [sys.executable, "-c", LOOK, "/", "/health", last]
    done = subprocess.run(look, cwd=ROOT, check=True, timeout=60, capture_output=True, text=True)
    modules = set(done.stdout.split())
    assert ({"runtime.web.panel", "runtime.web.admin", "hmac"} & modules != set()) == loaded
