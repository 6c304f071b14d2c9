from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from deploykit.planning.change import Change
from deploykit.planning.diff import diff
from deploykit.planning.graph import graph
from deploykit.planning.pull import Pulled, pull
from deploykit.planning.snapshot import LiveService, LiveVariable, LiveVolume, Snapshot, StagedPatch
from deploykit.profile.schema import Profile, Secret
from deploykit.sandbox.config import merge, sparse
from tests.deploykit.planning.world import REGION, live, profile, running, service, two_services, with_service
from tests.deploykit.rendering.profiles import NASTY, REAL, real

LAW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MARKED = "marked-6f1d0a"

# ---- random projects, as their owners made them by hand -------------------------------------------------------------

TEXTS = st.one_of(
    st.sampled_from(
        ["node dist/index.js", "npm start", "yes", "1.10", "- x", "#", "a: b", "'", "*", "&x", "!y", "~", "${{A.B}}"]
    ),
    st.sampled_from([text for text in NASTY if text]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
)
COMMANDS = TEXTS.filter(lambda text: "://u:p@" not in text)  # a command with a password is a problem of its own
WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,11}\Z", fullmatch=True)
REPOS = st.fixed_dictionaries(
    {"repo": st.just("owner/app")},
    optional={
        "branch": st.sampled_from(["main", "next", "feature/x", "1.0"]),
        "rootDirectory": st.sampled_from(["", "backend", "/apps/api"]),
        "checkSuites": st.booleans(),
        "commitSha": st.just("abc"),
        "autoUpdates": st.just({"type": "minor", "schedule": [{"day": 0, "startHour": 1, "endHour": 2}]}),
        "notYetKnown": st.booleans(),
    },
)
IMAGES = st.fixed_dictionaries({"image": st.sampled_from(["ghcr.io/owner/app:1", "redis:7", "prom/mysqld-exporter"])})
DEPLOYS = st.fixed_dictionaries(
    {},
    optional={
        "startCommand": COMMANDS,
        "preDeployCommand": st.one_of(COMMANDS, COMMANDS.map(lambda one: [one]), st.just([])),
        "healthcheckPath": st.sampled_from(["/", "/health", "/a: b #c"]),
        "healthcheckTimeout": st.sampled_from([1, 60, 300]),
        "restartPolicyType": st.sampled_from(["ON_FAILURE", "ALWAYS", "NEVER"]),
        "restartPolicyMaxRetries": st.sampled_from([0, 3, 10]),
        "overlapSeconds": st.sampled_from([0, 20]),
        "drainingSeconds": st.sampled_from([0, 30]),
        "sleepApplication": st.booleans(),
        "cronSchedule": st.just("*/5 * * * *"),
        "numReplicas": st.integers(1, 3),
        "multiRegionConfig": st.sampled_from(
            [
                {"us-west2": {"numReplicas": 1}},
                {"us-west2": {"numReplicas": 3, "stackerAssignment": "x"}},
                {"us-west2": {"numReplicas": 1}, "europe-west4-drams3a": {"numReplicas": 2}},
                {"us-west2": None, "europe-west4-drams3a": {"numReplicas": 1}},
            ]
        ),
        "limitOverride": st.fixed_dictionaries(
            {},
            optional={
                "containers": st.fixed_dictionaries(
                    {},
                    optional={
                        "cpu": st.sampled_from([0.5, 1, 8.0]),
                        "memoryBytes": st.integers(1_000_000, 64_000_000_000),
                        "diskBytes": st.just(7),
                    },
                )
            },
        ),
        "region": st.just("us-west2"),
        "requiredMountPath": st.just("/data"),
        "registryCredentials": st.just({"username": "*****", "password": "*****"}),
        "ipv6EgressEnabled": st.just(True),
        "runtime": st.just("V2"),
        "useLegacyStacker": st.just(False),
        "notYetKnown": st.sampled_from([1, "x", MARKED, [1, 2], {"deep": {"deeper": True}}]),
    },
)
BESIDES = {
    "build": st.sampled_from(
        [
            {"builder": "DOCKERFILE", "dockerfilePath": "docker/Dockerfile"},
            {"builder": "NIXPACKS", "nixpacksPlan": {"phases": {"build": {"cmds": ["x"]}}}, "watchPatterns": ["a/**"]},
            {"buildCommand": "npm ci", "buildEnvironment": "V3", "railpackVersion": "1"},
        ]
    ),
    "networking": st.sampled_from(
        [
            {
                "customDomains": {
                    "app.example.com": {"port": 3000, "brandNew": 1},
                    "*.example.com": {},
                    "gone.example.com": None,
                }
            },
            {"serviceDomains": {"a.up.railway.app": {"port": 8080}}, "tcpProxies": {"3306": {}}},
            {"privateNetworkEndpoint": "web"},
        ]
    ),
    "configFile": st.just("railway.json"),
    "tracing": st.just({"enabled": True}),
    "cdn": st.just({"enabled": True, "htmlCaching": "force"}),
    "clusterRole": st.just("root"),
    "replicaConfig": st.just({"minReplicas": 1}),
    "groupId": st.just("g"),
    "parentServiceId": st.just("p"),
    "brandNew": st.sampled_from([True, {"x": {"y": 1}}]),
}
CONFIGS = st.builds(
    lambda source, deploy, besides, mount: {
        **({"source": source} if source else {}), **({"deploy": deploy} if deploy else {}), **besides,
        **({"volumeMounts": {"v": mount}} if mount else {}),
    },
    st.one_of(st.none(), REPOS, IMAGES.filter(lambda one: one["image"] != "redis:7")),
    DEPLOYS,
    st.fixed_dictionaries({}, optional=BESIDES),
    st.none() | st.sampled_from([{"mountPath": "/data"}, {"mountPath": "/data", "backupSchedules": ["DAILY"]}]),
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.just(MARKED), TEXTS, st.just(""), st.sampled_from(["true", "false", "5", "null", "${{ MySQL.X }}"])
)
VARIABLES = st.dictionaries(
    st.one_of(
        st.sampled_from(
            ["SCHEDULE_DAEMON_ENABLED", "EMBEDDED_JOB_WORKER", "JOB_WORKER_POLL_INTERVAL_MS", "PORT", "null", "yes"]
        ),
        st.sampled_from(["RAILWAY_RUN_UID", "RAILWAY_PUBLIC_DOMAIN", "DATABASE_URL"]),
        WORDS,
    ),
    st.builds(
        lambda value, sealed, notes: LiveVariable("", None if sealed else value, sealed, tuple(notes)),
        VALUES,
        st.booleans(),
        st.lists(st.sampled_from(["description", "generator"]), max_size=1),
    ),
    max_size=6,
).map(lambda found: {name: replace(variable, name=name) for name, variable in found.items()})


