// The no-op job in BullMQ's words: `fill N` adds N jobs in bulk, `work` works them off until it is told to end.
// Found through NODE_PATH, in the environment of the peers.
const { Queue, Worker } = require("bullmq");

const connection = { host: "127.0.0.1", port: Number(process.env.PEER_REDIS_PORT) };

async function fill(count) {
  const queue = new Queue("bench", { connection });
  for (let sent = 0; sent < count; sent += 500) {
    await queue.addBulk(Array.from({ length: Math.min(500, count - sent) }, () => ({ name: "noop", data: {} })));
  }
  await queue.close();
}

function work() {
  const worker = new Worker("bench", async () => {}, { connection, concurrency: 100 });
  process.on("SIGTERM", () => worker.close().then(() => process.exit(0)));
}

const [verb, count] = process.argv.slice(2);
if (verb === "fill") {
  fill(Number(count));
} else {
  work();
}
