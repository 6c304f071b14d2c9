"""The commands that run for a moment: migrate, enqueue, schedules, jobs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from runtime import log, processes
from runtime.db import Database, connect
from runtime.settings import Settings, whole_number

EXIT_FAILED = 1
EXIT_USAGE = 64
INT_MOST = 2**31 - 1
"""What the columns hold."""


def run(arguments: list[str]) -> int:
    """Parse and run; the exit status. Raises SystemExit with status 64 for what it does not understand."""
    options = _parser().parse_args(arguments)
    settings = Settings.from_env()
    log.configure(settings.log_format)
    return int(options.command(settings, options) or 0)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m runtime", description="Job worker, schedule daemon and their tables.")
    words = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    # The next three are started by `processes`; here they are for --help and for what is spelt otherwise.
    _word(words, "worker", "run jobs", _process("worker"))
    daemon = _word(words, "daemon", "enqueue what the schedules say", _process("daemon"))
    daemon.add_argument("--once", action="store_true", help="look once and end (for Railway's cron services)")
    web = "a web process with /health, and a worker in it if EMBEDDED_JOB_WORKER=true"
    _word(words, "web", web, _process("web"))
    _word(words, "migrate", "create the tables or bring them up to date", _migrate)
    enqueue = _word(words, "enqueue", "put a job into the queue", _enqueue)
    enqueue.add_argument("job")
    enqueue.add_argument("payload", nargs="?", type=_json_value, help="JSON")
    enqueue.add_argument("--delay-seconds", type=_seconds, default=0.0)
    enqueue.add_argument("--priority", type=_whole_number(-INT_MOST, INT_MOST), default=0, help="lower runs first")
    enqueue.add_argument("--unique-key", help="at most one unfinished job with this key")
    _schedules(_word(words, "schedules", "list, enable, disable, pause, resume or run schedules", _schedule_command))
    _jobs(_word(words, "jobs", "list, show, cancel or retry jobs; what waits and why", _job_command))
    return parser


def _word(
    words: Any, name: str, meaning: str, command: Callable[[Settings, Any], int | None]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = words.add_parser(name, help=meaning, description=meaning)
    parser.set_defaults(command=command)
    return parser


def _schedules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=["list", "enable", "disable", "pause", "resume", "run"], nargs="?", default="list"
    )
    parser.add_argument("name", nargs="?")
    parser.add_argument("--seconds", type=_whole_number(0, INT_MOST), default=3600, help="length of a pause")
    parser.add_argument("--json", action="store_true")


def _jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["list", "summary", "show", "cancel", "retry"], nargs="?", default="summary")
    parser.add_argument("id", nargs="?")
    parser.add_argument("--status", help="list: only jobs in this status")
    parser.add_argument("--failed", action="store_true", help="retry: every failed job")
    parser.add_argument("--name", help="retry --failed: only jobs of this name")
    parser.add_argument("--limit", type=_whole_number(1, INT_MOST), default=20)
    parser.add_argument("--json", action="store_true")


def _json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"the payload is not JSON: {error}") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= INT_MOST:  # not a number, too
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 to {INT_MOST} seconds")
    return seconds


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = whole_number(text)
        if number is None or not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return number

    return read


def _open(settings: Settings, create: bool = False) -> Database:
    return connect(settings.require_database_url(), create=create)


def _migrate(settings: Settings, options: Any) -> None:
    from runtime.migrations import migrate

    with _open(settings, create=True) as db:
        done = migrate(db)
    print("\n".join(f"applied {name}" for name in done) if done else "nothing to do")


def _enqueue(settings: Settings, options: Any) -> None:
    from runtime.jobs import enqueue
    from runtime.wakeup import Wakeup

    with _open(settings) as db:
        print(
            enqueue(
                db,
                options.job,
                options.payload,
                delay_seconds=options.delay_seconds,
                priority=options.priority,
                unique_key=options.unique_key,
            )
        )
    Wakeup(settings.wake_addresses).send()


def _schedule_command(settings: Settings, options: Any) -> int:
    from runtime import schedules
    from runtime.wakeup import Wakeup

    if options.action != "list" and options.name is None:
        return _which("which schedule?", "python -m runtime schedules list")
    with _open(settings) as db:
        if options.action == "list":
            _print_rows([asdict(each) for each in schedules.read(db)], options.json, _schedule_line)
        elif options.action == "run":
            print(schedules.run_now(db, options.name))
        elif options.action == "pause":
            schedules.pause(db, options.name, options.seconds)
        else:
            {"enable": schedules.enable, "disable": schedules.disable, "resume": schedules.resume}[options.action](
                db, options.name
            )
    if options.action != "list":
        Wakeup(settings.wake_addresses).send()
    return 0


def _schedule_line(row: dict[str, Any]) -> str:
    rule = row["cron"] or f"every {row['interval_seconds']}s"
    state = "enabled " if row["enabled"] else "disabled"
    return f"{row['name']:<30} {state}  {rule:<20} {row['timezone']:<16} next {row['next_run_at'] or '-'}"


def _job_command(settings: Settings, options: Any) -> int:
    from runtime import jobs
    from runtime.wakeup import Wakeup

    all_failed = options.action == "retry" and options.failed and options.id is None
    if options.action in ("show", "cancel", "retry") and options.id is None and not all_failed:
        return _which("which job?", "python -m runtime jobs list")
    with _open(settings) as db:
        if options.action == "summary":
            _print_rows([asdict(jobs.summary(db))], options.json, _pairs)
        elif options.action == "list":
            _print_rows(
                [asdict(each) for each in jobs.recent(db, options.status, options.limit)], options.json, _job_line
            )
        elif options.action == "show":
            return _show_job(db, options)
        elif options.action == "cancel":
            answer = jobs.cancel(db, options.id)
            print(answer or "no such job")
            return 0 if answer in ("cancelled", "requested") else EXIT_FAILED
        elif all_failed:
            print(f"{jobs.requeue_failed(db, options.name)} failed job(s) queued again")
        elif jobs.requeue(db, options.id):
            print("queued again")
        else:
            print("only a failed or cancelled job can be retried")
            return EXIT_FAILED
    if options.action == "retry":
        Wakeup(settings.wake_addresses).send()
    return 0


def _show_job(db: Database, options: Any) -> int:
    from runtime import jobs

    row = jobs.read(db, options.id)
    if row is None:
        print("no such job")
        return EXIT_FAILED
    _print_rows([asdict(row)], options.json, _pairs)
    if not options.json:
        for line in jobs.logs(db, options.id):
            print(f"  {line['createdAt']} [{line['level']}] {line['message']}")
    return 0


def _job_line(row: dict[str, Any]) -> str:
    return f"{row['id']}  {row['status']:<9}  {row['job_name']:<24}  {row['last_error'] or ''}".rstrip()


def _pairs(row: dict[str, Any]) -> str:
    return "\n".join(f"{name:<22} {'-' if value is None else value}" for name, value in row.items())


def _print_rows(rows: list[dict[str, Any]], as_json: bool, line: Callable[[dict[str, Any]], str]) -> None:
    if as_json:
        print(json.dumps(rows, default=str, ensure_ascii=False))
        return
    for row in rows:
        print(line(row))


def _which(question: str, hint: str) -> int:
    sys.stderr.write(f"error: {question}\n  hint: {hint}\n")
    return EXIT_USAGE


def _process(word: str) -> Callable[[Settings, Any], None]:
    def start(settings: Settings, options: Any) -> None:
        process = processes.named([word, "--once"] if getattr(options, "once", False) else [word])
        assert process is not None
        process(settings)

    return start
