"""What runs for a job name: a Python function, a shell command or an HTTP call; and the schedules beside them."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from runtime.context import Job

Run = Callable[["Job"], None]


LONGEST_INTERVAL_SECONDS = 2**31 - 1
"""68 years: what the column holds."""
NOT_RUN_BY_A_CALL = 0x20 | 0x80 | 0x200
"""Flags of the code of generators, coroutines and async generators (`inspect.CO_…`, without loading inspect)."""


class DeclarationError(Exception):
    """A job or schedule is declared in a way that cannot work."""


class FailedForGood(Exception):
    """Raise in a handler when another attempt would not help: the job fails at once."""


@dataclass(frozen=True, slots=True)
class Handler:
    name: str
    run: Run
    timeout_seconds: int | None = None
    """For jobs whose row names none."""

    def __post_init__(self) -> None:
        timeout: object = self.timeout_seconds
        if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
            raise DeclarationError(f"job {self.name!r}: timeout_seconds is a number above 0, not {timeout!r}")


@dataclass(frozen=True, slots=True)
class ScheduleDefinition:
    """A schedule as code declares it. Exactly one of `cron` and `every_seconds` is set."""

    name: str
    job_name: str
    cron: str | None = None
    every_seconds: int | None = None
    payload: Any = None
    timezone: str = "UTC"
    enabled: bool = False
    misfire: str = "SKIP"
    misfire_max: int = 10
    grace_seconds: int = 60
    overlap: str = "ALLOW"
    priority: int = 0
    max_attempts: int = 3
    timeout_seconds: int | None = None

    def __post_init__(self) -> None:
        self._refuse_wrong_kinds()
        if (self.cron is None) == (self.every_seconds is None):
            raise DeclarationError(f"schedule {self.name!r}: give either cron or every_seconds")
        if self.every_seconds is not None and not 1 <= self.every_seconds <= LONGEST_INTERVAL_SECONDS:
            raise DeclarationError(f"schedule {self.name!r}: every_seconds must be 1 to {LONGEST_INTERVAL_SECONDS}")
        if self.misfire not in ("SKIP", "ONCE", "ALL"):
            raise DeclarationError(f"schedule {self.name!r}: misfire is SKIP, ONCE or ALL, not {self.misfire!r}")
        if self.overlap not in ("ALLOW", "SKIP"):
            raise DeclarationError(f"schedule {self.name!r}: overlap is ALLOW or SKIP, not {self.overlap!r}")

    def _refuse_wrong_kinds(self) -> None:
        """What a file or a function without type checks may say; the daemon would stumble over it, again and again."""
        for kind, meaning, names in (
            (str, "a text", ("job_name", "cron", "timezone")),
            (int, "a whole number", ("every_seconds", "misfire_max", "grace_seconds")),
            (int, "a whole number", ("priority", "max_attempts", "timeout_seconds")),
        ):
            for name in names:
                value = getattr(self, name)
                if value is not None and not isinstance(value, kind):
                    raise DeclarationError(f"schedule {self.name!r}: {name} is {meaning}, not {value!r}")
        try:
            json.dumps(self.payload)
        except (TypeError, ValueError) as error:
            raise DeclarationError(f"schedule {self.name!r}: the payload is not JSON: {error}") from None


@dataclass(slots=True)
class Registry:
    """The jobs and schedules of one application."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    schedules: dict[str, ScheduleDefinition] = field(default_factory=dict)

    def add(self, handler: Handler) -> None:
        if handler.name in self.handlers:
            raise DeclarationError(f"job {handler.name!r} is declared twice")
        self.handlers[handler.name] = handler

    def add_schedule(self, definition: ScheduleDefinition) -> None:
        if definition.name in self.schedules:
            raise DeclarationError(f"schedule {definition.name!r} is declared twice")
        self.schedules[definition.name] = definition


registry = Registry()


class _Decorator(Protocol):
    def __call__(self, run: Run) -> Run: ...


