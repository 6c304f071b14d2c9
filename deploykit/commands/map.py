"""The process map of a profile: what runs where, and how a job comes to be done."""

from __future__ import annotations

from deploykit.profile.schema import Profile


def text(profile: Profile) -> str:
    """The map for a terminal."""
    from deploykit.report import process_map

    return process_map.text(profile)


def mermaid(profile: Profile) -> str:
    """The map as a Mermaid flow chart, for Markdown pages."""
    from deploykit.rendering.render import process_map_mermaid

    return process_map_mermaid(profile)


def svg(profile: Profile) -> str:
    """The map as a picture."""
    from deploykit.rendering.render import process_map_svg

    return process_map_svg(profile)
