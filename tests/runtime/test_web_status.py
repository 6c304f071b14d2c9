from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploykit.commands.status import StatusTables
from runtime import heartbeats, jobs, lease, schedules
from runtime.db import Database, SchemaError, connect, server_facts
from runtime.handlers import ScheduleDefinition
from runtime.identity import JOB_WORKER, SCHEDULE_DAEMON, Identity
from runtime.migrations import migrate
from runtime.queue import Queue
from runtime.web import status
from tests.mysql.server import free_port
from tests.runtime.site import TOKEN, Visitor, administration, serving
from tests.runtime.support import settings, sql

PATH = "/deploykit/status"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/jobs.db"


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with connect(url, create=True) as db:
        migrate(db)
        yield db


@pytest.fixture
def visitor(url: str, db: Database) -> Visitor:
    return Visitor(administration(settings(url, ADMIN_TOKEN=TOKEN)))


def ask(visitor: Visitor, token: str = TOKEN, **headers: str) -> tuple[int, dict[str, Any]]:
    response = visitor.ask("GET", PATH, Authorization=f"Bearer {token}", **headers)
    assert dict(response.headers)["Cache-Control"] == "no-store"
    return response.status, json.loads(response.body)


def live(db: Database) -> None:
    """A little of everything: a daemon that leads, a worker with a job in hand, one waiting, one for later."""
    worker = Identity.of(JOB_WORKER, settings(RAILWAY_SERVICE_NAME="web-server", RAILWAY_DEPLOYMENT_ID="d-1"))
    daemon = Identity.of(SCHEDULE_DAEMON, settings(DEPLOYKIT_PROFILE="pre-launch"))
    for identity in (worker, daemon):
        heartbeats.register(db, identity)
        assert heartbeats.beat(db, identity, {"poll": 12})
    assert lease.acquire(db, daemon.id, 45_000)
    schedules.sync(db, [ScheduleDefinition("nightly", "noop", cron="0 3 * * *", enabled=True)])
    jobs.enqueue(db, "noop")
    assert Queue(db).turn_over([], ["noop"], 1, worker.id)
    jobs.enqueue(db, "noop")
    jobs.enqueue(db, "noop", delay_seconds=900)


def test_verify_reads_from_it_what_it_would_read_from_the_database(url: str, db: Database) -> None:
    live(db)
    with serving(url, ADMIN_TOKEN=TOKEN) as port:
        tables = StatusTables(f"http://127.0.0.1:{port}", TOKEN)
        sample, facts = tables.sample(), tables.facts()
    ages = [beat.seconds_ago for beat in sample.heartbeats]
    known = heartbeats.read(db)
    assert [(b.worker_id, b.kind, b.status, b.beats, b.loops) for b in sample.heartbeats] == [
        (b.worker_id, b.kind, b.status, b.beats, b.loops) for b in known
    ]
    assert [b.last_heartbeat_at for b in sample.heartbeats] == [b.last_heartbeat_at for b in known]
    assert all(age is not None and 0 <= age < 60 for age in ages)
    assert sample.at >= max(b.last_heartbeat_at for b in known if b.last_heartbeat_at)
    assert facts.queue is not None
    assert (facts.queue.queued, facts.queue.running, facts.queue.scheduled) == (1, 1, 1)
    assert facts.schedules == tuple(schedules.read(db))
    holder = lease.read(db)
    assert facts.lease is not None
    assert holder is not None
    assert (facts.lease.holder_id, facts.lease.token) == (holder.holder_id, holder.token)
    assert facts.server is not None
    assert facts.server.version == server_facts(db).version
    assert facts.waiting == {"noop": 1}
    ((job_id, name, seconds),) = facts.running
    assert (job_id, name) == (jobs.recent(db, "RUNNING")[0].id, "noop")
    assert 0 <= seconds < 60


