// The directory with 100,000 nodes: how long searches by words and by expressions take over HTTP, and how long it takes
// to make the projection again from the log, with searches answered meanwhile.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ask, openLine, register, requestBytes } from "./lean-http.ts";
import { type RunningBroker, rssMiB, startBroker, untilQuiet } from "./running.ts";
import { ms, percentile, table, whole } from "./table.ts";

const perAccount = 500;
const writersAtOnce = 32;
const searchesEach = 500;
const askersAtOnce = 2;
const p99MsMax = 50;
const rebuildMsMax = 60_000;

const firsts = 400;
const lasts = 1_000;
const cities = 300;
const topics = 2_000;

/** Numbers that come again with the same seed. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function propertiesOf(pick: (below: number) => number): object {
  const about = Array.from({ length: 6 }, () => `topic${pick(topics)}`).join(" ");
  return {
    profile: { value: { name: `First${pick(firsts)} Last${pick(lasts)}`, about } },
    travel: { value: { city: `City${pick(cities)}`, purpose: `topic${pick(topics)}` } },
    seats: { value: { free: pick(1_000), smoking: pick(2) === 0 } },
  };
}

type Kind = readonly [name: string, query: (pick: (below: number) => number) => Record<string, string>];

const kinds: readonly Kind[] = [
  ["q, one rare word", (pick) => ({ q: `last${pick(lasts)}` })],
  ["q, two words", (pick) => ({ q: `First${pick(firsts)} topic${pick(topics)}` })],
  ["q, a word that all hold", () => ({ q: "localhost" })],
  ["where, equal", (pick) => ({ where: `prop("travel").city == "City${pick(cities)}"` })],
  [
    "where, a range of few",
    (pick) => ({ where: `prop("seats").free == ${pick(1_000)} && prop("seats").smoking` }),
  ],
  ["where, a range of many", (pick) => ({ where: `prop("seats").free > ${pick(900)}` })],
  [
    "q and where",
    (pick) => ({ q: `first${pick(firsts)}`, where: `prop("seats").free < ${100 + pick(900)}` }),
  ],
];

/** @returns true if the bounds hold */
export async function benchDirectory(nodes = 100_000): Promise<boolean> {
  const dataDir = await mkdtemp(join(tmpdir(), "tidings-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(dataDir, { recursive: true, force: true }));
  let isGood = true;
  {
    await using broker = await startBroker({ dataDir });
    const filled = performance.now();
    await fill(broker.port, nodes);
    const { token } = await register(broker.port, "seeker");
    await untilWhole(broker, token);
    console.log(
      `\n${whole(nodes)} nodes of 3 properties, written and found in ${whole((performance.now() - filled) / 1000)} s.`,
    );
    await untilQuiet([broker.pid]);
    const rows: string[][] = [];
    for (const [name, query] of kinds) {
      const { times, found } = await timed(broker.port, token, query);
      const p99 = percentile(times, 0.99);
      isGood &&= p99 < p99MsMax;
      rows.push([name, ms(percentile(times, 0.5)), ms(p99), (found / times.length).toFixed(1)]);
    }
    console.log(
      `\nSearches over HTTP, ${askersAtOnce} at a time, ${searchesEach} of each kind, pages of 20.`,
    );
    console.log(table(["", "p50 ms", "p99 ms", "nodes a page"], rows));
    console.log(
      `${isGood ? "ok  " : "MISS"} each p99 must be < ${p99MsMax} ms; broker ${whole(rssMiB(broker.pid))} MiB`,
    );
  }
  for (const ending of ["", "-wal", "-shm"]) {
    await rm(join(dataDir, `directory.sqlite${ending}`), { force: true });
  }
  await using broker = await startBroker({ dataDir });
  const { token } = await register(broker.port, "seeker-again");
  const began = performance.now();
  const { answers, slowestMs } = await untilWhole(broker, token);
  const rebuildMs = performance.now() - began + broker.readyMs;
  const isRebuilt = rebuildMs < rebuildMsMax;
  console.log(
    `${isRebuilt ? "ok  " : "MISS"} made again from the log, must be < ${whole(rebuildMsMax / 1000)} s: ${(rebuildMs / 1000).toFixed(1)} s from the start of the process; ${answers} searches answered meanwhile, the slowest in ${whole(slowestMs)} ms`,
  );
  return isGood && isRebuilt;
}

async function fill(port: number, nodes: number): Promise<void> {
  const accounts = await Promise.all(
    Array.from({ length: nodes / perAccount }, (_, index) => register(port, `fleet-${index}`)),
  );
  const waiting = accounts.entries();
  await Promise.all(
    Array.from({ length: writersAtOnce }, async () => {
      using line = await openLine(port);
      for (const [index, { address, token }] of waiting) {
        const pick = numbers(index + 1);
        for (let at = 0; at < perAccount; at++) {
          const path = `/v1/nodes/${encodeURIComponent(`${address}/n${at}`)}`;
          await line.send(requestBytes({ method: "PUT", path, token, body: { kind: "thing" } }));
          const body = { set: propertiesOf(pick) };
          const { status, body: said } = await line.send(
            requestBytes({ method: "PATCH", path, token, body }),
          );
          if (status !== 200) throw new Error(said);
        }
      }
    }),
  );
}

interface Page {
  readonly nodes: readonly unknown[];
  readonly partial?: true;
}

/** Searches again and again until an answer is whole. */
async function untilWhole(
  { port }: RunningBroker,
  token: string,
): Promise<{ answers: number; slowestMs: number }> {
  let answers = 0;
  let slowestMs = 0;
  for (;;) {
    const began = performance.now();
    const page = await ask<Page>(port, { method: "GET", path: "/v1/directory?q=topic7&limit=1", token });
    slowestMs = Math.max(slowestMs, performance.now() - began);
    answers++;
    if (!page.partial) return { answers, slowestMs };
    await delay(50);
  }
}

async function timed(
  port: number,
  token: string,
  query: Kind[1],
): Promise<{ times: readonly number[]; found: number }> {
  const times: number[] = [];
  let found = 0;
  const pick = numbers(7);
  await Promise.all(
    Array.from({ length: askersAtOnce }, async () => {
      using line = await openLine(port);
      for (let at = 0; at < searchesEach / askersAtOnce; at++) {
        const path = `/v1/directory?${new URLSearchParams(query(pick))}`;
        const request = requestBytes({ method: "GET", path, token });
        const began = performance.now();
        const { status, body } = await line.send(request);
        times.push(performance.now() - began);
        if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
        found += (JSON.parse(body) as Page).nodes.length;
      }
    }),
  );
  return { times, found };
}
