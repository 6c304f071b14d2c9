-- The same tables as on MySQL. Times are text in UTC with milliseconds: 2026-01-31 23:59:59.123

CREATE TABLE IF NOT EXISTS WorkerInstance (
  id TEXT NOT NULL PRIMARY KEY,
  workerType TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'RUNNING' CHECK (status IN ('RUNNING', 'STANDBY', 'DRAINING', 'STOPPED', 'DEAD')),
  beats INTEGER NOT NULL DEFAULT 0,
  startedAt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  lastHeartbeatAt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  leaseUntil TEXT,
  stoppedAt TEXT,
  service TEXT,
  deployment TEXT,
  replica TEXT,
  hostname TEXT,
  pid INTEGER,
  profile TEXT,
  pollIntervalMs INTEGER,
  heartbeatIntervalMs INTEGER,
  loops TEXT
);
CREATE INDEX IF NOT EXISTS WorkerInstance_status_leaseUntil_idx ON WorkerInstance (status, leaseUntil);

CREATE TABLE IF NOT EXISTS JobSchedule (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  jobName TEXT NOT NULL,
  payload TEXT,
  enabled INTEGER NOT NULL DEFAULT 0,
  cron TEXT,
  intervalSeconds INTEGER,
  timezone TEXT NOT NULL DEFAULT 'UTC',
  misfirePolicy TEXT NOT NULL DEFAULT 'SKIP',
  misfireMax INTEGER NOT NULL DEFAULT 10,
  graceSeconds INTEGER NOT NULL DEFAULT 60,
  overlapPolicy TEXT NOT NULL DEFAULT 'ALLOW',
  priority INTEGER NOT NULL DEFAULT 0,
  maxAttempts INTEGER NOT NULL DEFAULT 3,
  timeoutSeconds INTEGER,
  source TEXT NOT NULL DEFAULT 'MANUAL',
  pausedUntil TEXT,
  nextRunAt TEXT,
  lastDueAt TEXT,
  lastRunAt TEXT,
  createdAt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
);
CREATE UNIQUE INDEX IF NOT EXISTS JobSchedule_name_key ON JobSchedule (name);

CREATE TABLE IF NOT EXISTS JobRun (
  id TEXT NOT NULL PRIMARY KEY,
  jobName TEXT NOT NULL,
  payload TEXT,
  status TEXT NOT NULL DEFAULT 'QUEUED'
    CHECK (status IN ('SCHEDULED', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
  priority INTEGER NOT NULL DEFAULT 0,
  runAt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  queuedAt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')),
  startedAt TEXT,
  finishedAt TEXT,
  attempt INTEGER NOT NULL DEFAULT 0,
  maxAttempts INTEGER NOT NULL DEFAULT 3,
  timeoutSeconds INTEGER,
  workerId TEXT,
  cancelRequested INTEGER NOT NULL DEFAULT 0,
  scheduleId TEXT,
  dueAt TEXT,
  activeKey TEXT,
  progress INTEGER,
  lastError TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS JobRun_scheduleId_dueAt_key ON JobRun (scheduleId, dueAt);
CREATE UNIQUE INDEX IF NOT EXISTS JobRun_activeKey_key ON JobRun (activeKey);
CREATE INDEX IF NOT EXISTS JobRun_status_priority_runAt_id_idx ON JobRun (status, priority, runAt, id);
CREATE INDEX IF NOT EXISTS JobRun_runAt_idx ON JobRun (runAt) WHERE status = 'SCHEDULED';

CREATE TABLE IF NOT EXISTS JobLog (
  id TEXT NOT NULL PRIMARY KEY,
  jobRunId TEXT NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  level TEXT NOT NULL DEFAULT 'info',
  message TEXT NOT NULL,
  createdAt TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now'))
);
CREATE INDEX IF NOT EXISTS JobLog_jobRunId_createdAt_idx ON JobLog (jobRunId, createdAt);

CREATE TABLE IF NOT EXISTS SchedulerLease (
  name TEXT NOT NULL PRIMARY KEY,
  holderId TEXT,
  token INTEGER NOT NULL DEFAULT 0,
  beats INTEGER NOT NULL DEFAULT 0,
  acquiredAt TEXT,
  expiresAt TEXT NOT NULL
);

INSERT INTO SchedulerLease (name, token, beats, expiresAt) VALUES ('scheduler', 0, 0, '1970-01-02 00:00:00.000');
