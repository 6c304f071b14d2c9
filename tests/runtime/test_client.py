from __future__ import annotations

from typing import Any

import pytest

from runtime import client, jobs
from runtime.db import Database, Unreachable


def test_an_enqueue_whose_answer_is_lost_adds_one_job(db: Database, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    execute, lost = Database.execute, list[str]()

    def lose_the_first_answer(self: Database, query: str, **parameters: Any) -> int:
        count = execute(self, query, **parameters)
        if not lost:
            lost.append(query)
            raise Unreachable("the connection broke")
        return count

    monkeypatch.setattr(Database, "execute", lose_the_first_answer)
    job_id = client.enqueue("mail", {"a": 1})
    assert lost == ["jobs.enqueue"]
    assert [row.id for row in jobs.recent(db)] == [job_id]
