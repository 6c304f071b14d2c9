-- :name create
CREATE TABLE IF NOT EXISTS DeploykitLock (
  name TEXT NOT NULL PRIMARY KEY,
  holder TEXT NULL,
  token INTEGER NOT NULL DEFAULT 0,
  acquiredAt TEXT NULL,
  renewedAt TEXT NULL,
  expiresAt TEXT NOT NULL
);

-- :name seed
INSERT INTO DeploykitLock (name, expiresAt) VALUES ('apply', '1970-01-02 00:00:00.000');

-- :name acquire
UPDATE DeploykitLock
SET holder = :holder, token = token + 1, acquiredAt = {now}, renewedAt = {now}, expiresAt = {now plus :ttl_ms}
WHERE name = 'apply' AND expiresAt <= {now};

-- :name renew
UPDATE DeploykitLock SET renewedAt = {now}, expiresAt = {now plus :ttl_ms}
WHERE name = 'apply' AND holder = :holder AND token = :token AND expiresAt > {now};

-- :name release
UPDATE DeploykitLock SET holder = NULL, expiresAt = '1970-01-02 00:00:00.000'
WHERE name = 'apply' AND holder = :holder AND token = :token;

-- :name read
SELECT holder, token,
       (julianday('now') - julianday(acquiredAt)) * 86400.0 AS heldSeconds,
       (julianday('now') - julianday(renewedAt)) * 86400.0 AS renewedSecondsAgo,
       (julianday(expiresAt) - julianday('now')) * 86400.0 AS expiresInSeconds
FROM DeploykitLock WHERE name = 'apply';
