"""The cause named first is the root, and its cure is the guide's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import combinations

import pytest

from deploykit.planning.snapshot import Instance
from deploykit.verification.checks import judge
from deploykit.verification.diagnosis import Diagnosis, Rank, diagnose
from deploykit.verification.evidence import Problem
from runtime.db import ServerFacts
from runtime.jobs import QueueSummary
from tests.deploykit.verification import test_checks as faults
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
)


def causes(world: World) -> list[Diagnosis]:
    return diagnose(judge(world.case()))


def daemon_env(world: World, **changes: str) -> None:
    env = DAEMON_ENV | changes
    world.services["schedule-daemon"] = service("schedule-daemon", deployment("day", "schedule-daemon"), env=env)


def two_daemons(world: World) -> None:
    env = WEB_ENV | {"SCHEDULE_DAEMON_ENABLED": "true"}
    world.services["web-server"] = service("web-server", deployment("web", "web-server"), env=env)
    world.alive["inside"] = beat("i", "schedule_daemon", "web", service="web-server", poll_interval_ms=60_000)


def worker_frozen(world: World) -> None:
    world.frozen["worker"] = world.alive.pop("worker")


def worker_gone(world: World) -> None:
    del world.alive["worker"]


def worker_flag_off(world: World) -> None:
    del world.alive["worker"]
    env = WEB_ENV | {"EMBEDDED_JOB_WORKER": "false"}
    world.services["web-server"] = service("web-server", deployment("web", "web-server"), env=env)


def daemon_flag_off(world: World) -> None:
    del world.alive["daemon"]
    daemon_env(world, SCHEDULE_DAEMON_ENABLED="false")


def polls_hourly(world: World) -> None:
    daemon_env(world, SCHEDULE_POLL_INTERVAL_MS="900000")
    world.alive["daemon"] = replace(world.alive["daemon"], poll_interval_ms=900_000)


def crash_loop(world: World) -> None:
    del world.alive["daemon"]
    restarting = deployment("day", "schedule-daemon", instances=instances("day", "RESTARTING"))
    world.replace_deployments("schedule-daemon", restarting)


def wrong_command(world: World) -> None:
    del world.alive["daemon"]
    other = deployment("day", "schedule-daemon", settings={"startCommand": "sleep 9"})
    world.replace_deployments("schedule-daemon", other)


def wrong_command_that_crashed(world: World) -> None:
    wrong_command(world)
    gone = deployment("day", "schedule-daemon", status="CRASHED", instances=(), settings={"startCommand": "exit 1"})
    world.replace_deployments("schedule-daemon", gone, active_ids=())


def other_environment(world: World) -> None:
    world.alive["pr"] = beat("p", "schedule_daemon", "pr-1", service="schedule-daemon")
    world.extra["elsewhere"] = {"pr-1": "pr-42"}


def zombie(world: World) -> None:
    world.alive["zombie"] = beat("z", "schedule_daemon", "gone")


def database_down(world: World) -> None:
    faults.no_database(world)
    world.services["MySQL"] = service("MySQL", deployment("db", "MySQL", status="CRASHED", instances=()))


def database_stopped(world: World) -> None:
    faults.no_database(world)
    stopped = deployment("db", "MySQL", instances=(Instance("db-0", "STOPPED"),))
    world.services["MySQL"] = service("MySQL", stopped)


def too_many(world: World) -> None:
    world.extra["samples"] = ()
    world.extra["problems"] = (Problem("database", "(1040) Too many connections"),)


def token(world: World) -> None:
    world.extra |= {"before": None, "after": None, "problems": (Problem("railway", "Not Authorized", "", "refused"),)}


def stuck_job(world: World) -> None:
    world.extra["stuck_jobs"] = (("j1", "video", 9000.0),)
    world.extra["queue"] = QueueSummary(60, 1, 0, 0, 0, 0, 4000.0)


def no_handler(world: World) -> None:
    world.extra["queue"] = QueueSummary(1, 0, 0, 0, 0, 0, 4000.0)
    world.extra["waiting_for_handler"] = {"unheard-of": 1}


def no_tables(world: World) -> None:
    faults.no_database(world)
    world.extra["problems"] = (Problem("database", "Table 'x.WorkerInstance' doesn't exist", "", "schema"),)


def young(world: World) -> None:
    faults.starting(world)


def removed(world: World) -> None:
    del world.alive["daemon"]
    world.replace_deployments("schedule-daemon")


def removed_after_one_that_failed(world: World) -> None:
    """Railway's ``latestDeployment`` is then the one that failed, though it is the older of the two."""
    del world.alive["daemon"]
    gone = deployment("gone", "schedule-daemon", status="REMOVED", instances=())
    hours_ago = NOW - timedelta(hours=2)
    failed = deployment("failed", "schedule-daemon", status="FAILED", instances=(), created_at=hours_ago)
    world.replace_deployments("schedule-daemon", gone, failed, active_ids=(), latest_id="failed")