def project(config: dict[str, Any], variables: dict[str, LiveVariable], volume_name: str = "disk") -> Snapshot:
    """A project of a database, one service that was made by hand, and a volume that it may mount."""
    web = LiveService("web-id", "web", config, variables)
    volume = LiveVolume("v", volume_name, "web-id", "/data", 500, REGION, {"alerts": {"usage": {"80": {}}}})
    return Snapshot("p", "shop", "e", "production", "etag", (mysql(), running(web)), (volume,))


def mysql() -> LiveService:
    config = {"source": {"image": "mysql:9.4"}, "deploy": {"startCommand": "mysqld --x"}}
    return running(LiveService("db", "MySQL", config, {"MYSQL_URL": LiveVariable("MYSQL_URL", f"mysql://{MARKED}@x")}))


PROJECTS = st.builds(project, CONFIGS, VARIABLES, st.sampled_from(["disk", "web-data"]))

# ---- laws -----------------------------------------------------------------------------------------------------------


@given(PROJECTS)
@LAW
def test_what_was_pulled_differs_from_what_is_live_in_nothing(snapshot: Snapshot) -> None:
    pulled = pull(snapshot, "production")
    assert pulled.problems == ()
    assert pulled.profile is not None
    assert diff(pulled.profile, snapshot) == []


