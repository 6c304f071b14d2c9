"""What is pulled from a running sandbox is what is live there: planned again, there is nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploykit.commands.pull import Result, complete, pull
from deploykit.errors import DeploykitError, UsageError
from deploykit.profile.load import load
from deploykit.railway import snapshot as reading
from tests.apply.stage import BUNDLED, START, Stage, bundled, leftovers, staged
from tests.deploykit.planning.test_pull import resources
from tests.journey.conftest import Answer, Cli

CREATE = "mutation($input: ServiceCreateInput!) { serviceCreate(input: $input) { id } }"
CREATE_VOLUME = "mutation($input: VolumeCreateInput!) { volumeCreate(input: $input) { id name } }"
COMMIT = (
    "mutation($e: String!, $patch: EnvironmentConfig!) { environmentPatchCommit(environmentId: $e, patch: $patch) }"
)
AUTODEPLOY = (
    "mutation($i: ServiceInstanceAutoDeployUpdateInput!) { serviceInstanceAutoDeployUpdate(input: $i) { enabled } }"
)
SECRET = "marked-hand-made-8d2c41"


def test_a_name_that_no_profile_can_have_is_refused_with_one_that_it_can(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        pull(tmp_path, stage.railway, name="my/first one")
    assert "my-first-one" in (refused.value.hint or "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", BUNDLED)
def test_pulled_after_an_apply_a_profile_says_the_same_and_plans_nothing(
    stage: Stage, name: str, tmp_path: Path
) -> None:
    wanted = bundled(name)
    stage.apply(wanted, leftovers(wanted))
    result = pull(tmp_path, stage.railway, name=name)
    assert result.path == tmp_path / "profiles" / f"{name}.yaml"
    written = load(result.path).profile
    assert written is not None
    assert resources(written) == resources(wanted)
    plan = stage.plan(written).plan
    assert (plan.changes, plan.steps) == ((), ())


@dataclass
class HandMade(Stage):
    """A project that somebody clicked together, with what Railway offers and no profile knows."""

    ids: dict[str, str]
    volume: str


@pytest.fixture(scope="module")
def hand_made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    folder = tmp_path_factory.mktemp("hand-made")
    (folder / "apps" / "shop").mkdir(parents=True)
    with staged(folder) as stage:
        sandbox, where = stage.sandbox, {"projectId": stage.sandbox.project_id}
        ids = {
            name: sandbox.graphql(CREATE, {"input": {**where, "name": name}})["serviceCreate"]["id"]
            for name in ("shop", "clock", "mailer")
        }
        place = {**where, "environmentId": sandbox.environment_id}
        volume = {"input": {**place, "serviceId": ids["clock"], "mountPath": "/data"}}
        name = sandbox.graphql(CREATE_VOLUME, volume)["volumeCreate"]["name"]
        sandbox.graphql(COMMIT, {"e": sandbox.environment_id, "patch": messy(ids)})
        sandbox.graphql(AUTODEPLOY, {"i": {**place, "serviceId": ids["mailer"], "enabled": False}})
        made = HandMade(sandbox, stage.railway, ids, name)
        until_at_rest(made)
        yield made


def messy(ids: dict[str, str]) -> dict[str, Any]:
    shared = {"SCHEDULE_DAEMON_ENABLED": {"value": "false"}, "EMBEDDED_JOB_WORKER": {"value": "false"}}
    shop = {
        "source": {"repo": "acme/shop", "branch": "release", "rootDirectory": "apps/shop"},
        "build": {"builder": "DOCKERFILE", "dockerfilePath": "docker/Dockerfile", "watchPatterns": ["apps/**"]},
        "deploy": {
            "startCommand": START["web"],
            "restartPolicyType": "ALWAYS",
            "multiRegionConfig": {"us-west2": None, "europe-west4-drams3a": {"numReplicas": 2}},
            "limitOverride": {"containers": {"memoryBytes": 512_753_664, "diskBytes": 1_000_000_000}},
            "ipv6EgressEnabled": True,
        },
        "networking": {
            "serviceDomains": {"shop.up.railway.app": {"port": 8080}},
            "customDomains": {"shop.example.com": {"port": 3000}},
            "tcpProxies": {"5000": {}},
        },
        "variables": {
            **shared,
            "DATABASE_URL": {"value": "${{ MySQL.MYSQL_URL }}"},
            "PAYMENT": {"value": SECRET},
            "SEALED": {"value": SECRET, "isSealed": True},
            "GREETING": {"value": 'true: "it\'s" # €\n', "description": "on the front page"},
            "RAILWAY_DOCKERFILE_PATH": {"value": "docker/Dockerfile"},
            "RAILWAY_PUBLIC_DOMAIN": {"value": "stale.example.com"},
        },
        "tracing": {"enabled": True},
    }
    clock = {
        "source": {"repo": "acme/shop", "branch": "main", "checkSuites": True},
        "deploy": {"startCommand": START["daemon"], "drainingSeconds": 45},
        "variables": {**shared, "SCHEDULE_DAEMON_ENABLED": {"value": "true"}},
    }
    mailer = {"source": {"repo": "acme/mailer", "branch": "main"}, "deploy": {"startCommand": START["worker"]}}
    services = {ids["shop"]: shop, ids["clock"]: clock, ids["mailer"]: mailer}
    return {"services": services, "sharedVariables": {"SENTRY_DSN": {"value": SECRET}}}


def until_at_rest(made: HandMade) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        live = reading.read(made.railway)
        if all(one.active and one.active[0].status == "SUCCESS" for one in live.services):
            return
        time.sleep(0.05)
    raise AssertionError("the hand-made project does not come to rest")


def pulled(made: HandMade, folder: Path, **options: Any) -> Result:
    return pull(folder, made.railway, **options)


def test_a_hand_made_project_is_said_whole_and_plans_nothing(hand_made: HandMade, tmp_path: Path) -> None:
    result = pulled(hand_made, tmp_path)
    assert result.pulled.problems == ()
    assert result.path is not None
    profile = load(result.path).profile
    assert profile is not None
    roles = {name: role.role for name, role in result.pulled.roles.items()}
    assert roles == {"MySQL": "database", "shop": "web", "clock": "daemon", "mailer": "other"}
    clock, shop = profile.services["clock"], profile.services["shop"]
    assert clock.volume is not None
    assert (clock.volume.name, clock.guard, clock.autodeploy) == (hand_made.volume, "volume", "after_ci")
    assert (profile.services["mailer"].autodeploy, shop.replicas, shop.total_replicas) == ("off", 2, 2)
    plan = hand_made.plan(profile).plan
    assert (plan.changes, plan.steps, plan.blocked) == ((), (), None)


def test_what_the_official_pull_drops_is_named_in_the_file(hand_made: HandMade, tmp_path: Path) -> None:
    """railwayapp/cli issue 1199: builder, Dockerfile path, restart policy and region went missing."""
    text = pulled(hand_made, tmp_path).pulled.text
    for said in (
        "build.builder: DOCKERFILE", "build.dockerfilePath: docker/Dockerfile", "build.watchPatterns",
        "restart: {policy: always}", "deploy.multiRegionConfig.europe-west4-drams3a: 2", "replicas: 2",
        "networking.tcpProxies.5000", "networking.serviceDomains.shop.up.railway.app", "tracing.enabled",
        "sharedVariables.SENTRY_DSN", "deploy.limitOverride.containers.diskBytes", "deploy.ipv6EgressEnabled",
        "variables.GREETING.description", "variables.RAILWAY_PUBLIC_DOMAIN", "shop.example.com",
    ):  # fmt: skip
        assert said in text, said


def test_no_secret_is_written(hand_made: HandMade, tmp_path: Path) -> None:
    result = pulled(hand_made, tmp_path)
    assert SECRET not in repr(result)
    assert {("shop", "PAYMENT"), ("shop", "SEALED")} <= set(result.pulled.secrets)


def test_what_is_not_in_the_profile_survives_an_apply(hand_made: HandMade, tmp_path: Path) -> None:
    result = pulled(hand_made, tmp_path)
    profile = result.pulled.profile
    assert profile is not None
    before = hand_made.config()["services"]
    shop = profile.services["shop"].model_copy(update={"overlap_seconds": 3})
    changed = profile.model_copy(update={"services": {**profile.services, "shop": shop}})
    hand_made.apply(changed)
    before[hand_made.ids["shop"]]["deploy"]["overlapSeconds"] = 3
    assert hand_made.config()["services"] == before
    hand_made.apply(profile)
    assert hand_made.plan(profile).plan.empty


def test_withheld_values_are_asked_for_one_by_one(hand_made: HandMade) -> None:
    """A token that may not decrypt the configuration may still list variables; sealed ones stay unknown."""
    live = reading.read(hand_made.railway)
    hidden = tuple(
        replace(one, variables={name: replace(variable, value=None) for name, variable in one.variables.items()})
        for one in live.services
    )
    told = complete(replace(live, services=hidden, masked=True), hand_made.railway)
    assert [one.variables for one in told.services] == [one.variables for one in live.services]
    assert not told.masked


# ---- the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def cli(hand_made: HandMade, tmp_path: Path) -> Cli:
    sandbox = hand_made.sandbox
    return Cli(tmp_path, {"DEPLOYKIT_RAILWAY_URL": sandbox.endpoint, "RAILWAY_TOKEN": sandbox.token})


def quiet(answer: Answer) -> None:
    assert SECRET not in answer.out + answer.err


def test_pull_writes_a_profile_that_lint_and_plan_can_read(cli: Cli) -> None:
    answer = cli("pull", "--name", "as-found")
    quiet(answer)
    assert answer.status == 0, answer.err
    assert "Wrote profiles/as-found.yaml from what is live in production" in answer.out
    assert "shop.PAYMENT" in answer.out
    assert "deploykit lint profiles/as-found.yaml" in answer.out
    linted = cli("lint", "profiles/as-found.yaml", "--format", "json")
    assert not [one for one in linted.json["findings"] if one["code"] in ("DK001", "DK002", "DK003", "DK004")]


def test_pull_overwrites_nothing_unless_it_is_told_to(cli: Cli) -> None:
    assert cli("pull").status == 0
    path = cli.folder / "profiles" / "production.yaml"
    text = path.read_text("utf-8")
    path.write_text("mine")
    refused = cli("pull")
    assert (refused.status, path.read_text("utf-8")) == (1, "mine")
    assert "--force" in refused.err
    assert cli("pull", "--force").status == 0
    assert path.read_text("utf-8") == text


def test_pull_to_stdout_is_the_profile_and_nothing_else(cli: Cli) -> None:
    answer = cli("pull", "--out", "-", "--name", "x")
    loaded = load(Path("x.yaml"), text=answer.out)
    assert loaded.profile is not None
    assert loaded.findings == ()
    assert not (cli.folder / "profiles").exists()
    assert "Secrets, whose values stay in Railway" in answer.err


def test_pull_as_json_accounts_for_everything(cli: Cli) -> None:
    said = cli("pull", "--out", "other/live.yaml", "--format", "json", "--without", "mailer").json
    assert (said["schema"], said["profile"], said["path"]) == ("deploykit.pull/1", "live", "other/live.yaml")
    assert {one["service"] for one in said["services"]} == {"MySQL", "shop", "clock"}
    assert {"service": "shop", "variable": "SEALED"} in said["secrets"]
    assert {"service": "shop", "path": "build.dockerfilePath"}.items() <= next(
        one for one in said["unmanaged"] if one["path"] == "build.dockerfilePath"
    ).items()
    assert said["problems"] == []
    assert said["text"] == (cli.folder / "other" / "live.yaml").read_text("utf-8")
    assert set(said["lint"]) == {"errors", "warnings", "infos"}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"without": ["nobody"]}, UsageError),
        ({"name": "one", "out": Path("two.yaml")}, UsageError),
        ({"name": "there"}, DeploykitError),
    ],
)
def test_pull_refuses_what_makes_no_sense(
    hand_made: HandMade, tmp_path: Path, options: dict[str, Any], error: type[DeploykitError]
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "there.yaml").write_text("")
    with pytest.raises(error) as raised:
        pulled(hand_made, tmp_path, **options)
    assert raised.value.hint


def test_what_cannot_be_said_is_an_error_that_names_it_and_the_way_out(hand_made: HandMade, cli: Cli) -> None:
    sandbox = hand_made.sandbox
    odd = {"services": {hand_made.ids["mailer"]: {"variables": {"DASHED-NAME": {"value": SECRET}}}}}
    none = {"services": {hand_made.ids["mailer"]: {"variables": {"DASHED-NAME": None}}}}
    sandbox.graphql(COMMIT, {"e": sandbox.environment_id, "patch": odd})
    try:
        answer = cli("pull")
        quiet(answer)
        assert answer.status == 1
        assert "DASHED-NAME" in answer.out
        assert '--without "mailer"' in answer.out
        assert not (cli.folder / "profiles").exists()
        assert cli("pull", "--without", "mailer").status == 0
    finally:
        sandbox.graphql(COMMIT, {"e": sandbox.environment_id, "patch": none})
