// Durable writes: C clients each set their own leased property and await the ack, with group commit and without,
// beside raw JetStream publishes on the same fsync settings. Every write is synced before its ack.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, register } from "./lean-http.ts";
import { type Loaded, startLoad, type Writing } from "./load.ts";
import { startRawJetStream } from "./raw-jetstream.ts";
import { cpuSeconds, othersBusy, type RunningBroker, startBroker, untilQuiet } from "./running.ts";
import { median, ms, table, whole } from "./table.ts";

const clientCounts = [1, 64, 256];
const valueBytes = 200;
const warmUpSeconds = 1;
const property = "bench.state";

export interface WriteOptions {
  readonly rounds?: number;
  readonly seconds?: number;
}

interface Lane {
  readonly name: "raw JetStream" | "single" | "group";
  /** The broker, if it has one, and its nats-server. */
  readonly pids: () => Promise<readonly [broker: number | undefined, store: number | undefined]>;
  readonly run: (clients: number, seconds: number) => Promise<Loaded>;
}

interface Measured extends Loaded {
  readonly brokerCpu: number;
  readonly storeCpu: number;
  /** Cores that other programs took meanwhile. */
  readonly others: number;
}

/** @returns true if every bound that performance.md sets for these ratios holds */
export async function benchWrite({ rounds = 3, seconds = 3 }: WriteOptions = {}): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const load = stack.use(startLoad());
  const lanes: Lane[] = [await rawLane(join(folder, "raw"), stack, load)];
  for (const name of ["single", "group"] as const) {
    const broker = stack.use(
      await startBroker({ dataDir: join(folder, name), env: { TIDINGS_TEST_COMMIT: name } }),
    );
    lanes.push(await brokerLane(name, broker, load));
  }

  const results = new Map<string, Measured[]>();
  for (const clients of clientCounts) {
    for (let round = 0; round < rounds; round++) {
      // Another order each round, so that no lane is always the one after the noisy neighbour.
      for (let at = 0; at < lanes.length; at++) {
        const lane = lanes[(round + at) % lanes.length] as Lane;
        await untilQuiet();
        await lane.run(clients, warmUpSeconds);
        const measured = await measure(lane, clients, seconds);
        const key = `${lane.name} ${clients}`;
        results.set(key, [...(results.get(key) ?? []), measured]);
      }
    }
  }
  return report(results, rounds, seconds);
}

async function measure(lane: Lane, clients: number, seconds: number): Promise<Measured> {
  const [broker, store] = await lane.pids();
  const before = [cpuSeconds(broker), cpuSeconds(store)] as const;
  const others = othersBusy([broker, store]);
  const began = performance.now();
  const loaded = await lane.run(clients, seconds);
  const tookSeconds = (performance.now() - began) / 1000;
  return {
    ...loaded,
    brokerCpu: (cpuSeconds(broker) - before[0]) / tookSeconds,
    storeCpu: (cpuSeconds(store) - before[1]) / tookSeconds,
    others: Math.max(0, others() - loaded.ownCpu),
  };
}

async function rawLane(
  dataDir: string,
  stack: AsyncDisposableStack,
  load: ReturnType<typeof startLoad>,
): Promise<Lane> {
  const { server, manager } = await startRawJetStream(dataDir, stack);
  return {
    name: "raw JetStream",
    pids: async () => [undefined, server.pid],
    async run(clients, seconds) {
      const subjects = Array.from({ length: clients }, (_, client) => `raw.${client}`);
      const { url, token } = server;
      const before = (await manager.streams.info("raw")).state.last_seq;
      const loaded = await load.run({ to: "jetstream", url, token, subjects, bytes: valueBytes, seconds });
      const stored = (await manager.streams.info("raw")).state.last_seq - before;
      if (stored !== loaded.acks) throw new Error(`${loaded.acks} acks, but ${stored} messages were stored`);
      return loaded;
    },
  };
}

