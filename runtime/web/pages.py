"""What the control panel looks like: values in, HTML out. No database, no clock, no request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from runtime.heartbeats import Heartbeat, lease_ms
from runtime.identity import JOB_WORKER, SCHEDULE_DAEMON
from runtime.jobs import JobRow, QueueSummary
from runtime.schedules import Schedule
from runtime.web.markup import Child, Markup, element, join

JOB_STATES = ("SCHEDULED", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELLED")
PAUSES = {"900": "15 minutes", "3600": "1 hour", "28800": "8 hours", "86400": "1 day"}
DEFAULT_HEARTBEAT_MS = 10_000
TEXT_MOST = 8000
LINE_MOST = 2000
LOG_LINES_MOST = 200
KINDS = {SCHEDULE_DAEMON: "Schedule daemon", JOB_WORKER: "Job worker"}
SCHEDULE_SAID = {
    "enable": "{} is enabled.",
    "disable": "{} is disabled.",
    "pause": "{} is paused.",
    "resume": "{} goes on.",
}
JOB_SAID = {
    "already": "That button had been pressed before: this is the job it started. Nothing was started twice.",
    "retry": "Queued again, with all its attempts.",
    "cancelled": "Cancelled before it ran.",
    "requested": "Its worker was asked to stop it.",
    "late": "Too late: the job's state changed before the button was pressed.",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page of a session carries."""

    service: str
    form_token: str
    refresh_seconds: int | None


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the first page shows; `now` is the database's clock, and every age is counted from it."""

    now: datetime
    heartbeats: Sequence[Heartbeat]
    schedules: Sequence[Schedule]
    queue: QueueSummary
    jobs: Sequence[JobRow]
    status: str | None
    """Only jobs in this state are shown."""
    said: tuple[str, str] | None
    """What a button has just done to which schedule."""
    new_run_ids: Mapping[str, str]
    """The id of the job that each schedule's "Run now" would start."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One job and the lines it wrote."""

    now: datetime
    row: JobRow
    lines: Sequence[Mapping[str, Any]]
    said: str | None


def is_run_id(text: str) -> bool:
    """Whether this can be an id that a page of ours brought."""
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


# --- pages ----------------------------------------------------------------------------------------------------------


def overview(frame: Frame, view: Overview) -> Markup:
    """Who is alive, what is planned, what waits, what ran."""
    state = None if view.status is None else urlencode({"status": view.status})
    return _page(
        frame,
        "Overview",
        element("h1", "Overview", class_="unseen"),
        _notice(_schedule_said(view)),
        _processes(view),
        _schedules(frame, view),
        _queue(view),
        _jobs(view),
        _refreshing(frame, "/panel", view.now, seconds=10, query=state),
    )


def job(frame: Frame, detail: Detail) -> Markup:
    """One job: its story, its error, its log, and what can still be done about it."""
    row, now = detail.row, detail.now
    if row.finished:
        frame = Frame(frame.service, frame.form_token, None)  # nothing will change any more
    return _page(
        frame,
        f"{row.job_name} · {row.status}",
        element("p", element("a", "← Overview", href="/panel")),
        _notice(JOB_SAID.get(detail.said or "")),
        element(
            "section",
            element("div", element("h1", row.job_name), _badge(row.status), class_="title"),
            _facts(_story(row, now)),
            _job_buttons(frame, row),
            class_="card",
        ),
        _error(row),
        _log(detail),
        _refreshing(frame, _job_path(row.id), now, seconds=2) if not row.finished else _as_of(now),
    )


def sign_in(to: str, problem: str, *, in_clear: bool) -> Markup:
    """The door."""
    warning = "This connection is not encrypted: whoever listens on the way can read the token. Use https."
    return _bare(
        "Sign in",
        element("h1", "Control panel"),
        element("p", problem, class_="alert", role="alert") if problem else None,
        element("p", warning, class_="alert") if in_clear else None,
        element(
            "form",
            element("label", "ADMIN_TOKEN of this service", for_="token"),
            element(
                "input",
                id="token",
                type="password",
                name="token",
                required=True,
                autofocus=True,
                autocomplete="current-password",
                spellcheck="false",
            ),
            element("input", type="hidden", name="to", value=to),
            element("button", "Sign in", type="submit", class_="main"),
            method="post",
            action="/panel/sign-in",
            class_="door",
        ),
    )


