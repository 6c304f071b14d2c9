"""Text edits that fixes share: add a variable where the others stand, in the words of that kind of file."""

from __future__ import annotations

from deploykit.findings import Edit, Fix
from deploykit.rules._system import ServiceView


def added_variable(service: ServiceView, name: str, value: str, title: str, *, safe: bool = True) -> Fix | None:
    """A fix that adds ``name`` with ``value`` as the first variable; None where a line cannot simply be added."""
    if service.kind == "env":
        end = service.place.end_line
        return Fix(title, (Edit(service.path, (end, 1), (end, 1), f"{name}={value}\n"),), safe)
    first = next(iter(service.env.values()), None)
    if service.kind != "profile" or not service.indent or service.env_place is None or first is None:
        return None
    # Only into a block that belongs to this service: an anchor's variables are somebody else's too.
    own = service.env_place.path
    if (
        first.key.path != own
        or first.key.line <= service.env_place.line
        or first.key.column <= service.env_place.column
    ):
        return None
    at = (service.env_place.line + 1, 1)
    return Fix(title, (Edit(own, at, at, f"{' ' * (service.indent - 1)}{name}: {value}\n"),), safe)
