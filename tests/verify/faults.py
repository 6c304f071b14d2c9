"""The fault table: what is broken, how, and what verify and doctor must say of it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from deploykit.sandbox import Sandbox
from tests.verify.stack import Stack

Inject = Callable[[Stack], None]
UNHEALTHY, INCONCLUSIVE, HEALTHY = "unhealthy", "inconclusive", "healthy"
_ROLLBACK = "mutation($d: String!) { deploymentRollback(id: $d) }"
_REMOVE = "mutation($d: String!) { deploymentRemove(id: $d) }"
_STOP = "mutation($d: String!) { deploymentStop(id: $d) }"


@dataclass(frozen=True)
class Fault:
    """One fault. ``cause`` is what doctor names first, None for nothing; ``rows`` are (kind, class) that appear."""

    name: str
    inject: Inject
    cause: str | None
    rows: tuple[tuple[str, str], ...] = ()
    verdict: str = UNHEALTHY
    fast: bool = False
    """In the short table, which runs with every test run."""
    pair: bool = False
    """May be combined with another one that may."""
    final: bool = False
    """Nothing but the end of the sandbox heals it."""


def active(stack: Stack, service: str) -> str:
    """The id of the newest deployment of a service that runs."""
    return next(str(one["id"]) for one in stack.deployments(service) if one["status"] in ("SUCCESS", "SLEEPING"))


def edit(service: str, deploy: bool = True, **variables: str) -> Inject:
    """Somebody changes variables in the dashboard, and deploys them or not."""

    def inject(stack: Stack) -> None:
        stack.configure(service, skip_deploys=True, **variables)
        if deploy:
            stack.redeploy(service)

    return inject


def setting(service: str, **settings: object) -> Inject:
    """Somebody changes settings and deploys."""

    def inject(stack: Stack) -> None:
        stack.settings(stack.ids()[service], settings)
        stack.redeploy(service)

    return inject


def railway(name: str, **parameters: object) -> Inject:
    """A fault of the sandbox."""

    def inject(stack: Stack) -> None:
        stack.sandbox.fault(name, **parameters)

    return inject


def then_redeploy(service: str, name: str, **parameters: object) -> Inject:
    """A fault of the sandbox that waits for a deployment, and that deployment."""

    def inject(stack: Stack) -> None:
        stack.sandbox.fault(name, service=service, **parameters)
        stack.redeploy(service)

    return inject


def sql(*statements: str) -> Inject:
    """Rows forged or broken in the job tables."""

    def inject(stack: Stack) -> None:
        for statement in statements:
            stack.sql(statement)

    return inject


def by_hand(kind: str, **env: str) -> Inject:
    def inject(stack: Stack) -> None:
        stack.by_hand(kind, **env)

    return inject


def ghost_service(name: str, like: str, **variables: str) -> Inject:
    """A second service with the code of one of ours."""

    def inject(stack: Stack) -> None:
        service = stack.profile.services[like]
        env = {key: value for key, value in service.env.items() if isinstance(value, str)}
        before = stack.count("SELECT id FROM WorkerInstance")
        stack.create(name, {**env, **variables}, {"startCommand": service.start})
        if "DATABASE_URL" in variables:
            stack.until(lambda: bool(stack.sandbox.processes(name)))
        else:
            stack.until(lambda: stack.count("SELECT id FROM WorkerInstance") > before)

    return inject


def replicas(service: str, kind: str) -> Inject:
    def inject(stack: Stack) -> None:
        stack.sandbox.fault("dashboard-edit", service=service, replicas=2)
        rows = f"SELECT id FROM WorkerInstance WHERE workerType = '{kind}' AND status IN ('RUNNING', 'STANDBY')"
        stack.until(lambda: len(stack.sandbox.processes(service)) == 2 and stack.count(rows) == 2)

    return inject


def zombie(service: str, kind: str) -> Inject:
    """Railway says that a deployment is gone, and its process lives on."""

    def inject(stack: Stack) -> None:
        stack.sandbox.fault("zombie", service=service)
        stack.redeploy(service)
        rows = f"SELECT id FROM WorkerInstance WHERE workerType = '{kind}' AND status IN ('RUNNING', 'STANDBY')"
        stack.until(lambda: stack.count(rows) == 2)
        stack.until(lambda: stack.ended(service))

    return inject


def removed(service: str, how: str) -> Inject:
    def inject(stack: Stack) -> None:
        stack.sandbox.graphql(how, {"d": active(stack, service)})
        stack.until(lambda: not stack.sandbox.processes(service))

    return inject


def deleted(service: str) -> Inject:
    def inject(stack: Stack) -> None:
        stack.delete(service)
        stack.until(lambda: not stack.sandbox.processes(service))

    return inject


def asleep(service: str) -> Inject:
    def inject(stack: Stack) -> None:
        stack.sandbox.fault("sleep", service=service)
        stack.until(lambda: stack.deployments(service)[0]["status"] == "SLEEPING")
        stack.until(lambda: not stack.sandbox.processes(service))

    return inject


def frozen(service: str) -> Inject:
    return railway("stuck-process", service=service)


def ended_with_status_0(stack: Stack) -> None:
    setting("schedule-daemon", restartPolicyType="ON_FAILURE")(stack)
    stack.signal("schedule-daemon", "TERM")
    stack.until(lambda: not stack.sandbox.processes("schedule-daemon"))


def killed_for_good(stack: Stack) -> None:
    setting("schedule-daemon", restartPolicyType="NEVER")(stack)
    stack.sandbox.fault("kill-process", service="schedule-daemon")
    stack.until(lambda: not stack.sandbox.processes("schedule-daemon"))


def crashes_until_railway_gives_up(stack: Stack) -> None:
    stack.settings(stack.ids()["schedule-daemon"], {"restartPolicyType": "ON_FAILURE"})
    stack.sandbox.fault("crash", service="schedule-daemon", count=99)
    stack.redeploy("schedule-daemon")
    stack.until(lambda: stack.deployments("schedule-daemon")[0]["status"] == "CRASHED")


def killed_and_restarted(stack: Stack) -> None:
    before = stack.pids("schedule-daemon")
    stack.sandbox.fault("kill-process", service="schedule-daemon")
    stack.until(lambda: bool(stack.pids("schedule-daemon")) and stack.pids("schedule-daemon") != before)
    stack.until(lambda: stack.count("SELECT id FROM WorkerInstance WHERE status = 'DEAD'") > 0)
    stack.until(lambda: stack.beating("schedule_daemon") and stack.leads())


def rolled_back(stack: Stack) -> None:
    """Railway's rollback brings back the variables of then."""
    stack.configure("web-server", skip_deploys=True, SCHEDULE_DAEMON_ENABLED="true")
    stack.redeploy("web-server")
    old = active(stack, "web-server")
    stack.configure("web-server", skip_deploys=True, SCHEDULE_DAEMON_ENABLED="false")
    stack.redeploy("web-server")
    stack.rollout("web-server", lambda: stack.sandbox.graphql(_ROLLBACK, {"d": old}))


