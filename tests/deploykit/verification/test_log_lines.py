"""The log lines that a profile promises."""

from __future__ import annotations

from deploykit.verification.log_lines import expected, read
from tests.deploykit.verification.world import pre_launch

WEB = pre_launch().services["web-server"]
DAEMON = pre_launch().services["schedule-daemon"]


def test_the_expected_lines_are_the_guides() -> None:
    assert expected(WEB) == (
        "Starting embedded job worker",
        "Job worker poll interval: 30000ms",
        "Job worker starting",
    )
    assert expected(DAEMON) == ("Starting schedule daemon", "Schedule daemon started", "Polling every 3600s")


def test_a_complete_log_misses_nothing() -> None:
    lines = ["🚀 Starting schedule daemon (production mode)", "✅ Schedule daemon started", "⏱️  Polling every 3600s"]
    reading = read(DAEMON, lines)
    assert (reading.missing, reading.wrong, reading.starts) == ((), (), 1)


def test_another_interval_is_wrong_and_not_merely_missing() -> None:
    reading = read(DAEMON, ["Starting schedule daemon", "Schedule daemon started", "Polling every 60s"])
    assert reading.wrong == ("Polling every 60s",)


def test_a_daemon_in_the_web_servers_log_is_wrong() -> None:
    assert read(WEB, ["Starting schedule daemon"]).wrong == ("Starting schedule daemon",)


def test_the_worker_that_says_it_is_disabled_is_no_worker() -> None:
    assert read(DAEMON, ["[server] ⏸️  Job worker disabled (EMBEDDED_JOB_WORKER not set to true)"]).wrong == ()
