// P1, P2, P3 and P16 under kill -9 of the broker, of its nats-server and of both, while 64 clients write.
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serversOf } from "../../services/store/orphan.ts";
import { isFull, openWorld, type ProcessWorld, type Program } from "../conversations/world.ts";
import { until } from "../store/embedded.ts";
import { between, type Load, slowestMs, startLoad } from "./load.ts";
import { type Readers, readNodes, unheard, type Watcher, watch } from "./observers.ts";
import { faults, groups, type Owner, singles } from "./targets.ts";

const victims = ["broker", "store", "both"] as const;
const rounds = isFull ? 24 : 3;
const acksARound = isFull ? 900 : 800;
/** Most are not written again after a kill that they were part of. */
const propertiesEach = isFull ? 200 : 32;
const groupsEach = isFull ? 60 : 20;
const acksAtLeast = isFull ? 20_000 : 3_000;
/** The promise is 2 s; half a second is for the client's own machine. */
const answerMsMax = 2_500;

const stack = new AsyncDisposableStack();
let world: ProcessWorld;
let owner: Owner;
let load: Load;
let readers: Readers;
let watcher: Watcher;
/** When nats-server was gone, and the broker was not. */
const storeOutages: { fromMs: number; toMs: number }[] = [];

beforeAll(async () => {
  world = stack.use(await openWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } }));
  owner = await world.registers("writer");
  const grouped = await groups(world, owner, 32, groupsEach);
  const targets = [...(await singles(world, owner, 32, propertiesEach)), ...grouped];
  watcher = watch(world, owner, targets);
  stack.defer(async () => await watcher.stop());
  readers = readNodes(world, owner, grouped.slice(0, 4));
  stack.defer(async () => await readers.stop());
  load = startLoad(world, owner, targets);
  stack.defer(async () => await load.stop());

  for (let round = 0; round < rounds; round++) {
    await load.more(acksARound);
    await strike(world.program, victims[round % victims.length] as (typeof victims)[number]);
  }
  await load.more(Math.max(acksARound, acksAtLeast - load.acked));
  await load.stop();
  await readers.stop();
});

afterAll(async () => {
  await stack[Symbol.asyncDispose]();
});

async function strike(program: Program, victim: (typeof victims)[number]): Promise<void> {
  const store = await serverOf(program);
  if (victim === "store") {
    const fromMs = performance.now();
    process.kill(store, "SIGKILL");
    await load.everyone();
    storeOutages.push({ fromMs, toMs: performance.now() });
    return;
  }
  await load.during(async () => {
    if (victim === "both") process.kill(store, "SIGKILL");
    await program.kill();
    await program.start();
  });
}

async function serverOf({ dataDir }: Program): Promise<number> {
  const config = join(realpathSync(dataDir), "nats", "nats.conf");
  return await until("the nats-server", async () => (await serversOf(config))[0]);
}

test("each property has its last acknowledged value at its revision, or a later one", async () => {
  expect(load.acked).toBeGreaterThanOrEqual(acksAtLeast);
  expect(load.unanswered).toBeGreaterThan(0);
  expect(await faults(world, owner, load.targets)).toEqual([]);
  console.info(`${load.acked} acknowledged, ${load.unanswered} unanswered, ${rounds} kills`);
});

test("revisions rise, and every answer is a success or a refusal with Retry-After", () => {
  expect(load.surprises).toEqual([]);
});

test("while writes go on no group of five is seen by half, nor older than its acknowledgement", () => {
  const seen = readers.answers.filter(({ status }) => status === 200);
  expect(seen.length).toBeGreaterThan(50);
  expect(readers.wrong).toEqual([]);
  console.info(`${seen.length} reads of groups, ${readers.answers.length - seen.length} refused`);
});

test("a watcher that comes back with its cursor has heard the last of every property, and none twice or backwards", async () => {
  const { targets } = load;
  await until(
    "the watcher",
    async () => (await unheard(world, owner, targets, watcher.heard)).length === 0,
  ).catch(() => undefined);
  expect(await unheard(world, owner, targets, watcher.heard)).toEqual([]);
  expect(watcher.wrong).toEqual([]);
  // On a busy machine one kill may follow another before it is back.
  expect(watcher.streams).toBeGreaterThan(rounds / victims.length);
  console.info(`${watcher.events} events over ${watcher.streams} streams`);
});

test("while nats-server is gone each request is answered in time, and service returns by itself", () => {
  expect(world.program.isRunning).toBe(true);
  expect(storeOutages.length).toBe(rounds / victims.length);
  const slowest = storeOutages.map(({ fromMs, toMs }) => {
    return slowestMs(between([...load.answers, ...readers.answers], fromMs, toMs));
  });
  for (const ms of slowest) expect(ms).toBeLessThan(answerMsMax);
  const refused = load.answers.filter(({ status }) => status === 503).length;
  const outages = storeOutages.map(({ fromMs, toMs }) => Math.round(toMs - fromMs));
  console.info(
    `${refused} refused; slowest ${slowest.map(Math.round)} ms; all served again after ${outages} ms`,
  );
});
