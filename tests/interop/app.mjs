// A Node application as docs/node.md describes it: `node app.mjs VERB ARGUMENTS…` prints one line of JSON.
import { PrismaMariaDb } from "@prisma/adapter-mariadb";
import { PrismaClient } from "@prisma/client";
import { beat, enqueue, lead } from "./jobs.mjs";

const db = new PrismaClient({ adapter: new PrismaMariaDb(process.env.DATABASE_URL) });
const bigint = (text) => (text === undefined ? null : BigInt(text));
const verbs = {
  enqueue: (name, payload, key) => enqueue(db, name, JSON.parse(payload), key),
  later: async (name, milliseconds) =>
    (await db.jobRun.create({
      data: { jobName: name, status: "SCHEDULED", runAt: new Date(Date.now() + Number(milliseconds)) },
    })).id,
  job: (id) => db.jobRun.findUnique({ where: { id } }),
  processes: () => db.workerInstance.findMany(),
  schedules: () => db.jobSchedule.findMany(),
  logs: (id) => db.jobLog.findMany({ where: { jobRunId: id } }),
  beat: (id, kind) => beat(db, id, kind),
  lead: (id, token) => lead(db, id, bigint(token)),
};

const [verb, ...words] = process.argv.slice(2);
const answer = await verbs[verb](...words);
console.log(JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value)));
await db.$disconnect();
