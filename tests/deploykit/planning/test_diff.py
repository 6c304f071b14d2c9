from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from deploykit.planning.change import Change, change_set
from deploykit.planning.diff import DEFAULTS, autodeploy, diff, missing_secrets
from deploykit.planning.graph import graph
from deploykit.planning.snapshot import LiveService, LiveVariable, LiveVolume, Snapshot
from deploykit.profile.schema import Profile, Secret
from deploykit.sandbox.config import merge, sparse
from tests.deploykit.planning.world import changed, live, profile, service, two_services, with_service

# ---- laws ---------------------------------------------------------------------------------------------------------

SECONDS = st.none() | st.sampled_from([0, 1, 30])
SOURCES = st.sampled_from(
    [
        {"repo": "owner/app"},
        {"repo": "owner/app", "branch": "main"},
        {"repo": "owner/app", "branch": "next"},
        {"repo": "owner/app", "root": "backend"},
        {"image": "ghcr.io/owner/app:1"},
    ]
)
REPLICAS = st.sampled_from([1, 2, {"us-west2": 1}, {"us-west2": 1, "us-east4-eqdc4a": 2}])
RESTARTS = st.sampled_from([{"policy": "always"}, {"policy": "on_failure", "max_retries": 10}, {"max_retries": 3}])
VALUES = st.sampled_from(["", "1", "${{MySQL.MYSQL_URL}}", "${{shared.X}} y"])
SERVICES = st.fixed_dictionaries(
    {"role": st.sampled_from(["web", "worker", "other"]), "source": SOURCES},
    optional={
        "start": st.sampled_from(["run", "run other"]),
        "pre_deploy": st.just("migrate"),
        "healthcheck": st.just("/health"),
        "healthcheck_timeout_seconds": st.sampled_from([60, 300]),
        "replicas": REPLICAS,
        "restart": RESTARTS,
        "overlap_seconds": SECONDS,
        "draining_seconds": SECONDS,
        "sleep": st.booleans(),
        "limits": st.sampled_from([{"memory_mb": 512}, {"vcpu": 1, "memory_mb": 512.5}]),
        "autodeploy": st.sampled_from(["on_push", "after_ci"]),
        "env": st.dictionaries(st.sampled_from(["A", "B", "URL"]), VALUES),
    },
)
PROFILES = SERVICES.map(lambda one: profile(web=one))
LAW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(PROFILES)
@LAW
def test_what_a_profile_stored_differs_from_it_in_nothing(wanted: Profile) -> None:
    assert diff(wanted, live(wanted)) == []


def replaces(before: Any, after: Any) -> Any:
    """A server that takes a field's new value as it is."""
    if not isinstance(after, dict):
        return after
    return {key: replaces(None, value) for key, value in after.items() if value is not None}


def merges(before: Any, after: Any) -> Any:
    """A server that lays a field's new value over the old one."""
    return merge(before or {}, after or {})


@pytest.mark.parametrize("server", [replaces, merges])
@given(before=PROFILES, after=PROFILES)
@LAW
def test_carried_out_changes_leave_no_difference_whether_the_server_replaces_or_merges(
    server: Any, before: Profile, after: Profile
) -> None:
    old = live(before)
    new = carried_out(old, diff(after, old), server)
    assert diff(after, new) == []


def carried_out(snapshot: Snapshot, changes: list[Change], server: Any) -> Snapshot:
    for change in changes:
        old, wire = service(snapshot, change.service), change.wire
        config, variables = dict(old.config), dict(old.variables)
        if change.kind == "resource.update":
            value = server(config.get(wire["field"]), wire["after"])
            config[wire["field"]] = {key: one for key, one in value.items() if key != "type"}
        elif change.kind == "variable.set":
            value = wire["after"]
            text = value["value"] if value["type"] == "literal" else "${{MySQL.MYSQL_URL}}"
            variables[wire["variable"]] = LiveVariable(wire["variable"], text)
        else:
            del variables[wire["variable"]]
        snapshot = with_service(snapshot, replace(old, config=sparse(config), variables=variables))
    return snapshot


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_a_default_that_railway_left_out_is_no_difference(key: str) -> None:
    wanted = profile(web={})
    stored = live(wanted)
    web = service(stored, "web")
    deploy = {name: value for name, value in web.config["deploy"].items() if name != key or key == "startCommand"}
    shown = with_service(stored, replace(web, config={**web.config, "deploy": deploy}))
    assert diff(wanted, shown) == []


# ---- what is found ------------------------------------------------------------------------------------------------


def kinds(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.kind, change.path) for change in changes]


def test_on_an_empty_project_everything_is_created_the_database_first() -> None:
    changes = diff(two_services(), Snapshot("p", "app", "e", "production", "etag"))
    assert [change.address for change in changes] == ["database.MySQL", "service.web", "service.daemon"]
    assert {change.kind for change in changes} == {"resource.create"}