async function brokerLane(
  name: "single" | "group",
  broker: RunningBroker,
  load: ReturnType<typeof startLoad>,
): Promise<Lane> {
  const value = { text: "x".repeat(valueBytes - '{"text":""}'.length) };
  const body = { value, lease: { seconds: 3600, default: { text: "" } } };
  const writes: Writing[] = [];
  for (let client = 0; client < Math.max(...clientCounts); client++) {
    const { address, token } = await register(broker.port, `${name}-${client}`);
    writes.push({ path: `/v1/nodes/${address}/properties/${property}`, token, body });
  }
  return {
    name,
    pids: async () => [broker.pid, await broker.storePid()],
    async run(clients, seconds) {
      const used = writes.slice(0, clients);
      const before = await position(broker);
      const loaded = await load.run({ to: "broker", port: broker.port, writes: used, seconds });
      const stored = (await position(broker)) - before;
      if (stored !== loaded.acks) throw new Error(`${loaded.acks} acks, but ${stored} facts were stored`);
      await readBack(broker, used, loaded.last);
      return loaded;
    },
  };
}

/** The position that the broker's feed has brought: one fact an ack, once the feed is level. */
async function position(broker: RunningBroker): Promise<number> {
  let before = -1;
  for (;;) {
    const text = await metrics(broker.port);
    const now = Number(/^tidings_feed_position (\d+)/m.exec(text)?.[1]);
    if (now === before) return now;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function metrics(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  return await answer.text();
}

/** Every ack was real: what each client was last told is what the property shows. */
async function readBack(
  broker: RunningBroker,
  writes: readonly Writing[],
  last: readonly number[],
): Promise<void> {
  for (const [client, { path, token }] of writes.entries()) {
    const { revision } = await ask<{ revision: number }>(broker.port, { method: "GET", path, token });
    if (revision !== last[client])
      throw new Error(`client ${client} was told ${last[client]}, but the property is at ${revision}`);
  }
}

function report(results: ReadonlyMap<string, readonly Measured[]>, rounds: number, seconds: number): boolean {
  const figure = (name: Lane["name"], clients: number, of: keyof Omit<Measured, "last">): number =>
    median((results.get(`${name} ${clients}`) ?? []).map((measured) => measured[of]));
  const rows = clientCounts.flatMap((clients) =>
    (["raw JetStream", "single", "group"] as const).map((name) => [
      `${name === "raw JetStream" ? name : `Tidings, ${name}`}`,
      String(clients),
      whole(figure(name, clients, "perSecond")),
      ms(figure(name, clients, "p50Ms")),
      ms(figure(name, clients, "p99Ms")),
      figure(name, clients, "brokerCpu").toFixed(2),
      figure(name, clients, "storeCpu").toFixed(2),
      figure(name, clients, "ownCpu").toFixed(2),
      figure(name, clients, "others").toFixed(2),
    ]),
  );
  console.log(
    `Durable writes of ${valueBytes} B, fsync before ack; medians of ${rounds} rounds of ${seconds} s.`,
  );
  console.log(
    "CPU in cores: the broker, its nats-server, the load generator, programs that have nothing to do with it.",
  );
  console.log(table(["", "C", "ops/s", "p50 ms", "p99 ms", "broker", "nats", "load", "others"], rows));
  const ratio = (clients: number): number =>
    figure("group", clients, "perSecond") / figure("single", clients, "perSecond");
  const alone = figure("group", 1, "p50Ms") / figure("single", 1, "p50Ms");
  const bounds: [string, number, boolean][] = [
    ["C=64 group / single, must be >= 1.6", ratio(64), ratio(64) >= 1.6],
    ["C=256 group / single, must be >= 3", ratio(256), ratio(256) >= 3],
    ["C=1 p50 group / single, must be <= 1.1", alone, alone <= 1.1],
  ];
  for (const [what, value, holds] of bounds)
    console.log(`${holds ? "ok  " : "MISS"} ${what}: ${value.toFixed(2)}`);
  return bounds.every(([, , holds]) => holds);
}

if (import.meta.main) process.exitCode = (await benchWrite()) ? 0 : 1;
