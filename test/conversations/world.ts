// A world for conversations: a broker on the memory log, on JetStream, or as a process of its own, and the people in it.
// In: which one. Out: people who speak to it over HTTP. Never: a port, folder or process that outlives the test.
import { connect } from "@nats-io/transport-node";
import { pino } from "pino";
import { afterAll, beforeAll } from "vitest";
import { usualThreadLimits } from "../../services/agents/threads.ts";
import { type BrokerOptions, openBroker } from "../../services/broker.ts";
import { steadyClock } from "../../services/clock.ts";
import type { Limits } from "../../services/http/quotas.ts";
import { openJetStreamLog } from "../../services/store/jetstream.ts";
import type { Log } from "../../services/store/log.ts";
import { openMemoryLog } from "../../services/store/memory.ts";
import { startIn, temporaryFolder } from "../store/embedded.ts";
import type { Data } from "./event-stream.ts";
import { type Person, type Place, person, Refused } from "./person.ts";
import { type Program, startProgram } from "./program.ts";

export type { Data, Heard } from "./event-stream.ts";
export { openEventStream } from "./event-stream.ts";
export {
  type Answer,
  blockPath,
  nodePath,
  type Person,
  person,
  propertyPath,
  Refused,
} from "./person.ts";
export type { Program } from "./program.ts";

/** `lagging` is the memory log with a feed that comes late, as on a busy machine, where what is known is often stale. */
export type Stage = "memory" | "lagging" | "jetstream" | "process";
/** Where most conversations are held. */
export const stages = ["memory", "jetstream"] as const;
export const isFull = process.env.TIDINGS_TEST_FULL === "1";
/** Where those are held that take long and stand above the properties: on JetStream, and on both at full size. */
export const longStages: readonly (typeof stages)[number][] = isFull ? stages : ["jetstream"];

export interface World extends AsyncDisposable {
  readonly url: string;
  readonly adminToken: string;
  /** Registers somebody whose handle begins with this name. */
  registers(name: string, wish?: Data): Promise<Person>;
  /** Somebody without a token. */
  readonly stranger: Person;
  /** Opens one more broker on the same logs, not with the process. @returns somebody there without a token */
  neighbour(settings?: Settings): Promise<Person>;
  /** Whoever runs the domain. */
  readonly operator: Person;
  /** Somebody who registered before. */
  knows(address: string, token: string): Person;
}

export interface ProcessWorld extends World {
  readonly program: Program;
}

type Settings = Partial<BrokerOptions>;

export interface WorldOptions {
  /** For the process alone. */
  readonly env?: Readonly<Record<string, string>>;
  /** For the others. */
  readonly settings?: Settings;
  /** What both logs are used through. */
  readonly through?: (log: Log) => Log;
  readonly limits?: Limits;
}

/** A world for all tests of a `describe`, opened before the first and gone after the last. */
export function aWorld(stage: "process", options?: WorldOptions): ProcessWorld;
export function aWorld(stage: Stage, options?: WorldOptions): World;
export function aWorld(stage: Stage, options: WorldOptions = {}): World {
  let opened: World | undefined;
  beforeAll(async () => {
    opened = await openWorld(stage, options);
  });
  afterAll(async () => await opened?.[Symbol.asyncDispose]());
  return new Proxy({} as World, {
    get: (_, member) => Reflect.get(opened as World, member),
  });
}

/** Resolves at this time by Date.now(), for what happens at a deadline and cannot be asked for. */
export async function at(timeMs: number): Promise<void> {
  while (Date.now() < timeMs) await new Promise((resolve) => setTimeout(resolve, timeMs - Date.now()));
}

/**
 * What Date.now() said at a time by performance.now() that was a moment ago: where a machine sets its clock right bit by
 * bit, the two drift apart by milliseconds a second, and whatever was measured at the start of a process counts no more.
 */
export function wallMs(atMs: number): number {
  return Date.now() - (performance.now() - atMs);
}

const domain = "localhost";
const adminToken = "the-operator-of-a-test-world";

