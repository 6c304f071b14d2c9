"""The fault table: every fault is named first, with its classes and its verdict; its confusion matrix is printed.

Without DEPLOYKIT_FAULTS=1 only the short table runs: one fault of each family.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from deploykit.verification.checks import Health
from deploykit.verification.diagnosis import Rank
from tests.verify.faults import FAULTS, Fault
from tests.verify.stack import Stack, bundled, running

LONG = bool(os.environ.get("DEPLOYKIT_FAULTS"))
LONG_REASON = "the whole table takes minutes: set DEPLOYKIT_FAULTS=1 (nox -s faults)"
HEALABLE = [fault for fault in FAULTS if not fault.final]
SHORT = [fault for fault in HEALABLE if fault.fast]
MASKED = {("worker-flag", "no-handler")}
"""Pairs where one explains the other away: where no worker runs, nobody can say which jobs it does not know."""
PAIRS = [
    (one, other)
    for one, other in combinations([fault for fault in HEALABLE if fault.pair], 2)
    if (one.cause, other.cause) not in MASKED
]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Counter[tuple[str, str]]]:
    """(injected cause, cause named first) → how often; printed at the end."""
    counts: Counter[tuple[str, str]] = Counter()
    yield counts
    right = sum(count for (injected, named), count in counts.items() if injected == named)
    print(f"\n{right} of {counts.total()} faults named first; injected → named:")
    for (injected, named), count in sorted(counts.items()):
        print(f"  {'  ' if injected == named else '✗ '}{injected} → {named}: {count}")


def look(stack: Stack, fault: Fault, matrix: Counter[tuple[str, str]]) -> None:
    fault.inject(stack)
    found, causes = stack.doctor()
    named = [cause.id for cause in causes if cause.rank < Rank.REMARK]
    matrix[fault.cause or "none", named[0] if named else "none"] += 1
    seen = {(row.kind, str(row.class_)) for row in found.census.rows}
    assert (str(found.health), named[:1]) == (fault.verdict, [fault.cause] if fault.cause else []), causes
    assert set(fault.rows) <= seen


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name)
def test_a_fault_is_named_first(stack: Stack, fault: Fault, matrix: Counter[tuple[str, str]]) -> None:
    look(stack, fault, matrix)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason=LONG_REASON)
@pytest.mark.parametrize("fault", [fault for fault in HEALABLE if not fault.fast], ids=lambda fault: fault.name)
def test_every_other_fault_is_named_first(stack: Stack, fault: Fault, matrix: Counter[tuple[str, str]]) -> None:
    look(stack, fault, matrix)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason=LONG_REASON)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.final], ids=lambda fault: fault.name)
def test_a_fault_that_stays_is_named_first(own: Stack, fault: Fault, matrix: Counter[tuple[str, str]]) -> None:
    look(own, fault, matrix)


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason=LONG_REASON)
@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda fault: fault.name)
def test_of_two_faults_both_are_named(stack: Stack, one: Fault, other: Fault) -> None:
    one.inject(stack)
    other.inject(stack)
    found, causes = stack.doctor()
    assert {one.cause, other.cause} <= {cause.id for cause in causes}
    assert str(found.health) == "unhealthy"


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason=LONG_REASON)
@pytest.mark.parametrize(("mishap", "cause"), [("hang", "stuck"), ("fall", "crash-loop")])
def test_a_daemon_that_only_seems_to_live_is_found_out(
    mishap: str, cause: str, tmp_path: Path, matrix: Counter[tuple[str, str]]
) -> None:
    """Its loop hangs while its heart beats, or it falls and is started again: at every moment it looks alive."""
    profile = bundled("pre-launch")
    daemon = profile.services["schedule-daemon"]
    ill = daemon.model_copy(update={"start": f"exec python -m tests.verify.mishap {mishap}"})
    profile = profile.model_copy(update={"services": {**profile.services, "schedule-daemon": ill}})
    with running(profile, tmp_path / "sandbox", leading=False) as stack:
        stack.until(lambda: stack.verify().health is Health.UNHEALTHY, 90)
        for _ in range(3):
            found, causes = stack.doctor()
            named = [one.id for one in causes if one.rank < Rank.REMARK]
            assert (found.health, named[:1]) == (Health.UNHEALTHY, [cause])
        matrix[cause, named[0]] += 1


def test_the_table_holds_at_least_45_faults() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 45


@pytest.mark.slow
@pytest.mark.skipif(not LONG, reason=LONG_REASON)
@pytest.mark.parametrize("name", ["pre-launch", "100-users", "1000-users"])
def test_no_alarm_on_a_healthy_system_during_deploys_and_drains(name: str, tmp_path: Path) -> None:
    with running(bundled(name), tmp_path / "sandbox") as stack:
        services = [service.name for service in stack.profile.services.values()]
        for turn in range(67):
            if turn % 5 == 0:
                chosen = services[turn // 5 % len(services)]
                stack.deploy(stack.ids()[chosen])
            found = stack.verify(starting_seconds=60.0)
            failed = [check for check in found.checks if check.verdict == "fail"]
            assert failed == []
