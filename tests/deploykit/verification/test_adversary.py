"""Systems built to be called healthy although they are not, and healthy ones built to raise an alarm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from deploykit.planning.snapshot import LiveVariable, StagedPatch
from deploykit.profile.schema import Profile
from deploykit.verification.census import Class, Row
from deploykit.verification.checks import Health, Verdict, check, judge
from deploykit.verification.diagnosis import diagnose
from deploykit.verification.evidence import Sample
from deploykit.verification.liveness import Pulse, lives, seconds_to_watch
from runtime.lease import LeaseState
from tests.deploykit.verification.test_checks import schedule
from tests.deploykit.verification.world import (
    DAEMON_ENV,
    NOW,
    WEB_ENV,
    World,
    aged,
    beat,
    deployment,
    instances,
    later,
    pre_launch,
    service,
    verdicts,
)


def daemons(world: World) -> list[Row]:
    return world.case().census.of("schedule_daemon")


def health(world: World) -> Health:
    return judge(world.case()).health


# --- alive, and not at work -------------------------------------------------------------------------------------------


def hung(heartbeat: Any, milliseconds: int) -> Any:
    return replace(heartbeat, loops={"schedules" if heartbeat.kind == "schedule_daemon" else "poll": milliseconds})


@pytest.mark.parametrize("name", ["daemon", "worker"])
def test_a_process_whose_loop_hangs_while_its_heart_beats_is_silent_and_called_stuck(name: str) -> None:
    world = World()
    world.alive[name] = hung(world.alive[name], 80_000)
    found = judge(world.case())
    (row,) = [row for row in found.census.of(world.alive[name].kind) if row.class_ is Class.SILENT]
    assert "has not turned for 80 s" in row.why
    assert found.health is Health.UNHEALTHY
    first = diagnose(found)[0]
    assert (first.id, first.service) == ("stuck", row.service)
    assert first.cure[0] == f"railway restart --service {row.service}"


@pytest.mark.parametrize(("name", "milliseconds"), [("daemon", 31_000), ("worker", 44_000), ("daemon", 0)])
def test_a_loop_that_waits_for_its_next_turn_or_for_a_database_that_was_away_does_not_hang(
    name: str, milliseconds: int
) -> None:
    world = World()
    world.alive[name] = hung(world.alive[name], milliseconds)
    assert health(world) is Health.HEALTHY


def test_a_worker_that_polls_every_two_minutes_may_sleep_for_two_minutes() -> None:
    env = WEB_ENV | {"JOB_WORKER_POLL_INTERVAL_MS": "120000"}
    services = pre_launch().model_dump()["services"]
    services["web-server"]["env"] = env
    world = World(profile=pre_launch(services=services))
    world.services["web-server"] = service("web-server", deployment("web", "web-server"), env=env)
    world.alive["worker"] = hung(replace(world.alive["worker"], poll_interval_ms=120_000), 119_000)
    assert health(world) is Health.HEALTHY


def test_loops_that_say_nothing_we_understand_are_no_evidence() -> None:
    world = World()
    world.alive["worker"] = replace(world.alive["worker"], loops={"poll": "soon", "other": None})
    assert health(world) is Health.HEALTHY


def test_who_beat_once_and_froze_while_we_went_on_watching_is_not_alive() -> None:
    row = beat("d", "schedule_daemon", "day")
    once = replace(later(row), seconds_ago=0.0)
    samples = [Sample(NOW, (row,)), Sample(NOW + timedelta(seconds=1), (once,))]
    assert lives(tuple(samples))[0].pulse is Pulse.ALIVE
    samples.append(Sample(NOW + timedelta(seconds=36), (aged(once, 35),)))
    assert lives(tuple(samples))[0].pulse is Pulse.FROZEN
    assert seconds_to_watch(tuple(samples)) == 0


def test_a_beat_that_is_a_little_late_is_still_a_beat() -> None:
    row = beat("d", "schedule_daemon", "day")
    once = replace(later(row), seconds_ago=0.0)
    samples = (Sample(NOW, (row,)), Sample(NOW + timedelta(seconds=1), (once,)),
               Sample(NOW + timedelta(seconds=26), (aged(once, 25),)))  # fmt: skip
    assert lives(samples)[0].pulse is Pulse.ALIVE


def test_a_row_from_the_future_that_stands_still_is_no_sign_of_life() -> None:
    world = World()
    forged = replace(world.alive.pop("daemon"), last_heartbeat_at=NOW + timedelta(days=1), seconds_ago=-86_400.0)
    world.frozen["daemon"] = forged
    assert health(world) is Health.UNHEALTHY


def test_a_process_that_is_started_again_and_again_is_not_healthy_between_two_falls() -> None:
    world = World()
    for number in range(3):
        began = NOW - timedelta(seconds=30 * (number + 1))
        world.frozen[f"fall{number}"] = beat(
            f"f{number}", "schedule_daemon", "day", service="schedule-daemon", status="DEAD", started_at=began
        )
    world.alive["daemon"] = replace(world.alive["daemon"], started_at=NOW - timedelta(seconds=5))
    found = judge(world.case())
    assert verdicts(found.checks)["restarts:schedule-daemon"] == "fail"
    first = diagnose(found)[0]
    assert (first.id, first.cure[0]) == ("crash-loop", "railway logs --service schedule-daemon")


def test_a_process_that_fell_once_or_long_ago_is_healthy() -> None:
    world = World()
    for number, hours in enumerate((0.01, 2, 3, 4)):
        began = NOW - timedelta(hours=hours)
        world.frozen[f"fall{number}"] = beat(
            f"f{number}", "schedule_daemon", "day", service="schedule-daemon", status="DEAD", started_at=began
        )
    assert health(world) is Health.HEALTHY


# --- in the wrong place -----------------------------------------------------------------------------------------------


def rolled_out(old: str = "REMOVING", **changes: Any) -> World:
    """A world whose daemon was deployed anew fifty minutes ago, and whose old one beats."""
    world = World()
    new = deployment("new", "schedule-daemon", created_at=NOW - timedelta(minutes=50))
    world.replace_deployments("schedule-daemon", new, deployment("day", "schedule-daemon", status=old), **changes)
    return world


def test_an_old_process_does_not_stand_in_for_a_new_deployment_that_never_beats() -> None:
    world = rolled_out()
    assert [row.class_ for row in daemons(world)] == [Class.DRAINING, Class.SILENT]
    assert health(world) is Health.UNHEALTHY


def test_an_old_deployment_that_railway_still_calls_a_success_does_not_stand_in_either() -> None:
    world = rolled_out("SUCCESS", active_ids=("new",))
    assert sorted(row.class_ for row in daemons(world)) == [Class.DUPLICATE, Class.SILENT]


def test_right_after_a_deploy_the_old_process_does_not_make_the_new_one_healthy() -> None:
    world = World()
    new = deployment("new", "schedule-daemon", created_at=NOW - timedelta(seconds=20))
    world.replace_deployments("schedule-daemon", new, deployment("day", "schedule-daemon"))
    assert health(world) is Health.INCONCLUSIVE


def test_while_the_new_one_is_built_the_old_one_is_what_is_expected() -> None:
    world = World()
    new = deployment("new", "schedule-daemon", status="BUILDING", instances=(), created_at=NOW - timedelta(seconds=20))
    world.replace_deployments("schedule-daemon", new, deployment("day", "schedule-daemon"),
                              active_ids=("day",), latest_id="new")  # fmt: skip
    assert [row.class_ for row in daemons(world)] == [Class.EXPECTED]
    assert health(world) is Health.HEALTHY


def test_one_that_never_finishes_leaving_is_one_too_many() -> None:
    world = rolled_out()
    world.alive["new"] = beat("n", "schedule_daemon", "new", started_at=NOW - timedelta(minutes=40))
    assert [row.class_ for row in daemons(world)] == [Class.EXPECTED, Class.DUPLICATE]
    world.alive["new"] = replace(world.alive["new"], started_at=NOW - timedelta(seconds=10))
    assert [row.class_ for row in daemons(world)] == [Class.EXPECTED, Class.DRAINING]


def test_a_row_that_claims_to_drain_for_ever_is_one_too_many() -> None:
    world = World()
    world.alive["forged"] = beat("f", "schedule_daemon", "day", status="DRAINING")
    assert [row.class_ for row in daemons(world)] == [Class.EXPECTED, Class.DUPLICATE]


def test_a_laptop_with_a_copied_deployment_id_does_not_stand_in_for_the_container() -> None:
    world = World()
    world.frozen["daemon"] = world.alive.pop("daemon")
    world.alive["copy"] = beat("c", "schedule_daemon", "day", replica=None, hostname="laptop")
    assert [row.class_ for row in daemons(world)] == [Class.SILENT, Class.DUPLICATE]
    assert health(world) is Health.UNHEALTHY


def test_a_rollout_of_two_replicas_is_not_whole_while_old_ones_fill_the_gap() -> None:
    services = pre_launch().model_dump()["services"]
    services["worker"] = {"role": "worker", "start": "python -m runtime worker", "replicas": 2, "env": WEB_ENV}
    world = World(profile=pre_launch(services=services, expect={"schedule_daemon": 1, "job_worker": 3}))
    new = deployment(
        "new", "worker", created_at=NOW - timedelta(minutes=9), instances=instances("new", *["RUNNING"] * 2)
    )
    old = deployment("old", "worker", status="REMOVING", instances=instances("old", *["REMOVING"] * 2))
    world.services["worker"] = service("worker", new, old, env=WEB_ENV)
    world.alive["n0"] = beat("n0", "job_worker", "new", replica="new-0", started_at=NOW - timedelta(seconds=10))
    world.alive["o0"] = beat("o0", "job_worker", "old", replica="old-0")
    world.alive["o1"] = beat("o1", "job_worker", "old", replica="old-1")
    classes = sorted(str(row.class_) for row in world.case().census.of("job_worker") if row.service == "worker")
    assert classes == ["draining", "draining", "expected", "silent"]


# --- schedules and the lease ------------------------------------------------------------------------------------------


def test_an_enabled_schedule_that_has_no_next_run_is_not_proved() -> None:
    world = World()
    world.extra["schedules"] = (schedule("hourly", next_run_at=None),)
    (result,) = [result for result in check(world.case()) if result.id == "schedules"]
    assert (result.verdict, "hourly" in result.summary) == (Verdict.INCONCLUSIVE, True)


def test_a_schedule_that_is_off_or_held_needs_no_next_run() -> None:
    world = World()
    held = schedule("held", paused_until=NOW + timedelta(days=1), next_run_at=NOW - timedelta(days=1))
    world.extra["schedules"] = (schedule("off", next_run_at=None, enabled=False), held)
    assert health(world) is Health.HEALTHY


def test_a_lease_that_nobody_can_take_for_an_hour_is_a_fault_with_its_cure() -> None:
    world = World()
    world.extra["lease"] = LeaseState("nobody", 9, 3600.0)
    world.alive["daemon"] = replace(world.alive["daemon"], status="STANDBY")
    found = judge(world.case())
    assert verdicts(found.checks)["lease"] == "fail"
    first = diagnose(found)[0]
    assert (first.id, "UPDATE SchedulerLease" in first.cure[0]) == ("lease-stuck", True)


# --- no alarm ---------------------------------------------------------------------------------------------------------


def web_without_worker(sleep: bool) -> Profile:
    services = pre_launch().model_dump()["services"]
    env = {**WEB_ENV, "EMBEDDED_JOB_WORKER": "false"}
    services["site"] = {"role": "web", "start": "node site.js", "sleep": sleep, "env": env}
    return pre_launch(services=services)


def sleeping_site(sleep: bool) -> World:
    world = World(profile=web_without_worker(sleep))
    env = {**WEB_ENV, "EMBEDDED_JOB_WORKER": "false"}
    asleep = deployment("site", "site", status="SLEEPING", stopped=True, instances=())
    world.services["site"] = service("site", asleep, env=env)
    return world


def test_a_web_server_that_may_sleep_and_sleeps_is_healthy() -> None:
    assert health(sleeping_site(True)) is Health.HEALTHY


def test_a_web_server_that_sleeps_although_the_profile_does_not_let_it_is_a_fault() -> None:
    assert health(sleeping_site(False)) is Health.UNHEALTHY


def test_flags_that_refer_to_a_shared_variable_are_no_change_that_was_never_deployed() -> None:
    world = World()
    live = service("schedule-daemon", deployment("day", "schedule-daemon", variables=DAEMON_ENV), env=DAEMON_ENV)
    shared = LiveVariable("SCHEDULE_POLL_INTERVAL_MS", "${{shared.POLL}}")
    world.services["schedule-daemon"] = replace(live, variables={**live.variables, shared.name: shared})
    found = judge(world.case())
    assert (found.health, diagnose(found)) == (Health.HEALTHY, [])


def test_edits_that_touch_shared_variables_alone_are_told() -> None:
    world = World()
    world.staged = StagedPatch("s", "STAGED", False, ("shared variables",))
    assert verdicts(check(world.case()))["staged-changes"] == "fail"


def test_a_table_without_a_column_for_the_deployment_holds_no_foreigners() -> None:
    world = World()
    world.alive = {
        name: replace(row, deployment=None, replica=None, unplaced=True) for name, row in world.alive.items()
    }
    assert {row.class_ for row in world.case().census.rows} == {Class.EXPECTED}
    assert health(world) is Health.INCONCLUSIVE


# --- whatever the world is like ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Being:
    """A process as it truly is, beside what its row says."""

    kind: str
    place: str
    state: str
    status: str
    says_replica: bool


PLACES = ("home", "home", "home", "old", "wrong service", "ghost service", "laptop", "elsewhere", "copied id")
BEINGS = st.builds(
    Being,
    st.sampled_from(["schedule_daemon", "job_worker"]),
    st.sampled_from(PLACES),
    st.sampled_from(["alive", "alive", "frozen", "hung", "froze early"]),
    st.sampled_from(["RUNNING", "RUNNING", "STANDBY", "DRAINING", "DEAD", "STOPPED"]),
    st.booleans(),
)
HOMES = {"schedule_daemon": ("day", "schedule-daemon"), "job_worker": ("web", "web-server")}


def inhabited(beings: list[Being]) -> World:
    """The healthy world's platform, with these beings instead of its processes."""
    world = World()
    world.services["cron"] = service("cron", deployment("cr", "cron"), env={})
    world.alive = {}
    world.extra["elsewhere"] = {"pr": "pr-42"}
    frozen_early = []
    for number, being in enumerate(beings):
        identity = f"{number}"
        home, name = HOMES[being.kind]
        other = HOMES["job_worker" if being.kind == "schedule_daemon" else "schedule_daemon"][0]
        where = {"home": home, "old": "removed", "wrong service": other, "ghost service": "cr", "laptop": None,
                 "elsewhere": "pr", "copied id": home}[being.place]  # fmt: skip
        replica = f"{where}-0" if where and being.says_replica and being.place != "copied id" else None
        row = beat(identity, being.kind, where, status=being.status, service=name, replica=replica)
        if being.state == "hung":
            row = hung(row, 90_000)
        if being.state in ("alive", "hung"):
            world.alive[identity] = row
        elif being.state == "frozen":
            world.frozen[identity] = row
        else:
            frozen_early.append(row)
    world.extra["lease"] = LeaseState("0", 3, 30.0)
    if frozen_early:
        first, last = world.samples()
        moved = [later(row) for row in frozen_early]
        middle = Sample(
            NOW + timedelta(seconds=1), (*last.heartbeats, *(replace(row, seconds_ago=0.0) for row in moved))
        )
        end = replace(last, heartbeats=(*last.heartbeats, *(aged(replace(row, seconds_ago=0.0), 35) for row in moved)))
        world.extra["samples"] = (replace(first, heartbeats=(*first.heartbeats, *frozen_early)), middle, end)
    return world