def off() -> Markup:
    """What is shown where no token is configured."""
    return _bare(
        "Control panel is off",
        element("h1", "The control panel is off"),
        element(
            "p", "Set ADMIN_TOKEN on this service to a long random text, and deploy it: then this page asks for it."
        ),
        element("p", "A good one: ", element("code", "openssl rand -hex 24")),
    )


def refused(reason: str) -> Markup:
    """A form that was not sent by a page of this session."""
    return _bare(
        "Refused", element("h1", "Refused"), element("p", reason), element("p", element("a", "Overview", href="/panel"))
    )


def problem(frame: Frame, title: str, message: str, hint: str) -> Markup:
    """Something that could not be done or shown, and what helps."""
    return _page(
        frame,
        title,
        element(
            "section",
            element("h1", title),
            element("p", message, role="alert"),
            element("p", f"What helps: {hint}") if hint else None,
            element("p", element("a", "← Overview", href="/panel")),
            class_="card",
        ),
    )


# --- who is alive ---------------------------------------------------------------------------------------------------


def _processes(view: Overview) -> Markup:
    living = [beat for beat in view.heartbeats if beat.status not in ("STOPPED", "DEAD")]
    living.sort(key=lambda beat: beat.kind != SCHEDULE_DAEMON)
    ended = [beat for beat in view.heartbeats if beat.status in ("STOPPED", "DEAD")]
    return _section(
        "alive",
        "Who is alive",
        element("ul", [element("li", line) for line in _headlines(living)], class_="headlines"),
        _rows([_process(beat) for beat in living]),
        element(
            "details",
            element("summary", f"Ended lately ({len(ended)})"),
            _rows([_process(beat) for beat in ended]),
        )
        if ended
        else None,
    )


def _headlines(living: Iterable[Heartbeat]) -> list[Markup]:
    """One line for each kind: how many lead or work, how many stand by, and what follows when there is none."""
    lines = []
    without = {
        SCHEDULE_DAEMON: "No schedule daemon is alive: schedules do not fire.",
        JOB_WORKER: "No job worker is alive: jobs wait.",
    }
    beating = [beat for beat in living if is_beating(beat)]
    for kind, name in KINDS.items():
        count = sum(beat.kind == kind and beat.status == "RUNNING" for beat in beating)
        standby = sum(beat.kind == kind and beat.status == "STANDBY" for beat in beating)
        text = f"{count} {name.lower()}{'' if count == 1 else 's'} running" if count else without[kind]
        if standby:
            text += f", {standby} standing by"
        if kind == SCHEDULE_DAEMON and count > 1:
            text += ": there should be one. Run “deploykit doctor”: it names the cause."
        lines.append(_signed(text, "good" if count == 1 or (count and kind == JOB_WORKER) else "bad"))
    return lines


def is_beating(beat: Heartbeat) -> bool:
    """Whether its last beat is recent enough for others to count it as alive, by the database's clock."""
    limit_seconds = lease_ms(beat.heartbeat_interval_ms or DEFAULT_HEARTBEAT_MS) / 1000
    return beat.seconds_ago is not None and beat.seconds_ago <= limit_seconds


def _process(beat: Heartbeat) -> Markup:
    ended = beat.status in ("STOPPED", "DEAD")
    status = beat.status if ended or is_beating(beat) else "SILENT"
    age = "never" if beat.seconds_ago is None else since(beat.seconds_ago)
    facts = [
        ("last beat", age),
        ("looks every", None if beat.poll_interval_ms is None else span(beat.poll_interval_ms / 1000)),
        ("deployment", _short(beat.deployment)),
        ("replica", _short(beat.replica)),
        ("profile", beat.profile),
        ("host", beat.hostname and f"{beat.hostname}{'' if beat.pid is None else f' · process {beat.pid}'}"),
        ("id", beat.worker_id),
    ]
    title = [element("strong", KINDS.get(beat.kind, beat.kind)), f" in {beat.service}" if beat.service else None]
    return element("li", element("div", element("span", title), _badge(status), class_="title"), _facts(facts))


# --- schedules ------------------------------------------------------------------------------------------------------


def _schedules(frame: Frame, view: Overview) -> Markup:
    return _section(
        "schedules",
        "Schedules",
        element("p", _daemon_pace(view.heartbeats), class_="quiet"),
        _rows([_schedule(frame, view, schedule) for schedule in view.schedules])
        if view.schedules
        else element("p", "None yet: a daemon writes them down at its start, from the module that JOBS_MODULE names."),
    )


