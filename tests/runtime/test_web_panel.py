from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runtime import heartbeats, jobs, schedules, start
from runtime.db import Database, connect
from runtime.handlers import ScheduleDefinition
from runtime.identity import JOB_WORKER, SCHEDULE_DAEMON, Identity
from runtime.loop import Stop
from runtime.migrations import migrate
from runtime.queue import Outcome, Queue
from runtime.web import pages, panel
from runtime.web.admin import Admin
from runtime.worker import Worker
from tests.mysql.server import free_port
from tests.runtime.site import TOKEN, Form, Visitor, administration, connected, serving
from tests.runtime.support import ended, eventually, registry, running, settings, sql

NASTY = "\"><script>alert(1)</script>'&"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/jobs.db"


@pytest.fixture
def db(url: str) -> Iterator[Database]:
    with connect(url, create=True) as db:
        migrate(db)
        nightly = ScheduleDefinition("nightly", "clean-up", cron="0 3 * * *", payload={"key": "payload-secret"})
        schedules.sync(db, [nightly, ScheduleDefinition("often", "noop", every_seconds=600)])
        yield db


@pytest.fixture
def visitor(url: str, db: Database) -> Visitor:
    visitor = Visitor(administration(settings(url, ADMIN_TOKEN=TOKEN)))
    visitor.sign_in()
    return visitor


def stranger(visitor: Visitor) -> Visitor:
    return Visitor(visitor.admin, peer="192.0.2.99")


def schedule(db: Database, name: str) -> schedules.Schedule:
    (found,) = [each for each in schedules.read(db) if each.name == name]
    return found


def failed(db: Database, error: str = "it broke") -> str:
    """A job that has failed for good; its id."""
    job_id = jobs.enqueue(db, "clean-up", max_attempts=1)
    queue = Queue(db)
    (claim,) = queue.turn_over([], ["clean-up"], 1, "worker-1")
    queue.turn_over([Outcome(claim, "failed", error)], [], 0, "worker-1")
    return job_id


# --- the door -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/panel", "/panel/", "/panel/sign-in", "/panel/jobs/x"])
def test_without_a_token_configured_the_panel_is_off_and_says_so(url: str, db: Database, path: str) -> None:
    visitor = Visitor(administration(settings(url)))
    assert "The control panel is off" in visitor.open(path).text
    assert visitor.status == 404
    assert "Set ADMIN_TOKEN" in visitor.page.text
    assert visitor.ask("POST", "/panel/sign-in", b"token=").status == 404
    assert not visitor.cookie


def test_the_token_opens_the_door_and_the_session_stays(visitor: Visitor) -> None:
    assert visitor.path == "/panel"
    assert "Who is alive" in visitor.open("/panel").text
    assert TOKEN not in visitor.page.source
    assert TOKEN not in visitor.cookie


def test_a_page_asked_for_before_signing_in_is_shown_after_it(visitor: Visitor, db: Database) -> None:
    job_id = jobs.enqueue(db, "noop")
    other = stranger(visitor)
    other.open(f"/panel/jobs/{job_id}")
    assert "Who is alive" not in other.page.text
    other.press("Sign in", token=TOKEN)
    assert other.path == f"/panel/jobs/{job_id}"


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/health", "/panel/jobs/", "\\evil", ""])
def test_signing_in_leads_nowhere_else(visitor: Visitor, to: str) -> None:
    other = stranger(visitor)
    other.open("/panel/sign-in")
    other.press("Sign in", token=TOKEN, to=to)
    assert other.path == "/panel"


@pytest.mark.parametrize("token", ["", "wrong", f"{TOKEN}x", TOKEN.upper(), "🔑", NASTY])
def test_a_wrong_token_opens_nothing(visitor: Visitor, capfd: pytest.CaptureFixture[str], token: str) -> None:
    other = stranger(visitor)
    page = other.sign_in(token)
    assert other.status == 403
    assert "That is not the token." in page.text
    assert not other.cookie
    said = capfd.readouterr().out
    assert "[panel] wrong token from 192.0.2.99" in said
    assert TOKEN not in said


