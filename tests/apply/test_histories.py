"""Long random histories: profiles, faults, dashboard edits, redeploys, interrupted applies and two operators.

Whatever happened, no two services ever schedule at the same time unless somebody switched a second flag on by hand;
and the next apply brings everything to what its profile says.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from deploykit.commands.apply import InterruptedApplyError, apply
from deploykit.errors import DeploykitError
from tests.apply.stage import BUNDLED, Stage, bundled, leftovers, staged

LONG = int(os.environ.get("DEPLOYKIT_HISTORIES", "0"))
"""How many histories, when many are wanted; they are random then."""
PROFILES = st.sampled_from(BUNDLED)
FAULTS = st.sampled_from(
    [
        ("server-error", {}),
        ("timeout-after-effect", {"field": "environmentApplyChangeSet"}),
        ("timeout-before-effect", {"field": "environmentApplyChangeSet"}),
        ("duplicate", {"field": "environmentApplyChangeSet"}),
        ("rate-limited", {"retry_after_seconds": 0}),
        ("stale-etag", {}),
        ("apply-fails-after-applied", {}),
        ("apply-failed-empty-changes", {}),
        ("apply-fails-halfway", {"applied": 1}),
        ("slow-apply", {"seconds": 0.3}),
        ("build-failure", {"service": "schedule-daemon"}),
        ("build-failure", {"service": "web-server"}),
        ("slow-build", {"service": "web-server", "seconds": 0.5}),
        ("slow-start", {"service": "schedule-daemon", "seconds": 0.3}),
        ("crash", {"service": "job-worker"}),
        ("extra-keys", {}),
    ]
)


class History(RuleBasedStateMachine):
    """One sandbox and everything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.resources = ExitStack()
        folder = Path(tempfile.mkdtemp(prefix="deploykit-history-"))
        self.resources.callback(shutil.rmtree, folder, ignore_errors=True)
        self.stage: Stage = self.resources.enter_context(staged(folder))
        self.checked = 0
        self.messy = False
        self.last = "pre-launch"

    @initialize(name=PROFILES)
    def begin(self, name: str) -> None:
        self._apply(name, lambda: False)
        self._look()

    @rule(name=PROFILES)
    def apply(self, name: str) -> None:
        self._apply(name, lambda: False)
        self._look()

    @rule(name=PROFILES, looks=st.integers(1, 6))
    def apply_and_be_interrupted(self, name: str, looks: int) -> None:
        left = iter(range(looks))
        self._apply(name, lambda: next(left, None) is None)
        self._look()

    @rule(mine=PROFILES, theirs=PROFILES, looks=st.integers(1, 4))
    def another_operator_applies_in_the_middle_of_it(self, mine: str, theirs: str, looks: int) -> None:
        left = iter(range(looks))
        done = False

        def meanwhile() -> bool:
            nonlocal done
            if not done and next(left, None) is None:
                done = True
                self._apply(theirs, lambda: False)
            return False

        self._apply(mine, meanwhile)
        self._look()

    @rule(fault=FAULTS)
    def something_will_go_wrong(self, fault: tuple[str, dict[str, object]]) -> None:
        name, options = fault
        self.stage.sandbox.fault(name, **options)

    @rule(service=st.sampled_from(["web-server", "schedule-daemon"]))
    def railway_redeploys_by_itself(self, service: str) -> None:
        with suppress(DeploykitError):
            self.stage.sandbox.fault("redeploy", service=service)
        self._look()

    @rule(service=st.sampled_from(["web-server", "schedule-daemon"]), deploy=st.booleans())
    def somebody_edits_the_dashboard(self, service: str, deploy: bool) -> None:
        with suppress(DeploykitError):
            self.stage.sandbox.fault(
                "dashboard-edit", service=service, variable="NODE_ENV", value="staging", deploy=deploy
            )
        self._look()

    @rule(service=st.sampled_from(["web-server", "schedule-daemon"]), replicas=st.integers(1, 3))
    def somebody_pulls_the_slider_of_replicas(self, service: str, replicas: int) -> None:
        with suppress(DeploykitError):
            self.stage.sandbox.fault("dashboard-edit", service=service, replicas=replicas)
        self._look()

    @rule()
    def somebody_pushes(self) -> None:
        with suppress(DeploykitError):
            self.stage.sandbox.fault("push")
        self._look()

    @rule(service=st.sampled_from(["web-server", "schedule-daemon"]))
    def a_service_falls_asleep(self, service: str) -> None:
        with suppress(DeploykitError):
            self.stage.sandbox.fault("sleep", service=service)
        self._look()

    @rule(deploy=st.booleans())
    def somebody_switches_a_second_daemon_on(self, deploy: bool) -> None:
        with suppress(DeploykitError):
            self.stage.sandbox.fault(
                "dashboard-edit", service="web-server", variable="SCHEDULE_DAEMON_ENABLED", value="true", deploy=deploy
            )
            self.messy = True

    def teardown(self) -> None:
        try:
            self._look()
            self.stage.sandbox.clear_faults()
            profile = bundled(self.last)
            remove = leftovers(profile)
            self.stage.apply(profile, remove)
            again = self.stage.plan(profile).plan
            assert again.empty, (again.changes, again.steps)
            assert self.stage.daemons()[-1] == ("schedule-daemon",)
        finally:
            self.resources.close()

    def _apply(self, name: str, stopping: Callable[[], bool]) -> None:
        """Apply, whatever comes of it; a finished one has cleaned every mess up."""
        profile = bundled(name)
        remove = leftovers(profile)
        try:
            planned = self.stage.plan(profile, remove)
            apply(
                profile,
                self.stage.railway,
                reviewed=planned.plan.drift,
                key=planned.key,
                remove=remove,
                stopping=stopping,
                patience_seconds=20,
            )
        except (DeploykitError, InterruptedApplyError):
            return
        self.last = name
        if self.messy:
            self.messy = False
            self.checked = len(self.stage.daemons()) - 1

    def _look(self) -> None:
        """Since the last look two services never scheduled at the same time. One may meet itself: a redeploy."""
        if self.messy:
            return
        history = self.stage.daemons()
        for alive in history[self.checked :]:
            assert len(set(alive)) <= 1, (alive, self.stage.sandbox.timeline())
        self.checked = len(history) - 1


def test_random_histories_never_make_two_daemons_and_always_end_well() -> None:
    run_state_machine_as_test(
        History,
        settings=settings(
            max_examples=LONG or 6,
            stateful_step_count=8,
            deadline=None,
            derandomize=not LONG,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