def job(name: str | None = None, *, timeout_seconds: int | None = None) -> _Decorator:
    """Declare a function as the handler of a job: `@job()` or `@job("send-mail", timeout_seconds=60)`.

    The function takes the Job. It may run more than once for the same job (at-least-once): a crash after its last line
    and before the completion is written looks like a crash before it. For effects that must happen exactly once there
    is `job.transaction()`.
    """

    def declare(run: Run) -> Run:
        handler = Handler(name or run.__name__, run, timeout_seconds)
        if getattr(getattr(run, "__code__", None), "co_flags", 0) & NOT_RUN_BY_A_CALL:
            raise DeclarationError(
                f"job {handler.name!r} is an async function or a generator, which a call does not run: "
                "declare a plain function, and let it say asyncio.run(…)"
            )
        registry.add(handler)
        return run

    return declare


def command(name: str, command_line: str | Sequence[str], *, timeout_seconds: int | None = None) -> None:
    """Declare a shell command as the handler of a job.

    The payload arrives as JSON on stdin; JOB_ID, JOB_NAME and JOB_ATTEMPT are in the environment. Exit status 0 is
    success, 65 (EX_DATAERR) fails the job for good, anything else fails the attempt with the last words of stderr.
    """
    registry.add(Handler(name, lambda job: run_command(job, command_line), timeout_seconds))


def http(
    name: str, method: str, url: str, *, headers: Mapping[str, str] | None = None, timeout_seconds: int = 60
) -> None:
    """Declare an HTTP call as the handler of a job: the payload is the JSON body.

    `${NAME}` in the address and in headers is the variable of that name at the time of the call: that is where a token
    belongs. 2xx is success, 408, 429 and 5xx fail the attempt, any other answer (a redirect, too) fails the job.
    """
    registry.add(
        Handler(
            name, lambda job: call_http(job, method, url, dict(headers or {}), timeout_seconds), timeout_seconds + 5
        )
    )


def schedule(name: str, job_name: str, **options: Any) -> None:
    """Declare a schedule: `schedule("nightly", "clean-up", cron="0 3 * * *", timezone="Europe/Berlin")`.

    Options are the fields of `ScheduleDefinition`. It starts disabled unless `enabled=True`.
    """
    registry.add_schedule(ScheduleDefinition(name, job_name, **options))


def load(jobs_module: str | None) -> Registry:
    """Import the module (or read the .toml file) that declares the jobs.

    Raises `DeclarationError` when there is none of that name, or when it declares nonsense.
    """
    if jobs_module is None:
        return registry
    if jobs_module.endswith(".toml"):
        _load_toml(Path(jobs_module))
        return registry
    if jobs_module.startswith("."):
        raise DeclarationError(f"JOBS_MODULE names {jobs_module!r}, which is no module: write app.jobs, without ./")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does; a console script does not
    try:
        importlib.import_module(jobs_module)
    except ModuleNotFoundError as error:
        if error.name and (jobs_module == error.name or jobs_module.startswith(error.name + ".")):
            raise DeclarationError(f"JOBS_MODULE names {jobs_module!r}, which cannot be found") from None
        raise
    return registry


def _load_toml(path: Path) -> None:
    """Jobs and schedules of an application that is not written in Python."""
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(f"JOBS_MODULE names {str(path)!r}: {error.strerror}") from None
    except ValueError as error:  # no TOML, or no UTF-8
        raise DeclarationError(f"{path}: {error}") from None
    for name, options in _tables(path, document, "jobs").items():
        _declare_job(path, name, options)
    for name, options in _tables(path, document, "schedules").items():
        try:
            schedule(name, options.pop("job", name), **options)
        except TypeError as error:
            raise DeclarationError(f"{path}: schedule {name!r}: {error}") from None