def test_without_a_token_configured_there_is_no_such_page(url: str, db: Database) -> None:
    visitor = Visitor(administration(settings(url)))
    for token in ("", TOKEN):
        assert ask(visitor, token)[0] == 404


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xff", "Bearer 🔑"],
)
def test_only_the_token_opens_it(visitor: Visitor, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    response = visitor.ask("GET", PATH, **headers)
    assert response.status == 401
    assert dict(response.headers)["WWW-Authenticate"].startswith("Bearer")
    assert json.loads(response.body) == {"error": "wrong token"}


def test_the_scheme_may_be_written_in_any_case(visitor: Visitor) -> None:
    assert visitor.ask("GET", PATH, Authorization=f"bearer  {TOKEN}").status == 200


def test_a_status_token_opens_the_status_and_not_the_panel(url: str, db: Database) -> None:
    both = Visitor(administration(settings(url, ADMIN_TOKEN=TOKEN, DEPLOYKIT_STATUS_TOKEN="only-looks")))
    assert ask(both)[0] == ask(both, "only-looks")[0] == 200
    both.sign_in("only-looks")
    assert both.status == 403
    alone = Visitor(administration(settings(url, DEPLOYKIT_STATUS_TOKEN="only-looks")))
    assert ask(alone, "only-looks")[0] == 200
    alone.open("/panel")
    assert alone.status == 404


def test_a_cookie_of_the_panel_does_not_open_it(visitor: Visitor) -> None:
    visitor.sign_in()
    assert visitor.status == 200
    assert visitor.ask("GET", PATH).status == 401


def test_whoever_guesses_has_to_wait_and_nobody_else(visitor: Visitor) -> None:
    for _ in range(10):
        assert ask(visitor, "guess")[0] == 401
    response = visitor.ask("GET", PATH, Authorization=f"Bearer {TOKEN}")
    assert response.status == 429
    assert 0 < int(dict(response.headers)["Retry-After"]) <= 60
    visitor.sign_in()
    assert visitor.status == 429, "the door of the panel is the same door"
    assert ask(Visitor(visitor.admin, peer="192.0.2.2"))[0] == 200


@pytest.mark.parametrize(("behind_proxy", "status"), [("web-server", 200), ("", 429)])
def test_only_railways_proxy_is_believed_about_who_asks(url: str, db: Database, behind_proxy: str, status: int) -> None:
    visitor = Visitor(administration(settings(url, ADMIN_TOKEN=TOKEN, RAILWAY_SERVICE_NAME=behind_proxy)))
    for _ in range(10):
        assert ask(visitor, "guess", X_Real_IP="198.51.100.1")[0] == 401
    assert ask(visitor, X_Real_IP="198.51.100.2")[0] == status


def test_no_secret_no_payload_and_no_error_text_is_in_it(visitor: Visitor, db: Database, url: str) -> None:
    live(db)
    jobs.enqueue(db, "noop", {"key": "payload-secret"})
    sql(url, "UPDATE JobRun SET lastError = 'error-secret'")
    sql(url, "UPDATE JobSchedule SET payload = '\"schedule-secret\"'")
    body = visitor.ask("GET", PATH, Authorization=f"Bearer {TOKEN}").body.decode()
    assert '"running": [[' in body
    assert "secret" not in body
    assert TOKEN not in body
    assert "jobs.db" not in body


def test_a_database_that_is_away_is_a_503_without_its_password() -> None:
    admin = administration(settings(f"mysql://user:hunter2@127.0.0.1:{free_port()}/d", ADMIN_TOKEN=TOKEN))
    assert ask(Visitor(admin)) == (503, {"error": "the database does not answer"})


def test_tables_that_are_missing_are_a_503(tmp_path: Path) -> None:
    connect(f"sqlite://{tmp_path}/empty.db", create=True).close()
    admin = administration(settings(f"sqlite://{tmp_path}/empty.db", ADMIN_TOKEN=TOKEN))
    assert ask(Visitor(admin)) == (503, {"error": "the job tables are missing, or the right to read them"})


def test_without_a_database_url_it_is_a_503() -> None:
    assert ask(Visitor(administration(settings(ADMIN_TOKEN=TOKEN))))[0] == 503


def test_tables_of_a_node_application_give_what_they_have(db: Database, url: str) -> None:
    live(db)
    sql(url, "DROP TABLE SchedulerLease")
    sql(url, "DROP TABLE JobSchedule")
    found = status.read(db)
    assert (found["lease"], found["schedules"]) == (None, None)
    assert found["unread"] == ["schedules", "lease"]
    assert len(found["heartbeats"]) == 2
    sql(url, "DROP TABLE WorkerInstance")
    with pytest.raises(SchemaError):
        status.read(db)


def test_it_needs_nothing_but_to_read(db: Database, url: str) -> None:
    live(db)
    db.change("PRAGMA query_only = ON", {})
    assert status.read(db)["heartbeats"]


def test_the_oldest_of_very_many_heartbeats_are_left_out(
    db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live(db)
    sql(url, "UPDATE WorkerInstance SET lastHeartbeatAt = '2001-01-01 00:00:00.000' WHERE workerType = 'job_worker'")
    monkeypatch.setattr(status, "ROWS_MOST", 1)
    assert [beat["kind"] for beat in status.read(db)["heartbeats"]] == [SCHEDULE_DAEMON]


def test_asked_twice_at_once_it_reads_once(visitor: Visitor, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    def read(db: Database) -> dict[str, Any]:
        reads.append(db)
        return {"schema": status.SCHEMA}

    monkeypatch.setattr(status, "read", read)
    monkeypatch.setattr("runtime.web.admin.KEPT_SECONDS", 3600.0)
    assert ask(visitor) == ask(visitor)
    assert len(reads) == 1
    ask(visitor, "wrong")
    assert ask(visitor, "wrong")[0] == 401, "and never what was kept to somebody without the token"


def test_it_is_read_only_by_method_too(visitor: Visitor) -> None:
    assert visitor.ask("POST", PATH, Authorization=f"Bearer {TOKEN}").status == 405
