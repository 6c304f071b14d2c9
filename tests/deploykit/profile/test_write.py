"""A profile written as text says the same when it is read again."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from deploykit.profile.load import load
from deploykit.profile.schema import Profile
from deploykit.profile.write import profile_text
from tests.deploykit.profile.test_shape import WHOLE

ROOT = Path(__file__).resolve().parents[3]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def again(profile: Profile) -> Profile:
    loaded = load(Path(f"{profile.name}.yaml"), text=profile_text(profile))
    assert not loaded.findings
    assert loaded.profile is not None
    return loaded.profile


def alone(profile: Profile) -> dict[str, Any]:
    """Everything it says, and what of it is said aloud."""
    return {
        "content": profile.model_dump(exclude={"extends"}),
        "said": profile.model_fields_set - {"extends"},
        "said of services": {name: one.model_fields_set for name, one in profile.services.items()},
    }


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_bundled_profile_stands_alone_without_its_base(path: Path) -> None:
    profile = load(path, root=ROOT).profile
    assert profile is not None
    assert "extends" not in profile_text(profile)
    assert alone(again(profile)) == alone(profile)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_text_reads_back_as_itself(data: st.DataObject) -> None:
    whole = copy.deepcopy(WHOLE)
    service = whole["services"][next(iter(whole["services"]))]
    whole["description"], service["start"] = data.draw(TEXT), data.draw(TEXT)
    words = st.sampled_from(["true", "null", "~", "0x1F", "5", "!secret", "a: b", "# no", "${{MySQL.MYSQL_URL}}", ""])
    service["env"] = {"ONE": data.draw(TEXT | words), "TWO": data.draw(words)}
    service["env"]["THREE"] = {"operator_variable": data.draw(st.none() | st.just("HERE"))}
    profile = Profile.model_validate(whole)
    assert alone(again(profile)) == alone(profile)
