"""The table of docs/apply.md, row by row, on the `decide` that apply runs; every wrong order of its rules is caught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deploykit.planning import decide as production
from deploykit.planning.decide import Configure, Decision, Done, Rule, Wait, decide
from deploykit.planning.observation import Observation, Phase, Target
from deploykit.planning.snapshot import LiveDeployment, LiveService, Possibly
from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from tests.model.apply_model import (
    ABSENT,
    ACTIVE,
    PENDING,
    Copy,
    Decide,
    Found,
    Scene,
    Site,
    changed,
    counterexample,
    search,
    stored_services as stored,
)

WEB, DAEMON = "web-server", "schedule-daemon"
ROOT = Path(__file__).parents[2]


def profile(daemon: str = DAEMON, guard: str = "lease") -> Profile:
    """Two services; ``daemon`` names the one that schedules, the web server holds the worker."""

    def service(name: str, role: str) -> dict[str, Any]:
        flags = {
            "SCHEDULE_DAEMON_ENABLED": "true" if name == daemon else "false",
            "EMBEDDED_JOB_WORKER": "true" if name == WEB else "false",
        }
        kept: dict[str, Any] = {"guard": guard} if name == daemon else {}
        if kept and guard == "volume":
            kept["volume"] = {"mount": "/guard"}
        return {"role": role, "source": {"repo": "owner/app"}, "start": f"run {role}", "env": flags, **kept}

    services = {WEB: service(WEB, "web"), DAEMON: service(DAEMON, "daemon")}
    return Profile.model_validate({"version": 1, "name": "model", "services": services})


def move(guard: str = "lease", **options: Any) -> Scene:
    """The daemon moves from the web server into a service of its own, which already stands there with its flag off."""
    wanted = profile(guard=guard)
    old = {
        WEB: {"old": changed(stored(wanted)[WEB], SCHEDULE_DAEMON_ENABLED="true")},
        DAEMON: {"old": changed(stored(wanted)[DAEMON], SCHEDULE_DAEMON_ENABLED="false")},
    }
    start = (Site("old", (Copy(ACTIVE, "old"),)), Site("old", (Copy(ACTIVE, "old"),)))
    exclusive = frozenset({DAEMON}) if guard == "volume" else frozenset()
    return Scene((WEB, DAEMON), (wanted,), old, start, exclusive=exclusive, **options)


def told(found: Found, *names: str) -> str:
    """A found violation in words, for the message of a failed test."""
    return f"{found.states} states; " + "; ".join(f"{name}: {' → '.join(found.violated[name])}" for name in names)


def holds(found: Found, *names: str) -> None:
    broken = [name for name in names if name in found.violated]
    assert not broken, told(found, *broken)


# ---- orders that others use, and why they do not do ------------------------------------------------------------


def all_at_once(now: Observation, target: Target) -> Decision:
    """One change set for everything, as Railway's own `config apply` does."""
    outdated = tuple(one.name for one in target.services if not now.service(one.name).matches)
    return Configure(outdated, "") if outdated else Wait("")


def enable_then_disable(now: Observation, target: Target) -> Decision:
    return _one_after_the_other(now, (DAEMON, WEB), _is_up)


def _is_up(now: Observation, name: str) -> bool:
    return any(one.current and one.phase is Phase.ACTIVE for one in now.service(name).deployments)


def _at_once(now: Observation, name: str) -> bool:
    return True


def _is_gone(now: Observation, name: str) -> bool:
    return not now.service(name).scheduling


def _one_after_the_other(now: Observation, order: tuple[str, str], then: Any) -> Decision:
    first, second = order
    if not now.service(first).matches:
        return Configure((first,), "")
    if not now.service(second).matches:
        return Configure((second,), "") if then(now, first) else Wait("")
    return Done()


def disable_then_enable(then: Any) -> Decide:
    return lambda now, target: _one_after_the_other(now, (WEB, DAEMON), then)


