// A hostile campaign: generated requests over every route that the broker lists, and generated frames on its socket. No 5xx,
// no crash, no turn of the event loop over 100 ms, and nothing of anybody else touched.
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { frames } from "../../schemas/wire/frames.ts";
import { refusals } from "../../services/core/refusals.ts";
import {
  type Data,
  isFull,
  openWorld,
  type Person,
  type ProcessWorld,
  Refused,
} from "../conversations/world.ts";
import { seeded, seedsOfRun } from "../simulation/random.ts";
import { type HostileAnswer, openHostileLine } from "./hostile-line.ts";
import { operationsOf, requestsFor } from "./hostile-requests.ts";
import { type Aims, valuesFor } from "./hostile-values.ts";
import { portOf } from "./targets.ts";

const requestsInAll = isFull ? 100_000 : 2_000;
const framesInAll = isFull ? 20_000 : 1_000;
const lines = 8;
const sockets = 4;
const stallSecondsMax = 0.1;
const surprisesMax = 20;
const patienceMs = 30_000;
/**
 * A store that does not answer in 0.9 s is told as 503, and on a machine that is busy with other things this happens. What
 * is answered so is sent again: whatever causes it by itself is answered so twice.
 */
const busyMax = isFull ? 20 : 5;
const retryMs = 1_000;

const [seed = 1] = seedsOfRun(1, 1);
let random = seeded(seed);
const stack = new AsyncDisposableStack();
const surprises: string[] = [];
const statuses: Record<string, number> = {};
let world: ProcessWorld;
let alice: Person;
let before: string;
let pid: number;
let stallsBefore: number;
let names = 0;
let busy = 0;

beforeAll(async () => {
  world = stack.use(await openWorld("process", { env: { TIDINGS_RATE_LIMIT: "off" } }));
  alice = await world.registers("alice", { password: "nobody guesses this" });
  await alice.patches({
    set: {
      travel: { value: { city: "Oslo" } },
      count: { value: 1, lease: { seconds: 86_400, id: "alices" } },
      "for-sale": { value: { item: "bike", price: 1 } },
    },
  });
  await alice.creates(`${alice.address}/bike`);
  await alice.sets("count", 2, { at: `${alice.address}/bike` });
  await alice.asks("PUT", `/v1/nodes/${encodeURIComponent(alice.address)}/types/room`, {
    body: { schema: { type: "object" } },
  });
  await alice.subscribes({ target: "bob@localhost" });
  // What is compiled at first use is not what is measured.
  await stalls();
  await attack(100, 0);
  before = await everything();
  pid = world.program.pid;
  stallsBefore = await stalls();
  console.info(`TIDINGS_TEST_SEED=${seed}: ${requestsInAll} requests, ${framesInAll} frames`);
  const beganMs = performance.now();
  await attack(requestsInAll, framesInAll);
  console.info(`${((performance.now() - beganMs) / 1000).toFixed(1)} s`);
  console.info(`answered ${JSON.stringify(statuses)}`);
});
afterAll(async () => await stack[Symbol.asyncDispose]());

describe(`the broker under hostile requests (seed ${seed})`, () => {
  test("answers each as it should, and none with 5xx", () => {
    const warnings = world.program.printed.split("\n").filter((line) => /"level":[4-6]0/.test(line));
    expect(surprises, warnings.slice(-5).join("\n")).toEqual([]);
    console.info(`${busy} were told that the store was busy, and asked again`);
    expect(busy).toBeLessThanOrEqual(busyMax);
    expect(statuses["200"]).toBeGreaterThan(0);
    expect(statuses["400"]).toBeGreaterThan(0);
  });

  test("is the same process, has logged no error, and serves", async () => {
    expect(world.program.pid).toBe(pid);
    expect(world.program.isRunning).toBe(true);
    const errors = world.program.printed.split("\n").filter((line) => /"level":(50|60)/.test(line));
    expect(errors.slice(0, 3)).toEqual([]);
    const bob = await world.registers("bob");
    await bob.sets("count", 1);
    expect(await bob.sees(alice, "for-sale")).toEqual({ item: "bike", price: 1 });
  });

  test("has touched nothing of anybody else", async () => {
    expect(await everything()).toBe(before);
  });

  test("never held up its event loop for over 100 ms", async () => {
    const held = (await stalls()) - stallsBefore;
    if (held === 0) return;
    // A machine may be slow for a moment: whatever holds it up by itself does so twice.
    random = seeded(seed);
    const before = await stalls();
    await attack(requestsInAll, framesInAll);
    expect((await stalls()) - before).toBe(0);
  });
});

/** Whatever somebody else could have changed of hers, or of what all share. */
async function everything(): Promise<string> {
  const texts = [
    "/v1/tokens",
    "/v1/types",
    "/v1/subscriptions",
    `/v1/nodes/${encodeURIComponent(alice.address)}/types/room`,
  ];
  const own = await alice.reads(alice, "?depth=infinity");
  return JSON.stringify([
    own,
    ...(await Promise.all(texts.map(async (path) => (await alice.asks("GET", path)).text))),
  ]);
}

/** Turns of the event loop that took longer than they may. */
async function stalls(): Promise<number> {
  const { text } = await world.stranger.asks("GET", "/metrics");
  const count = (le: string): number =>
    Number(
      new RegExp(`^tidings_event_loop_stall_seconds_bucket\\{le="${le}"\\} (\\d+)$`, "m").exec(text)?.[1],
    );
  const sum = /^tidings_event_loop_stall_seconds_sum (\S+)$/m.exec(text)?.[1];
  const all = ["0.05", "0.1", "0.25", "0.5", "1", "5", "\\+Inf"].map(count);
  console.info(
    `turns over 20 ms: ${all.at(-1)}, of them at most 50 ms: ${all[0]}, 100 ms: ${all[1]}; ${sum} s in all`,
  );
  return (all.at(-1) as number) - count(String(stallSecondsMax));
}