def at_work(beings: list[Being], kind: str) -> list[Being]:
    return [being for being in beings if being.kind == kind and being.state == "alive"]


HOMELY = [Being(kind, "home", "alive", "RUNNING", True) for kind in ("schedule_daemon", "job_worker")]
NEARLY_RIGHT = st.tuples(st.sampled_from([*HOMELY[:1] * 4, None]), st.sampled_from([*HOMELY[1:] * 4, None]),
                         st.lists(BEINGS, max_size=2)).map(lambda one: [*filter(None, one[:2]), *one[2]])  # fmt: skip


@given(NEARLY_RIGHT)
def test_healthy_means_that_one_of_each_kind_truly_works_at_home_and_nobody_else_lives(beings: list[Being]) -> None:
    if health(inhabited(beings)) is Health.HEALTHY:
        for kind in HOMES:
            assert [being.place for being in at_work(beings, kind)] in (["home"], ["copied id"])
        assert not [being for being in beings if being.state == "hung"]


@given(st.permutations(["schedule_daemon", "job_worker"]), st.lists(BEINGS, max_size=4))
def test_who_works_at_home_alone_among_rows_of_the_dead_raises_no_alarm(order: list[str], others: list[Being]) -> None:
    """Rows that nobody keeps fresh never make a healthy system sick, wherever they claim to be from."""
    beings = [Being(kind, "home", "alive", "RUNNING", True) for kind in order]
    dead = [replace(being, state="frozen") for being in others]
    world = inhabited([*beings, *dead])
    daemon = str(order.index("schedule_daemon"))
    world.extra["lease"] = LeaseState(daemon, 3, 30.0)
    assert health(world) is Health.HEALTHY