def test_whoever_guesses_has_to_wait(visitor: Visitor) -> None:
    other = stranger(visitor)
    for _ in range(10):
        other.sign_in("guess")
    assert "Too many wrong tokens" in other.sign_in(TOKEN).text
    assert other.status == 429
    assert not other.cookie
    assert "Who is alive" in visitor.open("/panel").text


def test_signing_out_forgets_the_session(visitor: Visitor) -> None:
    visitor.open("/panel")
    visitor.press("Sign out")
    assert visitor.path == "/panel/sign-in"
    assert "Who is alive" not in visitor.open("/panel").text


def test_behind_https_the_cookie_is_secure_and_in_clear_text_the_door_warns(visitor: Visitor) -> None:
    sign_in = f"token={TOKEN}".encode()
    secure = dict(visitor.ask("POST", "/panel/sign-in", sign_in, X_Forwarded_Proto="https").headers)["Set-Cookie"]
    assert secure.endswith("; HttpOnly; SameSite=Strict; Secure")
    assert "Secure" not in dict(visitor.ask("POST", "/panel/sign-in", sign_in).headers)["Set-Cookie"]
    clear = Visitor(visitor.admin, Host="panel.example:80")
    assert "not encrypted" in clear.open("/panel/sign-in").text
    assert "not encrypted" not in stranger(visitor).open("/panel/sign-in").text
    behind = Visitor(visitor.admin, Host="panel.example", **{"X-Forwarded-Proto": "https"})
    assert "not encrypted" not in behind.open("/panel/sign-in").text


# --- what may act ---------------------------------------------------------------------------------------------------


BUTTONS = [
    Form("/panel/schedules", {"action": "enable", "name": "nightly"}),
    Form("/panel/schedules", {"action": "run", "name": "nightly", "run_id": "01234567-0123-7123-8123-0123456789ab"}),
    Form("/panel/jobs", {"action": "retry", "id": "?"}),
]


@pytest.mark.parametrize("form", BUTTONS, ids=lambda form: form.fields["action"])
@pytest.mark.parametrize("attack", ["no session", "no form token", "another session's", "another site"])
def test_nothing_acts_without_a_session_and_its_own_form(
    visitor: Visitor, db: Database, form: Form, attack: str
) -> None:
    form = replace(form, fields={**form.fields, **({"id": failed(db)} if "id" in form.fields else {})})
    visitor.open("/panel")
    form_token = visitor.form("Sign out").fields["form_token"]
    before = (schedules.read(db), jobs.recent(db))
    if attack == "no session":
        visitor.cookie = ""
        visitor.send(form, form_token=form_token)
        assert visitor.path == "/panel/sign-in"
    elif attack == "no form token":
        visitor.send(form)
        assert visitor.status == 403
    elif attack == "another session's":
        visitor.sign_in()
        visitor.send(form, form_token=form_token)
        assert visitor.status == 403
    else:
        visitor.headers["Sec-Fetch-Site"] = "cross-site"
        visitor.send(form, form_token=form_token)
        assert visitor.status == 403
    assert (schedules.read(db), jobs.recent(db)) == before


@pytest.mark.parametrize("path", ["/panel/schedules", "/panel/jobs", "/panel/sign-out"])
def test_looking_changes_nothing(visitor: Visitor, db: Database, path: str) -> None:
    before = schedules.read(db)
    visitor.open(f"{path}?action=enable&name=nightly&id=1")
    assert visitor.status == 404
    assert schedules.read(db) == before


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/panel/schedules", {"action": "drop", "name": "nightly"}),
        ("/panel/schedules", {"name": "nightly"}),
        ("/panel/schedules", {"action": "pause", "name": "nightly", "seconds": "99999999999"}),
        ("/panel/schedules", {"action": "run", "name": "nightly", "run_id": "../x"}),
        ("/panel/jobs", {"action": "drop", "id": "1"}),
        ("/panel/elsewhere", {"action": "enable", "name": "nightly"}),
    ],
)
def test_what_no_button_sends_is_not_understood(
    visitor: Visitor, db: Database, path: str, fields: dict[str, str]
) -> None:
    visitor.open("/panel")
    visitor.send(replace(visitor.form("Sign out"), action=path), **fields)
    assert visitor.status == 400
    assert jobs.recent(db) == []


