// Load: clients that each write their own thing and await its ack, from a process of its own.
// In: where to, how many, how long. Out: rate, latencies, the last acknowledged revisions, and the CPU that the load itself took.
// Never: a write counted before its ack.
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { connect } from "@nats-io/transport-node";
import { openLine, requestBytes } from "./lean-http.ts";

export interface Writing {
  readonly path: string;
  readonly token: string;
  readonly body: unknown;
}

export type Job =
  | {
      readonly to: "broker";
      readonly port: number;
      readonly writes: readonly Writing[];
      readonly seconds: number;
    }
  | {
      readonly to: "jetstream";
      readonly url: string;
      readonly token: string;
      readonly subjects: readonly string[];
      readonly bytes: number;
      readonly seconds: number;
    };

export interface Loaded {
  readonly acks: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of one core, that the load generator used. */
  readonly ownCpu: number;
  /** The last acknowledged revision of each client. */
  readonly last: readonly number[];
}

export interface Load extends AsyncDisposable {
  run(job: Job): Promise<Loaded>;
}

export function startLoad(): Load {
  const child = fork(fileURLToPath(import.meta.url), { execArgv: [] });
  const ended = once(child, "exit");
  return {
    async run(job) {
      child.send(job);
      const [answer] = await Promise.race([
        once(child, "message"),
        ended.then(() => Promise.reject(new Error("the load generator ended"))),
      ]);
      if (typeof answer === "string") throw new Error(answer);
      return answer as Loaded;
    },
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await ended;
    },
  };
}

/** One write of one client. @returns the revision that was acknowledged */
type Write = () => Promise<number>;

async function brokerClients(
  port: number,
  writes: readonly Writing[],
  stack: AsyncDisposableStack,
): Promise<Write[]> {
  return await Promise.all(
    writes.map(async ({ path, token, body }) => {
      const line = stack.use(await openLine(port));
      const bytes = requestBytes({ method: "PUT", path, token, body });
      return async () => {
        const { status, head, body } = await line.send(bytes);
        if (status !== 200 && status !== 201) throw new Error(`a write was answered ${status}: ${body}`);
        return Number(/\r\netag: "(\d+)"/i.exec(head)?.[1]);
      };
    }),
  );
}

async function jetStreamClients(
  job: Job & { to: "jetstream" },
  stack: AsyncDisposableStack,
): Promise<Write[]> {
  const nc = await connect({ servers: job.url, token: job.token });
  stack.defer(async () => await nc.close());
  const payload = "x".repeat(job.bytes);
  return job.subjects.map((subject) => async () => {
    const answer = await nc.request(subject, payload, { timeout: 10_000 });
    const { seq } = answer.json<{ seq?: number }>();
    if (seq === undefined) throw new Error(`a publish was answered ${answer.string()}`);
    return seq;
  });
}

async function runJob(job: Job): Promise<Loaded> {
  await using stack = new AsyncDisposableStack();
  const writes =
    job.to === "broker"
      ? await brokerClients(job.port, job.writes, stack)
      : await jetStreamClients(job, stack);
  const latencies: number[] = [];
  const last = writes.map(() => 0);
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  const endMs = began + job.seconds * 1000;
  await Promise.all(
    writes.map(async (write, client) => {
      for (let sent = began; sent < endMs; ) {
        const revision = await write();
        const now = performance.now();
        latencies.push(now - sent);
        if (!(revision > (last[client] as number))) throw new Error(`revision ${revision} does not rise`);
        last[client] = revision;
        sent = now;
      }
    }),
  );
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  latencies.sort((a, b) => a - b);
  const at = (share: number): number => latencies[Math.ceil(latencies.length * share) - 1] as number;
  return {
    acks: latencies.length,
    perSecond: latencies.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    ownCpu: (user + system) / 1e6 / seconds,
    last,
  };
}

if (import.meta.main) {
  process.on("message", (job: Job) => {
    runJob(job).then(
      (done) => process.send?.(done),
      (error: Error) => process.send?.(error.stack ?? error.message),
    );
  });
}
