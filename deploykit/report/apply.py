"""What an apply did, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def apply_text(
    profile: str,
    actions: Sequence[str],
    notes: Sequence[str] = (),
    *,
    seconds: float,
    requests: int,
    heartbeats_read: bool,
) -> str:
    """The summary after an apply; ``notes`` are what is left for a person to do."""
    return "\n".join(_lines(profile, actions, notes, seconds, requests, heartbeats_read))


def _lines(
    profile: str, actions: Sequence[str], notes: Sequence[str], seconds: float, requests: int, heartbeats_read: bool
) -> Iterator[str]:
    if not actions:
        yield f"{profile} was already applied: nothing was changed."
    else:
        yield f"Applied {profile} in {seconds:.1f} s, {requests} API requests:"
        yield from (f"  ✓ {action}" for action in actions)
    yield from (f"  → {note}" for note in notes)
    if not heartbeats_read:
        yield "Heartbeats were not read: set DEPLOYKIT_DATABASE_URL so that an old daemon's heart is seen to stop."
    yield "Next: deploykit verify"
