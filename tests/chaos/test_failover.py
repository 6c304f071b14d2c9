"""The primary of a MySQL group killed under load, DEPLOYKIT_FAILOVER_KILLS times (10 in its own session)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median

import pytest

from runtime.db import Database, DatabaseError, connect
from runtime.migrations import migrate
from tests.chaos.cluster import Cluster, cluster
from tests.chaos.conftest import create_effects
from tests.chaos.processes import fleet
from tests.chaos.soak import Report, Soak
from tests.mysql.server import NoServer

KILLS = int(os.environ.get("DEPLOYKIT_FAILOVER_KILLS") or 1)
SEED = int(os.environ.get("DEPLOYKIT_SOAK_SEED") or 1)
RECOVERY_SECONDS = 120.0


@pytest.mark.mysql
@pytest.mark.xdist_group("soak")
def test_nothing_is_lost_or_doubled_when_the_primary_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        with cluster() as group:
            recovered, report = _kill_primaries(group, tmp_path)
    except NoServer as reason:
        if os.environ.get("DEPLOYKIT_REQUIRE_SERVERS"):
            pytest.fail(str(reason))
        pytest.skip(str(reason))
    with capsys.disabled():
        times = ", ".join(f"{seconds:.1f}" for seconds in recovered)
        print(f"\nfirst job completed after each kill [s]: {times} (median {median(recovered):.1f})\n{report}")
    assert report.complaints == []
    assert report.ended["COMPLETED"] == sum(report.ended.values())


def _kill_primaries(group: Cluster, folder: Path) -> tuple[list[float], Report]:
    with connect(group.url) as db:
        migrate(db)
        create_effects(db)
    recovered = []
    # The defaults of a real system: a heartbeat each 10 s, so that a failover fits into a worker's lease.
    with fleet(group.url, folder, HEARTBEAT_INTERVAL_MS="3000") as machines, Soak(machines, SEED) as soak:
        soak.start()
        _completions(group, since=0)
        for _ in range(KILLS):
            number = group.wait_for_primary()
            before = _count(group)
            killed_at = time.monotonic()
            group.nodes[number].kill()
            soak.count("primary killed")
            _completions(group, since=before)
            recovered.append(time.monotonic() - killed_at)
            group.rejoin(number)
        assert soak.ended() == [], "a failover ended a process"
        return recovered, soak.finish()


def _count(group: Cluster) -> int:
    """Completed jobs; -1 while nobody answers."""
    try:
        with connect(group.url) as db:
            return _completed(db)
    except DatabaseError:
        return -1


def _completed(db: Database) -> int:
    return int(db.rows("SELECT COUNT(*) AS jobs FROM JobRun WHERE status = 'COMPLETED'", {})[0]["jobs"])


def _completions(group: Cluster, since: int) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while _count(group) <= since:
        assert time.monotonic() < deadline, "no job was completed after the failover"
        time.sleep(0.1)
