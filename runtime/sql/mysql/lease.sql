-- :name acquire
-- Only an ended lease can be taken, and each taking raises the token: who held it before is refused from now on.
UPDATE SchedulerLease
SET holderId = :holder, token = token + 1, acquiredAt = UTC_TIMESTAMP(3),
    expiresAt = UTC_TIMESTAMP(3) + INTERVAL :ttl_ms * 1000 MICROSECOND
WHERE name = 'scheduler' AND expiresAt <= UTC_TIMESTAMP(3);

-- :name held
SELECT token, acquiredAt FROM SchedulerLease
WHERE name = 'scheduler' AND holderId = :holder AND expiresAt > UTC_TIMESTAMP(3);

-- :name renew
UPDATE SchedulerLease
SET beats = beats + 1, expiresAt = UTC_TIMESTAMP(3) + INTERVAL :ttl_ms * 1000 MICROSECOND
WHERE name = 'scheduler' AND holderId = :holder AND token = :token AND expiresAt > UTC_TIMESTAMP(3);

-- :name guard
-- Inside the transaction that fires: a takeover must change this row and so waits for us, or has happened and we see it.
SELECT token FROM SchedulerLease
WHERE name = 'scheduler' AND holderId = :holder AND token = :token AND expiresAt > UTC_TIMESTAMP(3)
LOCK IN SHARE MODE;

-- :name resign
UPDATE SchedulerLease SET holderId = NULL, expiresAt = '1970-01-02'
WHERE name = 'scheduler' AND holderId = :holder AND token = :token;

-- :name read
SELECT holderId, token, TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), expiresAt) / 1000000 AS expiresInSeconds
FROM SchedulerLease WHERE name = 'scheduler';
