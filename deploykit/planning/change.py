"""One difference between what the profile wants and what Railway has stored, in the words of Railway's change sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

AUTODEPLOY_OFF = "autodeploy.off"
AUTODEPLOY_ON = "autodeploy.on"
DOMAIN_CREATE = "domain.create"
DOMAIN_UPDATE = "domain.update"
"""Kinds that no change set carries: each goes through its own mutation, and none of them deploys."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. ``wire`` is the change-set entry that carries it; it may hold values and is never printed.

    ``own`` are the variables of the mutation that carries it instead, where no change set does.
    ``summary`` is for people and holds no value of a variable.
    """

    address: str
    kind: str
    path: str
    summary: str
    destructive: bool = False
    wire: dict[str, Any] = field(default_factory=dict, repr=False)
    own: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def service(self) -> str:
        """The name behind the address."""
        return self.address.partition(".")[2]


def change_set(changes: list[Change]) -> dict[str, Any]:
    """The change set that carries ``changes`` (Railway IaC: change set version 1).

    ``declared`` is left out: it would record ownership of what the profile does not name.
    """
    return {"version": 1, "changes": [change.wire for change in changes if change.wire], "diagnostics": []}
