"""Every figure of the runtime in one run: `python -m bench.runtime [--quick] [--only PART …]` prints them.

The contestants take turns on one private, durable MySQL 9, several rounds each: medians and ranges are printed, and
ratios are taken within a round. On a shared machine only ratios of about two mean anything.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from statistics import median

from bench import runtime_speed as speed, runtime_waiting as waiting
from bench.runtime_server import durable_mysql, url
from runtime.db import Database, connect, server_facts
from tests.mysql.server import Server

PARTS = ("speed", "latency", "polls", "recovery", "idle")
PRE_LAUNCH_WORKER = {"JOB_WORKER_POLL_INTERVAL_MS": "30000"}
PRE_LAUNCH_DAEMON = {"SCHEDULE_POLL_INTERVAL_MS": "3600000"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds, and only what takes seconds")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="these parts alone")
    options = parser.parse_args()
    wanted = options.only or (PARTS[:3] if options.quick else PARTS)
    with durable_mysql() as server, connect(url(server)) as db:
        print("\n".join(_head(db)), flush=True)
        parts: dict[str, Callable[[], list[str]]] = {
            "speed": lambda: _speeds(server, db, 2 if options.quick else 5),
            "latency": lambda: _latencies(server, db),
            "polls": lambda: _empty_polls(db, [0, 100_000] if options.quick else [0, 100_000, 1_000_000]),
            "recovery": lambda: _recovery(server, db),
            "idle": lambda: _idle(server, db),
        }
        for part in wanted:
            print("\n".join(parts[part]()), flush=True)


def _head(db: Database) -> list[str]:
    return [
        "# The runtime, measured",
        "",
        f"MySQL {server_facts(db).version}, every commit flushed to log and binlog; Python {platform.python_version()};"
        f" {os.cpu_count()} processors; load average before: {os.getloadavg()[0]:.1f}; {time.strftime('%Y-%m-%d')}."
        " Contestants take turns on one server in one run (`nox -s bench`). Medians, with the range of all rounds in"
        " brackets. The machine is shared: only ratios of about two mean anything.",
        "",
    ]


def _speeds(server: Server, db: Database, rounds: int) -> list[str]:
    contestants: dict[str, Callable[[], float]] = {
        "bare loop, 1 process, 100 a batch": lambda: speed.bare_drain(server, db, 1, 100),
        "bare loop, 2 processes, 100 a batch": lambda: speed.bare_drain(server, db, 2, 100),
        "**runtime, 2 workers, default settings**": lambda: speed.runtime_drain(server, db, 2),
        "bare loop, 1 process, one at a time": lambda: speed.bare_drain(server, db, 1, 1, 1500),
        "**runtime, a commit for each completion** (2 workers, 16 at a time)": lambda: speed.runtime_drain(
            server, db, 2, "commit", JOB_WORKER_CONCURRENCY="16", DATABASE_CONNECTION_LIMIT="20"
        ),
        "bare INSERT, 500 rows each, written out beforehand": lambda: speed.bare_bulk_enqueue(server, db),
        "**bulk enqueue**": lambda: speed.bulk_enqueue(db),
        "bare INSERT, one by one": lambda: speed.bare_single_enqueue(server, db),
        "**enqueue, one by one**": lambda: speed.single_enqueue(db),
    }
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            measured[name].append(measure())
    limits = {name: list(contestants)[at] for name, at in zip(list(contestants)[2::2], (1, 3, 5, 7), strict=True)}
    lines = ["## Jobs a second", "", "| | jobs/s | range | of its limit |", "| --- | ---: | --- | ---: |"]
    for name, values in measured.items():
        ratios = [mine / limit for mine, limit in zip(values, measured.get(limits.get(name, ""), []), strict=False)]
        share = f"{median(ratios):.0%}" if ratios else ""
        lines.append(f"| {name} | {median(values):,.0f} | {min(values):,.0f}–{max(values):,.0f} | {share} |")
    return [*lines, ""]


def _latencies(server: Server, db: Database) -> list[str]:
    ways = {
        "embedded worker, same process (poll interval 30 s)": waiting.embedded_latency,
        "another process, nudged by a datagram (poll interval 30 s)": waiting.nudged_latency,
        "another process, polling each second": waiting.polled_latency,
    }
    lines = ["## From enqueue to start", "", "| | p50 | p99 |", "| --- | ---: | ---: |"]
    for name, measure in ways.items():
        p50, p99 = waiting.percentiles(measure(server, db))
        lines.append(f"| {name} | {p50:.1f} ms | {p99:.1f} ms |")
    return [*lines, ""]


def _empty_polls(db: Database, histories: list[int]) -> list[str]:
    lines = ["## A look at a queue without work", ""]
    lines += ["| finished rows | future rows | median | rows touched |", "| ---: | ---: | ---: | ---: |"]
    for history, future in [*((count, 0) for count in histories), (100_000, 100_000)]:
        milliseconds, reads = waiting.empty_poll(db, history, future)
        lines.append(f"| {history:,} | {future:,} | {milliseconds:.2f} ms | {reads} |")
    return [*lines, ""]


def _recovery(server: Server, db: Database) -> list[str]:
    elsewhere = [waiting.recovery_seconds(server, db, same_container=False) for _ in range(3)]
    restarted = [waiting.recovery_seconds(server, db, same_container=True) for _ in range(3)]
    due, double = waiting.double_fires(server, db)
    return [
        "## After `kill -9` in the middle of a job, default settings",
        "",
        f"- another worker starts it again after {median(elsewhere):.0f} s"
        f" ({min(elsewhere):.0f}–{max(elsewhere):.0f});",
        f"- the same container, restarted by the platform, after {median(restarted):.1f} s"
        f" ({min(restarted):.1f}–{max(restarted):.1f}), the two seconds before a second attempt included.",
        f"- Two daemons, {due} due times: {double} fired twice.",
        "",
    ]


def _idle(server: Server, db: Database) -> list[str]:
    lines = ["## An idle minute in the pre-launch settings", ""]
    lines += ["| | RSS | queries a minute | CPU a minute |", "| --- | ---: | ---: | ---: |"]
    for kind, settings in (("worker", PRE_LAUNCH_WORKER), ("daemon", PRE_LAUNCH_DAEMON)):
        found = waiting.idle(server, db, kind, settings)
        lines.append(
            f"| {kind} | {found['rss_mib']:.1f} MiB | {found['queries_a_minute']:.0f} |"
            f" {found['cpu_seconds_a_minute']:.2f} s |"
        )
    return [*lines, ""]


if __name__ == "__main__":
    main()
