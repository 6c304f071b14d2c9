"""Each check passes on evidence, fails on its fault, and never passes on nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from deploykit.planning.snapshot import LiveVariable, StagedPatch
from deploykit.verification.checks import Health, Verdict, check, health
from deploykit.verification.evidence import Problem, Step
from runtime.db import ServerFacts
from runtime.jobs import QueueSummary
from runtime.lease import LeaseState
from runtime.schedules import Schedule
from tests.deploykit.verification.world import (
    DAEMON_ENV,
    NOW,
    WEB_ENV,
    World,
    beat,
    deployment,
    instances,
    pre_launch,
    service,
    verdicts,
)


def schedule(name: str, **changes: object) -> Schedule:
    values: dict[str, object] = {
        "id": name, "name": name, "job_name": "noop", "enabled": True, "cron": "0 * * * *", "interval_seconds": None,
        "timezone": "UTC", "misfire_policy": "SKIP", "misfire_max": 10, "grace_seconds": 60,
        "overlap_policy": "ALLOW", "paused_until": None, "next_run_at": NOW + timedelta(minutes=5),
        "last_due_at": None, "last_run_at": None,
    }  # fmt: skip
    return Schedule(**values | changes)  # type: ignore[arg-type]


def test_the_healthy_system_passes_every_check() -> None:
    world = World()
    forgotten(world, 0.0)
    checks = check(world.case())
    assert {result.verdict for result in checks} == {Verdict.PASS}
    assert health(checks) is Health.HEALTHY
    assert {"services", "active-deployment:web-server", "instances:schedule-daemon", "schedule-daemon", "job-worker",
            "others", "heartbeats", "poll-intervals", "lease", "schedules", "queue", "connections",
            "log-lines:web-server", "log-lines:schedule-daemon", "staged-changes", "variables:web-server",
            "variables:schedule-daemon"} <= verdicts(checks).keys()  # fmt: skip


def crashed(world: World) -> None:
    world.replace_deployments("web-server", deployment("web", "web-server", status="CRASHED", instances=()))
    del world.alive["worker"]


def completed(world: World) -> None:
    stopped = deployment("day", "schedule-daemon", stopped=True, instances=instances("day", "EXITED"))
    world.replace_deployments("schedule-daemon", stopped)
    del world.alive["daemon"]


def failed_after(world: World) -> None:
    new = deployment("new", "web-server", status="FAILED", instances=(), created_at=NOW - timedelta(minutes=9))
    world.replace_deployments("web-server", new, deployment("web", "web-server"))


def two_active(world: World) -> None:
    new = deployment("new", "web-server", created_at=NOW - timedelta(minutes=40))
    world.replace_deployments("web-server", new, deployment("web", "web-server"))
    world.alive["new"] = beat("w2", "job_worker", "new")


def sleeping(world: World) -> None:
    world.replace_deployments("web-server", deployment("web", "web-server", status="SLEEPING", instances=()))
    del world.alive["worker"]


def two_replicas(world: World) -> None:
    two = deployment("day", "schedule-daemon", instances=instances("day", "RUNNING", "RUNNING"))
    world.replace_deployments("schedule-daemon", two)
    world.alive["second"] = beat("d2", "schedule_daemon", "day", replica="day-1", status="STANDBY")


def staged(world: World) -> None:
    world.staged = StagedPatch("s", "STAGED", False, ("web-server",))


def flag_never_deployed(world: World) -> None:
    changed = service("web-server", deployment("web", "web-server", variables=WEB_ENV),
                      env=WEB_ENV | {"SCHEDULE_DAEMON_ENABLED": "true"})  # fmt: skip
    world.services["web-server"] = changed


def deployed_with_another_flag(world: World) -> None:
    env = WEB_ENV | {"SCHEDULE_DAEMON_ENABLED": "true"}
    world.services["web-server"] = service("web-server", deployment("web", "web-server"), env=env)


def ghost_service(world: World) -> None:
    world.services["cron"] = service("cron", deployment("cr", "cron"), env=DAEMON_ENV)


def missing_service(world: World) -> None:
    del world.services["schedule-daemon"], world.alive["daemon"]


def by_hand(world: World) -> None:
    world.alive["ghost"] = beat("g", "schedule_daemon", None, status="STANDBY")


def ghost_leads(world: World) -> None:
    by_hand(world)
    world.extra["lease"] = LeaseState("g", 4, 20.0)


def nobody_leads(world: World) -> None:
    world.extra["lease"] = LeaseState(None, 4, -5.0)


def everybody_frozen(world: World) -> None:
    world.frozen, world.alive = world.alive, {}


def another_poll(world: World) -> None:
    world.alive["daemon"] = replace(world.alive["daemon"], poll_interval_ms=60_000)


def overdue(world: World) -> None:
    world.extra["schedules"] = (schedule("hourly", next_run_at=NOW - timedelta(hours=3)),)


def backlog(world: World) -> None:
    world.extra["queue"] = QueueSummary(51, 0, 0, 0, 0, 0, 10.0)


def oldest(world: World) -> None:
    world.extra["queue"] = QueueSummary(1, 0, 0, 0, 0, 0, 3601.0)


def connections(world: World) -> None:
    world.extra["server"] = ServerFacts("9.0.0", NOW, 151, 130, False)


def forgotten(world: World, seconds: float = 901.0) -> None:
    world.extra["server"] = replace(
        ServerFacts("9.0.0", NOW, 151, 9, False),
        oldest_foreign_trx_seconds=seconds, oldest_foreign_trx_thread=77, history_list_length=60_000,
    )  # fmt: skip


def read_only(world: World) -> None:
    world.extra["server"] = ServerFacts("9.0.0", NOW, 151, 9, True)


def wrong_line(world: World) -> None:
    world.extra["logs"] = world.logs() | {"day": ("Polling every 60s",)}


def smoke_failed(world: World) -> None:
    world.extra["smoke"] = (Step("smoke:job", "fail", "the job is FAILED"),)


FAILS: dict[str, tuple[Callable[[World], None], str]] = {
    "crashed": (crashed, "active-deployment:web-server"),
    "completed": (completed, "active-deployment:schedule-daemon"),
    "failed deploy beside a running one": (failed_after, "latest-deployment:web-server"),
    "two active deployments": (two_active, "active-deployment:web-server"),
    "sleeping worker": (sleeping, "active-deployment:web-server"),
    "replicas edited": (two_replicas, "instances:schedule-daemon"),
    "staged edits": (staged, "staged-changes"),
    "flag changed, never deployed": (flag_never_deployed, "variables:web-server"),
    "deployed with another flag": (deployed_with_another_flag, "variables:web-server"),
    "ghost service": (ghost_service, "services"),
    "missing service": (missing_service, "services"),
    "daemon by hand": (by_hand, "others"),
    "ghost leads": (ghost_leads, "lease"),
    "nobody leads": (nobody_leads, "lease"),
    "all frozen": (everybody_frozen, "heartbeats"),
    "daemon frozen": (everybody_frozen, "schedule-daemon"),
    "worker frozen": (everybody_frozen, "job-worker"),
    "another poll": (another_poll, "poll-intervals"),
    "overdue": (overdue, "schedules"),
    "backlog": (backlog, "queue"),
    "oldest": (oldest, "queue"),
    "connections": (connections, "connections"),
    "read-only": (read_only, "database"),
    "forgotten transaction": (forgotten, "transactions"),
    "wrong log line": (wrong_line, "log-lines:schedule-daemon"),
    "smoke": (smoke_failed, "smoke:job"),
    "web crashed": (crashed, "web"),
}


@pytest.mark.parametrize("fault", FAILS)
def test_a_fault_fails_its_check_with_a_hint_and_makes_the_system_unhealthy(fault: str) -> None:
    break_it, identity = FAILS[fault]
    world = World()
    break_it(world)
    checks = check(world.case())
    assert verdicts(checks)[identity] == "fail"
    assert health(checks) is Health.UNHEALTHY
    assert identity.startswith("smoke") or all(result.hint for result in checks if result.id == identity)


def no_database(world: World) -> None:
    world.extra |= {"samples": (), "queue": None, "lease": None, "server": None, "schedules": None,
                    "problems": (Problem("database", "connection refused"),)}  # fmt: skip


def no_railway(world: World) -> None:
    world.extra |= {"before": None, "after": None, "problems": (Problem("railway", "connection refused"),)}


def one_sample(world: World) -> None:
    world.extra["samples"] = world.samples()[:1]


def no_logs(world: World) -> None:
    world.extra["logs"] = {}


def line_missing(world: World) -> None:
    world.extra["logs"] = world.logs() | {"day": ("Starting schedule daemon",)}


def masked(world: World) -> None:
    world.services["web-server"] = service("web-server", deployment("web", "web-server", variables=None))


def no_poll(world: World) -> None:
    world.alive["daemon"] = replace(world.alive["daemon"], poll_interval_ms=None)


def lease_changes_hands(world: World) -> None:
    world.extra["lease"] = LeaseState("somebody dead", 4, 20.0)


def daemon_takes_over(world: World) -> None:
    lease_changes_hands(world)
    world.alive["daemon"] = replace(world.alive["daemon"], status="STANDBY")


def no_lease(world: World) -> None:
    world.extra["lease"] = None


def starting(world: World) -> None:
    young = deployment("day", "schedule-daemon", created_at=NOW - timedelta(seconds=9))
    world.replace_deployments("schedule-daemon", young)
    del world.alive["daemon"]
    world.extra["lease"] = LeaseState(None, 0, -9.0)


def building(world: World) -> None:
    old = deployment("day", "schedule-daemon", status="REMOVED", instances=())
    new = deployment("new", "schedule-daemon", status="BUILDING", instances=(), created_at=NOW)
    world.replace_deployments("schedule-daemon", new, old, active_ids=())
    del world.alive["daemon"]
    world.extra["lease"] = LeaseState(None, 0, -9.0)


def nameless_rows(world: World) -> None:
    for key, kind in (("daemon", "schedule_daemon"), ("worker", "job_worker")):
        world.alive[key] = beat(key, kind, None, beats=None, hostname=None, pid=None, heartbeat_interval_ms=None,
                                poll_interval_ms=None)  # fmt: skip


UNCLEAR: dict[str, Callable[[World], None]] = {
    "no database": no_database,
    "no railway": no_railway,
    "one sample": one_sample,
    "no logs": no_logs,
    "a line is missing": line_missing,
    "variables withheld": masked,
    "no poll interval": no_poll,
    "lease changes hands": lease_changes_hands,
    "a daemon takes over": daemon_takes_over,
    "no lease": no_lease,
    "starting": starting,
    "building": building,
    "the guide's columns only": nameless_rows,
}


@pytest.mark.parametrize("gap", UNCLEAR)
def test_missing_evidence_is_inconclusive_and_never_healthy(gap: str) -> None:
    world = World()
    UNCLEAR[gap](world)
    checks = check(world.case())
    failed = [result for result in checks if result.verdict is Verdict.FAIL]
    assert failed == []
    assert health(checks) is Health.INCONCLUSIVE


def test_no_checks_at_all_are_inconclusive() -> None:
    assert health([]) is Health.INCONCLUSIVE


def test_a_rollout_is_no_alarm() -> None:
    world = World()
    new = deployment("new", "schedule-daemon", created_at=NOW - timedelta(seconds=15))
    world.replace_deployments("schedule-daemon", new, deployment("day", "schedule-daemon", status="REMOVING"))
    world.alive["daemon"] = replace(world.alive["daemon"], status="DRAINING")
    world.alive["new"] = beat("d2", "schedule_daemon", "new", started_at=NOW - timedelta(seconds=10))
    world.extra["lease"] = LeaseState("d2", 4, 20.0)
    checks = check(world.case())
    assert [result for result in checks if result.verdict is Verdict.FAIL] == []


def test_lines_older_than_what_railway_keeps_are_not_held_against_the_system() -> None:
    world = World()
    world.replace_deployments(
        "schedule-daemon", deployment("day", "schedule-daemon", created_at=NOW - timedelta(days=8))
    )
    world.extra["logs"] = world.logs() | {"day": ()}
    assert verdicts(check(world.case()))["log-lines:schedule-daemon"] == "skip"
    assert health(check(world.case())) is Health.HEALTHY


def test_a_sealed_flag_is_not_held_against_the_configuration() -> None:
    world = World()
    web = world.services["web-server"]
    sealed = dict(web.variables) | {"DATABASE_CONNECTION_LIMIT": LiveVariable("DATABASE_CONNECTION_LIMIT", None, True)}
    world.services["web-server"] = replace(web, variables=sealed)
    assert health(check(world.case())) is Health.HEALTHY


def test_services_that_run_nothing_of_ours_are_no_ghosts() -> None:
    world = World()
    world.services["redis"] = service("redis", deployment("re", "redis"))
    assert health(check(world.case())) is Health.HEALTHY


def test_a_paused_schedule_is_not_overdue() -> None:
    world = World()
    paused = schedule("hourly", next_run_at=NOW - timedelta(hours=3), paused_until=NOW + timedelta(hours=1))
    world.extra["schedules"] = (paused,)
    assert health(check(world.case())) is Health.HEALTHY


def test_a_user_who_may_not_see_the_transactions_of_others_is_told_so_and_proves_the_system() -> None:
    checks = check(World().case())
    assert verdicts(checks)["transactions"] == "skip"
    assert health(checks) is Health.HEALTHY


def test_a_transaction_as_long_as_the_longest_job_is_no_alarm() -> None:
    services = pre_launch().model_dump()["services"]
    services["web-server"]["max_job_seconds"] = 1800
    world = World(profile=pre_launch(services=services))
    forgotten(world)
    assert verdicts(check(world.case()))["transactions"] == "pass"