def elsewhere(stack: Stack) -> None:
    """A copy of the environment, as for a pull request, whose daemon works on the production database."""
    stack.by_hand("daemon", RAILWAY_DEPLOYMENT_ID=stack.deployment_elsewhere(), RAILWAY_SERVICE_NAME="schedule-daemon",
                  RAILWAY_REPLICA_ID=str(uuid.uuid4()))  # fmt: skip


def deployment_nobody_knows(stack: Stack) -> None:
    stack.by_hand("worker", RAILWAY_DEPLOYMENT_ID=str(uuid.uuid4()), RAILWAY_SERVICE_NAME="web-server",
                  RAILWAY_REPLICA_ID=str(uuid.uuid4()))  # fmt: skip


def twice_in_one_container(stack: Stack) -> None:
    """A wrapper script that starts the worker again beside the web server."""
    row = stack.sql("SELECT deployment, replica FROM WorkerInstance WHERE workerType = 'job_worker'"
                    " AND status = 'RUNNING'")[0]  # fmt: skip
    # Another kind of beat would retire its predecessor: the second one must register under the same plate by hand.
    stack.beating_row("job_worker", deployment=row["deployment"], replica=row["replica"], service="web-server",
                      pollIntervalMs=30000, heartbeatIntervalMs=300, hostname="x", pid=1)  # fmt: skip


