-- :name glance
-- The whole cost of an idle poll: is anything ready, and how long until the next future job is due?
-- The inner GROUP BY lets the server hop from one priority to the next in the claim's index, so that a hundred thousand
-- future jobs cost no more than one, without an index of their own.
SELECT EXISTS (SELECT 1 FROM JobRun WHERE status = 'QUEUED' AND runAt <= UTC_TIMESTAMP(3)) AS ready,
       (SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), MIN(firstRunAt)) / 1000
        FROM (SELECT MIN(runAt) AS firstRunAt FROM JobRun FORCE INDEX (JobRun_status_priority_runAt_id_idx)
              WHERE status = 'SCHEDULED' GROUP BY status, priority) AS future) AS nextDueMs;

-- :name due_priorities
-- The most urgent ones: an application may give each job a priority of its own, and each takes a transaction.
SELECT priority
FROM (SELECT priority, MIN(runAt) AS firstRunAt FROM JobRun FORCE INDEX (JobRun_status_priority_runAt_id_idx)
      WHERE status = 'SCHEDULED' GROUP BY status, priority) AS future
WHERE firstRunAt <= UTC_TIMESTAMP(3)
ORDER BY priority LIMIT 100;

-- :name promotable
-- Future jobs wait under their own status: among the ready ones, 50,000 of them made an empty poll 1000 times slower.
-- SKIP LOCKED: what somebody else holds, most likely to make it ready, keeps no other waiting.
SELECT id FROM JobRun FORCE INDEX (JobRun_status_priority_runAt_id_idx)
WHERE status = 'SCHEDULED' AND priority = :priority AND runAt <= UTC_TIMESTAMP(3)
ORDER BY runAt LIMIT 500
FOR UPDATE SKIP LOCKED;

-- :name promote
UPDATE JobRun SET status = 'QUEUED' WHERE id IN :ids AND status = 'SCHEDULED';

-- :name claimable
-- SKIP LOCKED: workers pass each other's candidates by instead of waiting for them. Names byte by byte, as handlers have
-- them: the server would take "mail " for "mail", and in a table that Prisma made also "Mail".
SELECT id, jobName, payload, attempt + 1, maxAttempts, timeoutSeconds, scheduleId, dueAt
FROM JobRun FORCE INDEX (JobRun_status_priority_runAt_id_idx)
WHERE status = 'QUEUED' AND runAt <= UTC_TIMESTAMP(3) AND CAST(jobName AS BINARY) IN :names
ORDER BY priority, runAt, id LIMIT :limit
FOR UPDATE SKIP LOCKED;

-- :name claim
UPDATE JobRun SET status = 'RUNNING', attempt = attempt + 1, workerId = :worker, startedAt = UTC_TIMESTAMP(3)
WHERE id IN :ids;

-- :name complete
-- Owner and attempt stand in the WHERE: whoever lost the job changes nothing. COMPLETED is allowed so that running this
-- again after a commit with an unknown outcome counts the same rows.
UPDATE JobRun SET status = 'COMPLETED', finishedAt = UTC_TIMESTAMP(3), activeKey = NULL, lastError = NULL
WHERE id IN :ids AND attempt = :attempt AND workerId = :worker AND status IN ('RUNNING', 'COMPLETED');

-- :name present_among
SELECT id FROM JobRun WHERE id IN :ids;

-- :name free_among
SELECT id FROM JobRun WHERE id IN :ids FOR UPDATE SKIP LOCKED;

-- :name retry
-- Somebody may have asked for its end a moment ago: then it does not run again. The same holds where a job is given back or its worker was lost.
UPDATE JobRun
SET status = CASE WHEN cancelRequested THEN 'CANCELLED' ELSE 'SCHEDULED' END,
    finishedAt = CASE WHEN cancelRequested THEN UTC_TIMESTAMP(3) END,
    activeKey = CASE WHEN cancelRequested THEN NULL ELSE activeKey END,
    runAt = UTC_TIMESTAMP(3) + INTERVAL :delay_ms * 1000 MICROSECOND, workerId = NULL, lastError = :error
WHERE id = :id AND attempt = :attempt AND workerId = :worker AND status = 'RUNNING';

