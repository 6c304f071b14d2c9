"""The control panel: who is allowed in, which page a path is, and what its buttons do. What it looks like: `pages`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode

from runtime import heartbeats, jobs, log, schedules
from runtime.client import wake_this_process
from runtime.db import Database, DatabaseError, Duplicate, instant
from runtime.handlers import DeclarationError
from runtime.identity import new_id
from runtime.settings import Settings
from runtime.wakeup import Wakeup
from runtime.web import pages
from runtime.web.exchange import Request, Response
from runtime.web.markup import Markup, document
from runtime.web.session import Session, Sessions
from runtime.web.tokens import Throttle, matches

STYLE = Path(__file__).with_name("panel.css")
REFRESH_SECONDS = ("2", "10")
FIELDS_MOST = 10
JOBS_MOST = 20
HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
NO_STORE = ("Cache-Control", "no-store")
Fields = dict[str, str]
Connection = Callable[[], AbstractContextManager[Database]]


class Panel:
    """Answers every path from /panel on."""

    def __init__(self, settings: Settings, connection: Connection, throttle: Throttle) -> None:
        self._settings = settings
        self._connection = connection
        self._throttle = throttle
        self._token = (settings.admin_token or "").strip()
        self._sessions = Sessions(self._token)
        self._wakeup = Wakeup(settings.wake_addresses)

    def answer(self, request: Request, address: str) -> Response:
        if request.path == "/panel/panel.css":
            return Response(200, "text/css; charset=utf-8", _style(), (("Cache-Control", "max-age=300"), *HEADERS))
        if not self._token:
            return self._page(404, pages.off())
        if request.method == "POST":
            return self._post(request, address)
        if request.path == "/panel/sign-in":
            return self._sign_in_page(request, 200, _fields(request.query).get("to", ""))
        session = self._sessions.read(request.header("Cookie"))
        if session is None:
            return _go(f"/panel/sign-in?{urlencode({'to': request.path})}")
        try:
            return self._get(request, session)
        except DatabaseError as error:
            return self._failed(session, error)

    # --- looking --------------------------------------------------------------------------------------------------

    def _get(self, request: Request, session: Session) -> Response:
        fields = _fields(request.query)
        frame = self._frame(session, fields)
        if request.path in ("/panel", "/panel/"):
            with self._connection() as db:
                return self._page(200, pages.overview(frame, _overview(db, fields)))
        if request.path.startswith("/panel/jobs/"):
            with self._connection() as db:
                detail = _detail(db, unquote(request.path.removeprefix("/panel/jobs/")), fields)
            if detail is not None:
                return self._page(200, pages.job(frame, detail))
        return self._page(404, pages.problem(frame, "Not found", "There is no such page or job.", ""))

    def _frame(self, session: Session, fields: Fields) -> pages.Frame:
        refresh = fields.get("refresh")
        return pages.Frame(
            service=self._settings.railway_service_name or "web-server",
            form_token=self._sessions.form_token(session),
            refresh_seconds=int(refresh) if refresh in REFRESH_SECONDS else None,
        )

    # --- acting ---------------------------------------------------------------------------------------------------

    def _post(self, request: Request, address: str) -> Response:
        # Browsers say where a form was sent from, and no page can make them lie.
        if request.header("Sec-Fetch-Site") not in ("", "same-origin", "none"):
            return self._page(403, pages.refused("This form was sent from another site."))
        fields = _fields(request.body.decode("utf-8", "replace"))
        if request.path == "/panel/sign-in":
            return self._sign_in(request, fields, address)
        session = self._sessions.read(request.header("Cookie"))
        if session is None:
            return _go("/panel/sign-in")
        if not self._sessions.is_form_token(session, fields.get("form_token", "")):
            return self._page(403, pages.refused("This form is not from your session. Go back, reload, try again."))
        if request.path == "/panel/sign-out":
            return _go("/panel/sign-in", ("Set-Cookie", self._sessions.ending(secure=_is_https(request))))
        try:
            return self._act(request, fields, session, address)
        except DeclarationError as error:
            frame = self._frame(session, {})
            return self._page(409, pages.problem(frame, "That schedule cannot be understood", str(error), ""))
        except schedules.UnknownSchedule as error:
            return self._page(404, pages.problem(self._frame(session, {}), "Not found", error.message, error.hint))
        except DatabaseError as error:
            return self._failed(session, error)

    def _act(self, request: Request, fields: Fields, session: Session, address: str) -> Response:
        actions = {"/panel/schedules": _act_on_schedule, "/panel/jobs": _act_on_job}
        action = actions.get(request.path)
        with self._connection() as db:
            target = None if action is None else action(db, fields)
        if target is None:
            return self._page(400, pages.problem(self._frame(session, {}), "Not understood", "No such action.", ""))
        log.info(f"[panel] {fields['action']} {fields.get('name') or fields.get('id')!r} by {address}")
        self._wakeup.send()
        wake_this_process()
        return _go(target)

    # --- the door -------------------------------------------------------------------------------------------------

    def _sign_in(self, request: Request, fields: Fields, address: str) -> Response:
        to = fields.get("to", "")
        wait_seconds = self._throttle.wait_seconds(address)
        if wait_seconds > 0:
            return self._sign_in_page(request, 429, to, f"Too many wrong tokens. Wait {wait_seconds:.0f} seconds.")
        if not matches(fields.get("token", "").strip().encode(), [self._token]):
            self._throttle.failed(address)
            log.warning(f"[panel] wrong token from {address}")
            return self._sign_in_page(request, 403, to, "That is not the token.")
        log.info(f"[panel] signed in from {address}")
        cookie = self._sessions.cookie(self._sessions.start(), secure=_is_https(request))
        return _go(_inside(to), ("Set-Cookie", cookie))

    def _sign_in_page(self, request: Request, status: int, to: str, problem: str = "") -> Response:
        host = request.header("Host").rpartition(":")[0] or request.header("Host")
        in_clear = not _is_https(request) and host not in ("localhost", "127.0.0.1", "[::1]")
        return self._page(status, pages.sign_in(_inside(to), problem, in_clear=in_clear))

    def _failed(self, session: Session, error: DatabaseError) -> Response:
        frame = self._frame(session, {})
        return self._page(
            503, pages.problem(frame, "The database does not answer as it should", error.message, error.hint)
        )

    def _page(self, status: int, page: Markup) -> Response:
        return Response(status, "text/html; charset=utf-8", document(page), (NO_STORE, *HEADERS))


def _overview(db: Database, fields: Fields) -> pages.Overview:
    status = fields.get("status")
    now = instant(db.fetch("server.now")[0]["now"])
    assert now is not None
    planned = schedules.read(db)
    return pages.Overview(
        now=now,
        heartbeats=heartbeats.read(db),
        schedules=planned,
        queue=jobs.summary(db),
        jobs=jobs.recent(db, status if status in pages.JOB_STATES else None, JOBS_MOST),
        status=status if status in pages.JOB_STATES else None,
        said=_said(fields, {schedule.name for schedule in planned}),
        new_run_ids={schedule.name: new_id() for schedule in planned},
    )


def _detail(db: Database, job_id: str, fields: Fields) -> pages.Detail | None:
    row = jobs.read(db, job_id)
    if row is None:
        return None
    now = instant(db.fetch("server.now")[0]["now"])
    assert now is not None
    return pages.Detail(now, row, jobs.logs(db, job_id, pages.LOG_LINES_MOST + 1), fields.get("said") or None)


def _said(fields: Fields, names: set[str]) -> tuple[str, str] | None:
    """What a button has just done to which schedule; from the address, so only names that exist are repeated."""
    said, name = fields.get("said", ""), fields.get("name", "")
    return (said, name) if name in names else None


def _act_on_schedule(db: Database, fields: Fields) -> str | None:
    """Do it; where to go next, or None for an action that does not exist."""
    action, name = fields.get("action"), fields.get("name", "")
    if action == "run":
        return _run(db, name, fields.get("run_id", ""))
    if action == "pause" and fields.get("seconds") in pages.PAUSES:
        schedules.pause(db, name, int(fields["seconds"]))
    elif action in ("enable", "disable", "resume"):
        {"enable": schedules.enable, "disable": schedules.disable, "resume": schedules.resume}[action](db, name)
    else:
        return None
    return f"/panel?{urlencode({'said': action, 'name': name})}"


def _run(db: Database, name: str, run_id: str) -> str | None:
    """Run a schedule now. The page brings the new job's id, so that pressing its button twice runs it once."""
    if not pages.is_run_id(run_id):
        return None
    try:
        schedules.run_now(db, name, run_id)
    except Duplicate:
        return f"/panel/jobs/{run_id}?said=already&refresh=2"
    return f"/panel/jobs/{run_id}?refresh=2"


