from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from runtime import handlers
from runtime.context import Job
from runtime.handlers import DeclarationError, FailedForGood, Registry, ScheduleDefinition
from runtime.queue import Claim


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    fresh = Registry()
    monkeypatch.setattr(handlers, "registry", fresh)
    return fresh


def job(payload: object = None, said: list[str] | None = None) -> Job:
    claim = Claim("id1", "name1", payload, 2, 3, None, None, None, "me")
    return Job(claim, lambda: None, lambda kind, claim, **facts: (said or []).append(facts.get("message", "")))


def test_a_function_becomes_a_handler_under_its_name_or_another(registry: Registry) -> None:
    @handlers.job()
    def send_mail(job: Job) -> None: ...

    @handlers.job("other", timeout_seconds=5)
    def something(job: Job) -> None: ...

    assert set(registry.handlers) == {"send_mail", "other"}
    assert registry.handlers["other"].timeout_seconds == 5
    with pytest.raises(DeclarationError, match="'other' is declared twice"):
        handlers.job("other")(something)


def test_a_function_that_a_call_does_not_run_is_refused(registry: Registry) -> None:
    """Its job would be COMPLETED, and nothing would have been done."""

    async def later(job: Job) -> None: ...

    def piecemeal(job: Job) -> Iterator[int]:
        yield 1

    async def both(job: Job) -> AsyncIterator[int]:
        yield 1

    for run in (later, piecemeal, both):
        with pytest.raises(DeclarationError, match=f"'{run.__name__}' is an async function or a generator"):
            handlers.job()(run)  # type: ignore[arg-type]
    assert registry.handlers == {}


def test_a_command_gets_the_payload_and_its_output_becomes_the_log(tmp_path: Path) -> None:
    said: list[str] = ["before"]
    handlers.run_command(job({"a": "ü"}, said), 'cat; echo; echo "$JOB_ID $JOB_NAME $JOB_ATTEMPT"')
    payload, ids = said[1].splitlines()
    assert json.loads(payload) == {"a": "ü"}
    assert ids == "id1 name1 2"


def test_a_command_that_fails_shows_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="exit status 3: no disk"):
        handlers.run_command(job(), "echo no disk >&2; exit 3")


def test_a_command_that_says_much_does_not_fill_the_memory() -> None:
    said: list[str] = ["before"]
    tracemalloc.start()
    try:
        handlers.run_command(job(None, said), "head -c 50000000 /dev/zero | tr '\\0' x; echo end")
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said[1] == "x" * (handlers.TAIL - 4) + "end"
    assert most_bytes < 5_000_000


def test_a_command_that_never_reads_its_payload_is_no_trouble() -> None:
    handlers.run_command(job("x" * 1_000_000), "sleep 0.1")


def test_a_command_can_fail_for_good() -> None:
    with pytest.raises(FailedForGood, match="exit status 65"):
        handlers.run_command(job(), ["sh", "-c", "exit 65"])


def test_a_command_that_is_told_to_end_ends_with_its_children() -> None:
    running = job()
    started = threading.Event()
    hook = running.on_interrupt

    def on_interrupt(action: Callable[[], None] | None) -> None:
        hook(action)
        started.set()

    def interrupt() -> None:
        started.wait(20)
        running.interrupt("timeout")

    running.on_interrupt = on_interrupt  # type: ignore[method-assign]
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(RuntimeError, match="exit status -9"):
        handlers.run_command(running, "sleep 600 & wait")