-- :name fail
UPDATE JobRun SET status = 'FAILED', finishedAt = UTC_TIMESTAMP(3), activeKey = NULL, lastError = :error
WHERE id = :id AND attempt = :attempt AND workerId = :worker AND status IN ('RUNNING', 'FAILED');

-- :name acknowledge_cancel
UPDATE JobRun SET status = 'CANCELLED', finishedAt = UTC_TIMESTAMP(3), activeKey = NULL, lastError = :error
WHERE id = :id AND attempt = :attempt AND workerId = :worker AND status IN ('RUNNING', 'CANCELLED');

-- :name release
-- Given back unfinished: the attempt does not count.
UPDATE JobRun
SET status = CASE WHEN cancelRequested THEN 'CANCELLED' ELSE 'QUEUED' END,
    finishedAt = CASE WHEN cancelRequested THEN UTC_TIMESTAMP(3) END,
    activeKey = CASE WHEN cancelRequested THEN NULL ELSE activeKey END,
    attempt = attempt - 1, workerId = NULL, startedAt = NULL
WHERE id IN :ids AND attempt = :attempt AND workerId = :worker AND status = 'RUNNING';

-- :name enqueue_plain
-- A job about which nothing more was said: the columns' defaults say the rest.
INSERT INTO JobRun (id, jobName, payload)
VALUES (:id, :name, :payload);

-- :name enqueue
-- Apart from `enqueue_later`, because an expression in each of 500 rows costs the server a quarter of its speed.
INSERT INTO JobRun (id, jobName, payload, status, priority, runAt, maxAttempts, timeoutSeconds, activeKey)
VALUES (:id, :name, :payload, 'QUEUED', :priority, UTC_TIMESTAMP(3), :max_attempts, :timeout_seconds, :active_key);

-- :name enqueue_later
INSERT INTO JobRun (id, jobName, payload, status, priority, runAt, maxAttempts, timeoutSeconds, activeKey)
VALUES (:id, :name, :payload, 'SCHEDULED', :priority, UTC_TIMESTAMP(3) + INTERVAL :delay_ms * 1000 MICROSECOND, :max_attempts,
        :timeout_seconds, :active_key);

-- :name holder_of_key
SELECT id FROM JobRun WHERE activeKey = :active_key;

-- :name read
SELECT * FROM JobRun WHERE id = :id;

-- :name recent
SELECT * FROM JobRun ORDER BY queuedAt DESC, id DESC LIMIT :limit;

-- :name recent_in_status
-- By itself, so that the few rows of a rare status are found by it, however many finished jobs are kept.
SELECT * FROM JobRun WHERE status = :status ORDER BY queuedAt DESC, id DESC LIMIT :limit;

-- :name logs
SELECT attempt, level, message, createdAt FROM JobLog WHERE jobRunId = :id ORDER BY createdAt, id LIMIT :limit;

-- :name summary
-- Counted from the claim's index alone; only the waiting rows are read for their age. Beside 50,000 finished jobs MySQL
-- takes a twentieth of the time that looking at every row does.
SELECT s.status, s.jobs,
       CASE WHEN s.status = 'QUEUED'
            THEN (SELECT TIMESTAMPDIFF(MICROSECOND, MIN(queuedAt), UTC_TIMESTAMP(3)) / 1000000
                  FROM JobRun WHERE status = 'QUEUED') END AS oldestSeconds
FROM (SELECT status, COUNT(*) AS jobs FROM JobRun GROUP BY status) AS s;

-- :name by_hour
-- For a person who asks, never for a loop: it reads every finished job of the period. A job's wait counts from runAt, so
-- that a retry does not carry the wait of its first attempt.
SELECT FLOOR(TIMESTAMPDIFF(SECOND, finishedAt, UTC_TIMESTAMP(3)) / 3600) AS hoursAgo, COUNT(*) AS jobs,
       SUM(TIMESTAMPDIFF(MICROSECOND, startedAt, finishedAt)) / 1000000 AS busySeconds,
       SUM(TIMESTAMPDIFF(MICROSECOND, runAt, startedAt) > :patience_ms * 1000) AS late
FROM JobRun
WHERE status IN ('COMPLETED', 'FAILED') AND startedAt IS NOT NULL
  AND finishedAt > UTC_TIMESTAMP(3) - INTERVAL :seconds SECOND
GROUP BY hoursAgo ORDER BY hoursAgo;

