// How soon a broker serves again: with nothing in its store, and with many properties, some of them leased.
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rssMiB } from "../../bench/running.ts";
import { serversOf } from "../../services/store/orphan.ts";
import { aWorld, isFull, nodePath, type Person, type Program } from "../conversations/world.ts";

const nodes = isFull ? 200 : 20;
const propertiesEach = 500;
/** Of the properties of a node, those are leased. */
const leasedEach = 50;
const atOnce = 4;
/** Loading takes a while on a machine with other work to do. */
const patienceMs = isFull ? 600_000 : 90_000;

describe("a broker with an empty store", () => {
  const world = aWorld("process");

  test("is ready within 2 s when it is started again", async () => {
    await world.registers("alice");
    const readyMs = await startTime(world.program, "stop", 2_000);
    expect(readyMs).toBeLessThan(2_000);
    console.info(`empty: ready after ${Math.round(readyMs)} ms, ${await memory(world.program)}`);
  });
});

describe(`a broker with ${nodes * propertiesEach} properties`, () => {
  const world = aWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } });

  test(
    "is ready within 3 s after an orderly end, and after kill -9, and has kept all of them",
    async () => {
      const alice = await world.registers("alice");
      const loadMs = await timeOf(async () => await fill(alice));
      const total = nodes * propertiesEach;
      console.info(`${total} loaded in ${Math.round(loadMs)} ms, ${await memory(world.program)}`);

      const stoppedMs = await startTime(world.program, "stop", 3_000);
      console.info(`after SIGTERM: ready after ${Math.round(stoppedMs)} ms, ${await memory(world.program)}`);
      await looksFor(alice);

      const killedMs = await startTime(world.program, "kill", 3_000);
      console.info(`after SIGKILL: ready after ${Math.round(killedMs)} ms, ${await memory(world.program)}`);
      await looksFor(alice);
      expect(stoppedMs).toBeLessThan(3_000);
      expect(killedMs).toBeLessThan(3_000);
    },
    patienceMs,
  );

  /** Child nodes, each filled by one PATCH. */
  async function fill(alice: Person): Promise<void> {
    const waiting = Array.from({ length: nodes }, (_, node) => node);
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
          await alice.creates(childOf(alice, node));
          const wishes = Array.from({ length: propertiesEach }, (_, index) => [
            `p${index}`,
            wishOf(node, index),
          ]);
          await alice.patches({ set: Object.fromEntries(wishes) }, { at: childOf(alice, node) });
        }
      }),
    );
  }

  /** Every tenth node, whole; leases among it as live as they were, and countable by the broker. */
  async function looksFor(alice: Person): Promise<void> {
    for (let node = 0; node < nodes; node += 10) {
      const { properties } = await alice.reads(childOf(alice, node));
      expect(Object.keys(properties)).toHaveLength(propertiesEach);
      for (let index = 0; index < propertiesEach; index++) {
        const { value, lease } = properties[`p${index}`];
        expect(value).toEqual(wishOf(node, index).value);
        expect(lease?.seconds).toBe(index < leasedEach ? 3_600 : undefined);
      }
    }
    const metrics = (await alice.asks("GET", "/metrics")).text;
    expect(metrics).toMatch(new RegExp(`^tidings_leased_properties ${nodes * leasedEach}$`, "m"));
    expect((await alice.asks("GET", nodePath(`${alice.address}/none`))).status).toBe(404);
  }
});

function childOf({ address }: Person, node: number): string {
  return `${address}/n${node}`;
}

function wishOf(
  node: number,
  index: number,
): { value: { node: number; index: number }; lease?: { seconds: number } } {
  const value = { node, index };
  return index < leasedEach ? { value, lease: { seconds: 3_600 } } : { value };
}

/** How long a start takes after this end. Past the limit it is tried twice more: the machine may have had other work. */
async function startTime(program: Program, end: "stop" | "kill", limitMs: number): Promise<number> {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let start = 0; start < 3 && bestMs > limitMs; start++) {
    const code = await program[end]();
    if (end === "stop") expect(code).toBe(0);
    bestMs = Math.min(bestMs, await timeOf(async () => await program.start()));
  }
  return bestMs;
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

async function memory({ pid, dataDir }: Program): Promise<string> {
  const [store] = await serversOf(join(realpathSync(dataDir), "nats", "nats.conf"));
  return `broker ${Math.round(rssMiB(pid))} MiB, nats-server ${Math.round(rssMiB(store))} MiB`;
}
