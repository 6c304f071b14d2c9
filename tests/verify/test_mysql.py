"""On real MySQL and MariaDB servers: a user who may only SELECT, the guide's last query, and how servers fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import runtime.db
from deploykit.sandbox.database import find_server, free_port
from deploykit.verification.checks import Health
from deploykit.verification.diagnosis import Diagnosis, Rank
from runtime.db import Unreachable
from tests.mysql.provision import cache_folder
from tests.verify.stack import REPOSITORY, Stack, bundled, running

MYSQL = cache_folder() / "bin" / "mysqld"
SERVERS = {"installed": find_server(), "MySQL 9": MYSQL if os.access(MYSQL, os.X_OK) else None}
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
READER = "reader:only-looks"


@contextmanager
def deployed(server: Path, folder: Path) -> Iterator[Stack]:
    """The pre-launch profile on that server, looked at by a user who may do nothing but SELECT."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEPLOYKIT_MYSQLD", str(server))
        with running(bundled("pre-launch"), folder / "sandbox", database="mysql") as stack:
            name, _, password = READER.partition(":")
            stack.sql(f"CREATE USER '{name}'@'%%' IDENTIFIED BY '{password}'")
            stack.sql(f"GRANT SELECT ON railway.* TO '{name}'@'%%'")
            stack.owner_url = stack.url
            stack.url = f"mysql://{READER}@{urlsplit(stack.url).netloc.rpartition('@')[2]}/railway"
            yield stack


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.mysql) for name in SERVERS])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    program = SERVERS[request.param]
    if program is None:
        pytest.skip(f"no {request.param} server on this machine: python -m tests.mysql.provision gets one")
    with deployed(program, tmp_path_factory.mktemp("served")) as stack:
        yield stack


def first(causes: list[Diagnosis]) -> tuple[str, str] | None:
    """The cause named first, and the first step of its cure."""
    sick = [cause for cause in causes if cause.rank < Rank.REMARK]
    return (sick[0].id, sick[0].cure[0]) if sick else None


def well_again(stack: Stack) -> None:
    """Wait until a fault has left nothing behind, so that the next test finds a healthy system."""
    stack.until(lambda: stack.verify().health is Health.HEALTHY, 60)


def test_select_alone_is_enough_to_prove_the_system_and_the_guides_query_agrees(served: Stack) -> None:
    found = served.verify()
    assert found.health is Health.HEALTHY
    rows = served.sql(
        "SELECT workerType, COUNT(*) AS n FROM WorkerInstance WHERE status = 'RUNNING' GROUP BY workerType"
    )
    assert sorted((row["workerType"], row["n"]) for row in rows) == [("job_worker", 1), ("schedule_daemon", 1)]
    assert found.evidence.server is not None
    assert found.evidence.server.max_connections


