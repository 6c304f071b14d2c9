"""After our apply, Railway's own engine finds nothing to do for the file that we render."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploykit.commands.apply import apply
from deploykit.commands.plan import plan
from deploykit.profile.load import load
from deploykit.rendering.render import render
from tests.apply.stage import BUNDLED, START, bundled, staged
from tests.sandbox.engine import authored, run

pytestmark = pytest.mark.node


def test_railways_own_engine_plans_nothing_after_our_apply(tmp_path: Path) -> None:
    with staged(tmp_path / "railway") as stage:
        for name in BUNDLED:
            profile = bundled(name)
            file = authored(tmp_path / name, render(profile)[".railway/railway.ts"])
            before = run(stage.sandbox, "plan", file)
            assert before["changeSet"]["changes"], "it sees what is missing"
            stage.apply(profile)
            after = run(stage.sandbox, "plan", file)
            assert (name, after["diff"], after["diagnostics"]) == (name, "No changes.", [])


EVERYTHING = f"""
version: 1
name: everything
database: {{service: MySQL}}
services:
  web-server:
    role: web
    source: {{repo: acme/app, branch: release, root: apps/web}}
    start: "{START["web"]}"
    pre_deploy: "true"
    overlap_seconds: 2
    draining_seconds: 30
    replicas: {{us-west2: 1, europe-west4-drams3a: 2}}
    limits: {{memory_mb: 512, vcpu: 0.5}}
    domains: [app.example.com, {{domain: api.example.com, port: 3000}}]
    autodeploy: after_ci
    env:
      DATABASE_URL: ${{{{MySQL.MYSQL_URL}}}}
      GREETING: "hi ${{{{shared.NAME}}}} at ${{{{MySQL.MYSQLHOST}}}}"
      EMPTY: ""
      LINES: "a\\nb"
      JWT_SECRET: !secret
      EMBEDDED_JOB_WORKER: false
      SCHEDULE_DAEMON_ENABLED: false
  schedule-daemon:
    role: daemon
    guard: volume
    volume: {{mount: /guard, size_mb: 500}}
    source: {{image: "acme/app:1"}}
    start: "{START["daemon"]}"
    restart: {{policy: always}}
    env: {{SCHEDULE_DAEMON_ENABLED: true, EMBEDDED_JOB_WORKER: false, SCHEDULE_POLL_INTERVAL_MS: 3600000}}
  job-worker:
    role: worker
    source: {{repo: acme/app}}
    start: "{START["worker"]}"
    restart: {{policy: on_failure, max_retries: 100}}
    replicas: 2
    autodeploy: off
    env: {{SCHEDULE_DAEMON_ENABLED: false}}
  nightly: {{role: other, source: {{repo: acme/app}}, start: "true", cron: "0 3 * * *", restart: {{policy: never}}}}
"""


def test_nor_when_a_profile_says_all_that_profiles_can_say(tmp_path: Path) -> None:
    profile = load(Path("everything.yaml"), text=EVERYTHING).profile
    assert profile is not None
    (tmp_path / "railway" / "apps" / "web").mkdir(parents=True)

    def secret(service: str, variable: str) -> str | None:
        return "a-value-of-the-operator" if variable == "JWT_SECRET" else None

    with staged(tmp_path / "railway") as stage:
        planned = plan(profile, stage.railway, secret=secret)
        reviewed = planned.plan.drift
        apply(profile, stage.railway, reviewed=reviewed, key=planned.key, secret=secret, patience_seconds=60)
        assert stage.plan(profile).plan.empty
        after = run(stage.sandbox, "plan", authored(tmp_path / "file", render(profile)[".railway/railway.ts"]))
        assert (after["diff"], after["diagnostics"]) == ("No changes.", [])
