// Fan-out: a thousand connections watch one property that changes 300 times, back to back and 20 times a second;
// beside raw NATS subscribers of a stream on the same fsync settings. And what a watcher costs that hears nothing.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { openLine, register, requestBytes } from "./lean-http.ts";
import { startRawJetStream } from "./raw-jetstream.ts";
import { rssMiB, startBroker, untilQuiet } from "./running.ts";
import { median, ms, table, whole } from "./table.ts";
import { type Counted, stamped, startWatchers, type WatchJob } from "./watchers.ts";

const connections = 1_000;
const changes = 300;
const slowChanges = 100;
const perSecond = 20;
const rounds = 3;
const idle = 5_000;
const idleKiBMax = 27;
/** As the lanes are shown. */
const [rawNats, tidings] = ["raw JetStream, core subscribers", "Tidings, SSE"];

interface Lane {
  readonly name: string;
  readonly job: WatchJob;
  /** How values are made known; each is durable when its publishing resolves. */
  readonly open: () => Promise<Publisher>;
}

interface Publisher extends Disposable {
  publish(value: { n: number; t: number }): Promise<unknown>;
}

interface Measured {
  readonly perSecond: number;
  /** From the first publish to the last value on the last connection. */
  readonly everywhereMs: number;
  /** From the last publish on. */
  readonly afterLastMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** @returns true if the bounds of performance.md hold */
export async function benchFanOut(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const lanes = [
    await natsLane(join(folder, "nats"), stack),
    await brokerLane(join(folder, "broker"), stack),
  ];
  const bursts = new Map<string, Measured[]>();
  const steady = new Map<string, Measured[]>();
  let n = 0;
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < lanes.length; at++) {
      const lane = lanes[(round + at) % lanes.length] as Lane;
      await using watchers = startWatchers();
      await watchers.open(lane.job);
      await untilQuiet();
      for (const [results, count, pauseMs] of [
        [bursts, changes, 0],
        [steady, slowChanges, 1000 / perSecond],
      ] as const) {
        using publisher = await lane.open();
        const began = performance.timeOrigin + performance.now();
        const counting = watchers.untilAllHave(n + count);
        let last = began;
        for (let change = 0; change < count; change++) {
          const value = stamped(++n);
          last = value.t / 1000;
          await publisher.publish(value);
          if (pauseMs > 0)
            await delay(
              Math.max(0, began + (change + 1) * pauseMs - performance.timeOrigin - performance.now()),
            );
        }
        const measured = toMeasured(await counting, began, last);
        results.set(lane.name, [...(results.get(lane.name) ?? []), measured]);
      }
    }
  }
  const bounded = report(bursts, steady);
  return (await benchIdle(join(folder, "idle"))) && bounded;
}

function toMeasured(counted: Counted, began: number, last: number): Measured {
  return {
    perSecond: counted.deliveries / counted.seconds,
    everywhereMs: counted.everywhereMs - began,
    afterLastMs: counted.everywhereMs - last,
    p50Ms: counted.p50Ms,
    p99Ms: counted.p99Ms,
  };
}

async function natsLane(dataDir: string, stack: AsyncDisposableStack): Promise<Lane> {
  const { server, nc } = await startRawJetStream(dataDir, stack);
  const hello = `CONNECT {"auth_token":"${server.token}","verbose":false,"protocol":1}\r\nSUB raw.one 1\r\nPING\r\n`;
  // As many bytes as an event of the broker.
  const padding = "x".repeat(330);
  return {
    name: rawNats,
    job: { port: Number(new URL(server.url).port), hello, connections, readyMark: "PONG\r\n" },
    open: async () => ({
      publish: async (value) => await nc.request("raw.one", JSON.stringify({ ...value, padding })),
      [Symbol.dispose]: () => undefined,
    }),
  };
}