def test_the_command_reads_through_a_tunnel_that_it_opens_and_ends(served: Stack) -> None:
    near, far = free_port(), urlsplit(served.url).port
    forwarder = f"{sys.executable} -m tests.chaos.forwarder {near} {far}"
    done = subprocess.run(
        [sys.executable, "-m", "deploykit", "verify", "pre-launch", "--format", "json", "--tunnel", forwarder],
        env={
            **os.environ,
            **served.access,
            "DEPLOYKIT_PROJECT_DIR": str(REPOSITORY),
            "DEPLOYKIT_DATABASE_URL": f"mysql://{READER}@127.0.0.1:{near}/railway",
        },
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (0, "healthy"), done.stderr
    assert f"127.0.0.1:{near} accepts" in done.stderr
    assert "only-looks" not in done.stdout + done.stderr
    with pytest.raises(Unreachable):
        runtime.db.connect(f"mysql://{READER}@127.0.0.1:{near}/railway")


def test_whose_forgotten_transaction_it_is_is_read_by_who_may(served: Stack) -> None:
    with runtime.db.connect(served.owner_url) as forgetful, runtime.db.connect(served.owner_url) as looking:
        forgetful.change("START TRANSACTION WITH CONSISTENT SNAPSHOT", {})
        forgetful.rows("SELECT COUNT(*) FROM JobRun", {})
        mine = forgetful.rows("SELECT CONNECTION_ID() AS id", {})[0]["id"]
        served.until(lambda: bool(runtime.db.server_facts(looking).oldest_foreign_trx_seconds))
        assert runtime.db.server_facts(looking).oldest_foreign_trx_thread == mine
    assert [check.verdict for check in served.verify().checks if check.id == "transactions"] == ["skip"]


def test_a_primary_that_is_read_only_after_a_failover_is_named_first(served: Stack) -> None:
    with runtime.db.connect(served.owner_url) as owner:
        variable = "read_only" if "MariaDB" in runtime.db.server_facts(owner).version else "super_read_only"
        owner.change(f"SET GLOBAL {variable} = 1", {})
        try:
            found, causes = served.doctor()
        finally:
            owner.change("SET GLOBAL super_read_only = 0" if variable != "read_only" else "SELECT 1", {})
            owner.change("SET GLOBAL read_only = 0", {})
    assert found.health is Health.UNHEALTHY
    assert first(causes) == ("database-read-only", "connect through the HA proxy service, which follows the primary")
    well_again(served)


def test_a_server_without_a_free_connection_is_named_first_although_nobody_can_look(served: Stack) -> None:
    with filled(served):
        found, causes = served.doctor()
    assert found.health is Health.INCONCLUSIVE
    named, cure = first(causes) or ("", "")
    assert (named, "DATABASE_CONNECTION_LIMIT=5" in cure) == ("too-many-connections", True)
    well_again(served)


def test_a_server_that_is_nearly_full_is_named_while_everybody_still_works(served: Stack) -> None:
    with filled(served, spare=3):
        found, causes = served.doctor()
    assert found.health is Health.UNHEALTHY
    named, cure = first(causes) or ("", "")
    assert (named, "DATABASE_CONNECTION_LIMIT=5" in cure) == ("too-many-connections", True)
    well_again(served)


@contextmanager
def filled(stack: Stack, spare: int = 0) -> Iterator[None]:
    """Take every connection that a user without rights can get, and give ``spare`` of them back."""
    with runtime.db.connect(stack.owner_url) as owner, ExitStack() as stack_of:
        facts = runtime.db.server_facts(owner)
        assert facts.connections_in_use is not None
        owner.change(f"SET GLOBAL max_connections = {max(20, facts.connections_in_use + 6)}", {})
        stack_of.callback(owner.change, "SET GLOBAL max_connections = 151", {})
        taken, refused = [], 0
        while refused < 5:
            try:
                taken.append(runtime.db.connect(stack.url))
            except Unreachable:
                refused += 1  # and once more: somebody else's goodbye may still be under way
                time.sleep(0.1)
        for one in taken[:spare]:
            one.close()
        for one in taken[spare:]:
            stack_of.callback(one.close)
        yield


@pytest.mark.mysql
@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime on this machine: apt-get install libfaketime")
@pytest.mark.skipif(SERVERS["installed"] is None, reason="no mysqld or mariadbd on this machine")
def test_a_database_whose_clock_is_two_hours_ahead_is_remarked_and_changes_no_verdict(tmp_path: Path) -> None:
    wrapper = tmp_path / "mysqld"
    wrapper.write_text(
        "#!/bin/sh\n"
        f"export LD_PRELOAD={FAKETIME} FAKETIME=+7200 FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1\n"
        f'exec {SERVERS["installed"]} "$@"\n'
    )
    wrapper.chmod(0o700)
    with deployed(wrapper, tmp_path) as stack:
        found, causes = stack.doctor()
        assert found.health is Health.HEALTHY
        (remark,) = [cause for cause in causes if cause.id == "clock-skew"]
        assert (remark.rank, first(causes)) == (Rank.REMARK, None)
        assert "7200 s ahead" in remark.because or "7199 s ahead" in remark.because
        assert remark.cure[0].startswith("set this machine's clock")
        stack.sandbox.fault("stuck-process", service="schedule-daemon")
        found, causes = stack.doctor()
        assert (found.health, (first(causes) or ("",))[0]) == (Health.UNHEALTHY, "stuck")
