"""Which recorded profile to go back to. Planning and applying it is everybody's way: `plan`, then `apply`.

Railway's own rollback button restores a deployment's *variables*, one service at a time and in no order, and so can
bring back a second daemon. A recorded profile goes through the same rules and the same order as any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from deploykit.commands.applied import Place, Record
from deploykit.errors import ConfigurationError
from deploykit.profile.schema import Profile

_LIST = "deploykit rollback --list shows what there is"


def meant(history: Sequence[Record], number: int | None) -> Record:
    """Record ``number``, or the newest. Raises ConfigurationError when it is missing or damaged."""
    if not history:
        raise ConfigurationError("nothing was applied from this folder yet", hint="deploykit apply PROFILE")
    record = history[-1] if number is None else next((one for one in history if one.id == number), None)
    if record is None:
        raise ConfigurationError(f"no record {number}", hint=_LIST)
    return _sound(record)


def back_to(history: Sequence[Record], place: Place, number: int | None = None) -> Record:
    """The record to go back to: ``number``, or else the last that was reached with another profile than the newest.

    After an apply that did not get through, that is what was live before it. Raises ConfigurationError for a record
    that is missing, damaged, never reached, or from another place.
    """
    if number is not None:
        return _reached(_here(meant(history, number), place))
    here = [one for one in reversed(history) if one.damage or one.place == place]
    if not here:
        raise ConfigurationError("nothing was applied to this environment from this folder", hint=_LIST)
    newest = _sound(here[0])
    for record in here[1:]:
        if _sound(record).reached and record.fingerprint != newest.fingerprint:
            return record
    raise ConfigurationError(
        f"there is nothing to go back to: {newest.profile} is all that was applied here", hint=_LIST
    )


def _sound(record: Record) -> Record:
    if record.damage:
        raise ConfigurationError(
            f"record {record.id} is damaged: {record.damage}", where=str(record.folder),
            hint="name another: deploykit rollback --list",
        )  # fmt: skip
    return record


def _here(record: Record, place: Place) -> Record:
    if record.place != place:
        raise ConfigurationError(
            f"record {record.id} is from another project or environment ({record.environment})",
            where=str(record.folder), hint="use that environment's token, or name another record",
        )  # fmt: skip
    return record


def _reached(record: Record) -> Record:
    if not record.reached:
        raise ConfigurationError(
            f"record {record.id} was begun and never reached: nobody saw it work", where=str(record.folder),
            hint=f"deploykit plan {record.path} plans it all the same",
        )  # fmt: skip
    return record


def brought_since(history: Sequence[Record], record: Record, profile: Profile) -> list[str]:
    """Services that later applies created and that ``profile``, that of ``record``, does not name: they go again."""
    later = [one for one in history if one.id > record.id and one.place == record.place and not one.damage]
    wanted = {*profile.services, *([profile.database.service] if profile.database else [])}
    return [name for name in dict.fromkeys(name for one in later for name in one.created) if name not in wanted]
