"""The header of a rendered file tells a stale or edited one without rendering."""

from __future__ import annotations

from typing import Any

from deploykit.profile.rendered import fingerprint, header, read_header, stamp
from deploykit.profile.schema import Profile


def _profile(**more: Any) -> Profile:
    return Profile.model_validate({"version": 1, "name": "p", "services": {"web": {"role": "web"}}, **more})


def test_a_fresh_file_names_its_profile_and_is_not_edited() -> None:
    profile = _profile()
    found = read_header(stamp(f"# {header(profile)}\nA=1\n"))
    assert found is not None
    assert (found.source, found.profile_digest, found.edited) == ("profiles/p.yaml", fingerprint(profile), False)


def test_one_changed_letter_is_an_edit() -> None:
    found = read_header(stamp(f"# {header(_profile())}\nA=1\n").replace("A=1", "A=2"))
    assert found is not None
    assert found.edited


def test_another_value_in_the_profile_gives_another_digest() -> None:
    assert fingerprint(_profile()) != fingerprint(_profile(environment="staging"))


def test_writing_a_default_out_changes_no_digest() -> None:
    assert fingerprint(_profile()) == fingerprint(_profile(environment="production"))


def test_a_file_of_somebody_else_has_no_header() -> None:
    assert read_header("# rendered by hand\n") is None
    assert read_header("\n\n\n\n" + stamp(f"# {header(_profile())}")) is None