@pytest.mark.parametrize(
    ("order", "broken"),
    [
        pytest.param(all_at_once, {"XS"}, id="one change set, all deploys at once"),
        pytest.param(enable_then_disable, {"XS", "CC"}, id="enable new, then disable old"),
        pytest.param(disable_then_enable(_at_once), {"XS"}, id="disable old, no wait, enable new"),
        pytest.param(disable_then_enable(_is_up), {"XS"}, id="disable old, wait for SUCCESS, enable new"),
    ],
)
def test_the_usual_orders_run_two_daemons_even_when_nothing_goes_wrong(order: Decide, broken: set[str]) -> None:
    found = search(move(decide=order), goal=False)
    assert broken <= set(found.violated), told(found)
    assert ("CC" in broken) == ("CC" in found.violated)


def test_one_change_set_needs_two_steps_of_the_platform_to_run_two_daemons() -> None:
    way = search(move(decide=all_at_once), goal=False).violated["XS"]
    assert [step for step in way if step.startswith("operator")] == way[:2]
    assert len(way) - 2 <= 2


def test_disable_wait_until_gone_enable_is_right_while_nothing_goes_wrong() -> None:
    holds(search(move(decide=disable_then_enable(_is_gone)), goal=False), "XS", "IS", "CC")


# ---- the production rules ---------------------------------------------------------------------------------------


def test_a_plain_move_keeps_every_promise() -> None:
    found = search(move())
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


def test_without_a_volume_only_railways_own_redeploy_overlaps_the_daemon_with_itself() -> None:
    found = search(move(redeploys=2, crashes=2))
    holds(found, "XS", "CC", "W")
    assert "Railway redeploys by itself" in " ".join(found.violated["IS"])
    assert found.goal_reachable_from_all, found.stuck


def test_a_volume_closes_what_no_client_can() -> None:
    found = search(move("volume", redeploys=3, crashes=2))
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


@pytest.mark.parametrize("guard", ["lease", "recreate", "none"])
def test_crashes_alone_never_make_two_daemons(guard: str) -> None:
    found = search(move(guard, crashes=3))
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


@pytest.mark.parametrize(("guard", "safe"), [("lease", False), ("volume", True)])
def test_in_the_steady_state_it_is_the_guard_that_counts(guard: str, safe: bool) -> None:
    wanted = profile(guard=guard)
    start = (Site("target0", (Copy(ACTIVE, "target0"),)), Site("target0", (Copy(ACTIVE, "target0"),)))
    exclusive = frozenset({DAEMON}) if guard == "volume" else frozenset()
    found = search(
        Scene((WEB, DAEMON), (wanted,), {}, start, exclusive=exclusive, redeploys=3, crashes=2, applying=False),
        goal=False,
    )
    holds(found, "XS", "CC")
    assert ("IS" in found.violated) is not safe


def test_an_update_of_the_daemon_in_its_place_never_runs_it_twice() -> None:
    found = search(in_place(crashes=2))
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


def in_place(**options: Any) -> Scene:
    """The daemon only gets another poll interval."""
    wanted = profile()
    old = changed(stored(wanted)[DAEMON], SCHEDULE_POLL_INTERVAL_MS="60000")
    start = (Site("target0", (Copy(ACTIVE, "target0"),)), Site("old", (Copy(ACTIVE, "old"),)))
    return Scene((WEB, DAEMON), (wanted,), {DAEMON: {"old": old}}, start, **options)


def test_the_daemon_moves_back_into_the_web_server() -> None:
    wanted = profile(daemon=WEB)
    other = profile(daemon=DAEMON)
    old = {name: {"old": stored(other)[name]} for name in (WEB, DAEMON)}
    start = (Site("old", (Copy(ACTIVE, "old"),)), Site("old", (Copy(ACTIVE, "old"),)))
    found = search(Scene((WEB, DAEMON), (wanted,), old, start, crashes=2))
    holds(found, "XS", "IS", "CC")
    assert found.goal_reachable_from_all, found.stuck


def test_from_nothing_the_goal_is_always_reached() -> None:
    found = search(Scene((WEB, DAEMON), (profile(),), {}, (Site(ABSENT), Site(ABSENT)), crashes=2, redeploys=1))
    holds(found, "XS", "CC")
    assert found.goal_reachable_from_all, found.stuck