STATUSES = ("QUEUED", "WAITING", "NEEDS_APPROVAL", "INITIALIZING", "BUILDING", "DEPLOYING", "SUCCESS", "SUCCESS",
            "SLEEPING", "CRASHED", "FAILED", "SKIPPED", "REMOVING", "REMOVED", "UNHEARD_OF")  # fmt: skip
INSTANCES = ("CREATED", "INITIALIZING", "RUNNING", "RUNNING", "RUNNING", "RESTARTING", "EXITED", "CRASHED", "STOPPED",
             "REMOVING", "UNHEARD_OF")  # fmt: skip


@given(
    st.sampled_from(STATUSES),
    st.booleans(),
    st.lists(st.sampled_from(INSTANCES), max_size=2),
    st.sampled_from([None, "SUCCESS", "REMOVING", "CRASHED"]),
    st.booleans(),
    st.sampled_from(["true", "false", None]),
)
def test_healthy_means_that_railway_runs_exactly_what_the_profile_wants(
    status: str, stopped: bool, running: list[str], older: str | None, listed: bool, flag: str | None
) -> None:
    world = World()
    env = {name: value for name, value in DAEMON_ENV.items() if name != "SCHEDULE_DAEMON_ENABLED"}
    env |= {} if flag is None else {"SCHEDULE_DAEMON_ENABLED": flag}
    deployments = [deployment("day", "schedule-daemon", status=status, stopped=stopped,
                              instances=instances("day", *running))]  # fmt: skip
    if older is not None:
        deployments.append(deployment("old", "schedule-daemon", status=older, created_at=NOW - timedelta(days=1)))
    active = ("day", *(["old"] if older and listed else []))
    world.services["schedule-daemon"] = service("schedule-daemon", *deployments, env=env, active_ids=active)
    if health(world) is Health.HEALTHY:
        live = [one for one in running if one not in ("EXITED", "CRASHED", "STOPPED")]
        assert (status, stopped, live, flag) == ("SUCCESS", False, ["RUNNING"], "true")
        assert older in (None, "REMOVING") or not listed
