-- :name facts
SELECT VERSION() AS version, UTC_TIMESTAMP(3) AS now, @@max_connections AS maxConnections, @@global.read_only AS readOnly;

-- :name connections
SHOW GLOBAL STATUS LIKE 'Threads_connected';

-- :name transactions
-- trx_started is in the time zone of the server's machine, whatever the session's is.
SELECT (SELECT GREATEST(0, COALESCE(MAX(TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))), 0))
        FROM information_schema.innodb_trx WHERE trx_mysql_thread_id <> CONNECTION_ID()) AS oldestSeconds,
       (SELECT `COUNT` FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len') AS historyLength;

-- :name oldest_transaction
-- Whose it is: what KILL takes.
SELECT trx_mysql_thread_id AS thread FROM information_schema.innodb_trx
WHERE trx_mysql_thread_id NOT IN (0, CONNECTION_ID()) ORDER BY trx_started LIMIT 1;

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
