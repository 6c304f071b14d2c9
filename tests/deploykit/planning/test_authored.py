"""A graph that somebody else wrote becomes the profile that says the same; what none can say is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from deploykit.planning.authored import Authored, authored
from deploykit.planning.graph import graph
from deploykit.profile.schema import Profile
from tests.deploykit.rendering.profiles import REAL, profiles, real

NOTHING: dict[str, Any] = {"version": 1, "project": {"name": "app"}, "environments": [], "resources": [], "edges": []}


def said(*resources: dict[str, Any], live: list[dict[str, Any]] | None = None) -> Authored:
    current = {**NOTHING, "resources": live or []}
    return authored({**NOTHING, "resources": list(resources)}, current, name="railway", environment="production")


def service(**more: Any) -> dict[str, Any]:
    return {"address": "service.web", "type": "service", "kind": "github", "name": "web", **more}


def same(profile: Profile) -> None:
    wanted = graph(profile)
    found = authored(wanted, NOTHING, name=profile.name, environment="production")
    assert not found.refusals
    again = graph(Profile.model_validate({**found.data, "project": profile.project}))
    for one in (wanted, again):
        one["resources"].sort(key=lambda node: str(node["address"]))
        one["edges"].sort(key=str)
    assert again == wanted


@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_the_graph_of_a_real_profile_comes_back_as_it_was(path: Any) -> None:
    same(real(path))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(profiles())
def test_the_graph_of_any_profile_comes_back_as_it_was(profile: Profile) -> None:
    same(profile)


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (service(build={"buildCommand": "make"}), "resources.service.web.build"),
        (service(tracing={"enabled": True}), "resources.service.web.tracing"),
        (service(deploy={"region": "us-west2"}), "resources.service.web.deploy.region"),
        (service(source={"type": "image", "image": "a/b", "autoUpdates": {"type": "minor"}}),
         "resources.service.web.source.autoUpdates"),
        (service(source={"type": "template", "template": "x"}), "resources.service.web.source"),
        (service(networking={"tcpProxies": {"3306": {}}}), "resources.service.web.networking.tcpProxies"),
        (service(deploy={"preDeployCommand": ["a", "b"]}), "resources.service.web.deploy.preDeployCommand"),
        (service(deploy={"limitOverride": {"containers": {"diskGB": 5}}}),
         "resources.service.web.deploy.limitOverride.containers.diskGB"),
        (service(variables={"A": {"type": "raw", "value": 1}}), "resources.service.web.variables.A"),
        (service(variables={"A": {"type": "literal", "value": "marked", "isSealed": True}}),
         "resources.service.web.variables.A"),
        ({"address": "bucket.files", "type": "bucket", "name": "files", "config": {}}, "resources.bucket.files"),
        ({"address": "group.all", "type": "group", "name": "all"}, "resources.group.all"),
        ({"address": "database.Pg", "type": "database", "kind": "database", "engine": "postgres", "name": "Pg",
          "image": "postgres:16", "output": "DATABASE_URL"}, "resources.database.Pg"),
        ({"address": "volume.lost", "type": "volume", "name": "lost", "config": {"sizeMB": 1}},
         "resources.volume.lost"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_no_profile_can_say_is_refused_by_name_unless_it_is_live_already(
    resource: dict[str, Any], path: str
) -> None:
    refusals = said(resource).refusals
    assert path in [one.path for one in refusals]
    assert "marked" not in str(refusals)
    always = "variables" in path or "preDeploy" in path or "limitOverride" in path or "template" in str(resource)
    if not always:
        assert not said(resource, live=[resource]).refusals


def test_roles_are_told_by_command_flags_and_image() -> None:
    found = said(
        service(deploy={"startCommand": "node dist/index.js", "healthcheckPath": "/health"}),
        {**service(variables={"SCHEDULE_DAEMON_ENABLED": {"type": "literal", "value": "true"}}),
         "address": "service.clock", "name": "clock"},
        {**service(deploy={"startCommand": "exec python -m runtime worker"}),
         "address": "service.jobs", "name": "jobs"},
    )  # fmt: skip
    assert {name: one["role"] for name, one in found.data["services"].items()} == {
        "web": "web", "clock": "daemon", "jobs": "worker",
    }  # fmt: skip