def _act_on_job(db: Database, fields: Fields) -> str | None:
    """Do it; where to go next, or None for an action that does not exist."""
    action, job_id = fields.get("action"), fields.get("id", "")
    if action == "retry":
        said = "retry" if jobs.requeue(db, job_id) else "late"
    elif action == "cancel":
        said = {"cancelled": "cancelled", "requested": "requested"}.get(jobs.cancel(db, job_id) or "", "late")
    else:
        return None
    return f"/panel/jobs/{quote(job_id, safe='')}?{urlencode({'said': said, 'refresh': '2'})}"


def _fields(text: str) -> Fields:
    """The fields of a query or a form, the first of each name; none at all for a text that makes no sense."""
    try:
        return {name: values[0] for name, values in parse_qs(text, max_num_fields=FIELDS_MOST).items()}
    except ValueError:
        return {}


def _inside(to: str) -> str:
    """Where to go after signing in: a job's page or the overview, and nowhere else."""
    job_id = to.removeprefix("/panel/jobs/")
    return f"/panel/jobs/{quote(unquote(job_id), safe='')}" if job_id and job_id != to else "/panel"


def _is_https(request: Request) -> bool:
    # The proxy in front speaks TLS; who forges this header only makes their own cookie stricter.
    return request.header("X-Forwarded-Proto").lower() == "https"


def _go(target: str, *headers: tuple[str, str]) -> Response:
    return Response(303, "text/plain", b"", (("Location", target), NO_STORE, *headers, *HEADERS))


@cache
def _style() -> bytes:
    return STYLE.read_bytes()
