"""From any profile to any other, on a sandbox with real processes: one daemon at most, and then nothing left to do."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from deploykit.profile.schema import Profile
from tests.apply.stage import START, Stage, staged

MANY = int(os.environ.get("DEPLOYKIT_HISTORIES", "0"))
"""How many walks, when many are wanted; they are random then."""
REPO = st.sampled_from([{"repo": "acme/app"}, {"repo": "acme/app", "branch": "next"}, {"image": "acme/app:1"}])
REPLICAS = st.sampled_from([1, 2, {"us-west2": 1, "europe-west4-drams3a": 1}])
ENV = st.dictionaries(
    st.sampled_from(["EMPTY", "LINES", "QUOTES", "REFERENCE", "SHARED", "LOG_LEVEL"]),
    st.sampled_from(["", "a\nb", 'it\'s "so" # no', "${{MySQL.MYSQL_URL}}", "x ${{shared.Y}} z", "debug"]),
    max_size=3,
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "overlap_seconds": st.sampled_from([0, 1]),
    "draining_seconds": st.sampled_from([0, 5, 30]),
    "limits": st.sampled_from([{"memory_mb": 512}, {"vcpu": 0.5}, {"memory_mb": 300.5, "vcpu": 2}]),
    "restart": st.sampled_from([{"policy": "always"}, {"policy": "on_failure", "max_retries": 3}]),
    "autodeploy": st.sampled_from(["after_ci", "off"]),
    "pre_deploy": st.just("true"),
}


def service(role: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A service that starts in no time; everything else about it is open."""
    fixed = {"role": st.just(role), "start": st.just(START[role]), "env": ENV, "source": REPO}
    return st.fixed_dictionaries(fixed, optional={**COMMON, **more})


DAEMONS = ("schedule-daemon", "scheduler", "web-server")
OTHERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "nightly": st.just(
            {"role": "other", "source": {"repo": "acme/app"}, "start": "true", "cron": "0 3 * * *",
             "restart": {"policy": "never"}}
        ),
        "idle": st.just({"role": "other", "start": "true"}),
    },
)  # fmt: skip


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """A legal profile: one daemon, in its own service, a renamed one or the web server, and a worker somewhere."""
    place = draw(st.sampled_from(DAEMONS))
    web = draw(service("web", replicas=st.just(1) if place == "web-server" else REPLICAS, sleep=st.booleans()))
    services: dict[str, dict[str, Any]] = {"web-server": web, **draw(OTHERS)}
    if place != "web-server":
        guard = draw(st.sampled_from(["lease", "recreate", "none", "volume"]))
        services[place] = {**draw(service("daemon")), "guard": guard}
        if guard == "volume":
            services[place]["volume"] = {"mount": "/guard"}
    if draw(st.booleans()):
        services["job-worker"] = draw(service("worker", replicas=REPLICAS))
    for name, one in services.items():
        if one["role"] == "other":
            continue
        one["env"] = {
            **one["env"],
            "SCHEDULE_DAEMON_ENABLED": "true" if name == place else "false",
            "EMBEDDED_JOB_WORKER": "true" if name == "web-server" and "job-worker" not in services else "false",
        }
    content = {"version": 1, "name": "any", "database": {"service": "MySQL"}, "services": services}
    return Profile.model_validate(content)


def reach(stage: Stage, wanted: Profile) -> None:
    """Apply; whatever the profile does not name any more goes."""
    live = {one.name for one in stage.plan(wanted).live.services}
    stage.apply(wanted, sorted(live - {*wanted.services, "MySQL"}))
    again = stage.plan(wanted).plan
    assert again.empty, (again.changes, again.steps, again.blocked)
    assert all(len(alive) <= 1 for alive in stage.daemons()), stage.daemons()
    (daemon,) = wanted.daemons
    assert stage.daemons()[-1] == (daemon.name,)


@settings(
    max_examples=MANY or 3,
    deadline=None,
    derandomize=not MANY,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(profiles(), min_size=3, max_size=3))
def test_every_way_between_profiles_keeps_one_daemon_and_ends(walk: list[Profile]) -> None:
    with tempfile.TemporaryDirectory(prefix="deploykit-any-") as folder, staged(Path(folder)) as stage:
        for wanted in walk:
            reach(stage, wanted)
