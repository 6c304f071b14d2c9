-- :name acquire
UPDATE SchedulerLease
SET holderId = :holder, token = token + 1, acquiredAt = {now},
    expiresAt = {now plus :ttl_ms}
WHERE name = 'scheduler' AND expiresAt <= {now};

-- :name held
SELECT token, acquiredAt FROM SchedulerLease
WHERE name = 'scheduler' AND holderId = :holder AND expiresAt > {now};

-- :name renew
UPDATE SchedulerLease
SET beats = beats + 1, expiresAt = {now plus :ttl_ms}
WHERE name = 'scheduler' AND holderId = :holder AND token = :token
  AND expiresAt > {now};

-- :name guard
-- The transaction is the only writer already (BEGIN IMMEDIATE), so a plain read is enough.
SELECT token FROM SchedulerLease
WHERE name = 'scheduler' AND holderId = :holder AND token = :token
  AND expiresAt > {now};

-- :name resign
UPDATE SchedulerLease SET holderId = NULL, expiresAt = '1970-01-02 00:00:00.000'
WHERE name = 'scheduler' AND holderId = :holder AND token = :token;

-- :name read
SELECT holderId, token, (julianday(expiresAt) - julianday('now')) * 86400.0 AS expiresInSeconds
FROM SchedulerLease WHERE name = 'scheduler';
