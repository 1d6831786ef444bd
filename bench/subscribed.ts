// Publishing costs the same whoever watches: durable writes with 100,000 stored subscriptions to the written nodes, against none.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openLine, register, requestBytes } from "./lean-http.ts";
import { startLoad, type Writing } from "./load.ts";
import { type RunningBroker, startBroker, untilQuiet } from "./running.ts";
import { median, ms, table, whole } from "./table.ts";

const subscribers = 10;
const each = 10_000;
const clients = 16;
const rounds = 5;
const seconds = 2;
const ratioMax = 1.1;

interface Lane {
  readonly name: string;
  readonly broker: RunningBroker;
  readonly writes: readonly Writing[];
  readonly p50: number[];
}

/** @returns true if the ratio of performance.md holds */
export async function benchSubscribed(): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));
  const load = stack.use(startLoad());
  const lanes: Lane[] = [];
  for (const name of ["none", `${whole(subscribers * each)}`]) {
    const broker = stack.use(await startBroker({ dataDir: join(folder, name) }));
    const writes: Writing[] = [];
    for (let client = 0; client < clients; client++) {
      const { address, token } = await register(broker.port, `writer-${client}`);
      const path = `/v1/nodes/${address}/properties/bench.state`;
      writes.push({ path, token, body: { value: { text: "x".repeat(180) } } });
    }
    if (name !== "none") await subscribe(broker.port);
    await load.run({ to: "broker", port: broker.port, writes, seconds });
    lanes.push({ name, broker, writes, p50: [] });
  }
  for (let round = 0; round < rounds; round++) {
    for (let at = 0; at < lanes.length; at++) {
      const lane = lanes[(round + at) % lanes.length] as Lane;
      await untilQuiet();
      const { p50Ms } = await load.run({
        to: "broker",
        port: lane.broker.port,
        writes: lane.writes,
        seconds,
      });
      lane.p50.push(p50Ms);
    }
  }
  console.log(`\nDurable writes of ${clients} clients; medians of ${rounds} rounds of ${seconds} s.`);
  console.log(
    table(
      ["stored subscriptions", "p50 ms"],
      lanes.map(({ name, p50 }) => [name, ms(median(p50))]),
    ),
  );
  const [none, many] = lanes.map(({ p50 }) => median(p50)) as [number, number];
  const ratio = many / none;
  console.log(
    `${ratio <= ratioMax ? "ok  " : "MISS"} p50 with against without, must be <= ${ratioMax}: ${ratio.toFixed(2)}`,
  );
  return ratio <= ratioMax;
}

/** Every subscriber subscribes to every writer, many times over. */
async function subscribe(port: number): Promise<void> {
  for (let subscriber = 0; subscriber < subscribers; subscriber++) {
    const { token } = await register(port, `subscriber-${subscriber}`);
    let left = each;
    await Promise.all(
      Array.from({ length: 64 }, async () => {
        using line = await openLine(port);
        while (left > 0) {
          const body = { target: `writer-${left-- % clients}@localhost` };
          const { status, body: said } = await line.send(
            requestBytes({ method: "POST", path: "/v1/subscriptions", token, body }),
          );
          if (status !== 201) throw new Error(`a subscription was answered ${status}: ${said}`);
        }
      }),
    );
  }
}

if (import.meta.main) process.exitCode = (await benchSubscribed()) ? 0 : 1;
