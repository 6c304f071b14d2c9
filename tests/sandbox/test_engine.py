"""The official engine plans and applies against the sandbox as it does against Railway."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.sandbox import Sandbox
from tests.sandbox.conftest import POLITE, Driver
from tests.sandbox.engine import authored, run

pytestmark = pytest.mark.node

SHOP = """
import {{ defineRailway, project, service, mysql, github, volume, ref, preserve }} from "railway/iac";
export default defineRailway(() => {{
  const db = mysql("MySQL");
  const web = service("web", {{ source: github("acme/app"), start: {web!r}, replicas: {replicas},
    deploy: {{ drainingSeconds: 30 }}, env: {{ DATABASE_URL: db.env.MYSQL_URL, DEBUG: "{debug}" {more} }} }});
  const data = volume("data", {{ sizeMB: 1024, region: "us-west2" }});
  const daemon = service("daemon", {{ source: github("acme/app"), start: {daemon!r},
    deploy: {{ restartPolicyType: "ALWAYS" }}, volumeMounts: {{ "/data": data }},
    env: {{ SCHEDULE_DAEMON_ENABLED: "true", API: ref(web, "RAILWAY_PRIVATE_DOMAIN") }} }});
  return project("shop", {{ resources: [db, data, web, daemon] }});
}});
"""


def shop(folder: Path, *, debug: str = "0", replicas: int = 1, more: str = "") -> Path:
    text = SHOP.format(web=POLITE, daemon=POLITE, debug=debug, replicas=replicas, more=more)
    return authored(folder, text)


def test_plan_apply_and_plan_again(tmp_path: Path) -> None:
    file = shop(tmp_path / "iac")
    with Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite") as sandbox:
        railway = Driver(sandbox)
        planned = run(sandbox, "plan", file)
        assert planned["diff"].splitlines() == [
            "+ Create volume data",
            "+ Create service web",
            "+ Create service daemon",
        ]
        applied = run(sandbox, "apply", file)
        assert applied["applyResult"]["status"] == "applied"
        assert {one["status"] for one in applied["applyResult"]["changes"]} == {"applied"}
        for name in ("web", "daemon"):
            railway.wait_processes(name, 1)
        assert run(sandbox, "plan", file)["diff"] == "No changes."

        shop(tmp_path / "iac", debug="1", replicas=2)
        changed = run(sandbox, "plan", file)["changeSet"]["changes"]
        # Reads are masked: without the comparison on the server every variable would be in this list.
        assert [(one["kind"], one.get("variable", one.get("field"))) for one in changed] == [
            ("variable.set", "DEBUG"),
            ("resource.update", "deploy"),
        ]
        assert run(sandbox, "apply", file)["applyResult"]["status"] == "applied"
        railway.wait_processes("web", 2)
        assert run(sandbox, "plan", file)["diff"] == "No changes."
        current = run(sandbox, "current", file)["currentGraph"]["resources"]
        assert {"database.MySQL", "service.web", "service.daemon", "volume.data"} <= {one["address"] for one in current}


def test_preserve_on_a_new_service_is_refused_as_by_railway(tmp_path: Path) -> None:
    file = shop(tmp_path / "iac", more=", SECRET: preserve()")
    with Sandbox.start(tmp_path / "state", source_dir=tmp_path, database="sqlite") as sandbox:
        planned = run(sandbox, "plan", file)
        assert not planned["ok"]
        assert "Invalid RailwayChangeSet patch" in planned["diagnostics"][0]["message"]
