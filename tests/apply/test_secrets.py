"""Marked secrets go through the commands, their formats, error paths and files, and none of their bytes come out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploykit.sandbox import Sandbox
from tests.apply.stage import START
from tests.journey.conftest import Cli

GIVEN = "marked-given-6f1d0a"
LIVE = "marked-live-93be77"
PASSWORD = "marked-password-c4e8"
WRONG_TOKEN = "marked-token-5a5a5a"
DATABASE_URL = f"mysql://app:{PASSWORD}@127.0.0.1:9/app"
PROFILE = f"""
version: 1
name: shop
database: {{service: MySQL}}
expect: {{schedule_daemon: 0}}
services:
  web-server:
    role: web
    source: {{repo: acme/shop, branch: main}}
    start: "{START["web"]}"
    draining_seconds: 30
    env:
      NODE_ENV: production
      JWT_SECRET: !secret
      DATABASE_URL: ${{{{MySQL.MYSQL_URL}}}}
      DATABASE_CONNECTION_LIMIT: 5
      EMBEDDED_JOB_WORKER: true
      JOB_WORKER_POLL_INTERVAL_MS: 30000
      SCHEDULE_DAEMON_ENABLED: false
"""
UPSERT = "mutation($input: VariableCollectionUpsertInput!) { variableCollectionUpsert(input: $input) }"
SERVICES = "query($id: String!) { project(id: $id) { services { edges { node { id name } } } } }"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, Sandbox]]:
    """A project folder beside a running sandbox; the sandbox's own files are elsewhere."""
    state, folder = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("shop")
    (folder / "profiles").mkdir()
    (folder / "profiles" / "shop.yaml").write_text(PROFILE)
    with Sandbox.start(state, source_dir=folder, database="sqlite", build_seconds=0.01) as sandbox:
        env = {
            "DEPLOYKIT_RAILWAY_URL": sandbox.endpoint,
            "RAILWAY_TOKEN": sandbox.token,
            "DEPLOYKIT_DATABASE_URL": DATABASE_URL,
            "JWT_SECRET": GIVEN,
        }
        cli = Cli(folder, env)
        applied = cli("apply", "shop", "--yes", "--secret-from-env", "JWT_SECRET")
        assert applied.status == 0, applied.err
        silent(cli, sandbox, applied.out + applied.err)
        edit(sandbox, PAYMENT_KEY=LIVE, NODE_ENV=LIVE)
        yield cli, sandbox


def edit(sandbox: Sandbox, **variables: str) -> None:
    """Somebody sets variables of the web server in the dashboard."""
    nodes = sandbox.graphql(SERVICES, {"id": sandbox.project_id})["project"]["services"]["edges"]
    ids = {edge["node"]["name"]: edge["node"]["id"] for edge in nodes}
    place = {"projectId": sandbox.project_id, "environmentId": sandbox.environment_id, "serviceId": ids["web-server"]}
    sandbox.graphql(UPSERT, {"input": {**place, "variables": variables, "skipDeploys": True}})


def silent(cli: Cli, sandbox: Sandbox, said: str) -> None:
    """None of the secrets was printed or written."""
    marked = (GIVEN, LIVE, PASSWORD, WRONG_TOKEN, sandbox.token)
    assert [secret for secret in marked if secret in said] == []
    for file in cli.folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert [secret for secret in marked if secret.encode() in content] == [], file


COMMANDS = {
    "plan": ("plan", "shop"),
    "plan with a secret given": ("plan", "shop", "--secret-from-env", "JWT_SECRET"),
    "apply that refuses to destroy": ("apply", "shop", "--yes"),
    "apply the saved plan": ("apply", "--yes"),
    "rollback": ("rollback", "1"),
    "rollback list": ("rollback", "--list"),
    "verify": ("verify", "shop"),
    "verify what was applied": ("verify",),
    "verify that writes": ("verify", "shop", "--smoke"),
    "watch": ("watch", "shop", "--count", "2", "--every", "1s"),
    "ghosts": ("ghosts", "shop"),
    "doctor": ("doctor", "shop"),
    "unlock": ("unlock",),
    "lint": ("lint", "profiles"),
    "render": ("render", "shop", "--out", "rendered"),
    "map": ("map", "shop"),
    "pull": ("pull", "--name", "as-found", "--force"),
    "advise": ("advise", "shop"),
    "pull to stdout": ("pull", "--out", "-"),
}


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_lets_no_secret_out(shop: tuple[Cli, Sandbox], command: str, output: str) -> None:
    cli, sandbox = shop
    answer = cli(*COMMANDS[command], "--format", output, "--debug", "-v")
    assert answer.status != 70, answer.err
    silent(cli, sandbox, answer.out + answer.err)


