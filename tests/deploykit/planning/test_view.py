from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from deploykit.planning.decide import Blocked, Configure, Stop, Wait, decide
from deploykit.planning.diff import diff
from deploykit.planning.observation import Observation, Phase
from deploykit.planning.snapshot import Instance, LiveDeployment, LiveService, LiveVariable, Snapshot
from deploykit.planning.view import observation, target
from deploykit.profile.schema import Profile
from tests.deploykit.planning.world import changed, live, profile, running, service, two_services, with_service


@dataclass(frozen=True)
class Beat:
    """A heartbeat row, as far as it is read here."""

    service: str | None = "daemon"
    deployment: str | None = "an-old-one"
    kind: str = "schedule_daemon"
    status: str = "RUNNING"
    seconds_ago: float | None = 1.0
    heartbeat_interval_ms: int | None = 10_000


def look(wanted: Profile, snapshot: Snapshot, *beats: Beat) -> Observation:
    return observation(wanted, snapshot, diff(wanted, snapshot), beats)


# ---- the target ---------------------------------------------------------------------------------------------------


def test_the_target_names_the_database_first_and_the_one_daemon() -> None:
    goal = target(two_services())
    assert [one.name for one in goal.services] == ["MySQL", "web", "daemon"]
    assert goal.services[0].is_database
    assert goal.daemon is not None
    assert (goal.daemon.name, goal.daemon.guard) == ("daemon", "lease")


def test_a_daemon_without_a_guard_has_none() -> None:
    goal = target(two_services(guard=None))
    assert goal.daemon is not None
    assert goal.daemon.guard == "none"


# ---- configuration ------------------------------------------------------------------------------------------------


def test_what_is_as_it_should_be_matches() -> None:
    wanted = two_services()
    now = look(wanted, live(wanted))
    assert all(seen.matches for seen in now.services)
    assert [seen.name for seen in now.services if seen.daemon] == ["daemon"]
    assert [seen.name for seen in now.services if seen.worker] == ["web"]


@pytest.mark.parametrize(
    ("flag", "daemon"),
    [("true", True), ("1", True), ("yes", True), ("TRUE", True), ("false", False), ("False", False), ("", True)],
)
def test_every_value_but_false_may_start_a_daemon(flag: str, daemon: bool) -> None:
    wanted = two_services()
    now = look(wanted, changed(live(wanted), "web", SCHEDULE_DAEMON_ENABLED=flag))
    assert now.service("web").daemon is daemon


def test_a_flag_that_nobody_set_may_start_a_daemon_where_our_application_runs() -> None:
    wanted = two_services()
    snapshot = changed(live(wanted), "web", SCHEDULE_DAEMON_ENABLED=None)
    assert look(wanted, snapshot).service("web").daemon
    assert not look(wanted, with_service(live(wanted), LiveService("r", "redis"))).service("redis").daemon


def test_an_empty_flag_means_what_an_unset_one_does() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    (deployment,) = service(snapshot, "web").deployments
    empty = replace(deployment, variables={**(deployment.variables or {}), "SCHEDULE_DAEMON_ENABLED": " "})
    dead_reference = with_service(snapshot, replace(service(snapshot, "web"), deployments=(empty,)))
    assert look(wanted, dead_reference).service("web").scheduling
    redis = LiveService(
        "r", "redis", variables={"SCHEDULE_DAEMON_ENABLED": LiveVariable("SCHEDULE_DAEMON_ENABLED", "")}
    )
    assert not look(wanted, with_service(snapshot, redis)).service("redis").daemon


def test_a_flag_that_we_may_not_read_may_be_on() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    web = service(snapshot, "web")
    hidden = {name: replace(variable, value=None) for name, variable in web.variables.items()}
    assert look(wanted, with_service(snapshot, replace(web, variables=hidden))).service("web").daemon


def test_a_flag_that_we_may_not_read_is_known_where_railway_calls_it_equal() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    hidden = [
        replace(one, variables={name: replace(variable, value=None) for name, variable in one.variables.items()})
        for one in snapshot.services
    ]
    masked = replace(snapshot, services=tuple(hidden))
    now = observation(wanted, masked, (), ())  # the preview dropped every change
    assert [seen.name for seen in now.services if seen.daemon] == ["daemon"]
    assert [seen.name for seen in now.services if seen.worker] == ["web"]


def test_a_forgotten_copy_is_told_by_its_start_command() -> None:
    wanted = two_services()
    copy = running(LiveService("x", "old-daemon", {"deploy": {"startCommand": "run daemon"}}))
    seen = look(wanted, with_service(live(wanted), copy)).service("old-daemon")
    assert seen.daemon
    assert seen.scheduling
    assert not seen.managed


