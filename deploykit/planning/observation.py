"""What `decide` looks at: each service's configuration and processes, judged against the target."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from deploykit.profile.schema import Guard


class Phase(StrEnum):
    """How far a deployment is. What is gone is not listed at all."""

    PENDING = "pending"
    """No process yet, one will start."""
    STARTED = "started"
    """A process runs, but the deployment is not active yet."""
    ACTIVE = "active"
    """Railway calls it active and every replica runs."""
    LEAVING = "leaving"
    """Superseded or removed; its process may still run."""
    BROKEN = "broken"
    """Active by name, but no process runs and none will be started."""


@dataclass(frozen=True, slots=True, order=True)
class Deployed:
    """A deployment that runs or will run, with the flags it was created with.

    ``current`` says that it was created from today's configuration.
    """

    id: str
    phase: Phase
    daemon: bool
    worker: bool = False
    current: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """A service as it is. ``daemon`` and ``worker`` are its *configuration*: what a redeploy would start.

    ``matches`` says that the configuration equals the target's. ``managed`` is False for a service the profile does
    not know. ``exclusive`` says that a volume is mounted and stays: Railway itself ends the old copy before it
    starts a new one. ``loose`` are the kinds of its changes that no change set carries. ``sealed`` says that the
    daemon's flag is sealed: with which value its processes were started, nobody can tell.
    """

    name: str
    exists: bool = True
    managed: bool = True
    daemon: bool = False
    worker: bool = False
    matches: bool = True
    exclusive: bool = False
    sealed: bool = False
    loose: frozenset[str] = frozenset()
    deployments: tuple[Deployed, ...] = ()

    @property
    def scheduling(self) -> tuple[Deployed, ...]:
        """Deployments whose processes schedule or will."""
        return tuple(one for one in self.deployments if one.daemon and one.phase is not Phase.BROKEN)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A service as the profile wants it."""

    name: str
    daemon: bool = False
    worker: bool = False
    guard: Guard = "lease"
    is_database: bool = False
    deployable: bool = True
    """False for a service without a source: nothing can be started."""
    loose: frozenset[str] = frozenset()
    """What its creation leaves to do by mutations of their own."""


@dataclass(frozen=True, slots=True)
class Target:
    """What apply works towards. ``remove`` names services that the operator agreed to delete."""

    services: tuple[Wanted, ...]
    remove: frozenset[str] = frozenset()

    @property
    def daemon(self) -> Wanted | None:
        """The one service that schedules."""
        return next((wanted for wanted in self.services if wanted.daemon), None)


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything at one moment. ``beating`` are services' daemons that beat although Railway shows no process.

    ``failed`` maps services to the reason why their newest deployment of this run did not start.
    """

    services: tuple[Seen, ...]
    beating: frozenset[str] = frozenset()
    failed: dict[str, str] = field(default_factory=dict)
    unread: bool = False

    def service(self, name: str) -> Seen:
        """The service of that name; one that does not exist is returned as such."""
        for seen in self.services:
            if seen.name == name:
                return seen
        return Seen(name, exists=False, matches=False)
