"""DK9: what only the running system can tell. Found by `verify` and `doctor`; listed here so that there is one list."""

from __future__ import annotations

from deploykit.findings import Severity
from deploykit.rules._rule import rule

_LIVE = "needs Railway: run `deploykit verify`"
_LIVE_DATABASE = "needs the database: run `deploykit verify`"


@rule(
    "DK901",
    Severity.ERROR,
    title="a service that the profile does not know runs one of its processes",
    fix="unsafe",
    skipped=_LIVE,
)
def ghost_service() -> None:
    """A forgotten service with the daemon's command or flags schedules beside the real one. `deploykit ghosts` ends it
    after confirmation.
    """


@rule(
    "DK902",
    Severity.ERROR,
    title="a service runs with other variables than the profile says",
    fix="unsafe",
    skipped=_LIVE,
)
def stale_configuration() -> None:
    """A variable was changed and never deployed, or changed by hand: what runs is not what is written."""


@rule("DK903", Severity.ERROR, title="more than one daemon instance", skipped=_LIVE)
def second_instance() -> None:
    """Two active deployments, or two instances of one, are two daemons."""


@rule("DK904", Severity.WARNING, title="changes are staged in the dashboard and not applied", skipped=_LIVE)
def staged_changes() -> None:
    """The next person who presses Deploy applies them together with yours."""


@rule("DK905", Severity.WARNING, title="a deployment with old variables is on its way", fix="unsafe", skipped=_LIVE)
def stale_deployment() -> None:
    """It was queued before the flags changed, and starts with the old ones."""


@rule("DK906", Severity.ERROR, title="a heartbeat from nowhere", skipped=_LIVE_DATABASE)
def foreign_heartbeat() -> None:
    """A process outside Railway, a laptop say, works on this database: its deployment is unknown to Railway."""


@rule(
    "DK907",
    Severity.WARNING,
    title="the database allows fewer connections than the profile assumes",
    skipped=_LIVE_DATABASE,
)
def assumed_connections() -> None:
    """The connection budget was computed with another `max_connections` than the server has."""
