"""What the job tables and their server say: schedules, queue, running jobs, connections, clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from deploykit.planning.connections import pool
from deploykit.profile.schema import POOL_SIZE, Profile
from deploykit.verification.census import DAEMON, promised_poll_ms
from deploykit.verification.checks.case import Case, Check, Verdict

MAX_QUEUED_JOBS = 50
MAX_OLDEST_QUEUED_SECONDS = 3600
"""What the guide calls problem signs, where the profile expects nothing else."""
LONG_JOB_SECONDS = 3600.0
"""A job that runs longer is suspicious where the profile says nothing (``max_job_seconds``)."""
CONNECTIONS_ALARM = 0.8
OVERDUE_GRACE_SECONDS = 60.0
SKEW_ALARM_SECONDS = 5.0
LONG_TRANSACTION_SECONDS = 60.0
"""Worth a remark: the application's own take a fraction of a second."""
FORGOTTEN_TRANSACTION_SECONDS = 900.0


def _schedules(case: Case) -> Iterator[Check]:
    schedules, samples = case.evidence.schedules, case.evidence.samples
    if not samples or not case.census.wanted[DAEMON]:
        return
    if schedules is None:
        yield _unread("schedules", case, "JobSchedule")
        return
    now = samples[-1].at
    polls = [promised_poll_ms(service, DAEMON) / 1000 for service in case.profile.daemons]
    patience = timedelta(seconds=max(polls, default=60.0) + OVERDUE_GRACE_SECONDS)
    enabled = [schedule for schedule in schedules if schedule.enabled]
    overdue = [
        schedule
        for schedule in enabled
        if schedule.next_run_at is not None
        and schedule.next_run_at + patience < now
        and (schedule.paused_until is None or schedule.paused_until <= now)
    ]
    unplanned = [schedule.name for schedule in enabled if schedule.next_run_at is None]
    facts = {
        "schedules": len(schedules),
        "enabled": [
            {
                "name": schedule.name,
                "last_run_at": schedule.last_run_at.isoformat() if schedule.last_run_at else None,
                "next_run_at": schedule.next_run_at.isoformat() if schedule.next_run_at else None,
            }
            for schedule in enabled
        ],
    }
    if overdue:
        summary = f"overdue: {', '.join(schedule.name for schedule in overdue)}"
        yield Check("schedules", Verdict.FAIL, summary, f"deploykit doctor {case.profile.name} names the cause", facts)
    elif unplanned:
        hint = (
            f"the daemon plans them at its next look, within {max(polls, default=60.0):g} s; restart it to have it now"
        )
        summary = f"enabled and without a next run: {', '.join(unplanned)}"
        yield Check("schedules", Verdict.INCONCLUSIVE, summary, hint, facts)
    else:
        summary = f"{len(schedules)} schedules, {len(enabled)} enabled, none overdue"
        yield Check("schedules", Verdict.PASS, summary, "", facts)


def _unread(identity: str, case: Case, table: str) -> Check:
    problem = case.evidence.problem(identity)
    why = problem.message if problem else "it was not asked"
    return Check(identity, Verdict.INCONCLUSIVE, f"{table} could not be read: {why}", problem.hint if problem else "")


def _queue(case: Case) -> Iterator[Check]:
    queue = case.evidence.queue
    if queue is None:
        if case.evidence.samples:
            yield _unread("queue", case, "JobRun")
        return
    expect = case.profile.expect
    most = MAX_QUEUED_JOBS if expect.max_queued_jobs is None else expect.max_queued_jobs
    oldest_most = expect.max_oldest_queued_seconds
    oldest_most = MAX_OLDEST_QUEUED_SECONDS if oldest_most is None else oldest_most
    oldest = queue.oldest_queued_seconds
    facts = {"queued": queue.queued, "running": queue.running, "failed": queue.failed, "oldest_queued_seconds": oldest}
    problems = []
    if queue.queued > most:
        problems.append(f"{queue.queued} jobs are queued, more than {most}")
    if oldest is not None and oldest > oldest_most:
        problems.append(f"the oldest waits for {oldest:.0f} s, longer than {oldest_most} s")
    if problems:
        hint = f"deploykit doctor {case.profile.name} names the cause"
        yield Check("queue", Verdict.FAIL, "; ".join(problems), hint, facts)
    else:
        waits = f", the oldest for {oldest:.0f} s" if oldest is not None else ""
        yield Check("queue", Verdict.PASS, f"{queue.queued} queued{waits}; {queue.running} running", "", facts)