def test_a_volume_is_created_before_the_service_that_mounts_it() -> None:
    wanted = two_services(guard="volume", volume={"mount": "/guard", "size_mb": 512})
    addresses = [change.address for change in diff(wanted, Snapshot("p", "app", "e", "production", "etag"))]
    assert addresses.index("volume.daemon-data") < addresses.index("service.daemon")


def test_a_changed_variable_is_set_and_its_value_is_in_no_words() -> None:
    wanted = profile(web={"env": {"A": "a-marked-value"}})
    (change,) = diff(wanted, changed(live(wanted), "web", A="old"))
    assert (change.kind, change.path) == ("variable.set", "resources.service.web.variables.A")
    assert "a-marked-value" not in f"{change.summary} {change!r}"
    assert change.wire["after"] == {"type": "literal", "value": "a-marked-value"}


def test_a_variable_that_deploykit_does_not_know_is_deleted_only_on_purpose() -> None:
    wanted = profile(web={})
    (unknown,) = diff(wanted, changed(live(wanted), "web", SOMEBODYS_KEY="1"))
    (own,) = diff(wanted, changed(live(wanted), "web", JOB_WORKER_POLL_INTERVAL_MS="5000"))
    assert (unknown.kind, unknown.destructive) == ("variable.delete", True)
    assert (own.kind, own.destructive) == ("variable.delete", False)


def test_railways_own_variables_are_left_alone() -> None:
    wanted = profile(web={})
    assert diff(wanted, changed(live(wanted), "web", RAILWAY_RUN_UID="0")) == []


def test_a_masked_value_counts_as_different_until_railway_says_otherwise() -> None:
    wanted = profile(web={"env": {"A": "1"}})
    snapshot = live(wanted)
    web = service(snapshot, "web")
    masked = with_service(snapshot, replace(web, variables={"A": LiveVariable("A", None)}))
    assert kinds(diff(wanted, masked)) == [("variable.set", "resources.service.web.variables.A")]


def test_settings_that_a_profile_cannot_say_are_carried_over() -> None:
    wanted = profile(web={"draining_seconds": 30})
    snapshot = live(profile(web={}))
    web = service(snapshot, "web")
    deploy = {**web.config["deploy"], "ipv6EgressEnabled": True, "registryCredentials": {"username": "*****"}}
    (change,) = diff(wanted, with_service(snapshot, replace(web, config={**web.config, "deploy": deploy})))
    assert change.wire["after"]["ipv6EgressEnabled"] is True
    assert "registryCredentials" not in change.wire["after"]
    assert change.wire["after"]["drainingSeconds"] == 30


def test_a_setting_that_is_dropped_is_reset_to_its_default_aloud() -> None:
    snapshot = live(profile(web={"draining_seconds": 30, "healthcheck": "/health"}))
    (change,) = diff(profile(web={}), snapshot)
    assert change.wire["after"]["drainingSeconds"] == 0
    assert change.wire["after"]["healthcheckPath"] is None


def test_a_region_that_is_left_is_named_with_null() -> None:
    spread = profile(web={"replicas": {"us-west2": 1, "us-east4-eqdc4a": 1}})
    (change,) = diff(profile(web={"replicas": {"us-west2": 2, "europe-west4-drams3a": 1}}), live(spread))
    assert change.wire["after"]["multiRegionConfig"] == {
        "us-east4-eqdc4a": None,
        "us-west2": {"numReplicas": 2},
        "europe-west4-drams3a": {"numReplicas": 1},
    }


def test_a_region_that_is_named_counts_also_when_it_is_the_only_one() -> None:
    wanted = profile(web={"replicas": {"europe-west4-drams3a": 1}})
    (change,) = diff(wanted, live(profile(web={})))
    assert change.wire["after"]["multiRegionConfig"] == {"us-west2": None, "europe-west4-drams3a": {"numReplicas": 1}}
    assert diff(wanted, live(wanted)) == []
    assert diff(profile(web={}), live(wanted)) == []


def test_a_number_of_replicas_is_said_also_where_no_region_is_stored() -> None:
    snapshot = live(profile(web={}))
    web = service(snapshot, "web")
    bare = {key: value for key, value in web.config["deploy"].items() if key != "multiRegionConfig"}
    (change,) = diff(
        profile(web={"replicas": 3}), with_service(snapshot, replace(web, config={**web.config, "deploy": bare}))
    )
    assert change.wire["after"]["numReplicas"] == 3