async function brokerLane(dataDir: string, stack: AsyncDisposableStack): Promise<Lane> {
  const broker = stack.use(await startBroker({ dataDir }));
  const alice = await register(broker.port, "alice");
  const bob = await register(broker.port, "bob");
  const path = `/v1/nodes/${alice.address}/properties/bench.state`;
  return {
    name: tidings,
    job: sseJob(broker.port, bob.token, `${alice.address}:bench.state`),
    async open() {
      const line = await openLine(broker.port);
      return {
        async publish(value) {
          const body = { value };
          const { status } = await line.send(requestBytes({ method: "PUT", path, token: alice.token, body }));
          if (status > 201) throw new Error(`a change was answered ${status}`);
        },
        [Symbol.dispose]: () => line[Symbol.dispose](),
      };
    },
  };
}

function sseJob(port: number, token: string, watch: string): WatchJob {
  const path = `/v1/events?watch=${encodeURIComponent(watch)}`;
  const hello = requestBytes({ method: "GET", path, token }).toString();
  return { port, hello, connections, readyMark: "stream.live" };
}

/**
 * What 5,000 more watchers cost a broker that has some: the first thousand pay for what is there once, such as compiled code.
 * Both readings are the least of a while, so that room that the garbage collector is about to give back counts in neither.
 */
async function benchIdle(dataDir: string): Promise<boolean> {
  await using broker = await startBroker({ dataDir });
  const alice = await register(broker.port, "alice");
  const bob = await register(broker.port, "bob");
  const job = sseJob(broker.port, bob.token, `${alice.address}:bench.state`);
  await using first = startWatchers();
  await first.open(job);
  const before = await restingMiB(broker.pid);
  await using watchers = startWatchers();
  await watchers.open({ ...job, connections: idle });
  const each = (((await restingMiB(broker.pid)) - before) * 1024) / idle;
  console.log(
    `\n${whole(idle)} idle watchers beside ${whole(connections)}: ${each.toFixed(1)} KiB each (RSS of the broker).`,
  );
  console.log(
    `${each <= idleKiBMax ? "ok  " : "MISS"} an idle watcher, must be <= ${idleKiBMax} KiB: ${each.toFixed(1)}`,
  );
  return each <= idleKiBMax;
}

async function restingMiB(pid: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let at = 0; at < 20; at++) {
    await delay(1_000);
    least = Math.min(least, rssMiB(pid));
  }
  return least;
}

function report(
  bursts: ReadonlyMap<string, readonly Measured[]>,
  steady: ReadonlyMap<string, readonly Measured[]>,
): boolean {
  const figure = (from: ReadonlyMap<string, readonly Measured[]>, name: string, of: keyof Measured): number =>
    median((from.get(name) ?? []).map((measured) => measured[of]));
  console.log(
    `\n${whole(connections)} connections watch one property; medians of ${rounds} rounds; fsync before ack.`,
  );
  const names = [...bursts.keys()];
  console.log(
    table(
      [
        `${changes} changes back to back`,
        "deliveries/s",
        "all done ms",
        "after the last ms",
        "p50 ms",
        "p99 ms",
        `${perSecond}/s: p50 ms`,
        "p99 ms",
      ],
      names.map((name) => [
        name,
        whole(figure(bursts, name, "perSecond")),
        ms(figure(bursts, name, "everywhereMs")),
        ms(figure(bursts, name, "afterLastMs")),
        ms(figure(bursts, name, "p50Ms")),
        ms(figure(bursts, name, "p99Ms")),
        ms(figure(steady, name, "p50Ms")),
        ms(figure(steady, name, "p99Ms")),
      ]),
    ),
  );
  const ratio = (from: typeof bursts, of: keyof Measured): number =>
    figure(from, tidings, of) / figure(from, rawNats, of);
  const [rate, p99] = [ratio(bursts, "perSecond"), ratio(steady, "p99Ms")];
  console.log(
    `${rate >= 0.8 ? "ok  " : "MISS"} deliveries/s against raw NATS, must be >= 0.8: ${rate.toFixed(2)}`,
  );
  console.log(
    `${p99 <= 1.3 ? "ok  " : "MISS"} p99 at ${perSecond} changes/s against raw NATS, must be <= 1.3: ${p99.toFixed(2)}`,
  );
  return rate >= 0.8 && p99 <= 1.3;
}

if (import.meta.main) process.exitCode = (await benchFanOut()) ? 0 : 1;
