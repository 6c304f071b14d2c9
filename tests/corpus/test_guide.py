"""The guide's own configuration is clean, and each of its bad examples is refused by the rule that is meant for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.findings import Severity
from tests.corpus.configurations import DAEMON, PATH, WEB, whole
from tests.deploykit.rules.linting import findings_in

CONTROL_PANEL = {
    "web-server": """\
# Railway Service: web-server
NODE_ENV=production
DATABASE_URL=<from-railway-mysql>

# Job Worker (embedded in web server)
EMBEDDED_JOB_WORKER=true                    # Enable worker in web process
JOB_WORKER_POLL_INTERVAL_MS=30000          # Check every 30 seconds (not 5!)

# Schedule Daemon Control
SCHEDULE_DAEMON_ENABLED=false              # Don't run daemon in web server!
""",
    "schedule-daemon": """\
# Railway Service: schedule-daemon
NODE_ENV=production
DATABASE_URL=<same-as-web-server>

# Schedule Daemon Control
SCHEDULE_DAEMON_ENABLED=true               # This is the daemon service
SCHEDULE_POLL_INTERVAL_MS=3600000          # Check every 1 HOUR (your preference!)

# Job Worker Control
EMBEDDED_JOB_WORKER=false                  # Don't run worker in daemon!
""",
}
SETTINGS = {
    "web-server": """\
NODE_ENV=production
DATABASE_URL=<your-mysql-url>
JWT_SECRET=<your-secret>

# Enable embedded worker (pre-launch conservative)
EMBEDDED_JOB_WORKER=true
JOB_WORKER_POLL_INTERVAL_MS=30000

# Disable schedule daemon (runs in separate service)
SCHEDULE_DAEMON_ENABLED=false
""",
    "schedule-daemon": """\
NODE_ENV=production
DATABASE_URL=<same-as-web-server>

# Enable daemon with HOURLY checks
SCHEDULE_DAEMON_ENABLED=true
SCHEDULE_POLL_INTERVAL_MS=3600000

# Disable embedded worker (not needed in daemon)
EMBEDDED_JOB_WORKER=false
""",
}
SUMMARY = {
    "web-server": """\
# web-server service
EMBEDDED_JOB_WORKER=true
JOB_WORKER_POLL_INTERVAL_MS=30000           # Every 30 seconds
SCHEDULE_DAEMON_ENABLED=false               # NOT in web server
""",
    "schedule-daemon": """\
# schedule-daemon service
SCHEDULE_DAEMON_ENABLED=true                # ONLY in daemon service
SCHEDULE_POLL_INTERVAL_MS=3600000           # Every 1 HOUR
EMBEDDED_JOB_WORKER=false                   # NOT in daemon
""",
}
NAMES = [".env.{0}", "{0}.env", "{0}/.env", ".env.{0}.example"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blocks", [CONTROL_PANEL, SETTINGS, SUMMARY], ids=["control-panel", "settings", "summary"])
def test_the_guides_blocks_are_clean(blocks: dict[str, str], name: str, tmp_path: Path) -> None:
    found = findings_in(tmp_path, {name.format(service): text for service, text in blocks.items()})
    # `<your-secret>` waits for a person; outside an example file that is worth a warning, and nothing else is.
    placeholders = [finding for finding in found if finding.code == "DK407" and finding.severity is Severity.WARNING]
    expected = placeholders if blocks is SETTINGS and "example" not in name else []
    assert [f"{finding.place} {finding.code} {finding.message}" for finding in found if finding not in expected] == []


def codes(folder: Path, texts: dict[str, str]) -> set[str]:
    return {finding.code for finding in findings_in(folder, texts) if finding.severity is Severity.ERROR}


@pytest.mark.parametrize("name", NAMES[:3])
def test_both_services_with_the_daemon_on_are_two_daemons(name: str, tmp_path: Path) -> None:
    texts = {name.format(service): text for service, text in SETTINGS.items()}
    texts[name.format("web-server")] = SETTINGS["web-server"].replace("ENABLED=false", "ENABLED=true")
    assert codes(tmp_path, texts) == {"DK101"}


@pytest.mark.parametrize("name", NAMES[:3])
def test_a_web_server_that_forgot_the_flag_is_refused(name: str, tmp_path: Path) -> None:
    texts = {name.format(service): text for service, text in SETTINGS.items()}
    texts[name.format("web-server")] = SETTINGS["web-server"].replace("SCHEDULE_DAEMON_ENABLED=false\n", "")
    assert codes(tmp_path, texts) == {"DK103"}


def test_a_second_service_with_the_daemons_command_is_a_ghost(tmp_path: Path) -> None:
    copy = DAEMON.replace("schedule-daemon:", "daemon:").replace("role: daemon", "role: other")
    copy = copy.replace("DAEMON_ENABLED: true", "DAEMON_ENABLED: false")
    assert codes(tmp_path, {PATH: whole(WEB, DAEMON, copy)}) == {"DK110"}


def test_pm2_in_the_web_service_is_refused(tmp_path: Path) -> None:
    started = WEB.replace("node backend/dist/index.js", "pm2-runtime start ecosystem.config.js")
    texts = {
        PATH: whole(started, DAEMON),
        "ecosystem.config.js": "module.exports = {apps: [{name: 'web'}, {name: 'schedule-daemon'}]}\n",
    }
    assert "DK112" in codes(tmp_path, texts)


def test_too_many_connections_are_refused(tmp_path: Path) -> None:
    text = whole(WEB, DAEMON, top="expect: {job_worker: 8}\n")
    text = text.replace("    healthcheck:", "    replicas: 8\n    healthcheck:")
    text = text.replace("DATABASE_CONNECTION_LIMIT: 5", "DATABASE_CONNECTION_LIMIT: 40", 1)
    assert codes(tmp_path, {PATH: text}) == {"DK501"}


def test_an_hour_in_seconds_is_refused(tmp_path: Path) -> None:
    assert codes(tmp_path, {PATH: whole(WEB, DAEMON.replace("3600000", "3600"))}) == {"DK201"}


def test_an_interval_that_is_hard_coded_is_noticed(tmp_path: Path) -> None:
    worker = "const POLL_INTERVAL_MS = 5000; // 5 seconds\nsetInterval(() => processNextJob(), POLL_INTERVAL_MS);\n"
    texts = {
        PATH: whole(WEB.replace("branch: main", "root: backend"), DAEMON.replace("branch: main", "root: backend")),
        "backend/src/index.ts": "const on = process.env.EMBEDDED_JOB_WORKER === 'true';\n"
        "const scheduled = process.env.SCHEDULE_DAEMON_ENABLED, every = process.env.SCHEDULE_POLL_INTERVAL_MS;\n",
        "backend/src/workers/jobWorker.ts": worker,
    }
    assert {"DK610", "DK611"} <= {finding.code for finding in findings_in(tmp_path, texts)}