def _running_jobs(case: Case) -> Iterator[Check]:
    longest = longest_job_seconds(case.profile)
    stuck = [(name, seconds) for _, name, seconds in case.evidence.stuck_jobs if seconds > longest]
    if stuck:
        told = ", ".join(f"{name} for {seconds:.0f} s" for name, seconds in stuck)
        hint = f"deploykit doctor {case.profile.name} names the job"
        yield Check("running-jobs", Verdict.FAIL, f"running longer than {longest:.0f} s: {told}", hint)


def longest_job_seconds(profile: Profile) -> float:
    """How long a job may run before it counts as stuck: thrice what the profile says, since it may be retried."""
    limits = [service.max_job_seconds for service in profile.workers if service.max_job_seconds]
    return 3.0 * max(limits) if limits else LONG_JOB_SECONDS


def _connections(case: Case) -> Iterator[Check]:
    server = case.evidence.server
    if server is None or server.max_connections is None or server.connections_in_use is None:
        return
    budget = planned_connections(case.profile)
    used, most = server.connections_in_use, server.max_connections
    facts = {"in_use": used, "max_connections": most, "planned": budget}
    if used >= most * CONNECTIONS_ALARM:
        hint = f"set {POOL_SIZE} to 5 in every service, and look for clients that are not ours"
        summary = f"{used} of {most} database connections are in use"
        yield Check("connections", Verdict.FAIL, summary, hint, facts)
    else:
        beyond = f", more than the {budget} our processes may open" if used > budget else ""
        yield Check("connections", Verdict.PASS, f"{used} of {most} connections in use{beyond}", "", facts)


def forgotten_seconds(profile: Profile) -> float:
    """How old somebody's transaction may be: longer than a dump of a small database, and than any job that has one."""
    limits = [service.max_job_seconds for service in profile.workers if service.max_job_seconds]
    return max(FORGOTTEN_TRANSACTION_SECONDS, *limits) if limits else FORGOTTEN_TRANSACTION_SECONDS


def _transactions(case: Case) -> Iterator[Check]:
    server = case.evidence.server
    if server is None or server.max_connections is None:
        return
    age, thread = server.oldest_foreign_trx_seconds, server.oldest_foreign_trx_thread
    if age is None:
        summary = "this database user may not see the transactions of others (PROCESS privilege)"
        yield Check("transactions", Verdict.SKIP, summary)
        return
    facts = {"oldest_seconds": age, "thread": thread, "history_list_length": server.history_list_length}
    if age > forgotten_seconds(case.profile):
        summary = f"connection {thread} has had a transaction open for {age:.0f} s: every look at the queue gets slower"
        hint = f"deploykit doctor {case.profile.name} says how to end it"
        yield Check("transactions", Verdict.FAIL, summary, hint, facts)
    else:
        oldest = f"the oldest transaction is {age:.0f} s old" if age else "no transaction of others is open"
        yield Check("transactions", Verdict.PASS, oldest, "", facts)


def planned_connections(profile: Profile) -> int:
    """How many connections all processes of the profile may open together, outside of a rollout."""
    return sum(service.total_replicas * pool(service) for service in profile.services.values() if service.is_app)


def _clock(case: Case) -> Iterator[Check]:
    skew = case.evidence.clock_skew_seconds
    if skew is not None:
        side = "ahead of" if skew > 0 else "behind"
        # Never more than a remark: every decision is taken on the database's clock alone.
        summary = f"the database's clock is {abs(skew):.1f} s {side} this machine's"
        if abs(skew) <= SKEW_ALARM_SECONDS:
            summary = "the database's clock agrees with this machine's"
        yield Check("clock", Verdict.PASS, summary, evidence={"skew_seconds": round(skew, 1)})


CHECKS = (_schedules, _queue, _running_jobs, _connections, _transactions, _clock)
