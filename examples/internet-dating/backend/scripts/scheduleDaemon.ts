// The schedule daemon. It starts only where it is said aloud that it should.
const ENABLED = process.env.SCHEDULE_DAEMON_ENABLED === 'true';
const POLL_INTERVAL_MS = parseInt(process.env.SCHEDULE_POLL_INTERVAL_MS || '60000', 10);

async function processSchedules(): Promise<void> {
  // reads JobSchedule, writes JobRun(status = QUEUED) for what is due
}

if (!ENABLED) {
  console.error('SCHEDULE_DAEMON_ENABLED is not true: not starting');
  process.exit(3);
}
console.log(`Starting schedule daemon (${process.env.NODE_ENV} mode)`);
console.log(`Polling every ${POLL_INTERVAL_MS / 1000}s`);
const timer = setInterval(() => void processSchedules(), POLL_INTERVAL_MS);
process.once('SIGTERM', () => clearInterval(timer));