def nameless(stack: Stack) -> None:
    """A Node application's worker that writes only the guide's columns."""
    stack.beating_row("job_worker", beats=None)


def jobs_nobody_knows(count: int, age_seconds: int) -> Inject:
    def inject(stack: Stack) -> None:
        for number in range(count):
            stack.sql(
                "INSERT INTO JobRun (id, jobName, queuedAt, runAt) VALUES"
                f" ('f{number}', 'unheard-of', {ago(age_seconds)}, {ago(age_seconds)})"
            )

    return inject


def long_job(stack: Stack) -> None:
    stack.sql("INSERT INTO JobRun (id, jobName, payload) VALUES ('long', 'demo-sleep', '{\"seconds\": 600}')")
    stack.until(lambda: stack.count("SELECT id FROM JobRun WHERE id = 'long' AND status = 'RUNNING'") == 1, 45)
    stack.sql(f"UPDATE JobRun SET startedAt = {ago(7200)} WHERE id = 'long'")


def stolen_lease(stack: Stack) -> None:
    stack.sql("UPDATE SchedulerLease SET holderId = 'nobody', token = token + 1,"
              " expiresAt = strftime('%Y-%m-%d %H:%M:%f', 'now', '+1 hour')")  # fmt: skip


def wrong_token(stack: Stack) -> None:
    stack.connection = {"DEPLOYKIT_RAILWAY_URL": stack.sandbox.endpoint, "RAILWAY_TOKEN": "wrong"}


def dead_endpoint(stack: Stack) -> None:
    stack.connection = {"DEPLOYKIT_RAILWAY_URL": "http://127.0.0.1:9/graphql/v2", "RAILWAY_TOKEN": "x"}


def another_url(url: str) -> Inject:
    def inject(stack: Stack) -> None:
        stack.look_at = url

    return inject


def ago(seconds: int) -> str:
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-{seconds} seconds')"


def crash_wait(service: str, inject: Inject) -> Inject:
    """A fault that makes a service crash: look once it has."""

    def injected(stack: Stack) -> None:
        inject(stack)
        stack.until(lambda: stack.ill(service))

    return injected


def crashed_for_good(service: str, **settings: object) -> Inject:
    """Settings under which a process ends with an error, and nothing starts it again: what is seen is no moment's."""

    def inject(stack: Stack) -> None:
        setting(service, restartPolicyType="NEVER", **settings)(stack)
        stack.until(lambda: str(stack.deployments(service)[0]["status"]) == "CRASHED")

    return inject


D, W = "schedule_daemon", "job_worker"
MISSING_DAEMON = ((D, "missing"),)
SILENT_DAEMON = ((D, "silent"),)
SILENT_WORKER = ((W, "silent"),)
ELSEWHERE_DB = "sqlite:////tmp/deploykit-elsewhere.db"

