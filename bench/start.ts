// Start: from the start of the process to its ready line, with an empty store and with many properties;
// after an orderly end and after kill -9 of broker and nats-server. What was stored is read back.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ask, register } from "./lean-http.ts";
import { endStore, type RunningBroker, rssMiB, startBroker, untilQuiet } from "./running.ts";
import { median, table, whole } from "./table.ts";

const rounds = 3;
const perNode = 500;
const atOnce = 4;

interface Started {
  readonly readyMs: number;
  readonly brokerMiB: number;
  readonly storeMiB: number;
}

/** @returns true if the bounds of performance.md hold; they are for 500,000 properties and hold the more for fewer */
export async function benchStart(properties = 100_000): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(folder, { recursive: true, force: true }));

  const empty = join(folder, "empty");
  await (await startBroker({ dataDir: empty }))[Symbol.asyncDispose]();
  const full = join(folder, "full");
  const alice = await fill(full, properties);
  const rows: [string, Started[]][] = [
    ["empty, after SIGTERM", await starts(empty, "SIGTERM", async () => undefined)],
    [`${whole(properties)} properties, after SIGTERM`, await starts(full, "SIGTERM", alice)],
    [`${whole(properties)} properties, after kill -9`, await starts(full, "SIGKILL", alice)],
  ];

  const figure = (all: readonly Started[], of: keyof Started): number => median(all.map((one) => one[of]));
  console.log(`\nTime from the start of the process to its ready line; medians of ${rounds}.`);
  console.log(
    table(
      ["", "ready ms", "broker MiB", "nats MiB"],
      rows.map(([name, all]) => [
        name,
        whole(figure(all, "readyMs")),
        whole(figure(all, "brokerMiB")),
        whole(figure(all, "storeMiB")),
      ]),
    ),
  );
  const bounds: [string, number, number][] = rows.map(([name, all], row) => [
    name,
    figure(all, "readyMs"),
    row === 0 ? 2_000 : 5_000,
  ]);
  for (const [name, readyMs, most] of bounds)
    console.log(
      `${readyMs <= most ? "ok  " : "MISS"} ${name}, must be <= ${whole(most)} ms: ${whole(readyMs)}`,
    );
  return bounds.every(([, readyMs, most]) => readyMs <= most);
}

type Check = (broker: RunningBroker) => Promise<void>;

/** Fills a store over HTTP. @returns a look at whether it is all there */
async function fill(dataDir: string, properties: number): Promise<Check> {
  await using broker = await startBroker({ dataDir });
  const { address, token } = await register(broker.port, "alice");
  const nodes = Array.from({ length: properties / perNode }, (_, index) => `${address}/n${index}`);
  const waiting = nodes.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const node of waiting) {
        const path = pathOf(node);
        await ask(broker.port, { method: "PUT", path, token, body: { kind: "thing" } });
        const wishes = Array.from({ length: perNode }, (_, index) => [
          `p${index}`,
          { value: { node, index } },
        ]);
        await ask(broker.port, { method: "PATCH", path, token, body: { set: Object.fromEntries(wishes) } });
      }
    }),
  );
  return async ({ port }) => {
    for (let index = 0; index < nodes.length; index += 20) {
      const node = nodes[index] as string;
      const found = await ask<{ properties: object }>(port, { method: "GET", path: pathOf(node), token });
      const count = Object.keys(found.properties).length;
      if (count !== perNode) throw new Error(`${node} has ${count} properties, not ${perNode}`);
    }
  };
}

async function starts(dataDir: string, end: "SIGTERM" | "SIGKILL", check: Check): Promise<Started[]> {
  const all: Started[] = [];
  // The first start only prepares the end that the next one starts after.
  for (let round = 0; round <= rounds; round++) {
    await untilQuiet();
    const broker = await startBroker({ dataDir });
    const storePid = await broker.storePid();
    const started = { readyMs: broker.readyMs, brokerMiB: rssMiB(broker.pid), storeMiB: rssMiB(storePid) };
    if (round > 0) all.push(started);
    try {
      await check(broker);
    } finally {
      if (end === "SIGKILL" && round < rounds) {
        if (storePid !== undefined) process.kill(storePid, "SIGKILL");
        await broker.end("SIGKILL");
        await endStore(dataDir);
      } else {
        await broker[Symbol.asyncDispose]();
      }
    }
  }
  return all;
}

function pathOf(node: string): string {
  return `/v1/nodes/${encodeURIComponent(node)}`;
}

if (import.meta.main) process.exitCode = (await benchStart()) ? 0 : 1;