class Web(HTTPServer):
    """Answers with the status in the path, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.seen: list[tuple[str, str, str, object]] = []


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Web)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers["Idempotency-Key"], self.headers["X-Key"], body))
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def web() -> Iterator[Web]:
    server = Web()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def call(web: Web, status: int) -> None:
    handlers.call_http(job({"a": 1}), "post", f"http://127.0.0.1:{web.server_port}/{status}", {"X-Key": "k"}, 10)


def test_an_http_call_carries_payload_and_job_id(web: Web) -> None:
    call(web, 204)
    assert web.seen == [("/204", "id1", "k", {"a": 1})]


@pytest.mark.parametrize(("status", "kind"), [(500, RuntimeError), (429, RuntimeError), (422, FailedForGood)])
def test_the_answer_decides_whether_trying_again_makes_sense(web: Web, status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"answered {status}"):
        call(web, status)


def test_a_token_comes_from_the_environment_and_is_never_shown(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{web.server_port}/${{STATUS}}"
    with pytest.raises(RuntimeError, match="the variable STATUS is not set, which this call needs"):
        handlers.call_http(job(), "POST", url, {}, 10)
    monkeypatch.setenv("STATUS", "500")
    monkeypatch.setenv("HOOK_TOKEN", "k-123")
    with pytest.raises(RuntimeError) as failed:
        handlers.call_http(job(), "POST", url, {"X-Key": "Bearer ${HOOK_TOKEN}"}, 10)
    assert str(failed.value) == f"POST 127.0.0.1:{web.server_port} answered 500"
    assert web.seen == [("/500", "id1", "Bearer k-123", None)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_for_a_post_would_arrive_as_a_get(web: Web, status: int) -> None:
    with pytest.raises(FailedForGood, match=f"answered {status}"):
        call(web, status)
    assert len(web.seen) == 1


@pytest.mark.parametrize(
    ("address", "token"),
    [
        ("hooks.example/s3cret", ""),
        ("http://127.0.0.1:1/a b/s3cret", ""),
        ("http://127.0.0.1:port/s3cret", ""),
        ("http://[127.0.0.1/s3cret", ""),
        ("http://127.0.0.1:1/", "s3\ncret"),
    ],
)
def test_what_cannot_be_sent_is_not_quoted(monkeypatch: pytest.MonkeyPatch, address: str, token: str) -> None:
    monkeypatch.setenv("HOOK", address)
    monkeypatch.setenv("HOOK_TOKEN", token)
    with pytest.raises(FailedForGood, match="its address is no http") as failed:
        handlers.call_http(job(), "POST", "${HOOK}", {"X-Key": "Bearer ${HOOK_TOKEN}"}, 10)
    assert "cret" not in str(failed.value)


def test_a_token_may_have_been_pasted_with_the_end_of_its_line(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_TOKEN", "k-123\n")
    handlers.call_http(job(), "POST", f"http://127.0.0.1:{web.server_port}/200", {"X-Key": "${HOOK_TOKEN}"}, 10)
    assert web.seen == [("/200", "id1", "k-123", None)]


def test_an_http_call_to_nobody_is_tried_again() -> None:
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:1"):
        handlers.call_http(job(), "POST", "http://127.0.0.1:1/", {}, 10)


def test_an_application_without_python_declares_its_jobs_in_a_file(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(
        '[jobs.send-mail]\ncommand = "node send.js"\ntimeout_seconds = 60\n'
        '[jobs.reindex]\nhttp = "POST http://web:8080/reindex"\n'
        '[schedules.nightly]\njob = "send-mail"\ncron = "0 3 * * *"\ntimezone = "Europe/Berlin"\n'
        "[schedules.reindex]\nevery_seconds = 900\n"
    )
    handlers.load(str(path))
    assert set(registry.handlers) == {"send-mail", "reindex"}
    assert registry.schedules["nightly"] == ScheduleDefinition(
        "nightly", "send-mail", cron="0 3 * * *", timezone="Europe/Berlin"
    )
    assert registry.schedules["reindex"].job_name == "reindex"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[jobs.a]", "give either command or http"),
        ('[jobs.a]\ncommand = "x"\ncolour = "red"', "colour"),
        ('[schedules.a]\njob = "x"', "give either cron or every_seconds"),
        ("[jobs", "jobs.toml"),
        ('[jobs]\na = "node x.js"', r"written \[jobs.name\]"),
        ("schedules = 5", r"written \[schedules.name\]"),
        ("[jobs.a]\ncommand = 5", "command"),
        ('[jobs.a]\nhttp = "POST"', "http"),
        ('[jobs.a]\ncommand = "x"\ntimeout_seconds = "60"', "timeout_seconds"),
        ("[schedules.a]\ncron = 5", "cron is a text"),
        ('[schedules.a]\nevery_seconds = 60\ngrace_seconds = "60"', "grace_seconds is a whole number"),
        ("[schedules.a]\nevery_seconds = 9999999999", "every_seconds"),
        ("[schedules.a]\nevery_seconds = 60\npayload = {day = 2026-01-01}", "payload is not JSON"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError, match=said):
        handlers.load(str(path))


def test_a_module_that_cannot_be_found_is_named() -> None:
    with pytest.raises(DeclarationError, match="'no_such_module'"):
        handlers.load("no_such_module")


@pytest.mark.parametrize(
    "options",
    [{}, {"cron": "* * * * *", "every_seconds": 5}, {"every_seconds": 0}, {"cron": "* * * * *", "misfire": "?"}],
)
def test_a_schedule_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(DeclarationError, match="'x'"):
        handlers.schedule("x", "job", **options)


EXAMPLES = Path(__file__).parents[2] / "examples" / "jobs"


def test_the_example_files_declare_what_they_say(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers.load(str(EXAMPLES / "jobs.toml"))
    assert set(registry.handlers) == {"send-digest", "refresh-matches"}
    assert registry.schedules["nightly-digest"].misfire == "ONCE"
    monkeypatch.setattr(handlers, "registry", fresh := Registry())
    monkeypatch.syspath_prepend(str(EXAMPLES))
    handlers.load("jobs")
    assert set(fresh.handlers) == {"send-mail", "charge", "digest"}
    assert set(fresh.schedules) == {"nightly-digest"}