async function attack(requests: number, framesToSend: number): Promise<void> {
  await Promise.all([
    ...Array.from({ length: lines }, async () => await sendRequests(Math.ceil(requests / lines))),
    ...Array.from({ length: sockets }, async () => await sendFrames(Math.ceil(framesToSend / sockets))),
  ]);
}

async function mallory(): Promise<{ token: string; aims: Aims }> {
  const register = (): Promise<Person> => world.registers(`mallory-${++names}`);
  const one = await register().catch(async (error: unknown) => {
    if (!(error instanceof Refused) || error.status !== 503) throw error;
    busy++;
    await delay(retryMs);
    return await register();
  });
  return { token: one.token as string, aims: { own: one.address, others: [alice.address] } };
}

async function sendRequests(count: number): Promise<void> {
  const own = random.fork();
  const operations = operationsOf((await world.stranger.asks("GET", "/openapi.json")).body);
  using line = openHostileLine(portOf(world.program));
  let who = await mallory();
  let next = requestsFor(own, valuesFor(own, who.aims), operations);
  for (let sent = 0; sent < count; sent++) {
    const { what, method, bytes, ends } = next(who.token);
    try {
      const send = (): Promise<HostileAnswer> => line.send(bytes, method, ends ? "ends" : undefined);
      let answer = await send();
      if (answer.status === 503) {
        busy++;
        await delay(retryMs);
        answer = await send();
      }
      judge(`${what}\n${bytes.toString("latin1", 0, 2_000)}`, answer, ends);
      if (what !== "DELETE /v1/me" || answer.status !== 204) continue;
    } catch (error) {
      surprise((error as Error).message);
    }
    who = await mallory();
    next = requestsFor(own, valuesFor(own, who.aims), operations);
  }
}

function judge(what: string, { status, head, body }: HostileAnswer, mayHangUp: boolean): void {
  statuses[status] = (statuses[status] ?? 0) + 1;
  if (status === 0) {
    if (!mayHangUp) surprise(`the broker hung up: ${what}`);
    return;
  }
  if (status >= 500) surprise(`${status} ${body.slice(0, 300)}: ${what}`);
  if (status < 400 || body === "") return;
  const isProblem = /\r\ncontent-type: application\/problem\+json/i.test(head);
  if (!isProblem || !Object.hasOwn(refusals, (JSON.parse(body) as Data).code))
    surprise(`${status} without a problem: ${body.slice(0, 300)}: ${what}`);
}

function surprise(what: string): void {
  if (surprises.length < surprisesMax) surprises.push(what);
}

/** Frames that nearly fit, rubbish, and binary ones. The broker may hang up; then it is called again. */
async function sendFrames(count: number): Promise<void> {
  const own = random.fork();
  const { token, aims } = await mallory();
  const values = valuesFor(own, aims);
  const shapes = Object.entries(frames) as unknown as [string, Data][];
  for (let sent = 0; sent < count; ) {
    const batch = Math.min(count - sent, 1 + own.int(100));
    sent += batch;
    const texts = Array.from({ length: batch }, (_, id): [text: string, binary: boolean] => {
      values.begin();
      const [op, shape] = own.pick(shapes);
      const frame = values.fitting(shape, op);
      if (own.chance(0.1)) return [values.broken(frame), own.chance(0.05)];
      return [JSON.stringify(isObject(frame) ? { ...frame, id } : frame), false];
    });
    const rest = Buffer.from(
      Array.from({ length: own.chance(0.1) ? 1 + own.int(20) : 0 }, () => own.int(256)),
    );
    await sayFrames(token, texts, rest);
  }
}

/** Resolves when each was answered, or the broker hung up. @param rest what is no frame at all */
async function sayFrames(
  token: string,
  texts: readonly [text: string, binary: boolean][],
  rest: Buffer,
): Promise<void> {
  const raw = new WebSocket(`${world.url.replace(/^http/, "ws")}/v1/socket`, ["tidings.v1"], {
    headers: { authorization: `Bearer ${token}` },
  });
  let owed = texts.length;
  const late = setTimeout(() => {
    surprise(`${owed} of ${texts.length} frames had no answer: ${JSON.stringify(texts).slice(0, 2_000)}`);
    raw.terminate();
  }, patienceMs);
  raw.on("message", (data) => {
    const { event, problem } = JSON.parse(String(data)) as Data;
    if (event !== undefined) return;
    const status = problem?.status ?? "ok";
    statuses[`frame ${status}`] = (statuses[`frame ${status}`] ?? 0) + 1;
    if (status >= 500)
      surprise(`${JSON.stringify(problem)} to one of ${JSON.stringify(texts).slice(0, 4_000)}`);
    // The rest may be the beginning of a frame, which would swallow a farewell.
    if (--owed === 0) rest.length > 0 ? raw.terminate() : raw.close();
  });
  raw.on("open", () => {
    for (const [text, binary] of texts) raw.send(text, { binary });
    if (rest.length > 0) (raw as unknown as { _socket: Duplex })._socket.write(rest);
  });
  raw.on("error", (error) => surprise(`a socket failed: ${error.message}`));
  await once(raw, "close").catch(() => undefined);
  clearTimeout(late);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