@pytest.mark.parametrize(
    ("repo", "flag", "daemon"),
    [("owner/app", None, True), ("owner/app", "", True), ("owner/app", "false", False), ("owner/other", None, False)],
)
def test_a_copy_of_the_web_server_made_by_hand_may_schedule_unless_it_is_told_not_to(
    repo: str, flag: str | None, daemon: bool
) -> None:
    wanted = two_services()
    config = {"deploy": {"startCommand": "run"}, "source": {"repo": repo}}
    flags = {} if flag is None else {"SCHEDULE_DAEMON_ENABLED": LiveVariable("SCHEDULE_DAEMON_ENABLED", flag)}
    copy = running(LiveService("x", "web-by-hand", config, flags))
    now = look(wanted, with_service(live(wanted), copy))
    seen = now.service("web-by-hand")
    assert (seen.daemon, bool(seen.scheduling)) == (daemon, daemon)
    assert isinstance(decide(now, target(wanted)), Blocked) is daemon


def test_a_mounted_volume_makes_a_service_exclusive() -> None:
    wanted = two_services(guard="volume", volume={"mount": "/guard"})
    now = look(wanted, live(wanted))
    assert now.service("daemon").exclusive
    assert not now.service("web").exclusive


# ---- deployments --------------------------------------------------------------------------------------------------


def with_deployment(snapshot: Snapshot, name: str, status: str, instance: str | None = None) -> Snapshot:
    """The service with its deployment in another state."""
    seen = running(service(snapshot, name), status, instance or "RUNNING")
    (deployment,) = seen.deployments
    kept = deployment if instance else replace(deployment, instances=())
    active = seen.active_ids if status in ("SUCCESS", "SLEEPING", "REMOVING") else ()
    return with_service(snapshot, replace(seen, deployments=(kept,), active_ids=active))


@pytest.mark.parametrize(
    ("status", "instance", "phase"),
    [
        ("QUEUED", None, Phase.PENDING),
        ("WAITING", None, Phase.PENDING),
        ("NEEDS_APPROVAL", None, Phase.PENDING),
        ("BUILDING", None, Phase.PENDING),
        ("DEPLOYING", None, Phase.PENDING),
        ("DEPLOYING", "RUNNING", Phase.STARTED),
        ("SUCCESS", "RUNNING", Phase.ACTIVE),
        ("SUCCESS", "RESTARTING", Phase.STARTED),
        ("REMOVING", "RUNNING", Phase.LEAVING),
        ("SLEEPING", None, Phase.ACTIVE),
        ("SLEEPING", "STOPPED", Phase.ACTIVE),
        ("REMOVED", "RUNNING", Phase.LEAVING),
        ("FAILED", "RUNNING", Phase.LEAVING),
        ("REMOVED", "REMOVED", None),
        ("FAILED", None, None),
        ("SKIPPED", None, None),
        ("PAUSED_BY_A_FUTURE_RAILWAY", "RUNNING", Phase.STARTED),
    ],
)
def test_a_deployments_phase(status: str, instance: str | None, phase: Phase | None) -> None:
    wanted = two_services()
    seen = look(wanted, with_deployment(live(wanted), "daemon", status, instance)).service("daemon")
    assert [one.phase for one in seen.deployments] == ([] if phase is None else [phase])


def test_a_sleeping_deployment_that_would_schedule_when_it_wakes_is_scheduling() -> None:
    wanted = two_services()
    old = changed(live(wanted), "web", SCHEDULE_DAEMON_ENABLED="true")
    asleep = with_deployment(old, "web", "SLEEPING", "STOPPED")
    closed = changed(asleep, "web", SCHEDULE_DAEMON_ENABLED="false")
    assert look(wanted, closed).service("web").scheduling


def test_of_two_active_deployments_the_older_one_is_leaving() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    daemon = service(snapshot, "daemon")
    (old,) = daemon.deployments
    new = replace(old, id="newer")
    both = replace(daemon, deployments=(new, old), active_ids=("newer", old.id), latest_id="newer")
    seen = look(wanted, with_service(snapshot, both)).service("daemon")
    assert [(one.id, one.phase) for one in seen.deployments] == [("newer", Phase.ACTIVE), (old.id, Phase.LEAVING)]


def test_a_deployment_with_another_number_of_replicas_than_configured_is_not_there_yet() -> None:
    wanted = profile(web={"replicas": 2})
    snapshot = live(wanted)
    web = service(snapshot, "web")
    (deployment,) = web.deployments
    (seen,) = look(wanted, snapshot).service("web").deployments
    assert (seen.phase, seen.current) == (Phase.STARTED, True)
    two = replace(deployment, instances=(Instance("i", "RUNNING"), Instance("j", "RUNNING")))
    (seen,) = look(wanted, with_service(snapshot, replace(web, deployments=(two,)))).service("web").deployments
    assert seen.phase is Phase.ACTIVE


def test_one_that_stays_so_is_not_current_and_is_deployed_anew() -> None:
    wanted = profile(web={"replicas": 2})
    snapshot = live(wanted)
    (seen,) = observation(wanted, snapshot, [], (), stalled={"web"}).service("web").deployments
    assert not seen.current