def ghosts(**options: Any) -> Scene:
    """Both services schedule, and a stale build that would schedule again is queued for the web server."""
    start = (Site("old", (Copy(ACTIVE, "old"), Copy(PENDING, "old"))), Site("target0", (Copy(ACTIVE, "target0"),)))
    wanted = profile(guard="volume")
    old = {WEB: {"old": changed(stored(wanted)[WEB], SCHEDULE_DAEMON_ENABLED="true")}}
    return Scene((WEB, DAEMON), (wanted,), old, start, exclusive=frozenset({DAEMON}), armed=False, **options)


def test_from_ghosts_the_goal_is_reached_and_what_was_clean_once_stays_clean() -> None:
    found = search(ghosts(redeploys=2, crashes=2))
    holds(found, "XS", "IS", "CC")
    assert found.goal_reachable_from_all, found.stuck


def test_a_flag_that_nobody_set_counts_as_on() -> None:
    wanted = profile(guard="volume")
    old = {
        WEB: {"old": changed(stored(wanted)[WEB], SCHEDULE_DAEMON_ENABLED=None)},
        DAEMON: {"old": changed(stored(wanted)[DAEMON], SCHEDULE_DAEMON_ENABLED="false")},
    }
    start = (Site("old", (Copy(ACTIVE, "old"),)), Site("old", (Copy(ACTIVE, "old"),)))
    found = search(Scene((WEB, DAEMON), (wanted,), old, start, exclusive=frozenset({DAEMON}), redeploys=1, crashes=1))
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


# ---- replicas ----------------------------------------------------------------------------------------------------


def replicated(service: LiveService, replicas: int) -> LiveService:
    """A stored configuration with another number of replicas."""
    return replace(service, config={**service.config, "deploy": {**service.config["deploy"], "numReplicas": replicas}})


def spread(**options: Any) -> Scene:
    """The daemon moves out of a web server of three replicas, which end one by one."""
    scene = move(**options)
    wanted = stored(scene.profiles[0])
    old = replicated(changed(wanted[WEB], SCHEDULE_DAEMON_ENABLED="true"), 3)
    start = (Site("old", (Copy(ACTIVE, "old", 3),)), scene.start[1])
    return replace(scene, configs={**scene.configs, WEB: {"old": old}}, start=start, armed=True)


