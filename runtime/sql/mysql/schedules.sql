-- :name add
INSERT INTO JobSchedule (id, name, jobName, payload, enabled, cron, intervalSeconds, timezone, misfirePolicy, misfireMax,
                         graceSeconds, overlapPolicy, priority, maxAttempts, timeoutSeconds, source)
VALUES (:id, :name, :job_name, :payload, :enabled, :cron, :interval_seconds, :timezone, :misfire, :misfire_max,
        :grace_seconds, :overlap, :priority, :max_attempts, :timeout_seconds, 'CODE');

-- :name redefine
-- What code says wins over what the row says, except whether it is switched on: that is the operator's.
UPDATE JobSchedule
SET jobName = :job_name, payload = :payload, cron = :cron, intervalSeconds = :interval_seconds, timezone = :timezone,
    misfirePolicy = :misfire, misfireMax = :misfire_max, graceSeconds = :grace_seconds, overlapPolicy = :overlap,
    priority = :priority, maxAttempts = :max_attempts, timeoutSeconds = :timeout_seconds, source = 'CODE'
WHERE name = :name;

-- :name forget_next
UPDATE JobSchedule SET nextRunAt = NULL WHERE name = :name;

-- :name retire
UPDATE JobSchedule SET enabled = false, nextRunAt = NULL WHERE name = :name AND source = 'CODE';

-- :name read
SELECT s.*, UTC_TIMESTAMP(3) AS now FROM JobSchedule s ORDER BY s.name;

-- :name find
SELECT s.*, UTC_TIMESTAMP(3) AS now FROM JobSchedule s WHERE s.name = :name;

-- :name plan
-- First time after being switched on: nothing is overdue, the count starts now.
UPDATE JobSchedule SET nextRunAt = :next WHERE id = :id AND enabled = true AND nextRunAt IS NULL;

-- :name free
SELECT id FROM JobSchedule WHERE id = :id FOR UPDATE SKIP LOCKED;

-- :name there
SELECT id FROM JobSchedule WHERE id = :id;

-- :name advance
-- The watermark lastDueAt outlives the retention of JobRun, so a due time can never come back.
UPDATE JobSchedule SET lastDueAt = :due, nextRunAt = :next,
       lastRunAt = IF(:ran, UTC_TIMESTAMP(3), lastRunAt)
WHERE id = :id AND enabled = true AND nextRunAt = :expected AND (lastDueAt IS NULL OR lastDueAt < :due);

-- :name fire
INSERT INTO JobRun (id, jobName, payload, status, priority, runAt, maxAttempts, timeoutSeconds, scheduleId, dueAt, activeKey)
SELECT :run_id, jobName, payload, 'QUEUED', priority, UTC_TIMESTAMP(3), maxAttempts, timeoutSeconds, id, :due, :active_key
FROM JobSchedule WHERE id = :id;

-- :name record_missed
-- A run that did not happen leaves a row too, under the same unique key (scheduleId, dueAt): with all that a job of the
-- schedule gets, for somebody may start it by hand.
INSERT INTO JobRun (id, jobName, payload, status, priority, runAt, finishedAt, maxAttempts, timeoutSeconds, scheduleId,
                    dueAt, lastError)
SELECT :run_id, jobName, payload, 'CANCELLED', priority, :due, UTC_TIMESTAMP(3), maxAttempts, timeoutSeconds, id, :due, :reason
FROM JobSchedule WHERE id = :id;

-- :name enable
UPDATE JobSchedule SET enabled = true, nextRunAt = :next, pausedUntil = NULL WHERE name = :name AND enabled = false;

-- :name disable
UPDATE JobSchedule SET enabled = false, nextRunAt = NULL, pausedUntil = NULL WHERE name = :name;

-- :name pause
UPDATE JobSchedule SET pausedUntil = UTC_TIMESTAMP(3) + INTERVAL :seconds SECOND WHERE name = :name;

-- :name resume
-- Not NULL: what fell due up to here is the missed-run policy's.
UPDATE JobSchedule SET pausedUntil = UTC_TIMESTAMP(3) WHERE name = :name AND pausedUntil > UTC_TIMESTAMP(3);

-- :name run_now
INSERT INTO JobRun (id, jobName, payload, priority, maxAttempts, timeoutSeconds)
SELECT :run_id, jobName, payload, priority, maxAttempts, timeoutSeconds FROM JobSchedule WHERE name = :name;

-- :name ran_now
UPDATE JobSchedule SET lastRunAt = UTC_TIMESTAMP(3) WHERE name = :name;
