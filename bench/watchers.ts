// Watchers: many lean connections that only count and time what they are told, in a process of their own.
// In: where to, how many, what the last value says. Out: deliveries, their latencies, when the last value was everywhere, the CPU of counting.
// Never: a delivery that was not read from a socket.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { percentile } from "./table.ts";

export interface WatchJob {
  readonly port: number;
  /** Sent on each connection. */
  readonly hello: string;
  readonly connections: number;
  /** What a connection says when it is ready: SSE's `stream.live`, NATS's `PONG`. */
  readonly readyMark: string;
}

export interface Counted {
  readonly deliveries: number;
  /** From the first to the last delivery, in seconds. */
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** When every connection had the last value, in ms since 1970. */
  readonly everywhereMs: number;
  /** Of one core. */
  readonly ownCpu: number;
}

type Ask = { readonly open: WatchJob } | { readonly expect: number };

export interface Watchers extends AsyncDisposable {
  /** Resolves when all are ready. */
  open(job: WatchJob): Promise<void>;
  /** Starts to count; resolves when every connection has this value. */
  untilAllHave(value: number): Promise<Counted>;
}

export function startWatchers(): Watchers {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), { execArgv: [] });
  const ended = once(child, "exit");
  async function ask<T>(question: Ask): Promise<T> {
    child.send(question);
    const [answer] = await Promise.race([
      once(child, "message"),
      ended.then(() => Promise.reject(new Error("the watchers ended"))),
    ]);
    if (typeof answer === "string") throw new Error(answer);
    return answer as T;
  }
  return {
    open: async (job) => await ask({ open: job }),
    untilAllHave: async (value) => await ask({ expect: value }),
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await ended;
    },
  };
}

/** What a value looks like on any wire: its number, and when it was sent, in µs since 1970. */
export function stamped(n: number): { n: number; t: number } {
  return { n, t: Math.round((performance.timeOrigin + performance.now()) * 1000) };
}

const stamp = /"n":(\d+),"t":(\d{16})/g;
/** The longest stamp; it may be cut in two. */
const tailLength = 40;
const ping = "PING\r\n";

interface Counting {
  readonly last: Int32Array;
  readonly latencies: number[];
  wanted: number;
  missing: number;
  firstMs: number;
  lastMs: number;
  done: (counted: Counted) => void;
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

async function openAll(job: WatchJob, counting: Counting): Promise<Socket[]> {
  const sockets: Socket[] = [];
  // A hundred at a time: the listening socket's queue is short.
  for (let from = 0; from < job.connections; from += 100) {
    const some = Array.from({ length: Math.min(100, job.connections - from) }, (_, at) =>
      openOne(job, from + at, counting),
    );
    sockets.push(...(await Promise.all(some)));
  }
  return sockets;
}

function openOne(job: WatchJob, index: number, counting: Counting): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: job.port, host: "127.0.0.1", noDelay: true });
    let isReady = false;
    let tail = "";
    socket.on("error", reject);
    socket.on("close", () => {
      throw new Error(`connection ${index} was closed: ${tail}`);
    });
    socket.on("connect", () => socket.write(job.hello));
    socket.on("data", (bytes) => {
      const text = tail + bytes.toString("latin1");
      if (!isReady) {
        tail = text;
        if (!text.includes(job.readyMark)) return;
        isReady = true;
        tail = "";
        return resolve(socket);
      }
      // NATS wants to know now and then that its client lives.
      if (text.endsWith(ping)) socket.write("PONG\r\n");
      const read = count(text, index, counting);
      tail = text.slice(Math.max(read, text.length - tailLength));
    });
  });
}

/** @returns up to where the text was read */
function count(text: string, index: number, counting: Counting): number {
  const at = nowMs();
  let read = 0;
  stamp.lastIndex = 0;
  for (let found = stamp.exec(text); found !== null; found = stamp.exec(text)) {
    read = stamp.lastIndex;
    const n = Number(found[1]);
    counting.latencies.push(at - Number(found[2]) / 1000);
    counting.firstMs ||= at;
    counting.lastMs = at;
    if (n > (counting.last[index] as number)) {
      counting.last[index] = n;
      if (n === counting.wanted && --counting.missing === 0) finish(counting);
    }
  }
  return read;
}

let cpuBefore = process.cpuUsage();

function finish(counting: Counting): void {
  const { latencies, firstMs, lastMs } = counting;
  const { user, system } = process.cpuUsage(cpuBefore);
  const seconds = (lastMs - firstMs) / 1000;
  counting.done({
    deliveries: latencies.length,
    seconds,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    everywhereMs: lastMs,
    ownCpu: (user + system) / 1e6 / Math.max(seconds, 1e-3),
  });
}

if (import.meta.main) {
  let sockets: Socket[] = [];
  const counting: Counting = {
    last: new Int32Array(100_000),
    latencies: [],
    wanted: -1,
    missing: 0,
    firstMs: 0,
    lastMs: 0,
    done: () => undefined,
  };
  process.on("disconnect", () => process.exit(0));
  const answer = (value: unknown): void => void process.send?.(value);
  process.on("message", async (question: Ask) => {
    try {
      if ("open" in question) {
        counting.last.fill(0);
        sockets = await openAll(question.open, counting);
        answer({});
      } else {
        counting.latencies.length = 0;
        counting.firstMs = 0;
        counting.wanted = question.expect;
        counting.missing = sockets.length;
        cpuBefore = process.cpuUsage();
        counting.done = answer;
      }
    } catch (error) {
      answer((error as Error).message);
    }
  });
}
