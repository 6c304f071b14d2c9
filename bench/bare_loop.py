"""The limit: the statements that a queue cannot do without, in the tightest loop there is.

`python -m bench.bare_loop PORT BATCH` drains the table: the completion of one batch and the claim of the next share a
transaction. No handlers, no fence, no heartbeat, no retries.
"""

from __future__ import annotations

import sys

import pymysql

CLAIMABLE = """SELECT id FROM JobRun FORCE INDEX (JobRun_status_priority_runAt_id_idx)
WHERE status = 'QUEUED' AND runAt <= UTC_TIMESTAMP(3) ORDER BY priority, runAt, id LIMIT %s FOR UPDATE SKIP LOCKED"""
CLAIM = """UPDATE JobRun SET status = 'RUNNING', attempt = attempt + 1, workerId = 'bare', startedAt = UTC_TIMESTAMP(3)
WHERE id IN %s"""
COMPLETE = "UPDATE JobRun SET status = 'COMPLETED', finishedAt = UTC_TIMESTAMP(3) WHERE id IN %s"


def drain(port: int, batch: int) -> int:
    """How many jobs this process did."""
    connection = pymysql.connect(host="127.0.0.1", port=port, user="bench", database="runtime", ssl_disabled=True)
    done, held = 0, list[str]()
    with connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        cursor.execute("SET time_zone = '+00:00'")
        while True:
            cursor.execute("BEGIN")
            if held:
                cursor.execute(COMPLETE, (held,))
            cursor.execute(CLAIMABLE, (batch,))
            done, held = done + len(held), sorted(row[0] for row in cursor.fetchall())
            if held:
                cursor.execute(CLAIM, (held,))
            cursor.execute("COMMIT")
            if not held:
                return done


if __name__ == "__main__":
    print(drain(int(sys.argv[1]), int(sys.argv[2])))