FIRST: dict[str, tuple[Callable[[World], None], str, str]] = {
    "two daemons": (two_daemons, "two-daemons", "set SCHEDULE_DAEMON_ENABLED=false in web-server"),
    "worker stuck": (worker_frozen, "stuck", "railway restart --service web-server"),
    "worker in another database": (worker_gone, "wrong-database", "DATABASE_URL"),
    "worker flag off": (worker_flag_off, "worker-flag", "EMBEDDED_JOB_WORKER=true"),
    "daemon flag off": (daemon_flag_off, "daemon-flag-off", "SCHEDULE_DAEMON_ENABLED=true"),
    "wrong interval": (polls_hourly, "wrong-interval", "SCHEDULE_POLL_INTERVAL_MS=3600000"),
    "interval only seen": (faults.another_poll, "wrong-interval", "redeploy"),
    "too many connections": (faults.connections, "too-many-connections", "DATABASE_CONNECTION_LIMIT=5"),
    "too many to look": (too_many, "too-many-connections", "DATABASE_CONNECTION_LIMIT=5"),
    "crashed": (faults.crashed, "crash-loop", "railway logs --service web-server"),
    "crash loop": (crash_loop, "crash-loop", "railway logs --service schedule-daemon"),
    "ended with status 0": (faults.completed, "ended-by-itself", "restart: {policy: always}"),
    "asleep": (faults.sleeping, "asleep", "sleep: false"),
    "wrong command": (wrong_command, "wrong-command", "deploykit apply"),
    "wrong command that crashed": (wrong_command_that_crashed, "wrong-command", "deploykit apply"),
    "failed deploy": (faults.failed_after, "deploy-failed", "railway logs --deployment new"),
    "removed": (removed, "not-deployed", "railway redeploy --service schedule-daemon"),
    "removed, an older one failed": (
        removed_after_one_that_failed,
        "not-deployed",
        "railway redeploy --service schedule-daemon",
    ),
    "flag never deployed": (faults.flag_never_deployed, "never-deployed", "deploykit apply"),
    "laptop": (faults.by_hand, "foreign-process", "kill 7"),
    "pr environment": (other_environment, "other-environment", "a database of its own"),
    "ghost service": (faults.ghost_service, "ghost-service", "Delete Service"),
    "zombie": (zombie, "zombie", "deploykit ghosts --kill"),
    "old deployment": (faults.two_active, "old-deployment", "Deployments → ⋮ of web → Remove"),
    "replicas": (faults.two_replicas, "too-many-replicas", "replicas"),
    "staged": (faults.staged, "staged-changes", "Discard"),
    "database down": (database_down, "database-down", "railway redeploy --service MySQL"),
    "database stopped": (database_stopped, "database-down", "railway redeploy --service MySQL"),
    "database unreachable": (faults.no_database, "database-unreachable", "Public Access"),
    "no tables": (no_tables, "no-tables", "runtime migrate"),
    "forgotten transaction": (faults.forgotten, "old-transaction", "KILL 77"),
    "read-only": (faults.read_only, "database-read-only", "proxy"),
    "token": (token, "token-refused", "RAILWAY_TOKEN"),
    "railway": (faults.no_railway, "railway-unreachable", "status.railway.com"),
    "stuck job": (stuck_job, "stuck-job", "jobs cancel j1"),
    "no handler": (no_handler, "no-handler", "JOBS_MODULE"),
    "backlog": (faults.backlog, "backlog", "JOB_WORKER_CONCURRENCY"),
    "overdue": (faults.overdue, "overdue", "railway restart --service schedule-daemon"),
    "no leader": (faults.nobody_leads, "no-leader", "railway restart --service schedule-daemon"),
    "missing service": (faults.missing_service, "service-missing", "deploykit apply"),
    "starting": (young, "starting", "--wait"),
    "one check and no cause": (faults.smoke_failed, "check:smoke:job", ""),
}


