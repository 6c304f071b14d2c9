"""Lint against yamllint on the same files in the same run, growth from 10 to 10,000 files, and the cold start.

    python -m bench.lint            # 1,000 profiles of about 60 lines
    python -m bench.lint --long     # up to 10,000 files

Every figure is a ratio of two measurements in one run, so that a slow machine does not matter.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

TEMPLATE = """\
version: 1
name: {name}
description: Profile {number} of a measurement.
environment: production
budget: {{monthly_usd: 40}}
database:
  service: MySQL
  max_connections: 151
services:
  web-server:
    role: web
    source: {{repo: acme/app, branch: main}}
    start: node backend/dist/index.js
    healthcheck: /health
    replicas: 1
    draining_seconds: 30
    limits: {{memory_mb: 1000, vcpu: 1}}
    resources: {{memory_mb: 350, vcpu: 0.05}}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{{{MySQL.MYSQL_URL}}}}
      DATABASE_CONNECTION_LIMIT: 5
      EMBEDDED_JOB_WORKER: false
      SCHEDULE_DAEMON_ENABLED: false
      LOG_FORMAT_{number}: json
      PUBLIC_NAME: app-{number}
  schedule-daemon:
    role: daemon
    guard: lease
    source: {{repo: acme/app, branch: main}}
    start: node backend/dist/scheduleDaemon.js
    restart: {{policy: always}}
    draining_seconds: 30
    limits: {{memory_mb: 500, vcpu: 1}}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{{{MySQL.MYSQL_URL}}}}
      DATABASE_CONNECTION_LIMIT: 5
      SCHEDULE_DAEMON_ENABLED: true
      SCHEDULE_POLL_INTERVAL_MS: 900000
      EMBEDDED_JOB_WORKER: false
  job-worker:
    role: worker
    source: {{repo: acme/app, branch: main}}
    start: node backend/dist/jobWorker.js
    restart: {{policy: always}}
    draining_seconds: 60
    max_job_seconds: 45
    limits: {{memory_mb: 500, vcpu: 1}}
    env:
      NODE_ENV: production
      DATABASE_URL: ${{{{MySQL.MYSQL_URL}}}}
      DATABASE_CONNECTION_LIMIT: 5
      SCHEDULE_DAEMON_ENABLED: false
      EMBEDDED_JOB_WORKER: false
      JOB_WORKER_POLL_INTERVAL_MS: 5000
expect:
  schedule_daemon: 1
  job_worker: 1
  max_queued_jobs: 50
  max_oldest_queued_seconds: 3600
"""


def write(folder: Path, count: int) -> list[Path]:
    """``count`` profiles, each a little different."""
    profiles = folder / "profiles"
    profiles.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        path = profiles / f"stage-{number}.yaml"
        path.write_text(TEMPLATE.format(name=f"stage-{number}", number=number), "utf-8")
        paths.append(path)
    return paths


def seconds(work: Callable[[], object], rounds: int = 1) -> float:
    """The shortest of several runs: the others were disturbed."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def lint_all(folder: Path) -> None:
    """Every rule over every file."""
    from deploykit.commands.lint import Options, lint

    linted = lint(folder, (), Options(today=date(2026, 11, 1)))
    assert not linted.outcome.findings, linted.outcome.findings[:3]


def yamllint_all(paths: list[Path]) -> None:
    """yamllint's syntax and style checks over the same files."""
    from yamllint import linter
    from yamllint.config import YamlLintConfig

    config = YamlLintConfig("extends: default\nrules: {line-length: disable, document-start: disable, braces: disable}")
    for path in paths:
        for _ in linter.run(path.read_text("utf-8"), config, str(path)):
            pass


def cold(folder: Path, *commands: Sequence[str], rounds: int = 15) -> list[float]:
    """CPU seconds, user and system, of fresh interpreters from start to end: the median for each command.

    Bytecode is cached, as it is after an installation; the commands take turns, so that a busy moment hits them all.
    """
    project = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": project, "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def once(command: Sequence[str]) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], cwd=folder, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    for command in commands:
        once(command)  # writes the caches
    runs = [[once(command) for command in commands] for _ in range(rounds)]
    return [statistics.median(times) for times in zip(*runs, strict=True)]


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--long", action="store_true", help="grow to 10,000 files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        paths = write(Path(name) / "many", options.count)
        lines = sum(path.read_text("utf-8").count("\n") for path in paths) // len(paths)
        ours, theirs = seconds(lambda: lint_all(Path(name) / "many"), 2), seconds(lambda: yamllint_all(paths))
        print(f"{options.count} profiles of {lines} lines: deploykit {ours:.2f} s, yamllint {theirs:.2f} s")
        print(f"  ratio {ours / theirs:.2f} (below 1 is faster than yamllint)")
        previous = 0.0
        for count in (10, 100, 1_000, *((10_000,) if options.long else ())):
            write(Path(name) / f"grow-{count}", count)
            each = seconds(lambda count=count: lint_all(Path(name) / f"grow-{count}"), 2) / count  # type: ignore[misc]
            growth = f", {each / previous:.2f} × the one before" if previous else ""
            print(f"{count:>6} files: {each * 1000:.2f} ms a file{growth}")
            previous = each
        one = write(Path(name) / "one", 1)[0]
        start, whole = cold(one.parents[1], ("-c", "import click, yaml"), ("-m", "deploykit", "lint", str(one)))
        print(f"one file cold: {whole * 1000:.0f} ms of CPU, {whole / start:.2f} × ", end="")
        print(f"`import click, yaml` ({start * 1000:.0f} ms)")


if __name__ == "__main__":
    main()
