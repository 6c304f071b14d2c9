"""On a real MySQL server: the guide's last query, and a user who may only SELECT."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploykit.sandbox.database import find_server
from deploykit.verification.checks import Health
from tests.verify.stack import bundled, running


@pytest.mark.mysql
@pytest.mark.skipif(find_server() is None, reason="no mysqld or mariadbd on this machine")
def test_select_alone_is_enough_to_prove_the_system_and_the_guides_query_agrees(tmp_path: Path) -> None:
    with running(bundled("pre-launch"), tmp_path / "sandbox", database="mysql") as stack:
        stack.sql("CREATE USER 'reader'@'%%' IDENTIFIED BY 'only-looks'")
        stack.sql("GRANT SELECT ON railway.* TO 'reader'@'%%'")
        stack.url = f"mysql://reader:only-looks@{urlsplit(stack.url).netloc.rpartition('@')[2]}/railway"
        found = stack.verify()
        assert found.health is Health.HEALTHY
        rows = stack.sql(
            "SELECT workerType, COUNT(*) AS n FROM WorkerInstance WHERE status = 'RUNNING' GROUP BY workerType"
        )
        assert sorted((row["workerType"], row["n"]) for row in rows) == [("job_worker", 1), ("schedule_daemon", 1)]
        assert found.evidence.server is not None
        assert found.evidence.server.max_connections