@pytest.mark.parametrize(("now", "destructive"), [(512, False), (2048, True)])
def test_a_volume_grows_freely_and_shrinks_only_on_purpose(now: int, destructive: bool) -> None:
    wanted = profile(web={"volume": {"mount": "/data", "size_mb": 1024}})
    snapshot = replace(live(wanted), volumes=(LiveVolume("v", "web-data", None, None, now, "us-west2"),))
    web = service(snapshot, "web")
    mounted = with_service(snapshot, replace(web, config={**web.config, "volumeMounts": {"v": {"mountPath": "/data"}}}))
    (change,) = diff(wanted, mounted)
    assert change.destructive is destructive


def test_a_volume_is_detached_only_on_purpose() -> None:
    snapshot = live(profile(web={"volume": {"mount": "/data"}}))
    (change,) = diff(profile(web={}), snapshot)
    assert change.destructive
    assert change.wire["field"] == "volumeAttachments"


def test_services_that_the_profile_does_not_know_are_not_touched() -> None:
    wanted = profile(web={})
    assert diff(wanted, with_service(live(wanted), LiveService("x", "somebody-elses"))) == []


# ---- what no change set carries -----------------------------------------------------------------------------------


def with_domains(snapshot: Snapshot, **ports: int | None) -> Snapshot:
    web = service(snapshot, "web")
    domains = {f"{name}.example.com": {"port": port} for name, port in ports.items()}
    return with_service(snapshot, replace(web, config={**web.config, "networking": {"customDomains": domains}}))


def test_a_domain_that_an_existing_service_lacks_is_added_outside_the_change_set() -> None:
    wanted = profile(web={"domains": ["app.example.com"]})
    (change,) = diff(wanted, live(profile(web={})))
    assert (change.kind, change.summary) == ("domain.create", "add domain app.example.com to web")
    assert change.own == {"domain": "app.example.com", "targetPort": None}
    assert change_set([change])["changes"] == []


def test_a_service_is_created_without_its_domains_which_follow() -> None:
    wanted = profile(web={"domains": [{"domain": "app.example.com", "port": 3000}]})
    created, domain = diff(wanted, Snapshot("p", "app", "e", "production", "etag"))[-2:]
    assert "networking" not in created.wire["resource"]
    assert domain.own == {"domain": "app.example.com", "targetPort": 3000}


def test_only_a_port_that_the_profile_names_is_compared() -> None:
    snapshot = with_domains(live(profile(web={})), app=8080)
    assert diff(profile(web={"domains": ["app.example.com"]}), snapshot) == []
    (change,) = diff(profile(web={"domains": [{"domain": "app.example.com", "port": 3000}]}), snapshot)
    assert (change.kind, change.own["targetPort"]) == ("domain.update", 3000)


def test_a_domain_that_the_profile_does_not_name_is_left_alone() -> None:
    assert diff(profile(web={}), with_domains(live(profile(web={})), other=None)) == []


@pytest.mark.parametrize(
    ("wanted", "enabled", "kind"),
    [
        ("off", True, "autodeploy.off"),
        ("off", False, None),
        ("on_push", False, "autodeploy.on"),
        ("on_push", True, None),
        ("after_ci", True, None),
        ("after_ci", False, None),
    ],
)
def test_push_to_deploy_is_switched_where_it_stands_otherwise(wanted: str, enabled: bool, kind: str | None) -> None:
    change = autodeploy(profile(web={"autodeploy": wanted}).services["web"], enabled)
    assert (change.kind if change else None) == kind


# ---- secrets ------------------------------------------------------------------------------------------------------


def with_secret(**options: str) -> Profile:
    wanted = profile(web={})
    web = wanted.services["web"].model_copy(update={"env": {"KEY": Secret(**options)}})
    return wanted.model_copy(update={"services": {"web": web}})


def nothing(service: str, variable: str) -> str | None:
    return None


def test_a_secret_that_railway_has_is_left_alone() -> None:
    wanted = with_secret()
    snapshot = changed(live(profile(web={})), "web", KEY="anything")
    assert diff(wanted, snapshot) == []
    assert missing_secrets(wanted, snapshot, nothing) == []


def test_a_secret_that_nobody_has_is_missing() -> None:
    assert missing_secrets(with_secret(), live(profile(web={})), nothing) == [("web", "KEY")]
    assert missing_secrets(with_secret(), live(profile(web={})), lambda *_: "given") == []


def test_a_secret_from_the_operator_is_stored_sealed() -> None:
    (change,) = diff(with_secret(), live(profile(web={})), lambda *_: "a-marked-secret")
    assert change.wire["after"] == {"type": "literal", "value": "a-marked-secret", "isSealed": True}
    assert "a-marked-secret" not in f"{change!r}"


def test_a_service_is_created_without_the_secrets_that_stay_where_they_are() -> None:
    empty = Snapshot("p", "app", "e", "production", "etag")
    created = diff(with_secret(), empty)[-1]
    assert "variables" not in created.wire["resource"] or "KEY" not in created.wire["resource"]["variables"]