FAULTS = (
    # processes
    Fault("daemon frozen", frozen("schedule-daemon"), "stuck", SILENT_DAEMON, fast=True, pair=True),
    Fault("web server frozen", frozen("web-server"), "stuck", SILENT_WORKER),
    Fault("daemon killed and restarted", killed_and_restarted, None, ((D, "stale-row"),), HEALTHY),
    Fault("daemon killed for good", killed_for_good, "crash-loop", MISSING_DAEMON),
    Fault("daemon ended with status 0", ended_with_status_0, "ended-by-itself", MISSING_DAEMON, fast=True),
    Fault("daemon crashes at every start", crashes_until_railway_gives_up, "crash-loop", MISSING_DAEMON),
    Fault("two workers in one container", twice_in_one_container, "started-twice", ((W, "duplicate"),)),
    # settings
    Fault("daemon flag off", crash_wait("schedule-daemon", edit("schedule-daemon", SCHEDULE_DAEMON_ENABLED="false")),
          "daemon-flag-off", (), fast=True),
    Fault("worker flag off", edit("web-server", EMBEDDED_JOB_WORKER="false"), "worker-flag", SILENT_WORKER, pair=True),
    Fault("daemon flag in the web server", edit("web-server", SCHEDULE_DAEMON_ENABLED="true"), "two-daemons",
          fast=True),
    Fault("daemon flag changed, never deployed", edit("web-server", False, SCHEDULE_DAEMON_ENABLED="true"),
          "never-deployed", fast=True, pair=True),
    Fault("poll changed, never deployed", edit("schedule-daemon", False, SCHEDULE_POLL_INTERVAL_MS="60000"),
          "never-deployed"),
    Fault("daemon polls every 15 minutes", edit("schedule-daemon", SCHEDULE_POLL_INTERVAL_MS="900000"),
          "wrong-interval", ((D, "misconfigured"),), fast=True),
    Fault("worker polls every 5 s", edit("web-server", JOB_WORKER_POLL_INTERVAL_MS="5000"), "wrong-interval",
          ((W, "misconfigured"),)),
    Fault("poll interval is a word", crash_wait("schedule-daemon",
                                               edit("schedule-daemon", SCHEDULE_POLL_INTERVAL_MS="hourly")),
          "wrong-interval"),
    Fault("pool of 40", edit("web-server", DATABASE_CONNECTION_LIMIT="40"), "wrong-pool"),
    Fault("another profile's label", edit("web-server", DEPLOYKIT_PROFILE="1000-users"), "wrong-profile",
          ((W, "misconfigured"),)),
    Fault("rollback brings back a flag", rolled_back, "two-daemons"),
    Fault("worker in another database", edit("web-server", DATABASE_URL=ELSEWHERE_DB), "wrong-database",
          SILENT_WORKER),
    Fault("daemon in another database", edit("schedule-daemon", DATABASE_URL=ELSEWHERE_DB), "wrong-database",
          SILENT_DAEMON),
    Fault("another start command", setting("schedule-daemon", startCommand="exec sleep 1000"), "wrong-command",
          SILENT_DAEMON),
    Fault("start command that ends", crashed_for_good("schedule-daemon", startCommand="exit 1"), "wrong-command",
          MISSING_DAEMON),
    Fault("edits staged in the dashboard",
          railway("dashboard-edit", service="web-server", variable="SCHEDULE_DAEMON_ENABLED", value="true",
                  staged=True),
          "staged-changes", fast=True, pair=True),
    # ghosts
    Fault("two web replicas", replicas("web-server", W), "too-many-replicas", ((W, "duplicate"),), fast=True),
    Fault("two daemon replicas", replicas("schedule-daemon", D), "too-many-replicas", ((D, "duplicate"),)),
    Fault("a second daemon service", ghost_service("cron", "schedule-daemon"), "ghost-service",
          ((D, "ghost-service"),), fast=True, pair=True),
    Fault("a second web service", ghost_service("web", "web-server"), "ghost-service", ((W, "ghost-service"),)),
    Fault("a second daemon service on another database",
          ghost_service("cron", "schedule-daemon", DATABASE_URL=ELSEWHERE_DB), "ghost-service",
          ((D, "ghost-service"),)),
    Fault("a daemon on a laptop", by_hand("daemon"), "foreign-process", ((D, "foreign"),), fast=True, pair=True),
    Fault("a worker on a laptop", by_hand("worker"), "foreign-process", ((W, "foreign"),)),
    Fault("a daemon of another environment", elsewhere, "other-environment", ((D, "foreign"),)),
    Fault("a worker of a deployment nobody knows", deployment_nobody_knows, "zombie", ((W, "zombie"),)),
    Fault("a daemon that outlived its deployment", zombie("schedule-daemon", D), "zombie", ((D, "zombie"),),
          final=True),
    Fault("a web server that outlived its deployment", zombie("web-server", W), "zombie", ((W, "zombie"),),
          final=True),
    Fault("a worker that does not say who it is", nameless, "foreign-process", ((W, "foreign"),)),
    # Railway
    Fault("deployment removed", removed("schedule-daemon", _REMOVE), "not-deployed", MISSING_DAEMON, fast=True),
    Fault("deployment stopped", removed("schedule-daemon", _STOP), "ended-by-itself", MISSING_DAEMON),
    Fault("service deleted", deleted("schedule-daemon"), "service-missing", MISSING_DAEMON),
    Fault("daemon asleep", asleep("schedule-daemon"), "asleep", MISSING_DAEMON, final=True),
    Fault("web server asleep", asleep("web-server"), "asleep", ((W, "missing"),), final=True),
    Fault("build fails", then_redeploy("schedule-daemon", "build-failure"), "deploy-failed", pair=True),
    Fault("health check fails", then_redeploy("web-server", "healthcheck-failure"), "deploy-failed"),
    Fault("database service stopped", removed("MySQL", _STOP), "database-down"),
    Fault("wrong token", wrong_token, "token-refused", verdict=INCONCLUSIVE, fast=True),
    Fault("endpoint dead", dead_endpoint, "railway-unreachable", verdict=INCONCLUSIVE),
    Fault("Railway answers 502", railway("server-error", count=99), "railway-unreachable", verdict=INCONCLUSIVE),
    Fault("Railway throttles", railway("rate-limited", count=99, retry_after_seconds=600), "railway-unreachable",
          verdict=INCONCLUSIVE),
    # database
    Fault("database gone", another_url("sqlite:////nowhere/at/all.db"), "database-unreachable", verdict=INCONCLUSIVE,
          fast=True),
    Fault("MySQL does not answer", another_url("mysql://root:pw@127.0.0.1:9/railway"), "database-unreachable",
          verdict=INCONCLUSIVE),
    Fault("nobody says where the database is", another_url(""), "database-unknown", verdict=INCONCLUSIVE),
    Fault("tables missing", sql("ALTER TABLE WorkerInstance RENAME TO Hidden"), "no-tables", verdict=INCONCLUSIVE),
    Fault("a row frozen in RUNNING",
          sql("INSERT INTO WorkerInstance (id, workerType, status, beats, heartbeatIntervalMs, lastHeartbeatAt) VALUES"
              f" ('forged', 'schedule_daemon', 'RUNNING', 9, 300, {ago(90)})"),
          None, ((D, "stale-row"),), HEALTHY, fast=True),
    Fault("60 jobs that nobody knows", jobs_nobody_knows(60, 600), "no-handler", pair=True, fast=True),
    Fault("one job waits for two hours", jobs_nobody_knows(1, 7200), "no-handler"),
    Fault("a worker stuck on one job", long_job, "stuck-job"),
    Fault("a schedule overdue",
          sql(f"UPDATE JobSchedule SET enabled = 1, nextRunAt = {ago(9000)} WHERE name = 'hourly-report'"), "overdue"),
    Fault("the lease stolen for an hour", stolen_lease, "lease-stuck"),
)  # fmt: skip


def described(sandbox: Sandbox) -> str:
    """The state of a sandbox, for a failing test."""
    return json.dumps(sandbox.status(), indent=1)[:4000]
