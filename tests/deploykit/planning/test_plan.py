from __future__ import annotations

from dataclasses import replace

from deploykit.planning.diff import autodeploy, diff
from deploykit.planning.plan import Step, census_after, census_before, drift, fingerprint, on_paper, standing_hazards
from deploykit.planning.snapshot import LiveVariable, Snapshot, StagedPatch
from deploykit.planning.view import observation, target
from deploykit.profile.schema import Profile
from tests.deploykit.planning.world import changed, live, profile, running, service, two_services, with_service

EMPTY = Snapshot("p", "app", "e", "production", "etag")


def on_the_way(wanted: Profile, snapshot: Snapshot) -> tuple[list[Step], list[str], str | None]:
    now = observation(wanted, snapshot, diff(wanted, snapshot), ())
    return on_paper(now, target(wanted))


def moved() -> Snapshot:
    """The guide's system before: the web server schedules, its own service is there and closed."""
    snapshot = changed(live(two_services()), "web", SCHEDULE_DAEMON_ENABLED="true")
    snapshot = changed(snapshot, "daemon", SCHEDULE_DAEMON_ENABLED="false")
    for name in ("web", "daemon"):
        snapshot = with_service(snapshot, running(service(snapshot, name)))
    return snapshot


def test_where_nothing_differs_there_is_nothing_to_do() -> None:
    wanted = two_services()
    assert on_the_way(wanted, live(wanted)) == ([], [], None)


def test_a_move_closes_the_old_daemon_waits_until_it_is_gone_and_opens_the_new_one() -> None:
    steps, _, blocked = on_the_way(two_services(), moved())
    assert blocked is None
    assert [(step.action, step.service) for step in steps] == [("configure", "web"), ("configure", "daemon")]
    assert "gone" in steps[0].gate
    assert [step.number for step in steps] == [1, 2]


def test_a_move_says_for_how_long_nobody_schedules_and_why() -> None:
    _, hazards, _ = on_the_way(two_services(), moved())
    assert any(hazard.startswith("from step 1 until step 2 is healthy nobody schedules") for hazard in hazards)
    assert on_the_way(two_services(), EMPTY)[1] == []


def test_the_census_says_where_the_daemon_is_and_where_it_goes() -> None:
    wanted, snapshot = two_services(), moved()
    assert census_before(observation(wanted, snapshot, [], ()), snapshot).daemon_services == ("web",)
    assert census_after(wanted).daemon_services == ("daemon",)


def test_two_daemons_at_once_are_a_hazard_until_a_named_step() -> None:
    wanted = two_services()
    snapshot = changed(live(wanted), "web", SCHEDULE_DAEMON_ENABLED="true")
    snapshot = with_service(snapshot, running(service(snapshot, "web")))
    steps, hazards, _ = on_the_way(wanted, snapshot)
    assert steps[0].service == "web"
    assert any("daemon and web schedule at the same time" in hazard for hazard in hazards)


def test_from_nothing_the_database_comes_first_and_the_daemon_last() -> None:
    steps, _, blocked = on_the_way(two_services(), EMPTY)
    assert blocked is None
    assert steps[0].service == "MySQL"
    assert steps[-1].service == "daemon"


def test_a_daemon_replaced_in_its_place_is_stopped_first() -> None:
    old = changed(live(two_services()), "daemon", SCHEDULE_POLL_INTERVAL_MS="60000")
    old = with_service(old, running(service(old, "daemon")))
    steps, _, _ = on_the_way(two_services(), old)
    assert [step.action for step in steps] == ["stop", "configure"]


def test_with_a_volume_railway_stops_it() -> None:
    wanted = two_services(guard="volume", volume={"mount": "/guard"})
    old = changed(live(wanted), "daemon", SCHEDULE_POLL_INTERVAL_MS="60000")
    old = with_service(old, running(service(old, "daemon")))
    steps, _, _ = on_the_way(wanted, old)
    assert [step.action for step in steps] == ["configure"]


def test_a_stranger_who_schedules_blocks_the_plan_and_the_cure_is_named() -> None:
    wanted = two_services()
    stranger = replace(service(live(wanted), "daemon"), id="x", name="old-daemon")
    _, _, blocked = on_the_way(wanted, with_service(live(wanted), running(stranger)))
    assert blocked is not None
    assert "old-daemon" in blocked
    assert "--remove" in blocked


def test_a_sealed_flag_blocks_the_plan_and_the_cure_is_named() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    web = service(snapshot, "web")
    flag = LiveVariable("SCHEDULE_DAEMON_ENABLED", None, sealed=True)
    sealed = replace(web, variables={**web.variables, flag.name: flag})
    steps, _, blocked = on_the_way(wanted, with_service(snapshot, sealed))
    assert steps == []
    assert blocked is not None
    assert "web is sealed" in blocked
    assert "delete the variable" in blocked


