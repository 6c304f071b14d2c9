"""The panel and the status on every kind of database: each has its own types for times, numbers and JSON."""

from __future__ import annotations

import json

from runtime import heartbeats, jobs, schedules
from runtime.db import Database
from runtime.handlers import ScheduleDefinition
from runtime.identity import JOB_WORKER, Identity
from runtime.loop import Stop
from runtime.worker import Worker
from tests.runtime.site import TOKEN, Visitor, administration
from tests.runtime.support import ended, registry, running, settings


def test_a_schedule_is_enabled_and_run_and_its_log_read(url: str, db: Database) -> None:
    schedules.sync(db, [ScheduleDefinition("nightly", "clean-up", cron="0 3 * * *")])
    wanted = settings(url, ADMIN_TOKEN=TOKEN)
    visitor = Visitor(administration(wanted))
    visitor.sign_in()
    visitor.press("Enable: nightly")
    visitor.press("Pause: nightly")
    assert "PAUSED" in visitor.page.text
    assert "paused untilin 15 min" in visitor.page.text
    visitor.press("Run now: nightly")
    job_id = visitor.path.removeprefix("/panel/jobs/").partition("?")[0]
    with running(Worker(wanted, registry(**{"clean-up": lambda job: job.log("swept, 100 %")}), Stop())):
        ended(db, job_id)
        assert "1 job worker running" in visitor.open("/panel").text
    page = visitor.open(f"/panel/jobs/{job_id}")
    assert "COMPLETED" in page.text
    assert "swept, 100 %" in page.text
    assert "just now" in page.text or "s ago" in page.text


def test_pressing_run_now_twice_runs_it_once(url: str, db: Database) -> None:
    schedules.sync(db, [ScheduleDefinition("nightly", "clean-up", cron="0 3 * * *")])
    visitor = Visitor(administration(settings(url, ADMIN_TOKEN=TOKEN)))
    visitor.sign_in()
    button = visitor.form("Run now: nightly")
    visitor.send(button)
    assert "Nothing was started twice." in visitor.send(button).text
    assert len(jobs.recent(db)) == 1


def test_the_status_is_json_whatever_the_driver_returns(url: str, db: Database) -> None:
    identity = Identity.of(JOB_WORKER, settings())
    heartbeats.register(db, identity)
    heartbeats.beat(db, identity, {"poll": 12})
    jobs.enqueue(db, "noop")
    visitor = Visitor(administration(settings(url, ADMIN_TOKEN=TOKEN)))
    response = visitor.ask("GET", "/deploykit/status", Authorization=f"Bearer {TOKEN}")
    found = json.loads(response.body)
    assert response.status == 200
    (beat,) = found["heartbeats"]
    assert (beat["worker_id"], beat["loops"]) == (identity.id, {"poll": 12})
    assert 0 <= beat["seconds_ago"] < 60
    assert found["queue"]["queued"] == 1
    assert found["unread"] == []
    assert found["now"].endswith("+00:00")