# ---- the envelope -------------------------------------------------------------------------------------------------


def test_the_envelope_is_version_1_of_railways_change_set() -> None:
    changes = diff(two_services(), Snapshot("p", "app", "e", "production", "etag"))
    envelope = change_set(changes)
    assert envelope["version"] == 1
    assert [one["address"] for one in envelope["changes"]] == [
        node["address"] for node in graph(two_services())["resources"]
    ]


# ---- what no profile can say ---------------------------------------------------------------------------------------


def with_config(snapshot: Snapshot, name: str, **sections: dict[str, Any]) -> Snapshot:
    """The snapshot with more in a service's stored configuration."""
    old = service(snapshot, name)
    config = {**old.config, **{key: {**old.config.get(key, {}), **more} for key, more in sections.items()}}
    return with_service(snapshot, replace(old, config=config))


def test_what_no_profile_can_say_is_no_difference() -> None:
    wanted = profile(web={"limits": {"memory_mb": 512}})
    limits = {"containers": {"memoryBytes": 512_000_000, "diskBytes": 1_000_000_000}}
    stored = with_config(live(wanted), "web", deploy={"limitOverride": limits, "runtime": "LEGACY"})
    assert diff(wanted, stored) == []


def test_a_changed_setting_carries_over_what_no_profile_can_say() -> None:
    before, after = profile(web={"limits": {"memory_mb": 512}}), profile(web={"limits": {"vcpu": 1}, "replicas": 2})
    more = {
        "limitOverride": {"containers": {"memoryBytes": 512_000_000, "diskBytes": 7}},
        "multiRegionConfig": {"us-west2": {"numReplicas": 1, "stackerAssignment": "a"}},
        "ipv6EgressEnabled": True,
        "notYetKnown": 1,
    }
    (change,) = diff(after, with_config(live(before), "web", deploy=more))
    wire = change.wire["after"]
    assert wire["limitOverride"] == {"containers": {"diskBytes": 7, "memoryBytes": None, "cpu": 1}}
    assert wire["multiRegionConfig"] == {"us-west2": {"numReplicas": 2, "stackerAssignment": "a"}}
    assert (wire["ipv6EgressEnabled"], wire["notYetKnown"]) == (True, 1)


def test_credentials_are_never_sent_back_as_the_stars_they_are_read_as() -> None:
    stars = {"registryCredentials": {"username": "*****", "password": "*****"}}
    (change,) = diff(profile(web={"healthcheck": "/new"}), with_config(live(profile(web={})), "web", deploy=stars))
    assert "registryCredentials" not in change.wire["after"]


def test_another_branch_carries_over_the_rest_of_the_source() -> None:
    more = {"autoUpdates": {"type": "minor"}, "notYetKnown": 1, "commitSha": "abc"}
    wanted = profile(web={"source": {"repo": "owner/app", "branch": "next"}})
    (change,) = diff(wanted, with_config(live(profile(web={})), "web", source=more))
    wire = change.wire["after"]
    assert (wire["branch"], wire["autoUpdates"], wire["notYetKnown"]) == ("next", {"type": "minor"}, 1)
    assert "commitSha" not in wire


def test_a_moved_mount_keeps_its_backups() -> None:
    before, after = (profile(web={"volume": {"mount": mount}}) for mount in ("/data", "/other"))
    mounts = {"web-data": {"mountPath": "/data", "backupSchedules": ["DAILY"]}}
    (change,) = diff(after, with_config(live(before), "web", volumeMounts=mounts))
    wire = {"web-data": {"volume": "volume.web-data", "mountPath": "/other", "backupSchedules": ["DAILY"]}}
    assert change.wire["after"] == wire


def test_a_volume_is_found_by_the_name_that_the_profile_gives_it() -> None:
    named = profile(web={"volume": {"mount": "/data", "name": "uploads"}})
    assert diff(named, live(named)) == []
    renamed = profile(web={"volume": {"mount": "/data"}})
    assert [change.destructive for change in diff(renamed, live(named))] == [False, True]


@pytest.mark.parametrize("size_bytes", [536_870_912, 261_095_424, 123_456_789])
def test_a_limit_in_bytes_survives_the_way_through_megabytes(size_bytes: int) -> None:
    wanted = profile(web={"limits": {"memory_mb": size_bytes / 1_000_000}})
    (web,) = (node for node in graph(wanted)["resources"] if node["name"] == "web")
    assert web["deploy"]["limitOverride"]["containers"]["memoryBytes"] == size_bytes


def test_blanks_inside_a_reference_mean_nothing() -> None:
    wanted = profile(web={"env": {"URL": "${{MySQL.MYSQL_URL}}"}})
    assert diff(wanted, changed(live(wanted), "web", URL="${{ MySQL.MYSQL_URL }}")) == []