def _daemon_pace(beats: Iterable[Heartbeat]) -> str:
    paces = [b.poll_interval_ms for b in beats if b.kind == SCHEDULE_DAEMON and b.status == "RUNNING" and is_beating(b)]
    if not paces or paces[0] is None:
        return "“Run now” needs no daemon: it puts the job into the queue, enabled or not."
    return (
        f"The daemon reads this list every {span(paces[0] / 1000)}; what you switch on counts from its next look. "
        "“Run now” needs no daemon."
    )


def _schedule(frame: Frame, view: Overview, schedule: Schedule) -> Markup:
    paused = schedule.paused_until is not None and schedule.paused_until > view.now
    status = "PAUSED" if schedule.enabled and paused else "ENABLED" if schedule.enabled else "DISABLED"
    rule = schedule.cron if schedule.interval_seconds is None else f"every {span(schedule.interval_seconds)}"
    facts: list[tuple[str, Child]] = [
        ("when", element("span", element("code", rule or "-"), f" {schedule.timezone}" if schedule.cron else None)),
        ("job", schedule.job_name),
        ("paused until", _moment(schedule.paused_until, view.now) if status == "PAUSED" else None),
        ("next", _next(schedule, view.now)),
        ("last ran", _moment(schedule.last_run_at, view.now) if schedule.last_run_at else "never"),
    ]
    return element(
        "li",
        element("div", element("strong", schedule.name), _badge(status), class_="title"),
        _facts(facts),
        _schedule_buttons(frame, view, schedule, status),
    )


def _next(schedule: Schedule, now: datetime) -> Child:
    if not schedule.enabled:
        return None
    if schedule.next_run_at is None:
        return "set at the daemon's next look"
    if schedule.next_run_at < now:
        return join("due ", _moment(schedule.next_run_at, now), ", at the daemon's next look")
    return _moment(schedule.next_run_at, now)


def _schedule_buttons(frame: Frame, view: Overview, schedule: Schedule, status: str) -> Markup:
    def form(action: str, label: str, *more: Child, class_: str | None = None) -> Markup:
        return _form(
            frame,
            "/panel/schedules",
            {"action": action, "name": schedule.name},
            *more,
            element("button", label, type="submit", class_=class_, aria_label=f"{label}: {schedule.name}"),
        )

    run_id = element("input", type="hidden", name="run_id", value=view.new_run_ids.get(schedule.name, ""))
    buttons = [form("run", "Run now", run_id, class_="main" if schedule.enabled else None)]
    if not schedule.enabled:
        buttons.append(form("enable", "Enable", class_="main"))
    else:
        buttons.append(form("disable", "Disable"))
        if status == "PAUSED":
            buttons.append(form("resume", "Resume"))
        else:
            choices = [element("option", text, value=seconds) for seconds, text in PAUSES.items()]
            choice = element("select", choices, name="seconds", aria_label=f"How long to pause {schedule.name}")
            buttons.append(form("pause", "Pause", choice))
    return element("div", buttons, class_="buttons")


def _schedule_said(view: Overview) -> str | None:
    if view.said is None:
        return None
    said, name = view.said
    text = SCHEDULE_SAID.get(said)
    return None if text is None else text.format(name)


# --- queue and jobs -------------------------------------------------------------------------------------------------


def _queue(view: Overview) -> Markup:
    queue = view.queue
    figures = {
        "QUEUED": queue.queued,
        "RUNNING": queue.running,
        "SCHEDULED": queue.scheduled,
        "COMPLETED": queue.completed,
        "FAILED": queue.failed,
        "CANCELLED": queue.cancelled,
    }
    oldest = queue.oldest_queued_seconds
    return _section(
        "queue",
        "Queue",
        element("ul", [_figure(state, count, view.status) for state, count in figures.items()], class_="figures"),
        element(
            "p",
            "Nothing waits." if oldest is None else f"The oldest waiting job was enqueued {since(oldest)}.",
            class_="quiet",
        ),
    )


def _figure(state: str, count: int, chosen: str | None) -> Markup:
    return element(
        "li",
        element(
            "a",
            element("b", f"{count:,}"),
            " ",
            element("span", state.lower()),
            href=f"/panel?{urlencode({'status': state})}#jobs",
            aria_current="true" if state == chosen else None,
        ),
    )