def test_a_deployment_with_other_variables_than_stored_is_not_current() -> None:
    wanted = two_services()
    stored = changed(live(wanted), "web", NODE_ENV="production")
    (seen,) = look(wanted, stored).service("web").deployments
    assert not seen.current


def test_a_deployment_is_judged_by_what_it_was_created_with_not_by_what_is_stored() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    web = service(snapshot, "web")
    (deployment,) = web.deployments
    old = replace(deployment, variables={**(deployment.variables or {}), "SCHEDULE_DAEMON_ENABLED": "true"})
    seen = look(wanted, with_service(snapshot, replace(web, deployments=(old,)))).service("web")
    assert not seen.daemon
    assert [one.daemon for one in seen.deployments] == [True]


def test_a_deployment_of_the_daemon_that_nobody_can_read_may_schedule() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    daemon = service(snapshot, "daemon")
    hidden: list[LiveDeployment] = [replace(one, variables=None) for one in daemon.deployments]
    seen = look(wanted, with_service(snapshot, replace(daemon, deployments=tuple(hidden)))).service("daemon")
    assert seen.scheduling


# ---- hearts -------------------------------------------------------------------------------------------------------


def test_a_heart_that_beats_in_a_deployment_railway_does_not_show_is_seen() -> None:
    wanted = two_services()
    assert look(wanted, live(wanted), Beat(service="web")).beating == {"web"}
    assert look(wanted, live(wanted), Beat(service=None)).beating == {"an unknown service"}


@pytest.mark.parametrize(
    "beat",
    [
        Beat(deployment="daemon-1"),
        Beat(status="STOPPED"),
        Beat(status="DEAD"),
        Beat(kind="job_worker"),
        Beat(seconds_ago=61.0),
        Beat(seconds_ago=None),
        Beat(deployment=None),
    ],
)
def test_what_says_nothing_about_a_hidden_daemon_is_not_one(beat: Beat) -> None:
    wanted = two_services()
    assert not look(wanted, live(wanted), beat).beating


@pytest.mark.parametrize(("seconds_ago", "beats"), [(119.0, True), (359.0, True), (361.0, False)])
def test_a_heart_that_promised_to_beat_rarely_is_given_three_beats(seconds_ago: float, beats: bool) -> None:
    wanted = two_services()
    rare = Beat(service="web", seconds_ago=seconds_ago, heartbeat_interval_ms=120_000)
    assert bool(look(wanted, live(wanted), rare).beating) is beats


def test_a_daemon_is_not_stopped_while_a_hidden_one_would_keep_its_successor_waiting() -> None:
    wanted = two_services()
    outdated = changed(live(wanted), "daemon", EXTRA="old")
    assert isinstance(decide(look(wanted, outdated), target(wanted)), Stop)
    assert isinstance(decide(look(wanted, outdated, Beat(service="daemon")), target(wanted)), Wait)


def test_a_heart_outweighs_what_the_flags_of_its_deployment_say() -> None:
    wanted = two_services()
    stranger = running(LiveService("x", "by-hand", {"deploy": {"startCommand": "FLAG=true run something"}}))
    snapshot = with_service(live(wanted), stranger)
    (deployment,) = service(snapshot, "by-hand").deployments
    assert not look(wanted, snapshot).service("by-hand").scheduling

    now = look(wanted, snapshot, Beat(service="by-hand", deployment=deployment.id))
    assert now.service("by-hand").scheduling
    assert not now.beating  # Railway shows where it is
    assert isinstance(decide(now, target(wanted)), Blocked)
    assert isinstance(decide(now, target(wanted, ["by-hand"])), Stop)


def test_a_heart_in_a_service_that_is_configured_to_start_no_daemon_is_closed_or_told() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    beat = Beat(service="web", deployment=service(snapshot, "web").deployments[0].id)
    told = decide(look(wanted, snapshot, beat), target(wanted))
    assert isinstance(told, Blocked)
    assert "ghosts" in told.cure

    web = service(snapshot, "web")
    by_hand = {**web.config, "deploy": {**web.config["deploy"], "startCommand": "FLAG=true run"}}
    (deployment,) = web.deployments
    running_by_hand = replace(deployment, settings={**(deployment.settings or {}), "startCommand": "FLAG=true run"})
    edited = with_service(snapshot, replace(web, config=by_hand, deployments=(running_by_hand,)))
    closing = decide(look(wanted, edited, beat), target(wanted))
    assert isinstance(closing, Configure)
    assert closing.services == ("web",)


def test_heartbeats_that_were_not_read_are_said_to_be_unread() -> None:
    wanted = profile(web={})
    snapshot = live(wanted)
    assert observation(wanted, snapshot, diff(wanted, snapshot), None).unread
    assert not look(wanted, snapshot).unread
