-- The four shared tables in Prisma's conventions, and the daemon's lease.
-- Defaults let anyone enqueue with a plain INSERT INTO JobRun (id, jobName, payload); UTC_TIMESTAMP because
-- CURRENT_TIMESTAMP would follow the time zone of whatever session inserts.
-- Binary collation: comparing ids by Unicode's rules took two thirds of the time of every update, and job names are
-- exact words. Each further index on JobRun costs every claim and completion; one serves all of the runtime's questions.

CREATE TABLE IF NOT EXISTS WorkerInstance (
  id VARCHAR(191) NOT NULL,
  workerType VARCHAR(191) NOT NULL,
  status ENUM('RUNNING', 'STANDBY', 'DRAINING', 'STOPPED', 'DEAD') NOT NULL DEFAULT 'RUNNING',
  beats BIGINT NOT NULL DEFAULT 0,
  startedAt DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  lastHeartbeatAt DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  leaseUntil DATETIME(3) NULL,
  stoppedAt DATETIME(3) NULL,
  service VARCHAR(191) NULL,
  deployment VARCHAR(191) NULL,
  replica VARCHAR(191) NULL,
  hostname VARCHAR(191) NULL,
  pid INT NULL,
  profile VARCHAR(191) NULL,
  pollIntervalMs INT NULL,
  heartbeatIntervalMs INT NULL,
  loops JSON NULL,
  PRIMARY KEY (id),
  KEY WorkerInstance_status_leaseUntil_idx (status, leaseUntil)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS JobSchedule (
  id VARCHAR(191) NOT NULL,
  name VARCHAR(191) NOT NULL,
  jobName VARCHAR(191) NOT NULL,
  payload JSON NULL,
  enabled BOOLEAN NOT NULL DEFAULT false,
  cron VARCHAR(191) NULL,
  intervalSeconds INT NULL,
  timezone VARCHAR(191) NOT NULL DEFAULT 'UTC',
  misfirePolicy VARCHAR(191) NOT NULL DEFAULT 'SKIP',
  misfireMax INT NOT NULL DEFAULT 10,
  graceSeconds INT NOT NULL DEFAULT 60,
  overlapPolicy VARCHAR(191) NOT NULL DEFAULT 'ALLOW',
  priority INT NOT NULL DEFAULT 0,
  maxAttempts INT NOT NULL DEFAULT 3,
  timeoutSeconds INT NULL,
  source VARCHAR(191) NOT NULL DEFAULT 'MANUAL',
  pausedUntil DATETIME(3) NULL,
  nextRunAt DATETIME(3) NULL,
  lastDueAt DATETIME(3) NULL,
  lastRunAt DATETIME(3) NULL,
  createdAt DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  PRIMARY KEY (id),
  UNIQUE KEY JobSchedule_name_key (name)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS JobRun (
  id VARCHAR(191) NOT NULL,
  jobName VARCHAR(191) NOT NULL,
  payload JSON NULL,
  status ENUM('SCHEDULED', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED') NOT NULL DEFAULT 'QUEUED',
  priority INT NOT NULL DEFAULT 0,
  runAt DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  queuedAt DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  startedAt DATETIME(3) NULL,
  finishedAt DATETIME(3) NULL,
  attempt INT NOT NULL DEFAULT 0,
  maxAttempts INT NOT NULL DEFAULT 3,
  timeoutSeconds INT NULL,
  workerId VARCHAR(191) NULL,
  cancelRequested BOOLEAN NOT NULL DEFAULT false,
  scheduleId VARCHAR(191) NULL,
  dueAt DATETIME(3) NULL,
  activeKey VARCHAR(191) NULL,
  progress INT NULL,
  lastError TEXT NULL,
  PRIMARY KEY (id),
  UNIQUE KEY JobRun_scheduleId_dueAt_key (scheduleId, dueAt),
  UNIQUE KEY JobRun_activeKey_key (activeKey),
  KEY JobRun_status_priority_runAt_id_idx (status, priority, runAt, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS JobLog (
  id VARCHAR(191) NOT NULL,
  jobRunId VARCHAR(191) NOT NULL,
  attempt INT NOT NULL DEFAULT 0,
  level VARCHAR(191) NOT NULL DEFAULT 'info',
  message TEXT NOT NULL,
  createdAt DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
  PRIMARY KEY (id),
  KEY JobLog_jobRunId_createdAt_idx (jobRunId, createdAt)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS SchedulerLease (
  name VARCHAR(191) NOT NULL,
  holderId VARCHAR(191) NULL,
  token BIGINT NOT NULL DEFAULT 0,
  beats BIGINT NOT NULL DEFAULT 0,
  acquiredAt DATETIME(3) NULL,
  expiresAt DATETIME(3) NOT NULL,
  PRIMARY KEY (name)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO SchedulerLease (name, token, beats, expiresAt) VALUES ('scheduler', 0, 0, '1970-01-02');