def test_a_daemon_in_every_replica_of_the_web_server_is_gone_when_the_last_of_them_is() -> None:
    found = search(spread(redeploys=1, crashes=1))
    holds(found, "XS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


def test_a_client_that_takes_the_first_replicas_end_for_the_end_of_all_meets_two_daemons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    possibly = LiveDeployment.possibly.fget  # type: ignore[attr-defined]

    def hasty(self: LiveDeployment) -> Possibly:
        first_left = self.status == "REMOVING" and len(self.instances) < 3
        return Possibly.GONE if first_left else possibly(self)

    monkeypatch.setattr(LiveDeployment, "possibly", property(hasty))
    assert counterexample(spread(hearts=False), "XS")


def twice(**options: Any) -> Scene:
    """The daemon's own service runs in two replicas: somebody pulled the slider."""
    wanted = profile()
    old = replicated(stored(wanted)[DAEMON], 2)
    start = (Site("target0", (Copy(ACTIVE, "target0"),)), Site("old", (Copy(ACTIVE, "old", 2),)))
    return Scene((WEB, DAEMON), (wanted,), {DAEMON: {"old": old}}, start, armed=False, **options)


def test_two_replicas_of_the_daemon_become_one_and_never_two_again() -> None:
    found = search(twice(crashes=2))
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


@pytest.mark.parametrize("hasty", [False, True])
def test_two_replicas_of_the_daemon_are_no_reason_to_schedule_elsewhere(hasty: bool) -> None:
    found = search(twice(crashes=1, redeploys=1, hasty=hasty), goal=False)
    holds(found, "XS", "CC", "W")


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)])
def test_workers_are_scaled_without_a_moment_without_one(before: int, after: int) -> None:
    base = bundled("1000-users")
    worker = base.services["job-worker"].model_copy(update={"replicas": after})
    wanted = base.model_copy(update={"services": {**base.services, "job-worker": worker}})
    old = {"job-worker": {"old": replicated(stored(base)["job-worker"], before)}}
    start = tuple(
        Site("old", (Copy(ACTIVE, "old", before),))
        if name == "job-worker"
        else Site("target0", (Copy(ACTIVE, "target0", stored(wanted)[name].replicas),))
        for name in wanted.services
    )
    found = search(Scene(tuple(wanted.services), (wanted,), old, start, crashes=1, redeploys=1, hasty=True))
    holds(found, "XS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


# ---- zombies -----------------------------------------------------------------------------------------------------


def test_railways_word_alone_does_not_see_a_zombie() -> None:
    assert counterexample(move("volume", redeploys=1, crashes=1, zombies=1, hearts=False), "XS")


def test_heartbeats_do() -> None:
    found = search(move("volume", redeploys=1, crashes=1, zombies=1))
    holds(found, "XS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


# ---- services the profile does not know --------------------------------------------------------------------------


def leftover(**options: Any) -> Scene:
    """A forgotten copy of the daemon beside the right one: told by its start command, it has no flag."""
    wanted = profile()
    forgotten = changed(stored(wanted)[DAEMON], SCHEDULE_DAEMON_ENABLED=None)
    start = tuple(Site(config, (Copy(ACTIVE, config),)) for config in ("target0", "target0", "old"))
    return Scene(
        (WEB, DAEMON, "old-daemon"), (wanted,), {"old-daemon": {"old": forgotten}}, start, armed=False, **options
    )


def test_a_forgotten_daemon_is_told_by_its_start_command_and_stops_everything_until_somebody_decides() -> None:
    found = search(leftover(crashes=1))
    assert found.stuck is not None


def test_a_forgotten_daemon_that_may_be_deleted_is() -> None:
    found = search(leftover(crashes=2, remove=("old-daemon",)))
    holds(found, "XS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


def renamed(**options: Any) -> Scene:
    """The daemon's service gets another name: the old one is in no profile any more, and may be deleted."""
    wanted = profile()
    start = (Site("target0", (Copy(ACTIVE, "target0"),)), Site(ABSENT), Site("old", (Copy(ACTIVE, "old"),)))
    old = {"old-daemon": {"old": stored(wanted)[DAEMON]}}
    return Scene((WEB, DAEMON, "old-daemon"), (wanted,), old, start, remove=("old-daemon",), **options)


@pytest.mark.parametrize("hearts", [True, False])
def test_a_daemon_that_is_deleted_is_gone_before_its_successor_starts(hearts: bool) -> None:
    found = search(renamed(crashes=2, redeploys=1, hearts=hearts))
    holds(found, "XS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


# ---- the bundled profiles ----------------------------------------------------------------------------------------

BUNDLED = ("pre-launch", "100-users", "1000-users")


def bundled(name: str) -> Profile:
    loaded = load(ROOT / "profiles" / f"{name}.yaml", root=ROOT)
    assert loaded.profile is not None
    return loaded.profile.model_copy(update={"database": None})


def transition(before: str, after: str, **options: Any) -> Scene:
    old, new = bundled(before), bundled(after)
    names = tuple(dict.fromkeys([*old.services, *new.services]))
    configs = {name: {"old": service} for name, service in stored(old).items()}
    start = tuple(Site("old", (Copy(ACTIVE, "old"),)) if name in old.services else Site(ABSENT) for name in names)
    return Scene(names, (new,), configs, start, known=(old,), **options)


@pytest.mark.parametrize("after", ["pre-launch", "100-users"])
def test_a_worker_service_that_is_no_longer_wanted_goes_last(after: str) -> None:
    found = search(transition("1000-users", after, crashes=1, remove=("job-worker",)))
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


@pytest.mark.parametrize("after", BUNDLED)
@pytest.mark.parametrize("before", BUNDLED)
def test_between_any_two_bundled_profiles_a_worker_always_runs_and_never_two_daemons(before: str, after: str) -> None:
    found = search(transition(before, after, crashes=1))
    holds(found, "XS", "IS", "CC", "W")
    assert found.goal_reachable_from_all, found.stuck


# ---- two operators -----------------------------------------------------------------------------------------------


def opposites(**options: Any) -> Scene:
    """One operator wants the daemon in its own service, the other in the web server."""
    one, other = profile(DAEMON), profile(WEB)
    start = (Site("target0", (Copy(ACTIVE, "target0"),)), Site("target0", (Copy(ACTIVE, "target0"),)))
    return Scene((WEB, DAEMON), (one, other), {}, start, merge_equal=True, **options)


def test_two_operators_without_compare_and_set_make_two_daemons() -> None:
    assert counterexample(opposites(cas=False), "XS")
    assert counterexample(opposites(cas=False), "CC")


def test_two_operators_with_compare_and_set_never_do() -> None:
    found = search(opposites(), goal=False)
    holds(found, "XS", "CC")


@pytest.mark.slow
def test_two_operators_with_redeploys_and_crashes_never_do() -> None:
    found = search(opposites(redeploys=2, crashes=1), goal=False)
    holds(found, "XS", "CC")


# ---- mutants: every rule and its place is needed -------------------------------------------------------------------


def without(*rules: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in production.RULES if rule.__name__ not in rules)


def swapped(one: str, other: str) -> tuple[Rule, ...]:
    names = [rule.__name__ for rule in production.RULES]
    first, second = names.index(one), names.index(other)
    rules = list(production.RULES)
    rules[first], rules[second] = rules[second], rules[first]
    return tuple(rules)


def replaced(name: str, rule: Rule) -> tuple[Rule, ...]:
    return tuple(rule if one.__name__ == name else one for one in production.RULES)


def gone_when_up(now: Observation, target: Target) -> Iterator[Decision]:
    """Waits for SUCCESS of the new copy instead of the end of the old one."""
    for seen in now.services:
        if seen.name == DAEMON or not seen.scheduling:
            continue
        if not any(one.phase is Phase.ACTIVE and not one.daemon for one in seen.deployments):
            yield Wait("", seen.name)


def gone_but_for_pending(now: Observation, target: Target) -> Iterator[Decision]:
    """Forgets that a queued build will schedule too."""
    for seen in now.services:
        if seen.name != DAEMON and any(one.phase is not Phase.PENDING for one in seen.scheduling):
            yield Wait("", seen.name)


SCENES: dict[str, Any] = {
    "move": partial(move, redeploys=1, crashes=1),
    "ghosts": partial(ghosts, redeploys=1, crashes=1),
    "in place": partial(in_place),
    "zombie": partial(move, "volume", redeploys=1, zombies=1),
    "to a worker of its own": partial(transition, "100-users", "1000-users"),
    "back from it": partial(transition, "1000-users", "100-users", remove=("job-worker",)),
}


@pytest.mark.parametrize(
    ("scene", "rules", "broken"),
    [
        pytest.param("move", without("_close", "_gone"), "XS", id="never closes the old one first"),
        pytest.param("move", swapped("_close", "_open"), "XS", id="opens before it closes"),
        pytest.param("move", without("_gone"), "XS", id="does not wait at all"),
        pytest.param("move", swapped("_gone", "_open"), "XS", id="opens before the old one is gone"),
        pytest.param("move", replaced("_gone", gone_when_up), "XS", id="waits for SUCCESS"),
        pytest.param("move", replaced("_gone", gone_but_for_pending), "XS", id="forgets queued builds"),
        pytest.param("to a worker of its own", without("_gain_workers"), "W", id="stops the old worker first"),
        pytest.param("back from it", swapped("_tidy", "_gain_workers"), "W", id="deletes the old worker first"),
    ],
)
def test_a_mutant_is_caught(scene: str, rules: tuple[Rule, ...], broken: str) -> None:
    assert counterexample(SCENES[scene](decide=partial(decide, rules=rules)), broken)


def test_a_daemon_that_may_meet_its_successor_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production, "_empty", lambda now, wanted: iter(()))
    assert counterexample(in_place(), "IS")


@pytest.mark.parametrize("name", [name for name in SCENES if name != "ghosts"])
def test_the_scenes_of_the_mutants_are_safe_with_the_real_rules(name: str) -> None:
    holds(search(SCENES[name](), goal=False), "XS", "CC", "W")