def test_pushes_are_held_back_before_anything_else_is_touched() -> None:
    wanted = two_services(autodeploy="off")
    snapshot = moved()
    changes = [*diff(wanted, snapshot), autodeploy(wanted.services["daemon"], enabled=True)]
    now = observation(wanted, snapshot, [change for change in changes if change], ())
    steps, _, _ = on_paper(now, target(wanted))
    assert [(step.action, step.service) for step in steps] == [
        ("switch off pushes to", "daemon"), ("configure", "web"), ("configure", "daemon"),
    ]  # fmt: skip


def test_a_daemon_that_is_created_is_held_back_before_its_health_is_waited_for() -> None:
    steps, _, _ = on_the_way(two_services(autodeploy="off"), EMPTY)
    assert [step.action for step in steps if step.service == "daemon"] == ["configure", "switch off pushes to"]
    assert next(step.gate for step in steps if step.service == "daemon") == "at once"


def test_domains_come_when_everything_runs() -> None:
    wanted = two_services()
    web = wanted.services["web"].model_copy(update={"domains": ("app.example.com",)})
    wanted = wanted.model_copy(update={"services": {**wanted.services, "web": web}})
    steps, _, _ = on_the_way(wanted, moved())
    assert [(step.action, step.service) for step in steps][-1] == ("add domains to", "web")
    assert "add domains to" in [step.action for step in on_the_way(wanted, EMPTY)[0]]


def test_a_domain_that_the_profile_does_not_name_is_said() -> None:
    wanted = profile(web={"domains": ["app.example.com"]})
    snapshot = live(wanted)
    web = service(snapshot, "web")
    networking = {"customDomains": {"app.example.com": {}, "old.example.com": {"port": 80}}}
    other = with_service(snapshot, replace(web, config={**web.config, "networking": networking}))
    assert "old.example.com leads to web and the profile does not name it" in hazards(wanted, other)
    assert "app.example.com" not in hazards(wanted, other)


def test_the_census_counts_processes_before_and_after() -> None:
    wanted = two_services()
    snapshot = live(wanted)
    before = census_before(observation(wanted, snapshot, [], ()), snapshot)
    assert (before.schedule_daemon, before.job_worker) == (1, 1)
    assert census_before(observation(wanted, EMPTY, [], ()), EMPTY).schedule_daemon == 0
    assert (census_after(wanted).schedule_daemon, census_after(wanted).job_worker) == (1, 1)


# ---- hazards ------------------------------------------------------------------------------------------------------


def hazards(wanted: Profile, snapshot: Snapshot) -> str:
    return "\n".join(standing_hazards(wanted, snapshot, observation(wanted, snapshot, [], ())))


def test_what_only_a_guard_can_close_is_said() -> None:
    wanted = two_services(guard=None)
    assert "has no guard" in hazards(wanted, live(wanted))
    assert "has no guard" not in hazards(two_services(), live(two_services()))


def test_pushes_that_deploy_the_daemon_are_said() -> None:
    assert "deploys on every push" in hazards(two_services(), live(two_services()))
    assert "push" not in hazards(two_services(autodeploy="after_ci"), live(two_services()))


def test_edits_that_wait_in_the_dashboard_are_said() -> None:
    staged = replace(live(two_services()), staged=StagedPatch("s", "STAGED", False, ("web",)))
    assert "(web)" in hazards(two_services(), staged)


def test_what_is_left_alone_is_said() -> None:
    stranger = running(replace(service(live(profile(web={})), "web"), id="x", name="redis"))
    assert "redis" in hazards(two_services(), with_service(live(two_services()), stranger))


# ---- fingerprints -------------------------------------------------------------------------------------------------


def test_a_profiles_fingerprint_follows_its_content() -> None:
    assert fingerprint(two_services()) == fingerprint(two_services())
    assert fingerprint(two_services()) != fingerprint(two_services(draining_seconds=30))


def test_a_live_fingerprint_tells_a_change_and_no_value() -> None:
    snapshot = live(two_services())
    before, after = drift(b"key", snapshot), drift(b"key", changed(snapshot, "web", A="a-marked-value"))
    assert [name for name in before if before[name] != after[name]] == ["web"]
    assert "a-marked-value" not in str(after)
    assert drift(b"another key", snapshot)["web"] != before["web"]


def test_a_push_is_no_drift() -> None:
    snapshot = live(two_services())
    web = service(snapshot, "web")
    pushed = replace(web, config={**web.config, "source": {**web.config["source"], "commitSha": "4f0c1d2"}})
    assert drift(b"key", with_service(snapshot, pushed)) == drift(b"key", snapshot)


def test_shared_variables_are_part_of_what_was_reviewed() -> None:
    snapshot = live(two_services())
    other = replace(snapshot, shared_variables={"X": LiveVariable("X", "1")})
    before, after = drift(b"key", snapshot), drift(b"key", other)
    assert [name for name in before if before[name] != after[name]] == [""]
