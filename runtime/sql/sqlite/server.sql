-- :name facts
SELECT 'SQLite ' || sqlite_version() AS version, {now} AS now,
       NULL AS maxConnections, 0 AS readOnly;

-- :name connections
SELECT NULL AS Value;

-- :name transactions
SELECT NULL AS oldestSeconds, NULL AS historyLength;

-- :name oldest_transaction
SELECT NULL AS thread;

-- :name now
SELECT {now} AS now;

-- :name version_table
CREATE TABLE IF NOT EXISTS RuntimeMigration (
  version INTEGER NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  appliedAt TEXT NOT NULL DEFAULT ({now})
);

-- :name applied
SELECT version FROM RuntimeMigration ORDER BY version;

-- :name record
INSERT INTO RuntimeMigration (version, name) VALUES (:version, :name);