def _tables(path: Path, document: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    tables = document.get(kind, {})
    if not isinstance(tables, dict) or not all(isinstance(options, dict) for options in tables.values()):
        raise DeclarationError(f"{path}: {kind} are tables, each written [{kind}.name]")
    return tables


def _declare_job(path: Path, name: str, options: dict[str, Any]) -> None:
    line, target = options.pop("command", None), options.pop("http", None)
    if (line is None) == (target is None):
        raise DeclarationError(f"{path}: job {name!r}: give either command or http")
    words = line if isinstance(line, list) else [line]
    if line is not None and not all(isinstance(word, str) for word in words):
        raise DeclarationError(f"{path}: job {name!r}: command is a text or a list of texts, not {line!r}")
    method, _, url = str(target).partition(" ")
    if line is None and not url:
        raise DeclarationError(f'{path}: job {name!r}: http is written "POST https://…", not {target!r}')
    try:
        if line is not None:
            command(name, line, **options)
        else:
            http(name, method, url, **options)
    except TypeError as error:
        raise DeclarationError(f"{path}: job {name!r}: {error}") from None


EX_DATAERR = 65
TAIL = 2000


def run_command(job: Job, command_line: str | Sequence[str]) -> None:
    """Run a command for a job, in a process group of its own, so that a timeout ends its children too."""
    import subprocess
    import tempfile

    with tempfile.TemporaryFile() as payload:  # not a pipe: a command that never reads it would leave us waiting
        payload.write(json.dumps(job.payload).encode())
        payload.seek(0)
        process = subprocess.Popen(
            command_line,
            shell=isinstance(command_line, str),
            stdin=payload,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "JOB_ID": job.id, "JOB_NAME": job.name, "JOB_ATTEMPT": str(job.attempt)},
            start_new_session=True,
        )
    job.on_interrupt(lambda: _end_group(process.pid))
    with process:
        try:
            output = _last_words(process.stdout)
            process.wait()
        finally:
            job.on_interrupt(None)
            if process.poll() is None:
                _end_group(process.pid)
    tail = output.decode(errors="replace").strip()
    if tail:
        job.log(tail)
    if process.returncode == 0:
        return
    problem = f"exit status {process.returncode}: {tail[-500:]}"
    raise FailedForGood(problem) if process.returncode == EX_DATAERR else RuntimeError(problem)


def _last_words(pipe: IO[bytes] | None) -> bytes:
    """The end of what comes until the pipe is closed; all that a command says in hours would fill the memory."""
    assert pipe is not None
    words = b""
    while more := os.read(pipe.fileno(), 65_536):
        words = (words + more)[-TAIL:]
    return words


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.killpg(pid, signal.SIGKILL)


def call_http(job: Job, method: str, url: str, headers: Mapping[str, str], timeout_seconds: int) -> None:
    """Make an HTTP call for a job; the id of the job is the idempotency key.

    A redirect is an answer, and not followed: that would make a GET without a body of a POST, and hand its headers to
    another host.
    """
    import http.client
    import urllib.error
    import urllib.parse
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *answer: Any) -> None:
            return None

    address = _with_variables(url)
    values = {name: _with_variables(value) for name, value in headers.items()}
    about = {"Content-Type": "application/json", "Idempotency-Key": job.id, "Job-Attempt": str(job.attempt)}
    place = method
    try:
        # Of the address only the host is ever shown: the path of a web hook is its password.
        place = f"{method} {urllib.parse.urlsplit(address).netloc.rpartition('@')[2]}"
        request = urllib.request.Request(
            address, method=method.upper(), data=json.dumps(job.payload).encode(), headers=about | values
        )
        with urllib.request.build_opener(Stay).open(request, timeout=timeout_seconds) as response:
            response.read(TAIL)
    except urllib.error.HTTPError as error:
        problem = f"{place} answered {error.code}"
        passing = error.code in (408, 429) or error.code >= 500
        raise RuntimeError(problem) if passing else FailedForGood(problem) from None
    except OSError as error:
        raise RuntimeError(f"{place}: {error}") from None
    except (ValueError, http.client.InvalidURL):
        # Not their texts: they quote the address or the header, and with it the token.
        raise FailedForGood(
            f"{place}: its address is no http(s) URL, or a header holds a character it may not"
        ) from None


def _with_variables(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise RuntimeError(f"the variable {match[1]} is not set, which this call needs")
        return os.environ[match[1]].strip()  # a token that was pasted with the end of its line

    return re.sub(r"\$\{(\w+)\}", value, text)
