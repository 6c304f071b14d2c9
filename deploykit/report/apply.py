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
    database_named: bool = False,
) -> str:
    """The summary after an apply; ``notes`` are what is left for a person to do."""
    read = None if heartbeats_read else UNREAD[database_named]
    return "\n".join(_lines(profile, actions, notes, seconds, requests, read))


UNREAD = {
    False: "Heartbeats were not read: set DEPLOYKIT_DATABASE_URL so that an old daemon's heart is seen to stop.",
    True: "Heartbeats were not read: the database did not answer, so that no old daemon's heart was seen to stop.",
}
"""By whether a database was named."""


def _lines(
    profile: str, actions: Sequence[str], notes: Sequence[str], seconds: float, requests: int, unread: str | None
) -> Iterator[str]:
    if not actions:
        yield f"{profile} was already applied: nothing was changed."
    else:
        yield f"Applied {profile} in {seconds:.1f} s, {requests} API requests:"
        yield from (f"  ✓ {action}" for action in actions)
    yield from (f"  → {note}" for note in notes)
    if unread:
        yield unread
    yield "Next: deploykit verify"