-- :name waiting_names
SELECT jobName, COUNT(*) AS jobs FROM JobRun
WHERE status = 'QUEUED' AND runAt <= UTC_TIMESTAMP(3)
GROUP BY jobName ORDER BY jobName LIMIT 20;

-- :name cancel_waiting
UPDATE JobRun SET status = 'CANCELLED', cancelRequested = true, finishedAt = UTC_TIMESTAMP(3), activeKey = NULL
WHERE id = :id AND status IN ('SCHEDULED', 'QUEUED');

-- :name request_cancel
UPDATE JobRun SET cancelRequested = true WHERE id = :id AND status = 'RUNNING';

-- :name requeue
-- By hand, for a job that failed or was cancelled: it starts again with all its attempts.
UPDATE JobRun
SET status = 'QUEUED', attempt = 0, workerId = NULL, cancelRequested = false, startedAt = NULL, finishedAt = NULL,
    runAt = UTC_TIMESTAMP(3), queuedAt = UTC_TIMESTAMP(3)
WHERE id IN :ids AND status IN :statuses;

-- :name failed
SELECT id FROM JobRun
WHERE status = 'FAILED' AND id > :after AND (:job_name IS NULL OR jobName = :job_name)
ORDER BY id LIMIT 500;

-- :name cancelled_among
SELECT id FROM JobRun WHERE id IN :ids AND status = 'RUNNING' AND cancelRequested = true;

-- :name set_progress
UPDATE JobRun SET progress = :progress
WHERE id = :id AND attempt = :attempt AND workerId = :worker AND status = 'RUNNING';

-- :name write_log
-- Fenced like a completion: an attempt that was taken away says nothing more.
INSERT INTO JobLog (id, jobRunId, attempt, level, message)
SELECT :log_id, id, attempt, :level, :message FROM JobRun
WHERE id = :id AND attempt = :attempt AND workerId = :worker AND status = 'RUNNING';

-- :name running_among
SELECT id, attempt, workerId FROM JobRun WHERE id IN :ids AND status = 'RUNNING';

-- :name add_line
INSERT INTO JobLog (id, jobRunId, attempt, level, message)
VALUES (:log_id, :id, :attempt, :level, :message);

-- :name mine
SELECT id, attempt FROM JobRun WHERE status = 'RUNNING' AND workerId = :worker;

-- :name orphans
-- Running jobs whose process is gone. RUNNING rows are few, so the status alone finds them fast.
SELECT j.id, j.attempt, j.maxAttempts, j.workerId
FROM JobRun j LEFT JOIN WorkerInstance w ON w.id = j.workerId
WHERE j.status = 'RUNNING' AND j.workerId IS NOT NULL AND (w.id IS NULL OR w.status IN ('DEAD', 'STOPPED'))
ORDER BY j.id LIMIT 500;

-- :name requeue_orphan
-- The same attempt of the same process, or somebody else has dealt with it.
UPDATE JobRun
SET status = CASE WHEN cancelRequested THEN 'CANCELLED' ELSE 'SCHEDULED' END,
    finishedAt = CASE WHEN cancelRequested THEN UTC_TIMESTAMP(3) END,
    activeKey = CASE WHEN cancelRequested THEN NULL ELSE activeKey END,
    runAt = UTC_TIMESTAMP(3) + INTERVAL :delay_ms * 1000 MICROSECOND, workerId = NULL, lastError = :error
WHERE id = :id AND attempt = :attempt AND workerId = :worker AND status = 'RUNNING';

-- :name fail_orphan
UPDATE JobRun
SET status = 'FAILED', finishedAt = UTC_TIMESTAMP(3), activeKey = NULL, lastError = :error
WHERE id = :id AND attempt = :attempt AND workerId = :worker AND status = 'RUNNING';

-- :name finished_before
SELECT id FROM JobRun
WHERE status = :status AND runAt < UTC_TIMESTAMP(3) - INTERVAL :days DAY
  AND finishedAt < UTC_TIMESTAMP(3) - INTERVAL :days DAY
ORDER BY priority, runAt LIMIT 500;

-- :name prune_logs
DELETE FROM JobLog WHERE jobRunId IN :ids LIMIT :most;

-- :name prune
DELETE FROM JobRun WHERE id IN :ids AND status IN ('COMPLETED', 'FAILED', 'CANCELLED');
