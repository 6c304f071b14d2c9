// The job worker: in the web process, or as a service of its own.
const POLL_INTERVAL_MS = parseInt(process.env.JOB_WORKER_POLL_INTERVAL_MS || '5000', 10);

async function processNextJob(): Promise<boolean> {
  return false; // takes one job of JobRun, atomically, and runs it
}

export function startJobWorker(): void {
  console.log('Job worker starting');
  console.log(`Job worker poll interval: ${POLL_INTERVAL_MS}ms`);
  const timer = setInterval(() => void processNextJob(), POLL_INTERVAL_MS);
  process.once('SIGTERM', () => clearInterval(timer));
}

if (import.meta.url === `file://${process.argv[1]}`) {
  startJobWorker();
}