def test_a_form_that_makes_no_sense_is_refused(visitor: Visitor) -> None:
    body = "&".join(f"f{number}=1" for number in range(100)).encode() + b"\xff\xfe%zz"
    assert visitor.ask("POST", "/panel/schedules", body).status == 403


# --- schedules ------------------------------------------------------------------------------------------------------


def test_a_schedule_is_enabled_paused_resumed_and_disabled(visitor: Visitor, db: Database) -> None:
    visitor.open("/panel")
    page = visitor.press("Enable: nightly")
    assert "nightly is enabled." in page.text
    assert schedule(db, "nightly").enabled
    assert not schedule(db, "often").enabled
    page = visitor.press("Pause: nightly", seconds="28800")
    assert "nightly is paused." in page.text
    until = schedule(db, "nightly").paused_until
    assert until is not None
    assert "PAUSED" in page.text
    page = visitor.press("Resume: nightly")
    assert "PAUSED" not in page.text
    resumed = schedule(db, "nightly").paused_until
    assert resumed is not None
    assert resumed < until
    page = visitor.press("Disable: nightly")
    assert "nightly is disabled." in page.text
    assert not schedule(db, "nightly").enabled


def test_run_now_starts_a_job_and_shows_it_to_its_end(visitor: Visitor, db: Database, url: str) -> None:
    visitor.open("/panel")
    page = visitor.press("Run now: nightly")
    job_id = visitor.path.removeprefix("/panel/jobs/").partition("?")[0]
    assert "QUEUED" in page.text
    assert page.metas == {"refresh": "2"}, "follows the job by itself"
    with running(Worker(settings(url), registry(**{"clean-up": lambda job: job.log("swept")}), Stop())):
        ended(db, job_id)
    page = visitor.open(visitor.path)
    assert "COMPLETED" in page.text
    assert "swept" in page.text
    assert page.metas == {}, "and rests when there is nothing more to see"
    assert not schedule(db, "nightly").enabled, "running once enables nothing"


def test_pressing_run_now_twice_runs_it_once(visitor: Visitor, db: Database) -> None:
    visitor.open("/panel")
    button = visitor.form("Run now: nightly")
    visitor.send(button)
    first = visitor.path.partition("?")[0]
    page = visitor.send(button)
    assert visitor.path.partition("?")[0] == first
    assert "Nothing was started twice." in page.text
    assert len(jobs.recent(db)) == 1
    visitor.open("/panel")
    visitor.press("Run now: nightly")
    assert len(jobs.recent(db)) == 2, "a page opened anew brings a new button"


def test_a_schedule_that_is_gone_meanwhile_is_said(visitor: Visitor, db: Database, url: str) -> None:
    visitor.open("/panel")
    button = visitor.form("Enable: nightly")
    sql(url, "DELETE FROM JobSchedule WHERE name = 'nightly'")
    assert "no schedule is called 'nightly'" in visitor.send(button).text
    assert visitor.status == 404


def test_a_schedule_nobody_can_understand_is_said(visitor: Visitor, db: Database, url: str) -> None:
    sql(url, "UPDATE JobSchedule SET cron = 'whenever' WHERE name = 'nightly'")
    visitor.open("/panel")
    assert "whenever" in visitor.press("Enable: nightly").text
    assert visitor.status == 409
    assert not schedule(db, "nightly").enabled