FAULTS: dict[str, dict[str, object]] = {
    "rate-limited": {"field": "environment", "retry_after_seconds": 60},
    "server-error": {"field": "environmentApplyChangeSet"},
    "timeout-before-effect": {"field": "environmentApplyChangeSet"},
    "timeout-after-effect": {"field": "environmentApplyChangeSet"},
    "problem-processing": {"field": "environmentPreviewChangeSet"},
    "error": {
        "field": "environmentApplyChangeSet", "code": "BAD_USER_INPUT",
        "message": f"Invalid RailwayChangeSet patch: got {GIVEN!r} beside {LIVE!r} in {DATABASE_URL}",
    },
    "extra-keys": {"field": "environment", "key": "futureField"},
    "stale-etag": {},
    "apply-fails-after-applied": {},
    "apply-failed-empty-changes": {},
    "apply-fails-halfway": {"applied": 0},
    "build-failure": {"service": "web-server"},
    "healthcheck-failure": {"service": "web-server"},
    "crash": {"service": "web-server"},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_no_failure_of_railway_brings_a_secret_out(shop: tuple[Cli, Sandbox], fault: str) -> None:
    cli, sandbox = shop
    edit(sandbox, PAYMENT_KEY=LIVE, NODE_ENV=LIVE)
    sandbox.fault(fault, **FAULTS[fault])
    words = ("apply", "shop", "--yes", "--allow-destructive", "--secret-from-env", "JWT_SECRET", "--debug", "-v")
    answer = cli(*words, "--patience", "5")
    sandbox.clear_faults()
    assert answer.status != 70, answer.err
    silent(cli, sandbox, answer.out + answer.err)


def test_what_an_application_says_before_it_dies_is_told_without_its_secrets(shop: tuple[Cli, Sandbox]) -> None:
    cli, sandbox = shop
    talkative = PROFILE.replace(START["web"], "echo $JWT_SECRET $PAYMENT_KEY; exit 1")
    talkative = talkative.replace("draining_seconds", "healthcheck: /health\n    draining_seconds").replace(
        "shop", "talkative", 1
    )
    talkative = talkative.replace("JWT_SECRET: !secret", "JWT_SECRET: !secret\n      PAYMENT_KEY: !secret")
    edit(sandbox, PAYMENT_KEY=LIVE)
    path = cli.folder / "profiles" / "talkative.yaml"
    path.write_text(talkative)
    words = ("apply", "talkative", "--yes", "--allow-destructive", "--secret-from-env", "JWT_SECRET")
    answer = cli(*words)
    path.unlink()
    assert answer.status == 7, answer.err
    assert "«hidden»" in answer.err
    silent(cli, sandbox, answer.out + answer.err)


def test_a_refused_token_is_not_repeated(shop: tuple[Cli, Sandbox]) -> None:
    cli, sandbox = shop
    answer = cli("plan", "shop", "--debug", env={"RAILWAY_TOKEN": WRONG_TOKEN})
    assert answer.status == 4
    silent(cli, sandbox, answer.out + answer.err)


def test_the_secret_did_reach_railway(shop: tuple[Cli, Sandbox]) -> None:
    _, sandbox = shop
    edit(sandbox, PAYMENT_KEY=LIVE)  # an apply before may have deleted it
    document = "query($e: String!) { environment(id: $e) { config(decryptVariables: true) } }"
    config = sandbox.graphql(document, {"e": sandbox.environment_id})
    assert LIVE in str(config)
