"""What worker and daemon have in common at their start and end."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TypeVar

from runtime import heartbeats, log, migrations
from runtime.db import Conflict, Database, Unreachable, connect
from runtime.db.pool import Pool
from runtime.loop import Bell, Outage, Stop
from runtime.settings import Settings

T = TypeVar("T")

MARGIN_SECONDS = 3.0
DEFAULT_DRAINING_SECONDS = 10


pools: dict[tuple[int, str], Pool] = {}
"""The connections of a process by its number and the URL: what else it has to say there, it says over one of them."""


def pool(settings: Settings) -> Pool:
    """The connections of a new worker, daemon or web server, as many as DATABASE_CONNECTION_LIMIT allows."""
    url = settings.require_database_url()
    # Every loop looks for the dead at least once in a lease of liveness.
    idle_seconds = 3 + 2 * math.ceil(heartbeats.lease_ms(settings.heartbeat_interval_ms) / 1000)
    limit = settings.database_connection_limit
    connections = Pool(lambda: connect(url, create=True), limit, idle_seconds=idle_seconds)
    pools[os.getpid(), url] = connections
    return connections


def insist(who: str, stop: Stop, bell: Bell, action: Callable[[], T]) -> T | None:
    """Do it, however long the database takes to appear; None when told to stop before.

    On Railway a private name may not resolve for a while after the start. Raises `DatabaseError` for what waiting does
    not cure, such as a wrong password.
    """
    outage = Outage(who)
    while not stop.requested:
        try:
            result = action()
            outage.over()
            return result
        except (Unreachable, Conflict) as error:
            bell.wait(outage.failed(error))
    return None


def open_tables(who: str, connections: Pool) -> Database:
    """A connection to tables that are up to date."""
    db = connections.reserve()
    try:
        for name in migrations.migrate(db):
            log.info(f"{who} applied migration {name}")
    except BaseException:
        connections.release(db)
        raise
    return db


def drain_seconds(settings: Settings) -> float:
    """How long jobs may go on after SIGTERM: the platform's window less what it takes to write everything down."""
    window = settings.railway_deployment_draining_seconds
    if window is None:
        window = DEFAULT_DRAINING_SECONDS
    return max(0.0, window - min(MARGIN_SECONDS, window / 3))


def warn_about_draining(who: str, settings: Settings, needed_seconds: int = 5) -> None:
    """Railway's default is 0 seconds between SIGTERM and SIGKILL (Railway docs: deployment teardown)."""
    if settings.railway_deployment_id is None:
        return
    window = settings.railway_deployment_draining_seconds or 0
    if window < needed_seconds:
        log.warning(
            f"{who} ⚠️  RAILWAY_DEPLOYMENT_DRAINING_SECONDS is {window}: a deploy kills this process after {window}s. "
            f"Nothing is lost, but work is done twice. Set it to 30"
        )
