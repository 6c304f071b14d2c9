"""The quick look never passes what the schema refuses, and passes what people write."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from deploykit.profile.schema import Profile, Service
from deploykit.profile.shape import PROFILE, SERVICE, is_sound
from deploykit.sources.yaml import Mapping, parse

ROOT = Path(__file__).resolve().parents[3]

WHOLE: dict[str, Any] = {
    "version": 1,
    "name": "app",
    "environment": "production",
    "budget": {"monthly_usd": 15},
    "database": {"service": "MySQL", "max_connections": 151},
    "services": {
        "web-server": {
            "role": "web",
            "source": {"repo": "acme/app", "branch": "main"},
            "start": "node index.js",
            "healthcheck": "/health",
            "replicas": {"us-west2": 2},
            "restart": {"policy": "always", "max_retries": 3},
            "draining_seconds": 30,
            "volume": {"mount": "/data", "size_mb": 100},
            "resources": {"memory_mb": 350, "vcpu": 0.05},
            "domains": ["app.example"],
            "sleep": False,
            "env": {"NODE_ENV": "production", "JWT_SECRET": {"operator_variable": None}},
        }
    },
    "expect": {"schedule_daemon": 1, "job_worker": 1},
}


def accepted(data: Any) -> bool:
    try:
        Profile.model_validate(data)
    except ValidationError:
        return False
    return True


def test_it_knows_the_same_keys_as_the_schema() -> None:
    assert set(SERVICE) == set(Service.model_fields) - {"name"}
    assert set(PROFILE) == set(Profile.model_fields)


def test_a_whole_profile_is_sound() -> None:
    assert is_sound(WHOLE)
    assert accepted(WHOLE)


def trails(data: Any, trail: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [trail]
    if isinstance(data, dict):
        for key, value in data.items():
            found.extend(trails(value, (*trail, key)))
    return found


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3_000_000_000),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["/", "a/b", "always", "web", "${{A.B}}", "lease", "x" * 9000, "a b", "A1"]),
    st.lists(st.text(max_size=3), max_size=2),
    st.dictionaries(
        st.sampled_from(["role", "repo", "image", "branch", "name", "us", "A", "1A"]), st.integers(), max_size=3
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_what_is_sound_is_accepted_by_the_schema(data: st.DataObject) -> None:
    profile = copy.deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 2))):
        trail = data.draw(st.sampled_from(trails(profile)[1:]))
        target: Any = profile
        for step in trail[:-1]:
            target = target[step]
        action = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if action == "replace":
            target[trail[-1]] = data.draw(ODD)
        elif action == "remove":
            target.pop(trail[-1])
        else:
            target[data.draw(st.sampled_from(["role", "extra", "policy", "vcpu", "name", "repo", "image", "1A"]))] = (
                data.draw(ODD)
            )
    if is_sound(profile):
        assert accepted(profile)


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.name)
def test_the_bundled_profiles_need_no_second_look(path: Path) -> None:
    assert isinstance(parse(path.name, path.read_text("utf-8")), Mapping)
    from deploykit.profile.load import load

    assert load(path, findings_only=True).profile is None
    assert load(path).profile is not None