export async function openWorld(stage: "process", options?: WorldOptions): Promise<ProcessWorld>;
export async function openWorld(stage: Stage, options?: WorldOptions): Promise<World>;
export async function openWorld(stage: Stage, options: WorldOptions = {}): Promise<World> {
  await using stack = new AsyncDisposableStack();
  switch (stage) {
    case "memory": {
      return await serve(stack.move(), memoryLogs(), options);
    }
    case "lagging": {
      const logs = { ...memoryLogs(), facts: lagging(openMemoryLog()) };
      return await serve(stack.move(), logs, options);
    }
    case "jetstream": {
      const folder = stack.use(await temporaryFolder());
      const server = stack.use(await startIn(folder.path));
      const nc = await connect({ servers: server.url, token: server.token });
      stack.defer(async () => await nc.drain());
      const shared = { replicas: 1 };
      const facts = await openJetStreamLog(nc, { ...shared, stream: "tidings", prefix: "t" });
      const secrets = await openJetStreamLog(nc, { ...shared, stream: "tidings_accounts", prefix: "a" });
      const work = await openJetStreamLog(nc, { ...shared, stream: "tidings_work", prefix: "w" });
      return await serve(stack.move(), { facts, secrets, work }, options);
    }
    case "process": {
      const folder = stack.use(await temporaryFolder());
      const env = { TIDINGS_ADMIN_TOKEN: adminToken, ...options.env };
      const program = stack.use(await startProgram(folder.path, env));
      const world = await settle(() => program.url, stack.move());
      return Object.defineProperty(world, "program", { value: program }) as ProcessWorld;
    }
  }
}

/** Brokers in this process, on logs of their own. */
async function serve(stack: AsyncDisposableStack, logs: Logs, options: WorldOptions): Promise<World> {
  const { settings, limits, through = (log) => log } = options;
  const shared = {
    ...usual(),
    facts: through(logs.facts),
    secrets: through(logs.secrets),
    work: through(logs.work),
    limits,
    ...settings,
  };
  const open = async (others: Settings = {}): Promise<string> => {
    const broker = stack.use(await openBroker({ ...shared, ...others }));
    return await broker.http.listen("127.0.0.1", 0);
  };
  const url = await open();
  const world = await settle(() => url, stack);
  const neighbour: World["neighbour"] = async (others) => {
    const there = await open({ keeper: "neighbour", ...others });
    return person({ url: there, bell: "", ring: async () => 0 }, "", undefined);
  };
  return Object.defineProperty(world, "neighbour", { value: neighbour });
}

type Logs = Pick<BrokerOptions, "facts" | "secrets" | "work">;

function memoryLogs(): Logs {
  return { facts: openMemoryLog(), secrets: openMemoryLog(), work: openMemoryLog() };
}

function usual(): Omit<BrokerOptions, keyof Logs> {
  return {
    domain,
    registration: "open",
    adminToken,
    origins: new Set<string>(),
    rateLimit: true,
    now: steadyClock(),
    log: pino({ level: "silent" }),
    keeper: "test",
    // Other tests would take the machine from agents that give way.
    agentLimits: { thread: { ...usualThreadLimits, niceness: 0 } },
  };
}

/** Some snapshots are faster than the feed, some slower; five of them, so that no target has always the same. */
const feedLagMs = 9;
const snapshotLagsMs = [5, 20, 5, 20, 12];

/** The feed brings what was acknowledged a while ago, a snapshot shows what was there when it was asked for. */
export function lagging(log: Log, feedMs = feedLagMs): Log {
  const lag = async (ms: number): Promise<void> => await new Promise((resolve) => setTimeout(resolve, ms));
  let snapshots = 0;
  return {
    ...log,
    async *feed(after, signal) {
      for await (const facts of log.feed(after, signal)) {
        await lag(feedMs);
        yield facts;
      }
    },
    async snapshot(...asked) {
      const taken = await log.snapshot(...asked);
      await lag(snapshotLagsMs[snapshots++ % snapshotLagsMs.length] as number);
      return taken;
    },
  };
}

async function settle(url: () => string, stack: AsyncDisposableStack): Promise<World> {
  const people: Person[] = [];
  let handles = 0;
  let strokes = 0;
  let ringer: Promise<Person> | undefined;

  const place: Place = {
    get url() {
      return url();
    },
    bell: `bell@${domain}:for-sale`,
    async ring() {
      ringer ??= register({ handle: "bell" });
      const stroke = ++strokes;
      // A public property, so that everybody hears it.
      await (await ringer).sets("for-sale", { item: "bell", price: stroke });
      return stroke;
    },
  };

  async function register(wish: Data): Promise<Person> {
    const answer = await stranger.asks("POST", "/v1/accounts", { body: wish });
    if (answer.status !== 201) throw new Refused("POST /v1/accounts", answer);
    return join(answer.body.address, answer.body.token);
  }

  function join(address: string, token: string | undefined): Person {
    const one = person(place, address, token);
    people.push(one);
    return one;
  }

  const stranger = join("", undefined);
  return {
    get url() {
      return url();
    },
    adminToken,
    stranger,
    operator: join("", adminToken),
    knows: join,
    neighbour: () => Promise.reject(new Error("a process has its store to itself")),
    registers: async (name, wish = {}) => await register({ handle: `${name}-${++handles}`, ...wish }),
    async [Symbol.asyncDispose]() {
      for (const one of people) await one[Symbol.asyncDispose]();
      await stack[Symbol.asyncDispose]();
    },
  };
}
