"""A client killed with SIGKILL at every mutating call, before and after Railway acted: one daemon, and always the goal.

The timeline of the sandbox's real processes is the witness.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploykit.sandbox import Sandbox
from tests.apply.stage import START
from tests.journey.conftest import Cli
from tests.sandbox.conftest import Driver

PROFILES = ("pre-launch", "100-users", "1000-users")
MOMENTS = {"before": "timeout-before-effect", "after": "timeout-after-effect"}
HANG_SECONDS = 60.0
PATIENCE_SECONDS = 60.0
FORGOTTEN = "old-daemon"
READS = ("environmentPreviewChangeSet",)
"""A mutation by name only: it changes nothing."""


@dataclass(frozen=True)
class Transition:
    """From one profile (None: an empty project) to another."""

    before: str | None
    after: str

    def __str__(self) -> str:
        return f"{self.before or 'nothing'}-to-{self.after}"

    leftover: str | None = None

    @property
    def command(self) -> list[str]:
        leftover = self.leftover or ("job-worker" if self.before == "1000-users" else None)
        return ["apply", self.after, "--yes", "--allow-destructive", *(["--remove", leftover] if leftover else [])]


FAST = [Transition(None, "pre-launch"), Transition("pre-launch", "1000-users")]
SLOW = [Transition(*pair) for pair in itertools.permutations(PROFILES, 2) if Transition(*pair) not in FAST]


@dataclass
class World:
    """A sandbox and a command line beside it."""

    sandbox: Sandbox
    cli: Cli

    def run(self, command: list[str]) -> None:
        answer = self.cli(*command)
        assert answer.status == 0, answer.err

    def mutations(self) -> list[str]:
        """The root field of every mutation since the last reset, in order."""
        requests = self.sandbox.requests()["requests"]
        return [
            field
            for request in requests
            if request["kind"] == "mutation"
            for field in request["fields"]
            if field not in READS
        ]

    def kill_at(self, command: list[str], field: str, skip: int, moment: str) -> None:
        """Start ``command`` and end it with SIGKILL while its mutation of ``field`` hangs."""
        fault = self.sandbox.fault(MOMENTS[moment], field=field, skip=skip, hang_seconds=HANG_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", "deploykit", *command],
            cwd=self.cli.folder,
            env=self.cli.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while any(waiting["id"] == fault["id"] for waiting in self.sandbox.faults()["waiting"]):
            assert process.poll() is None, f"ended with {process.returncode} before its mutation of {field}"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.wait()

    def make_a_mess(self) -> None:
        """A forgotten service and two of the profile's schedule, and a stale build that schedules waits to start."""
        driver = Driver(self.sandbox)
        driver.deploy(driver.service(FORGOTTEN, START["daemon"], {"SCHEDULE_DAEMON_ENABLED": "true"}))
        flag = {"variable": "SCHEDULE_DAEMON_ENABLED", "value": "true"}
        self.sandbox.fault("dashboard-edit", service="web-server", **flag)
        self.await_daemons({FORGOTTEN, "web-server", "schedule-daemon"})
        self.sandbox.fault("slow-build", service="web-server", seconds=3.0)
        self.sandbox.fault("redeploy", service="web-server")
        self.sandbox.reset_requests()

    def await_daemons(self, wanted: set[str]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while set(self.daemons()[-1]) != wanted:
            assert time.monotonic() < deadline, self.daemons()[-1]
            time.sleep(0.05)

    def daemons(self) -> list[tuple[str, ...]]:
        """The services whose processes had the flag on, after each event of the timeline."""
        alive: dict[int, str] = {}
        history: list[tuple[str, ...]] = [()]
        for event in self.sandbox.timeline():
            if event["env_flags"].get("SCHEDULE_DAEMON_ENABLED") != "true":
                continue
            if event["event"] == "start":
                alive[event["pid"]] = event["service"]
            elif event["event"] == "exit":
                alive.pop(event["pid"], None)
            history.append(tuple(alive.values()))
        return history

    def assert_daemons_never_met(self, *, once_clean: bool = False) -> None:
        history = self.daemons()
        if once_clean:
            most = max(index for index, alive in enumerate(history) if len(alive) > 1)
            clean = next(index for index, alive in enumerate(history) if index > most and len(alive) <= 1)
            started = next(index for index, alive in enumerate(history) if len(alive) > 1)
            # The mess is one stretch: once it had ended it never came back.
            assert all(len(alive) > 1 for alive in history[started:most]), history
            history = history[clean:]
        assert all(len(alive) <= 1 for alive in history), json.dumps(self.sandbox.timeline(), indent=1)
        assert history[-1] == ("schedule-daemon",)


@contextmanager
def world(folder: Path, transition: Transition) -> Iterator[World]:
    """A sandbox where the first profile of ``transition`` runs."""
    folder.mkdir()
    with Sandbox.start(folder / "railway", source_dir=folder, database="sqlite", build_seconds=0.02) as sandbox:
        environment = {
            "DEPLOYKIT_RAILWAY_URL": sandbox.endpoint,
            "RAILWAY_TOKEN": sandbox.token,
            "DEPLOYKIT_DATABASE_URL": sandbox.database_url() or "",
        }
        made = World(sandbox, Cli(folder, environment))
        if transition.before:
            made.run(["apply", transition.before, "--yes"])
        sandbox.reset_requests()
        yield made


@pytest.mark.parametrize(
    "transition",
    [*FAST, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)],
    ids=str,
)
def test_a_client_killed_at_any_call_leaves_one_daemon_and_can_go_on(tmp_path: Path, transition: Transition) -> None:
    with world(tmp_path / "reference", transition) as reference:
        reference.run(transition.command)
        calls = reference.mutations()
        reference.assert_daemons_never_met()
    assert calls
    for number, field in enumerate(calls):
        for moment in MOMENTS:
            with world(tmp_path / f"{number}-{moment}", transition) as one:
                one.kill_at(transition.command, field, calls[:number].count(field), moment)
                one.run(transition.command)
                one.run(["plan", transition.after, "--no-save"])
                one.assert_daemons_never_met()
    print(f"{transition}: {len(calls)} mutating calls, {2 * len(calls)} kills, 0 overlaps, goal reached each time")


def test_from_a_mess_a_killed_client_never_brings_the_mess_back(tmp_path: Path) -> None:
    transition = Transition("pre-launch", "pre-launch", leftover=FORGOTTEN)
    with world(tmp_path / "reference", transition) as reference:
        reference.make_a_mess()
        reference.run(transition.command)
        calls = reference.mutations()
        reference.assert_daemons_never_met(once_clean=True)
    assert calls
    for number, field in enumerate(calls):
        for moment in MOMENTS:
            with world(tmp_path / f"{number}-{moment}", transition) as one:
                one.make_a_mess()
                one.kill_at(transition.command, field, calls[:number].count(field), moment)
                one.run(transition.command)
                one.assert_daemons_never_met(once_clean=True)
    print(f"mess: {len(calls)} mutating calls, {2 * len(calls)} kills, the mess never came back")
