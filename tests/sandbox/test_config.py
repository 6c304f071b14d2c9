"""Merging, defaults, masking and the strict validator."""

from __future__ import annotations

from deploykit.sandbox.config import (
    apply_patch,
    etag,
    masked,
    merge,
    problems,
    replicas,
    runs_differently,
    settings,
    sparse,
)


def test_a_patch_merges_deeply_and_null_deletes() -> None:
    base = {"a": {"b": 1, "c": 2}, "list": [1, 2]}
    assert merge(base, {"a": {"b": None, "d": 3}, "list": [9]}) == {"a": {"c": 2, "d": 3}, "list": [9]}


def test_values_equal_to_the_default_are_left_out() -> None:
    deploy = {"restartPolicyType": "ON_FAILURE", "overlapSeconds": 0, "drainingSeconds": 30}
    assert sparse({"deploy": deploy, "build": {"builder": "RAILPACK"}}) == {"deploy": {"drainingSeconds": 30}}


def test_a_replica_count_without_region_goes_to_the_one_region_there_is() -> None:
    service = {"deploy": {"numReplicas": 3, "multiRegionConfig": {"us-west2": {"numReplicas": 1}}}}
    assert sparse(service) == {"deploy": {"multiRegionConfig": {"us-west2": {"numReplicas": 3}}}}


def test_markers_create_and_delete_and_are_not_kept() -> None:
    created = apply_patch({}, {"services": {"a": {"isCreated": True, "source": {"repo": "o/r"}}}})
    assert created == {"services": {"a": {"source": {"repo": "o/r"}}}}
    assert apply_patch(created, {"services": {"a": {"isDeleted": True}}}) == {}


def test_nulls_sent_with_is_created_are_ignored() -> None:
    before = {"services": {"a": {"deploy": {"cronSchedule": "0 * * * *"}}}}
    after = apply_patch(before, {"services": {"a": {"isCreated": True, "deploy": {"cronSchedule": None}}}})
    assert after == before


def test_a_masked_read_shows_names_and_no_value() -> None:
    config = {"services": {"a": {"variables": {"X": {"value": "1"}, "S": {"value": "2", "isSealed": True}}}}}
    hidden = masked(config, decrypt=False)["services"]["a"]["variables"]
    assert hidden == {"X": {"value": None}, "S": {"value": None, "isSealed": True}}
    shown = masked(config, decrypt=True)["services"]["a"]["variables"]
    assert shown == {"X": {"value": "1"}, "S": {"value": None, "isSealed": True}}


def test_registry_credentials_never_come_back() -> None:
    config = {"services": {"a": {"deploy": {"registryCredentials": {"username": "u", "password": "p"}}}}}
    shown = masked(config, decrypt=True)["services"]["a"]["deploy"]["registryCredentials"]
    assert shown == {"username": "*****", "password": "*****"}


def test_the_etag_covers_values() -> None:
    one = {"services": {"a": {"variables": {"X": {"value": "1"}}}}}
    other = {"services": {"a": {"variables": {"X": {"value": "2"}}}}}
    assert etag(one) != etag(other)
    assert etag(one) == etag({"services": {"a": {"variables": {"X": {"value": "1"}}}}})


def test_the_validator_names_unknown_keys_with_their_path() -> None:
    (issue,) = problems({"services": {"a": {"variables": {"X": {"type": "preserve"}}}}})
    assert (issue["code"], issue["keys"], issue["path"]) == (
        "unrecognized_keys",
        ["type"],
        ["services", "a", "variables", "X"],
    )


def test_the_validator_refuses_wrong_types_and_choices() -> None:
    deploy = {"numReplicas": "2", "restartPolicyType": "SOMETIMES", "multiRegionConfig": {"r": {"numReplicas": 0}}}
    patch = {"services": {"a": {"deploy": deploy, "variables": {"N": 4}}}}
    assert {issue["code"] for issue in problems(patch)} == {"invalid_type", "invalid_value", "too_small"}


def test_only_replica_counts_change_without_a_deployment() -> None:
    one = {"deploy": {"multiRegionConfig": {"us-west2": {"numReplicas": 1}}}}
    two = {"deploy": {"multiRegionConfig": {"us-west2": {"numReplicas": 2}}}}
    assert not runs_differently(one, two)
    assert replicas(two) == ("us-west2", "us-west2")
    assert runs_differently(one, {**one, "variables": {"X": {"value": "1"}}})


def test_a_setting_wins_over_the_variable_of_the_same_meaning() -> None:
    variables = {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "7"}
    assert settings({}, variables).draining_seconds == 7
    assert settings({"deploy": {"drainingSeconds": 3}}, variables).draining_seconds == 3
    assert settings({}, {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "soon"}).draining_seconds == 0