def test_pressing_a_button_wakes_whoever_waits(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    woken = []
    monkeypatch.setattr(panel, "wake_this_process", lambda: woken.append(True))
    visitor.open("/panel")
    assert not woken
    visitor.press("Run now: often")
    assert woken
    assert "[panel] run 'often' by 192.0.2.1\n" in capfd.readouterr().out


# --- jobs -----------------------------------------------------------------------------------------------------------


def test_a_failed_job_shows_its_error_and_can_be_retried(visitor: Visitor, db: Database) -> None:
    job_id = failed(db, "it broke\n  at line 7")
    page = visitor.open("/panel")
    visitor.open(page.links["clean-up"])
    assert "it broke\n  at line 7" in visitor.page.text
    page = visitor.press("Retry")
    assert "Queued again" in page.text
    row = jobs.read(db, job_id)
    assert row is not None
    assert (row.status, row.attempt) == ("QUEUED", 0)


def test_a_waiting_job_is_cancelled_at_once(visitor: Visitor, db: Database) -> None:
    job_id = jobs.enqueue(db, "noop", delay_seconds=600)
    visitor.open(f"/panel/jobs/{job_id}")
    assert "Cancelled before it ran." in visitor.press("Cancel").text
    row = jobs.read(db, job_id)
    assert row is not None
    assert row.status == "CANCELLED"


def test_a_running_job_is_asked_to_end(visitor: Visitor, db: Database) -> None:
    job_id = jobs.enqueue(db, "noop")
    assert Queue(db).turn_over([], ["noop"], 1, "worker-1")
    visitor.open(f"/panel/jobs/{job_id}")
    assert "asked to stop" in visitor.press("Cancel").text


def test_a_button_that_comes_too_late_is_said(visitor: Visitor, db: Database, url: str) -> None:
    job_id = jobs.enqueue(db, "noop")
    visitor.open(f"/panel/jobs/{job_id}")
    sql(url, "UPDATE JobRun SET status = 'COMPLETED'")
    page = visitor.press("Cancel")
    assert "Too late" in page.text
    assert [form.button for form in page.forms] == ["Sign out"], "a completed job has nothing left to press"


def test_jobs_can_be_shown_by_state(visitor: Visitor, db: Database) -> None:
    failed(db)
    jobs.enqueue(db, "noop")
    assert set(visitor.open("/panel").links) >= {"clean-up", "noop"}
    page = visitor.open("/panel?status=FAILED")
    assert "clean-up" in page.links
    assert "noop" not in page.links
    assert visitor.open("/panel?status=NONSENSE").links.keys() >= {"clean-up", "noop"}


def test_a_long_log_and_a_long_error_are_cut_and_say_so(
    visitor: Visitor, db: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = failed(db, "x" * 50_000)
    for number in range(4):
        sql(
            url,
            "INSERT INTO JobLog (id, jobRunId, message) VALUES (:id, :job, :message)",
            id=str(number),
            job=job_id,
            message=f"line {number} " + "y" * 5000,
        )
    monkeypatch.setattr(pages, "LOG_LINES_MOST", 3)
    page = visitor.open(f"/panel/jobs/{job_id}")
    assert len(page.source) < 20_000
    assert "characters more" in page.text
    assert "line 2" in page.text
    assert "line 3" not in page.text
    assert "Only the first 3 lines are shown." in page.text


@pytest.mark.parametrize("path", ["/panel/jobs/none", "/panel/jobs/", "/panel/elsewhere", "/panel/../etc/passwd"])
def test_what_is_not_there_is_not_found(visitor: Visitor, path: str) -> None:
    visitor.open(path)
    assert visitor.status == 404


# --- who is alive ---------------------------------------------------------------------------------------------------


def beat(db: Database, kind: str, status: str = "RUNNING") -> str:
    identity = Identity.of(kind, settings(RAILWAY_SERVICE_NAME="a-service", SCHEDULE_POLL_INTERVAL_MS="3600000"))
    heartbeats.register(db, identity, status)
    return identity.id


def test_nobody_alive_is_said_with_what_follows(visitor: Visitor) -> None:
    page = visitor.open("/panel")
    assert "No schedule daemon is alive: schedules do not fire." in page.text
    assert "No job worker is alive: jobs wait." in page.text


def test_who_is_alive_is_counted(visitor: Visitor, db: Database) -> None:
    for kind, status in ((SCHEDULE_DAEMON, "RUNNING"), (SCHEDULE_DAEMON, "STANDBY"), (JOB_WORKER, "RUNNING")):
        beat(db, kind, status)
    beat(db, JOB_WORKER)
    page = visitor.open("/panel")
    assert "1 schedule daemon running, 1 standing by" in page.text
    assert "2 job workers running" in page.text
    assert "The daemon reads this list every 1 h" in page.text
    beat(db, SCHEDULE_DAEMON)
    assert "2 schedule daemons running, 1 standing by: there should be one." in visitor.open("/panel").text


def test_a_process_that_says_running_and_does_not_beat_is_silent(visitor: Visitor, db: Database, url: str) -> None:
    beat(db, SCHEDULE_DAEMON)
    sql(url, "UPDATE WorkerInstance SET lastHeartbeatAt = '2001-01-01 00:00:00.000'")
    page = visitor.open("/panel")
    assert "SILENT" in page.text
    assert "No schedule daemon is alive" in page.text


def test_processes_that_ended_are_shown_apart(visitor: Visitor, db: Database) -> None:
    for kind, status in ((JOB_WORKER, "STOPPED"), (JOB_WORKER, "DEAD")):
        beat(db, kind, status)
    page = visitor.open("/panel")
    assert "Ended lately (2)" in page.text
    assert "No job worker is alive" in page.text


def test_what_is_due_and_not_yet_looked_at_is_said(visitor: Visitor, db: Database, url: str) -> None:
    schedules.enable(db, "nightly")
    sql(url, "UPDATE JobSchedule SET nextRunAt = '2001-01-01 00:00:00.000' WHERE name = 'nightly'")
    assert "at the daemon's next look" in visitor.open("/panel").text


def test_the_page_can_refresh_itself_and_stop(visitor: Visitor) -> None:
    page = visitor.open("/panel?status=FAILED")
    assert page.metas == {}, "not unless somebody wants it"
    page = visitor.open(page.links["Refresh every 10 s"])
    assert page.metas == {"refresh": "10"}
    assert visitor.open(page.links["Stop refreshing"]).metas == {}
    assert "status=FAILED" in visitor.path
    assert visitor.open("/panel?refresh=0").metas == {}


# --- what must not get out ------------------------------------------------------------------------------------------


def test_whatever_the_tables_hold_stays_text(visitor: Visitor, db: Database, url: str) -> None:
    job_id = failed(db, NASTY)
    beat(db, JOB_WORKER)
    sql(url, "UPDATE JobRun SET jobName = :nasty, workerId = :nasty", nasty=NASTY)
    sql(url, "INSERT INTO JobLog (id, jobRunId, level, message) VALUES ('1', :id, :n, :n)", id=job_id, n=NASTY)
    sql(url, "UPDATE JobSchedule SET name = :n, cron = :n, timezone = :n WHERE name = 'nightly'", n=NASTY)
    sql(url, "UPDATE WorkerInstance SET workerType = :n, service = :n, hostname = :n, profile = :n", n=NASTY)
    for path in ("/panel", f"/panel/jobs/{job_id}"):
        page = visitor.open(path)
        assert page.text.count(NASTY) >= 2
        assert "script" not in page.tags
    visitor.open("/panel")
    visitor.press(f"Run now: {NASTY}")
    assert visitor.status == 200
    visitor.open("/panel")
    assert "cannot be understood" in visitor.press(f"Enable: {NASTY}").text
    assert "script" not in visitor.page.tags


@pytest.mark.parametrize("name", [NASTY, "Your session is over, sign in at evil.example"])
def test_an_address_cannot_put_words_into_the_panels_mouth(visitor: Visitor, name: str) -> None:
    for path in ("/panel", "/panel/jobs/x", "/panel/sign-in"):
        for field in ("said=enable&name", "said", "status", "refresh", "to"):
            visitor.open(f"{path}?{field}={name}")
            assert name not in visitor.page.text


def test_a_job_of_any_id_has_its_page(visitor: Visitor, db: Database, url: str) -> None:
    odd = "a/b?c=d&e#ü%20"
    sql(url, "INSERT INTO JobRun (id, jobName) VALUES (:id, 'odd')", id=odd)
    visitor.open(visitor.open("/panel").links["odd"])
    assert odd in visitor.page.text
    assert "Cancelled" in visitor.press("Cancel").text


def test_no_payload_and_no_secret_is_on_any_page(visitor: Visitor, db: Database) -> None:
    schedules.run_now(db, "nightly")
    page = visitor.open("/panel")
    for path in ("/panel", page.links["clean-up"]):
        assert "payload-secret" not in visitor.open(path).source
        assert TOKEN not in visitor.page.source


def test_a_database_that_is_away_is_said_without_its_password() -> None:
    visitor = Visitor(administration(settings(f"mysql://u:hunter2@127.0.0.1:{free_port()}/d", ADMIN_TOKEN=TOKEN)))
    page = visitor.sign_in()
    assert visitor.status == 503
    assert "check that the database runs" in page.text
    assert "hunter2" not in page.source


def test_without_a_database_url_the_panel_says_so() -> None:
    visitor = Visitor(administration(settings(ADMIN_TOKEN=TOKEN)))
    assert "DATABASE_URL is not set" in visitor.sign_in().text
    assert visitor.status == 503


def test_every_page_forbids_scripts_frames_and_guessing_of_types(visitor: Visitor, db: Database) -> None:
    for path in ("/panel", "/panel/sign-in", "/panel/none", f"/panel/jobs/{failed(db)}", "/panel/panel.css"):
        headers = dict(visitor.ask("GET", path).headers)
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy == {
            "default-src": "'none'",
            "style-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == ("max-age=300" if path.endswith("css") else "no-store")


def test_the_pages_fetch_nothing_from_elsewhere(visitor: Visitor) -> None:
    style = visitor.ask("GET", "/panel/panel.css").body.decode()
    for text in (visitor.open("/panel").source, style):
        assert not re.search(r"https?:|//|url\(|@import", text.replace("<!doctype html>", ""))


# --- over the wire --------------------------------------------------------------------------------------------------


def test_the_panel_is_served_beside_an_embedded_worker_within_its_connections(url: str, db: Database) -> None:
    with (
        serving(
            url,
            ADMIN_TOKEN=TOKEN,
            EMBEDDED_JOB_WORKER="true",
            JOBS_MODULE="runtime.demo",
            JOB_WORKER_POLL_INTERVAL_MS="3600000",
            DATABASE_CONNECTION_LIMIT="3",
        ) as port,
        connected(port) as connection,
    ):

        def ask(method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str, str]:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
            return answer.status, answer.headers.get("Set-Cookie") or answer.headers.get("Location") or "", text

        def alive() -> bool:
            return bool(json.loads(ask("GET", "/health")[2])["job_worker"]["state"] == "running")

        eventually(alive)
        cookie = ask("POST", "/panel/sign-in", f"token={TOKEN}")[1].partition(";")[0]
        page = ask("GET", "/panel", Cookie=cookie)[2]
        assert "1 job worker running" in page
        form_token = re.findall('name="form_token" value="([0-9a-f]+)"', page)[0]
        run_id = re.findall('name="run_id" value="([0-9a-f-]+)"', page)[-1]
        pressed = f"form_token={form_token}&action=run&name=often&run_id={run_id}"
        status, location, _ = ask("POST", "/panel/schedules", pressed, Cookie=cookie)
        assert (status, location) == (303, f"/panel/jobs/{run_id}?refresh=2")
        ended(db, run_id)  # at once, although the worker polls once an hour: the button has woken it
        assert ask("HEAD", "/panel", Cookie=cookie)[::2] == (200, "")


def test_when_every_connection_is_in_use_the_panel_says_so(url: str, db: Database) -> None:
    wanted = settings(url, ADMIN_TOKEN=TOKEN, DATABASE_CONNECTION_LIMIT="2")
    pool = start.pool(wanted)
    visitor = Visitor(Admin(wanted, pool))
    with pool.lend(), pool.lend():
        assert "all 2 connections of this process are in use" in visitor.sign_in().text
        assert visitor.status == 503
    assert "Who is alive" in visitor.open("/panel").text


# --- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 ms"),
        (0.04, "40 ms"),
        (1.25, "1.2 s"),
        (30, "30 s"),
        (119, "119 s"),
        (900, "15 min"),
        (3600, "1 h"),
        (5400, "1.5 h"),
        (36_000, "10 h"),
        (864_000, "10 days"),
    ],
)
def test_a_length_of_time_has_a_unit_that_fits(seconds: float, text: str) -> None:
    assert pages.span(seconds) == text


def test_how_long_ago_is_not_told_in_fractions() -> None:
    assert [pages.since(seconds) for seconds in (-1, 0.4, 1.6, 4000)] == [
        "just now",
        "just now",
        "2 s ago",
        "1.1 h ago",
    ]