def _jobs(view: Overview) -> Markup:
    heading = "Last jobs" if view.status is None else f"Last jobs: {view.status.lower()}"
    head = [element("th", text, scope="col", class_=class_) for text, class_ in _COLUMNS]
    return _section(
        "jobs",
        heading,
        element("p", element("a", "Show all states", href="/panel#jobs")) if view.status else None,
        element(
            "table",
            element("thead", element("tr", head)),
            element("tbody", [_job_row(row, view.now) for row in view.jobs]),
        )
        if view.jobs
        else element("p", "None yet." if view.status is None else "None."),
    )


_COLUMNS = (("Job", None), ("State", None), ("Enqueued", None), ("Took", "wide"), ("Attempt", "wide"))


def _job_row(row: JobRow, now: datetime) -> Markup:
    return element(
        "tr",
        element("td", element("a", row.job_name, href=_job_path(row.id))),
        element("td", _badge(row.status)),
        element("td", _ago(row.queued_at, now)),
        element("td", _took(row, now), class_="wide"),
        element("td", _attempt(row), class_="wide"),
    )


def _story(row: JobRow, now: datetime) -> list[tuple[str, Child]]:
    return [
        ("enqueued", _moment(row.queued_at, now)),
        ("due", _moment(row.due_at, now)),
        ("runs", _moment(row.run_at, now) if row.status == "SCHEDULED" else None),
        ("started", _moment(row.started_at, now)),
        ("finished", _moment(row.finished_at, now)),
        ("took", _took(row, now) if row.started_at else None),
        ("attempt", _attempt(row)),
        ("progress", None if row.progress is None else f"{row.progress} %"),
        ("worker", row.worker_id),
        ("id", row.id),
    ]


def _job_buttons(frame: Frame, row: JobRow) -> Markup | None:
    action = {"FAILED": "retry", "CANCELLED": "retry", "COMPLETED": None}.get(row.status, "cancel")
    if action is None:
        return None
    button = element("button", action.capitalize(), type="submit", class_="main" if action == "retry" else None)
    return element("div", _form(frame, "/panel/jobs", {"action": action, "id": row.id}, button), class_="buttons")


def _error(row: JobRow) -> Markup | None:
    if not row.last_error:
        return None
    heading = {"FAILED": "Error", "CANCELLED": "Reason"}.get(row.status, "Last error")
    return _section("error", heading, element("pre", _cut(row.last_error, TEXT_MOST), tabindex=0))


def _log(detail: Detail) -> Markup:
    lines = [
        element(
            "li", element("span", f"{_clock(line['createdAt'])} {line['level']}"), " ", _cut(line["message"], LINE_MOST)
        )
        for line in detail.lines[:LOG_LINES_MOST]
    ]
    more = len(detail.lines) > LOG_LINES_MOST
    return _section(
        "log",
        "Log",
        element("ol", lines, class_="log") if lines else element("p", "It wrote nothing."),
        element("p", f"Only the first {LOG_LINES_MOST} lines are shown.", class_="quiet") if more else None,
    )


# --- pieces ---------------------------------------------------------------------------------------------------------


def _page(frame: Frame, title: str, *content: Child) -> Markup:
    sign_out = _form(frame, "/panel/sign-out", {}, element("button", "Sign out", type="submit"))
    bar = element(
        "header",
        element("a", element("strong", "deploykit"), " ", frame.service, href="/panel"),
        sign_out,
        class_="bar",
    )
    return _html(title, frame.refresh_seconds, bar, *content)


def _bare(title: str, *content: Child) -> Markup:
    return _html(title, None, None, element("section", *content, class_="card"))


def _html(title: str, refresh_seconds: int | None, bar: Markup | None, *content: Child) -> Markup:
    refresh = None if refresh_seconds is None else element("meta", http_equiv="refresh", content=refresh_seconds)
    return element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("title", f"{title} · deploykit"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("meta", name="robots", content="noindex"),
            refresh,
            element("link", rel="stylesheet", href="/panel/panel.css"),
        ),
        element(
            "body",
            element("a", "Skip to content", href="#content", class_="skip"),
            bar,
            element("main", *content, id="content", tabindex=-1),
        ),
        lang="en",
    )


def _section(id_: str, heading: str, *content: Child) -> Markup:
    name = f"{id_}-heading"
    return element("section", element("h2", heading, id=name), *content, id=id_, class_="card", aria_labelledby=name)


