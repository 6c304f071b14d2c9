-- The lock of `deploykit apply`, in a table of its own: a Node application's database has no other of ours.

-- :name create
CREATE TABLE IF NOT EXISTS DeploykitLock (
  name VARCHAR(191) NOT NULL,
  holder VARCHAR(191) NULL,
  token BIGINT NOT NULL DEFAULT 0,
  acquiredAt DATETIME(3) NULL,
  renewedAt DATETIME(3) NULL,
  expiresAt DATETIME(3) NOT NULL,
  PRIMARY KEY (name)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- :name seed
INSERT INTO DeploykitLock (name, expiresAt) VALUES ('apply', '1970-01-02');

-- :name acquire
-- Only an ended lock can be taken, and each taking raises the token: a holder who slept too long cannot renew.
UPDATE DeploykitLock
SET holder = :holder, token = token + 1, acquiredAt = UTC_TIMESTAMP(3), renewedAt = UTC_TIMESTAMP(3),
    expiresAt = UTC_TIMESTAMP(3) + INTERVAL :ttl_ms * 1000 MICROSECOND
WHERE name = 'apply' AND expiresAt <= UTC_TIMESTAMP(3);

-- :name renew
UPDATE DeploykitLock
SET renewedAt = UTC_TIMESTAMP(3), expiresAt = UTC_TIMESTAMP(3) + INTERVAL :ttl_ms * 1000 MICROSECOND
WHERE name = 'apply' AND holder = :holder AND token = :token AND expiresAt > UTC_TIMESTAMP(3);

-- :name release
UPDATE DeploykitLock SET holder = NULL, expiresAt = '1970-01-02'
WHERE name = 'apply' AND holder = :holder AND token = :token;

-- :name read
SELECT holder, token,
       TIMESTAMPDIFF(MICROSECOND, acquiredAt, UTC_TIMESTAMP(3)) / 1000000 AS heldSeconds,
       TIMESTAMPDIFF(MICROSECOND, renewedAt, UTC_TIMESTAMP(3)) / 1000000 AS renewedSecondsAgo,
       TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), expiresAt) / 1000000 AS expiresInSeconds
FROM DeploykitLock WHERE name = 'apply';