@given(PROJECTS)
@LAW
def test_no_value_that_may_be_a_secret_is_written_or_kept(snapshot: Snapshot) -> None:
    assert MARKED not in repr(pull(snapshot, "production"))


@given(PROJECTS)
@settings(LAW, max_examples=60)
def test_no_stored_setting_is_passed_over(snapshot: Snapshot) -> None:
    """Whatever is taken away from what is live, the file says something else: it had named it."""
    web = service(snapshot, "web")
    before = sorted(pull(snapshot, "p").text.splitlines())
    for path in leaves(web.config):
        if path[0] != "volumeMounts" and not says_nothing(web.config, path):
            smaller = with_service(snapshot, replace(web, config=without(web.config, path)))
            assert sorted(pull(smaller, "p").text.splitlines()) != before, path


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and (value or not path):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path


def without(value: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    smaller: dict[str, Any] = copy.deepcopy(dict(value))
    inner = smaller
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return smaller


def says_nothing(config: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether a stored value is what Railway takes anyway, or is overruled by its neighbour."""
    deploy = config.get("deploy") or {}
    value: Any = config
    for key in path:
        value = value[key]
    if value is None or (path[0] == "deploy" and value in ({}, [])):
        return True
    if path[:2] == ("deploy", "numReplicas"):
        return "multiRegionConfig" in deploy or deploy["numReplicas"] == 1
    return path[0] in ("deploy", "source") and sparse(without(config, path)) == sparse(dict(config))


@pytest.mark.parametrize("kind", ["replaces", "merges"])
@given(PROJECTS)
@LAW
def test_what_is_not_in_the_profile_survives_an_apply(kind: str, snapshot: Snapshot) -> None:
    pulled = pull(snapshot, "p")
    assert pulled.profile is not None
    old = pulled.profile.services["web"]
    source = old.source and old.source.model_copy(update={"branch": "another"} if old.source.repo else {"image": "i"})
    limits = old.limits.model_copy(update={"vcpu": 3.5})
    wanted = old.model_copy(update={"overlap_seconds": 77, "source": source, "limits": limits})
    profile_after = pulled.profile.model_copy(update={"services": {**pulled.profile.services, "web": wanted}})
    after = carried_out(snapshot, diff(profile_after, snapshot), kind)
    assert diff(profile_after, after) == []
    assert named(pull(after, "p")) == named(pulled)


def named(pulled: Pulled) -> set[str]:
    """What is not in the profile; a new branch has another commit, so that one may go."""
    return {item.path for item in pulled.unmanaged if item.service == "web"} - {"source.commitSha"}


def carried_out(snapshot: Snapshot, changes: list[Change], kind: str) -> Snapshot:
    """What a server stores that replaces a field, or one that lays it over the old; credentials are its own."""
    for change in changes:
        assert change.kind == "resource.update"
        old, wire = service(snapshot, change.service), change.wire
        config = dict(old.config)
        had = config.get(wire["field"]) or {}
        value = merge(had if kind == "merges" else {}, wire["after"])
        value |= {key: had[key] for key in ("registryCredentials",) if key in had}
        config[wire["field"]] = {key: one for key, one in value.items() if key != "type"}
        snapshot = with_service(snapshot, replace(old, config=config))
    return snapshot


@pytest.mark.parametrize("path", REAL, ids=lambda path: "/".join(path.parts[-3:]))
def test_pulled_after_it_was_applied_a_profile_is_the_same_graph(path: Path) -> None:
    wanted = real(path)
    pulled = pull(live(wanted), wanted.name)
    assert (pulled.problems, pulled.notes) == ((), ())
    assert resources(pulled.profile) == resources(wanted)


def resources(wanted: Profile | None) -> dict[str, Any]:
    assert wanted is not None
    return {node["address"]: node for node in graph(wanted)["resources"]}


# ---- what is written ------------------------------------------------------------------------------------------------


def web(variables: dict[str, str | None] | None = None, **config: Any) -> LiveService:
    named = {name: LiveVariable(name, value, value is None) for name, value in (variables or {}).items()}
    return running(LiveService("web-id", "web", config, named))


def alone(one: LiveService, **more: Any) -> Snapshot:
    return Snapshot("p", "shop", "e", "production", "etag", (one,), **more)


ROLES: list[tuple[str, LiveService]] = [
    ("daemon", web({"SCHEDULE_DAEMON_ENABLED": "true"})),
    ("daemon", web(deploy={"startCommand": "cd backend && exec node dist/scripts/scheduleDaemon.js"})),
    ("web", web({"SCHEDULE_DAEMON_ENABLED": "true"}, deploy={"healthcheckPath": "/"})),
    ("web", web(networking={"serviceDomains": {"a.up.railway.app": {}}})),
    ("web", web({"EMBEDDED_JOB_WORKER": "true"})),
    ("web", web({"PORT": "3000"})),
    ("worker", web(deploy={"startCommand": "npm run worker"})),
    ("worker", web({"JOB_WORKER_POLL_INTERVAL_MS": "5000", "EMBEDDED_JOB_WORKER": "false"})),
    ("other", web(deploy={"startCommand": "npm run worker", "cronSchedule": "0 * * * *"})),
    ("other", web()),
    ("other", web(source={"image": "prom/mysqld-exporter:1"})),
    ("database", web(source={"image": "redis:7"})),
    ("database", web(source={"image": "ghcr.io/railwayapp-templates/postgres-ssl:16"})),
]


@pytest.mark.parametrize(("role", "one"), ROLES)
def test_a_role_is_told_by_what_is_stored(role: str, one: LiveService) -> None:
    pulled = pull(alone(one), "p")
    assert pulled.roles["web"].role == role
    assert pulled.profile is not None
    assert pulled.profile.services["web"].role == role


def test_what_nobody_can_tell_says_so_in_the_file() -> None:
    assert (
        "role: other  # nothing tells what it is for: say web, daemon or worker if it is one"
        in pull(alone(web()), "p").text
    )


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("NODE_ENV", "production", "production"),
        ("SCHEDULE_DAEMON_ENABLED", "false", "false"),
        ("DATABASE_URL", "${{MySQL.MYSQL_URL}}", "${{MySQL.MYSQL_URL}}"),
        ("JWT_SECRET", "${{shared.JWT_SECRET}}", "${{shared.JWT_SECRET}}"),
        ("NODE_ENV", MARKED, None),
        ("JWT_SECRET", "short", None),
        ("DATABASE_URL", "mysql://root:hunter@db/app", None),
        ("SEALED", None, None),
    ],
)
def test_a_value_is_written_only_where_it_is_evidently_plain(name: str, value: str | None, written: str | None) -> None:
    pulled = pull(alone(web({name: value})), "p")
    assert pulled.profile is not None
    assert pulled.profile.services["web"].env == {name: Secret() if written is None else written}
    assert pulled.secrets == (() if written else (("web", name),))


def test_on_request_only_values_of_known_variables_and_references_are_written() -> None:
    one = web({"NODE_ENV": "production", "COLOUR": "blue", "URL": "${{MySQL.MYSQL_URL}}"})
    assert pull(alone(one), "p", values="known").secrets == (("web", "COLOUR"),)


def test_a_single_region_stays_where_it_is_and_several_are_written() -> None:
    one = web(deploy={"multiRegionConfig": {"us-west2": {"numReplicas": 2}}})
    two = web(deploy={"multiRegionConfig": {"us-west2": {"numReplicas": 2}, "us-east4": {"numReplicas": 1}}})
    assert "replicas: 2\n" in pull(alone(one), "p").text
    assert "replicas: {us-west2: 2, us-east4: 1}\n" in pull(alone(two), "p").text


def test_domains_are_written_with_their_ports() -> None:
    one = web(networking={"customDomains": {"a.example.com": {"port": 8080}, "b.example.com": {"port": 3000}}})
    assert "domains: [a.example.com, {domain: b.example.com, port: 3000}]\n" in pull(alone(one), "p").text


def test_the_database_that_the_application_refers_to_holds_the_job_tables() -> None:
    other = replace(mysql(), id="other", name="Analytics")
    one = web({"DATABASE_URL": "${{Analytics.MYSQL_URL}}"}, source={"repo": "owner/app"})
    pulled = pull(replace(alone(one), services=(mysql(), one, other)), "p")
    assert pulled.profile is not None
    assert pulled.profile.database is not None
    assert pulled.profile.database.service == "Analytics"
    assert pulled.profile.services["MySQL"].role == "database"


def test_push_to_deploy_that_is_off_is_said() -> None:
    one = web(source={"repo": "owner/app"})
    assert "autodeploy: off\n" in pull(alone(replace(one, autodeploy=False)), "p").text
    assert "autodeploy" not in pull(alone(replace(one, autodeploy=True)), "p").text


def test_withheld_values_become_secrets_and_the_reader_is_told() -> None:
    snapshot = alone(replace(web(), variables={"NODE_ENV": LiveVariable("NODE_ENV")}), masked=True)
    pulled = pull(snapshot, "p")
    assert pulled.secrets == (("web", "NODE_ENV"),)
    assert any("may not read values" in note for note in pulled.notes)


def test_staged_edits_and_what_does_not_run_are_told() -> None:
    stopped = LiveService("web-id", "web", {"source": {"repo": "owner/app"}})
    notes = pull(alone(stopped, staged=StagedPatch("s", "STAGED", False, ("web",))), "p").notes
    assert [note.split(":")[0] for note in notes] == [
        "the dashboard holds edits that nobody committed (web)",
        "apply would deploy web, though nothing differs",
    ]


# ---- what cannot be said --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (web(deploy={"preDeployCommand": ["a", "b"]}), "preDeployCommand"),
        (web(deploy={"healthcheckPath": "health"}), "healthcheck"),
        (web(deploy={"restartPolicyType": "SOMETIMES"}), "restart.policy"),
        (web(source={"repo": "a/b", "image": "c"}), "source"),
        (web({"DASHED-NAME": "x"}), "DASHED-NAME"),
        (web(volumeMounts={"a": {"mountPath": "/a"}, "b": {"mountPath": "/b"}}), "volumeAttachments"),
        (web(deploy={"startCommand": "JWT_SECRET=hunter node x.js"}), "start holds a secret"),
        (web(deploy={"startCommand": "node x.js --api-key sk_live_abcdefghijk"}), "start holds a Stripe"),
        (replace(web(), name="naïve"), "naïve"),
    ],
)
def test_what_apply_would_change_is_a_problem_with_a_way_out(one: LiveService, message: str) -> None:
    pulled = pull(alone(one), "p")
    assert pulled.problems
    assert all(problem.hint for problem in pulled.problems)
    assert any(message in problem.message for problem in pulled.problems), pulled.problems


def test_a_service_that_is_left_out_is_left_alone() -> None:
    snapshot = live(two_services())
    strange = with_service(snapshot, replace(web({"DASHED-NAME": "x"}), name="strange"))
    assert pull(strange, "p").problems
    pulled = pull(strange, "p", without=["strange"])
    assert pulled.problems == ()
    assert pulled.profile is not None
    assert list(pulled.profile.services) == ["web", "daemon"]
    assert "strange is left out: apply leaves it alone" in pulled.notes


def test_an_empty_environment_is_a_problem() -> None:
    assert pull(Snapshot("p", "shop", "e", "production", "etag"), "p").problems


def test_what_belongs_to_no_service_is_named() -> None:
    shared = {"SENTRY_DSN": LiveVariable("SENTRY_DSN", MARKED)}
    config = {"buckets": {"b": {"region": "sjc"}}, "privateNetworkDisabled": True, "brandNew": {"x": 1}}
    volume = LiveVolume("v", "forgotten", None, None)
    snapshot = replace(live(profile(web={})), shared_variables=shared, config=config, volumes=(volume,))
    pulled = pull(snapshot, "p")
    names = {item.path for item in pulled.unmanaged if item.service is None}
    assert names == {
        "sharedVariables.SENTRY_DSN", "buckets.b.region", "privateNetworkDisabled", "brandNew.x", "volumes.forgotten",
    }  # fmt: skip
    assert all(path in pulled.text for path in names)
    assert MARKED not in pulled.text
