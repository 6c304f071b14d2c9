"""The process map in a terminal."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from deploykit.profile.schema import Profile
from deploykit.report import process_map
from tests.deploykit.rendering.profiles import REPOSITORY, profiles, real


def test_the_map_of_pre_launch_shows_both_services_their_processes_and_the_flow() -> None:
    lines = process_map.text(real(REPOSITORY / "profiles" / "pre-launch.yaml")).split("\n")
    shown = [line.strip("│ ").removeprefix("├─ ").removeprefix("• ") for line in lines]
    for expected in (
        "SERVICE 1: web-server",
        "Job worker (embedded)",
        "Polls every 30 seconds",
        "SCHEDULE_DAEMON_ENABLED=false ⚠ CRITICAL",
        "SERVICE 2: schedule-daemon",
        "Polls every hour",
        "DATABASE MySQL",
        "1. Every hour: schedule-daemon checks the schedules",
        "3. Every 30 seconds: web-server looks for QUEUED jobs",
    ):
        assert expected in shown, expected


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(profiles())
def test_every_line_of_a_box_is_as_wide_as_the_box_whatever_it_holds(profile: Profile) -> None:
    framed = [line for line in process_map.text(profile).split("\n") if line[:1] in "┌│├└" and line]
    assert framed
    assert {process_map.columns(line) for line in framed} == {process_map.WIDTH}
    assert all(line.isprintable() for line in framed)


def test_the_json_names_processes_and_the_control_panel() -> None:
    answer = process_map.as_json(real(REPOSITORY / "profiles" / "pre-launch.yaml"))
    assert answer["schema"] == "deploykit.map/1"
    web, daemon = answer["services"]
    assert [process["kind"] for process in web["processes"]] == ["web", "job_worker"]
    assert daemon["processes"][0]["poll_interval_ms"] == 3_600_000
    assert daemon["variables"]["SCHEDULE_DAEMON_ENABLED"] == "true"