def _rows(rows: list[Markup]) -> Markup | None:
    return element("ul", rows, class_="rows") if rows else None


def _facts(facts: Iterable[tuple[str, Child]]) -> Markup:
    known = [element("div", element("dt", name), element("dd", value)) for name, value in facts if value]
    return element("dl", known)


def _form(frame: Frame, target: str, fields: Mapping[str, str], *content: Child) -> Markup:
    hidden = {"form_token": frame.form_token, **fields}
    inputs = [element("input", type="hidden", name=name, value=value) for name, value in hidden.items()]
    return element("form", inputs, *content, method="post", action=target)


def _badge(status: str) -> Markup:
    return element("span", status, class_=f"badge {_MOODS.get(status, 'calm')}")


_MOODS = {
    "RUNNING": "good",
    "COMPLETED": "good",
    "ENABLED": "good",
    "FAILED": "bad",
    "DEAD": "bad",
    "SILENT": "bad",
    "PAUSED": "warm",
    "DRAINING": "warm",
}


def _signed(text: str, mood: str) -> Markup:
    """A line with its mood as a sign and a colour; the text alone says the same."""
    return element("span", text, class_=f"sign {mood}")


def _notice(text: str | None) -> Markup | None:
    return element("p", text, role="status", class_="notice") if text else None


def _refreshing(frame: Frame, path: str, now: datetime, *, seconds: int, query: str | None = None) -> Markup:
    plain = path if query is None else f"{path}?{query}"
    again = f"{path}?{query + '&' if query else ''}refresh={seconds}"
    if frame.refresh_seconds is None:
        links: list[Child] = [
            element("a", "Refresh", href=plain),
            element("a", f"Refresh every {seconds} s", href=again),
        ]
    else:
        links = [f"Refreshes every {frame.refresh_seconds} s", element("a", "Stop refreshing", href=plain)]
    return element("footer", _as_of(now), *links)


def _as_of(now: datetime) -> Markup:
    return element("p", f"As of {now:%Y-%m-%d %H:%M:%S} UTC, by the database's clock", class_="quiet")


def _moment(at: datetime | None, now: datetime) -> Markup | None:
    """A time as its distance from now and as UTC."""
    if at is None:
        return None
    seconds = (at - now).total_seconds()
    text = f"in {span(round(seconds))}" if seconds > 0.5 else since(-seconds)
    near = abs(seconds) < 86_400 and at.date() == now.date()
    absolute = f"{at:%H:%M:%S}" if near else f"{at:%a %Y-%m-%d %H:%M}"
    return element("time", f"{text} ", element("small", f"{absolute} UTC"), datetime=at.isoformat())


def _ago(at: datetime | None, now: datetime) -> Markup | None:
    if at is None:
        return None
    text = since((now - at).total_seconds())
    return element("time", text, datetime=at.isoformat(), title=f"{at:%Y-%m-%d %H:%M:%S} UTC")


def _took(row: JobRow, now: datetime) -> str:
    if row.started_at is None:
        return "-"
    if row.status == "RUNNING":
        return f"{span((now - row.started_at).total_seconds())} so far"
    return span((row.finished_at - row.started_at).total_seconds()) if row.finished_at else "-"


def _attempt(row: JobRow) -> str | None:
    if row.attempt is None:
        return None
    return f"{row.attempt} of {row.max_attempts}" if row.max_attempts else str(row.attempt)


def since(seconds: float) -> str:
    """How long ago, in whole seconds at the finest."""
    return "just now" if seconds < 1 else f"{span(round(seconds))} ago"


def span(seconds: float) -> str:
    """A length of time in a unit that fits: `40 ms`, `1.5 s`, `12 s`, `5 min`, `1.5 h`, `4 days`."""
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for limit, unit_seconds, unit in ((120, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            number = seconds / unit_seconds
            exact = unit != "min" and number < 10
            return f"{f'{number:.1f}'.removesuffix('.0') if exact else f'{number:.0f}'} {unit}"
    return f"{seconds / 86_400:.0f} days"


def _clock(at: Any) -> str:
    return str(at)[11:19]


def _short(text: str | None) -> str | None:
    return text and text[:8]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} characters more)"


def _job_path(job_id: str) -> str:
    return f"/panel/jobs/{quote(job_id, safe='')}"
