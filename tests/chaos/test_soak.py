"""Everything at once, for DEPLOYKIT_SOAK_SECONDS (120, and 1,200 in its own session) from DEPLOYKIT_SOAK_SEED."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.conftest import prepared
from tests.chaos.processes import fleet
from tests.chaos.soak import Soak, freeze, kill, terminate
from tests.mysql import server as servers
from tests.mysql.server import NoServer

SECONDS = float(os.environ.get("DEPLOYKIT_SOAK_SECONDS") or 120)
SEED = int(os.environ.get("DEPLOYKIT_SOAK_SEED") or 1)


@pytest.mark.mysql
@pytest.mark.xdist_group("soak")
def test_nothing_is_lost_and_nothing_doubled_whatever_dies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = _own_server()
    try:
        with fleet(prepared(server), tmp_path) as machines, Soak(machines, SEED) as soak:

            def restart(soak: Soak) -> None:
                if soak.chance.random() < 0.3:  # seldom enough that the load goes on in between
                    server.kill()
                    server.start()
                    soak.count("database killed")

            soak.start()
            soak.run(SECONDS, [kill, kill, freeze, freeze, terminate, restart], between=(0.3, 1.5))
            report = soak.finish()
        with capsys.disabled():
            print(f"\n{server.flavour}, {SECONDS:g} s, seed {SEED}\n{report}")
        assert report.complaints == []
        assert report.fired > 0
        assert report.extra > 0, "no fault ever hit a running job"
    finally:
        servers.remove(server)


def _own_server() -> servers.Server:
    """One that may be killed. MySQL if there is one, else MariaDB."""
    reasons = []
    for flavour in ("mysql", "mariadb"):
        try:
            return servers.create(flavour)
        except NoServer as reason:
            reasons.append(str(reason))
    if os.environ.get("DEPLOYKIT_REQUIRE_SERVERS"):
        pytest.fail("; ".join(reasons))
    pytest.skip("; ".join(reasons))