@pytest.mark.parametrize("fault", FIRST)
def test_the_first_cause_is_the_root_and_brings_its_cure(fault: str) -> None:
    break_it, identity, cure = FIRST[fault]
    world = World()
    break_it(world)
    first = causes(world)[0]
    assert first.id == identity
    assert any(cure in line for line in first.cure)


def test_a_healthy_system_has_no_cause() -> None:
    assert causes(World()) == []


def test_clocks_that_disagree_and_schedules_all_off_are_remarks_and_no_illness() -> None:
    world = World()
    world.extra |= {"clock_skew_seconds": 95.0, "schedules": (faults.schedule("hourly", enabled=False),)}
    assert {(cause.id, cause.rank) for cause in causes(world)} == {
        ("clock-skew", Rank.REMARK),
        ("none-enabled", Rank.REMARK),
    }


def test_a_transaction_of_a_minute_is_a_remark_and_no_illness() -> None:
    world = World()
    faults.forgotten(world, 61.0)
    assert [(cause.id, cause.rank) for cause in causes(world)] == [("old-transaction", Rank.REMARK)]


def test_pools_that_are_too_large_are_named_and_small_ones_are_not() -> None:
    services = pre_launch().model_dump()["services"]
    services["web-server"]["env"] = WEB_ENV | {"DATABASE_CONNECTION_LIMIT": "40"}
    world = World(profile=pre_launch(services=services))
    world.services["web-server"] = service(
        "web-server", deployment("web", "web-server"), env=services["web-server"]["env"]
    )
    faults.connections(world)
    small = World()
    faults.connections(small)
    assert causes(world)[0].cure[:2] == (
        "set DATABASE_CONNECTION_LIMIT=5 in web-server (profile): 2 processes open 10, well under MySQL's 151",
        "deploykit plan pre-launch",
    )
    assert causes(small)[0].cure[0].startswith("DATABASE_CONNECTION_LIMIT=5 holds in every service")


def test_the_last_words_of_a_crashed_process_are_quoted() -> None:
    world = World()
    faults.crashed(world)
    world.extra["tails"] = {"web": ("PORT is 'abc'; write a whole number",)}
    assert "PORT is 'abc'" in causes(world)[0].because


INDEPENDENT = {
    name: FIRST[name]
    for name in ("two daemons", "daemon flag off", "laptop", "staged", "zombie", "ghost service", "stuck job")
}


@pytest.mark.parametrize(("one", "other"), list(combinations(INDEPENDENT, 2)))
def test_of_two_faults_both_are_named(one: str, other: str) -> None:
    world = World()
    for name in (one, other):
        INDEPENDENT[name][0](world)
    assert {INDEPENDENT[one][1], INDEPENDENT[other][1]} <= {cause.id for cause in causes(world)}


def test_used_connections_below_the_alarm_are_no_cause() -> None:
    world = World()
    world.extra["server"] = ServerFacts("9.0.0", NOW + timedelta(0), 151, 100, False)
    assert causes(world) == []


@pytest.mark.parametrize(
    ("deployed", "promised", "step"),
    [
        ("ALWAYS", "always", "railway redeploy --service schedule-daemon"),
        ("ON_FAILURE", "always", "deploykit plan pre-launch"),
        ("ON_FAILURE", "on_failure", "set restart: {policy: always} for schedule-daemon in the profile"),
    ],
)
def test_how_to_cure_a_process_that_ended_depends_on_what_would_have_started_it_again(
    deployed: str, promised: str, step: str
) -> None:
    services = pre_launch().model_dump()["services"]
    services["schedule-daemon"]["restart"] = {"policy": promised}
    world = World(profile=pre_launch(services=services))
    del world.alive["daemon"]
    stopped = deployment("day", "schedule-daemon", stopped=True, instances=instances("day", "EXITED"),
                         settings={"restartPolicyType": deployed})  # fmt: skip
    world.replace_deployments("schedule-daemon", stopped)
    first = causes(world)[0]
    assert (first.id, first.cure[0][: len(step)]) == ("ended-by-itself", step)
