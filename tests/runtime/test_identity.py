from __future__ import annotations

import uuid
from itertools import pairwise

from runtime.identity import JOB_WORKER, SCHEDULE_DAEMON, Identity, new_id
from tests.runtime.support import settings


def test_an_id_is_a_uuid_of_version_seven() -> None:
    parsed = uuid.UUID(new_id())
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_ids_differ_and_hardly_ever_step_back() -> None:
    ids = [new_id() for _ in range(5000)]
    assert len(set(ids)) == 5000
    steps_back = sum(later < earlier for earlier, later in pairwise(ids))
    assert steps_back < 500, "rising, but for neighbours within a quarter of a microsecond"


def test_each_kind_shows_its_own_poll_interval() -> None:
    known = settings(SCHEDULE_POLL_INTERVAL_MS="3600000", JOB_WORKER_POLL_INTERVAL_MS="30000")
    assert Identity.of(SCHEDULE_DAEMON, known).poll_interval_ms == 3_600_000
    assert Identity.of(JOB_WORKER, known).poll_interval_ms == 30_000
