-- :name facts
SELECT VERSION() AS version, UTC_TIMESTAMP(3) AS now, @@max_connections AS maxConnections, @@global.read_only AS readOnly;

-- :name connections
SHOW GLOBAL STATUS LIKE 'Threads_connected';

-- :name now
SELECT UTC_TIMESTAMP(3) AS now;

-- :name version_table
CREATE TABLE IF NOT EXISTS RuntimeMigration (
  version INT NOT NULL,
  name VARCHAR(191) NOT NULL,
  appliedAt DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  PRIMARY KEY (version)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- :name applied
SELECT version FROM RuntimeMigration ORDER BY version;

-- :name record
INSERT INTO RuntimeMigration (version, name) VALUES (:version, :name);
