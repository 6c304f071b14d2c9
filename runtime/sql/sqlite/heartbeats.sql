-- :name register
INSERT INTO WorkerInstance (id, workerType, status, leaseUntil, service, deployment, replica, hostname, pid, profile,
                            pollIntervalMs, heartbeatIntervalMs)
VALUES (:id, :kind, :status, {now plus :lease_ms}, :service,
        :deployment, :replica, :hostname, :pid, :profile, :poll_interval_ms, :heartbeat_interval_ms);

-- :name beat
UPDATE WorkerInstance
SET beats = beats + 1, lastHeartbeatAt = {now}, loops = :loops,
    leaseUntil = {now plus :lease_ms}
WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name set_status
UPDATE WorkerInstance SET status = :status WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name demote_others
UPDATE WorkerInstance SET status = 'STANDBY' WHERE workerType = :kind AND status = 'RUNNING' AND id <> :id;

-- :name deregister
UPDATE WorkerInstance
SET status = 'STOPPED', stoppedAt = {now},
    lastHeartbeatAt = {now}
WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name fence
-- From outside: this process shall end. It learns it from its next beat, which finds no row that it may write.
UPDATE WorkerInstance SET status = 'STOPPED', stoppedAt = {now}
WHERE id = :id AND status IN ('RUNNING', 'STANDBY', 'DRAINING');

-- :name status
SELECT status FROM WorkerInstance WHERE id = :id;

-- :name read
SELECT w.*, (julianday('now') - julianday(w.lastHeartbeatAt)) * 86400.0 AS secondsAgo
FROM WorkerInstance w
ORDER BY w.lastHeartbeatAt DESC, w.id;

-- :name next_lapse
-- The process whose lease ends first: until then nobody can be found dead, so nobody needs to look. And whether jobs run
-- that nobody may have in hand: in the same statement, because an idle process should ask for next to nothing.
SELECT (SELECT (julianday(MIN(leaseUntil)) - julianday('now')) * 86400000.0
        FROM WorkerInstance
        WHERE status IN ('RUNNING', 'STANDBY', 'DRAINING') AND leaseUntil IS NOT NULL AND id <> :me) AS remainingMs,
       EXISTS (SELECT 1 FROM JobRun j JOIN WorkerInstance w ON w.id = j.workerId
               WHERE j.status = 'RUNNING' AND w.status IN ('DEAD', 'STOPPED')) AS orphans,
       EXISTS (SELECT 1 FROM JobRun WHERE status = 'RUNNING' AND workerId = :me) AS mine;

-- :name lapsed
SELECT id FROM WorkerInstance
WHERE status IN ('RUNNING', 'STANDBY', 'DRAINING') AND leaseUntil < {now} LIMIT 500;

-- :name declare_dead
UPDATE WorkerInstance SET status = 'DEAD', stoppedAt = {now} WHERE id IN {each :ids};

-- :name declare_predecessor_dead
UPDATE WorkerInstance SET status = 'DEAD', stoppedAt = {now}
WHERE status IN ('RUNNING', 'STANDBY', 'DRAINING') AND workerType = :kind AND id <> :id
  AND deployment = :deployment AND replica = :replica AND (pid IS NULL OR pid = :pid OR pid NOT IN {each :living});

-- :name prune
DELETE FROM WorkerInstance
WHERE (status = 'STOPPED' AND stoppedAt < strftime('%Y-%m-%d %H:%M:%f', 'now', -:stopped_seconds || ' seconds'))
   OR (status = 'DEAD' AND stoppedAt < strftime('%Y-%m-%d %H:%M:%f', 'now', -:dead_seconds || ' seconds'));
