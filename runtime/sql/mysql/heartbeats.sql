-- :name register
INSERT INTO WorkerInstance (id, workerType, status, leaseUntil, service, deployment, replica, hostname, pid, profile,
                            pollIntervalMs, heartbeatIntervalMs)
VALUES (:id, :kind, :status, UTC_TIMESTAMP(3) + INTERVAL :lease_ms * 1000 MICROSECOND, :service, :deployment, :replica,
        :hostname, :pid, :profile, :poll_interval_ms, :heartbeat_interval_ms);

-- :name beat
-- beats + 1 and not only the time: two beats in the same millisecond must both count as a change.
UPDATE WorkerInstance
SET beats = beats + 1, lastHeartbeatAt = UTC_TIMESTAMP(3), loops = :loops,
    leaseUntil = UTC_TIMESTAMP(3) + INTERVAL :lease_ms * 1000 MICROSECOND
WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name beat_and_renew
-- The leading daemon's beat: both rows in one statement, because an idle daemon should ask the database for next to nothing.
UPDATE WorkerInstance w
LEFT JOIN SchedulerLease l
  ON l.name = 'scheduler' AND l.holderId = w.id AND l.token = :token AND l.expiresAt > UTC_TIMESTAMP(3)
SET w.beats = w.beats + 1, w.lastHeartbeatAt = UTC_TIMESTAMP(3), w.loops = :loops,
    w.leaseUntil = UTC_TIMESTAMP(3) + INTERVAL :lease_ms * 1000 MICROSECOND,
    l.beats = l.beats + 1, l.expiresAt = UTC_TIMESTAMP(3) + INTERVAL :ttl_ms * 1000 MICROSECOND
WHERE w.id = :id AND w.status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name set_status
UPDATE WorkerInstance SET status = :status WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name demote_others
UPDATE WorkerInstance SET status = 'STANDBY' WHERE workerType = :kind AND status = 'RUNNING' AND id <> :id;

-- :name deregister
UPDATE WorkerInstance SET status = 'STOPPED', stoppedAt = UTC_TIMESTAMP(3), lastHeartbeatAt = UTC_TIMESTAMP(3)
WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name fence
-- From outside: this process shall end. It learns it from its next beat, which finds no row that it may write.
UPDATE WorkerInstance SET status = 'STOPPED', stoppedAt = UTC_TIMESTAMP(3)
WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name status
SELECT status FROM WorkerInstance WHERE id = :id;

-- :name read
-- All columns by name: the table of a Node application may lack some of ours.
SELECT w.*, TIMESTAMPDIFF(MICROSECOND, w.lastHeartbeatAt, UTC_TIMESTAMP(3)) / 1000000 AS secondsAgo
FROM WorkerInstance w
ORDER BY w.lastHeartbeatAt DESC, w.id;

-- :name next_lapse
-- The process whose lease ends first: until then nobody can be found dead, so nobody needs to look. And whether jobs run
-- that nobody may have in hand: in the same statement, because an idle process should ask for next to nothing.
SELECT (SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), MIN(leaseUntil)) / 1000
        FROM WorkerInstance
        WHERE status IN ('RUNNING', 'STANDBY', 'DRAINING') AND leaseUntil IS NOT NULL AND id <> :me) AS remainingMs,
       EXISTS (SELECT 1 FROM JobRun j JOIN WorkerInstance w ON w.id = j.workerId
               WHERE j.status = 'RUNNING' AND w.status IN ('DEAD', 'STOPPED')) AS orphans,
       EXISTS (SELECT 1 FROM JobRun WHERE status = 'RUNNING' AND workerId = :me) AS mine;

-- :name lapsed
-- SKIP LOCKED: a row that somebody's open transaction holds waits, and nobody waits for it.
SELECT id FROM WorkerInstance
WHERE status IN ('RUNNING', 'STANDBY', 'DRAINING') AND leaseUntil < UTC_TIMESTAMP(3)
LIMIT 500 FOR UPDATE SKIP LOCKED;

-- :name declare_dead
UPDATE WorkerInstance SET status = 'DEAD', stoppedAt = UTC_TIMESTAMP(3) WHERE id IN :ids;

-- :name declare_predecessor_dead
-- A container that was restarted: same deployment, same replica, so the process before this one has ended.
UPDATE WorkerInstance SET status = 'DEAD', stoppedAt = UTC_TIMESTAMP(3)
WHERE status IN ('RUNNING', 'STANDBY', 'DRAINING') AND workerType = :kind AND id <> :id
  AND deployment = :deployment AND replica = :replica AND (pid IS NULL OR pid = :pid OR pid NOT IN :living);

-- :name prune
DELETE FROM WorkerInstance
WHERE (status = 'STOPPED' AND stoppedAt < UTC_TIMESTAMP(3) - INTERVAL :stopped_seconds SECOND)
   OR (status = 'DEAD' AND stoppedAt < UTC_TIMESTAMP(3) - INTERVAL :dead_seconds SECOND)
LIMIT 500;
