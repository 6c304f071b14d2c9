"""The header of a rendered file: from which profile it came, and whether anyone has edited it since.

Pure text, so that lint can tell a stale or edited file without rendering anything.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploykit.sources.pattern import pattern

if TYPE_CHECKING:
    from deploykit.profile.schema import Profile

_DIGITS = 16
_UNKNOWN = "-" * _DIGITS
_HEADER = pattern(r"rendered by deploykit from (profiles/\S+\.yaml) \(profile ([0-9a-f]{16}), text ([0-9a-f]{16})\)")
_HEADER_LINES = 3
"""How far down the header may stand: an SVG opens its root element first."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a rendered file says about itself. ``profile_digest`` equals ``fingerprint(profile)`` while it is fresh."""

    source: str
    profile_digest: str
    text_digest: str
    edited: bool
    """Whether the text differs from what was rendered."""


def fingerprint(profile: Profile) -> str:
    """A digest of everything the profile says, after ``extends``. Holds no secret: a profile has none.

    Defaults are left out, so that a key which a later version adds changes nothing.
    """
    data = json.dumps(profile.model_dump(mode="json", exclude_defaults=True), ensure_ascii=True, separators=(",", ":"))
    return _digest(data)


def header(profile: Profile) -> str:
    """The header for a text that is not finished yet: ``stamp`` fills in the digest of the text."""
    return (
        f"rendered by deploykit from profiles/{profile.name}.yaml (profile {fingerprint(profile)}, text {_UNKNOWN}); "
        "change the profile, not this file"
    )


def stamp(text: str) -> str:
    """``text`` with the digest of itself in its header."""
    return text.replace(f"text {_UNKNOWN}", f"text {_digest(text)}", 1)


def read_header(text: str) -> Header | None:
    """The header of ``text``, None when deploykit did not render it."""
    top = "\n".join(text.split("\n", _HEADER_LINES)[:_HEADER_LINES])
    found = _HEADER.search(top)
    if found is None:
        return None
    blank = text.replace(f"text {found[3]}", f"text {_UNKNOWN}", 1)
    return Header(found[1], found[2], found[3], edited=_digest(blank) != found[3])


def _digest(text: str) -> str:
    import hashlib  # only here: it loads a large library, and most files carry no header

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
