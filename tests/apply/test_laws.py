"""What must hold for every profile, whatever it says."""

from __future__ import annotations

import itertools

import pytest

from deploykit.errors import StalePlanError
from tests.apply.stage import BUNDLED, Stage, bundled, daemon_in_web, leftovers

EVERY_SERVICE = {"web-server", "schedule-daemon", "job-worker"}


@pytest.mark.parametrize("name", [*BUNDLED, *reversed(BUNDLED)])
def test_after_an_apply_there_is_nothing_to_do(stage: Stage, name: str) -> None:
    profile = bundled(name)
    stage.apply(profile, leftovers(profile))
    again = stage.plan(profile).plan
    assert again.empty, (again.changes, again.steps)
    assert stage.daemons()[-1] == ("schedule-daemon",)


def test_applying_twice_is_applying_once(stage: Stage) -> None:
    stage.apply(bundled("pre-launch"), leftovers(bundled("pre-launch")))
    before, starts = stage.config(), len(stage.sandbox.timeline())
    stage.sandbox.reset_requests()
    result = stage.apply(bundled("pre-launch"))
    assert result.actions == ()
    assert not stage.mutations()
    assert stage.config() == before
    assert len(stage.sandbox.timeline()) == starts


@pytest.mark.parametrize("name", BUNDLED)
def test_a_plan_never_changes_anything(stage: Stage, name: str) -> None:
    before, starts = stage.config(), len(stage.sandbox.timeline())
    stage.sandbox.reset_requests()
    stage.plan(bundled(name), ("job-worker",) if name == "pre-launch" else ())
    assert not stage.mutations()
    assert stage.config() == before
    assert len(stage.sandbox.timeline()) == starts


def test_every_way_there_and_back_restores_everything(stage: Stage) -> None:
    """One walk over every ordered pair of four profiles: whichever way one is reached, the same is stored and runs."""
    a, b, c, d = (*map(bundled, BUNDLED), daemon_in_web())
    walk = [a, b, a, c, a, d, b, c, b, d, c, d, a]
    every = itertools.permutations([one.name for one in (a, b, c, d)], 2)
    assert {(one.name, other.name) for one, other in itertools.pairwise(walk)} == set(every)
    stored: dict[str, object] = {}
    for profile in walk:
        stage.apply(profile, sorted(EVERY_SERVICE - set(profile.services)))
        assert stage.plan(profile).plan.empty, profile.name
        assert stored.setdefault(profile.name, stage.stored()) == stage.stored(), profile.name
    assert all(len(alive) <= 1 for alive in stage.daemons())


def test_a_service_is_deployed_once_whatever_changes_in_it(stage: Stage) -> None:
    first, second = bundled("pre-launch"), bundled("100-users")
    stage.apply(first, leftovers(first))
    starts = len([event for event in stage.sandbox.timeline() if event["event"] == "start"])
    stage.apply(second)
    added = [event["service"] for event in stage.sandbox.timeline() if event["event"] == "start"][starts:]
    assert sorted(added) == ["schedule-daemon", "web-server"]


def test_the_order_of_keys_in_a_profile_means_nothing(stage: Stage) -> None:
    profile = bundled("100-users")
    stage.apply(profile, leftovers(profile))
    turned = {
        name: service.model_copy(update={"env": dict(reversed(service.env.items()))})
        for name, service in reversed(profile.services.items())
    }
    assert stage.plan(profile.model_copy(update={"services": turned})).plan.empty


def test_a_dashboard_edit_between_plan_and_apply_stops_it_and_is_named(stage: Stage) -> None:
    stage.apply(bundled("100-users"), leftovers(bundled("100-users")))
    planned = stage.plan(bundled("pre-launch"))
    stage.sandbox.fault("dashboard-edit", service="web-server", variable="EXTRA", value="1")
    stage.sandbox.reset_requests()
    with pytest.raises(StalePlanError, match="web-server"):
        stage.apply(bundled("pre-launch"), planned=planned)
    assert not stage.mutations()


def test_no_value_of_a_variable_is_in_a_plan(stage: Stage) -> None:
    from deploykit.commands.plan import as_json

    profile = bundled("pre-launch")
    stage.apply(profile, leftovers(profile))
    service = profile.services["web-server"]
    env = {**service.env, "EXTRA": "a-marked-value-4711"}
    marked = profile.model_copy(
        update={"services": {**profile.services, "web-server": service.model_copy(update={"env": env})}}
    )
    planned = stage.plan(marked)
    assert any("EXTRA" in change.summary for change in planned.plan.changes)
    assert "a-marked-value-4711" not in str(as_json(planned.plan))
    assert "a-marked-value-4711" not in repr(planned.plan)


def test_one_plan_costs_one_reading_and_one_preview(stage: Stage) -> None:
    stage.plan(bundled("1000-users"))
    stage.sandbox.reset_requests()
    stage.plan(bundled("1000-users"))
    requests = stage.sandbox.requests()
    assert requests["mutations"] == {"environmentPreviewChangeSet": 1}
    names = [field for request in requests["requests"] for field in request["fields"]]
    assert names.count("environment") == 1
    assert set(names) <= {
        "environment", "environmentStagedChanges", "project", "deployments", "deploymentSnapshot",
        "environmentPreviewChangeSet",
    }  # fmt: skip
