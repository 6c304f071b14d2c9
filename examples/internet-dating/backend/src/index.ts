// The web server; with EMBEDDED_JOB_WORKER=true it also works on jobs.
import { createServer } from 'node:http';

const PORT = parseInt(process.env.PORT || '8080', 10);

createServer((request, response) => {
  response.writeHead(request.url === '/health' ? 200 : 404).end();
}).listen(PORT, () => {
  console.log(`[server] PORT=${PORT} NODE_ENV=${process.env.NODE_ENV}`);
});

const ENABLE_WORKER = process.env.EMBEDDED_JOB_WORKER === 'true';
if (ENABLE_WORKER) {
  console.log('[server] Starting embedded job worker');
  import('./workers/jobWorker.js')
    .then((module) => module.startJobWorker())
    .catch((error) => console.error('[server] Failed to start job worker:', error));
}
