// Tests of agents without a server: an agent, a broker in memory, and a clock that the test moves.
// In: events that the test tells, time. Out: what the agent did. Never: a network, or a wait for real time to pass.
import { type Agent, checkAgent } from "./define.ts";
import { openDispatcher } from "./dispatch.ts";
import { durationMs } from "./durations.ts";
import type { AgentEvent, Message, TimerEvent } from "./events.ts";
import { openFakeTime, settled } from "./fake-time.ts";
import { type Effect, openMemory } from "./memory.ts";
import { permitted } from "./permissions.ts";
import { type FetchAnswer, type FetchWish, type Json, type LeaseWish, PortError } from "./port.ts";
import { openRuntime } from "./runtime.ts";

export type { Effect } from "./memory.ts";

export interface TestOptions {
  readonly config?: unknown;
  /** Where the clock starts: RFC 3339, or ms since 1970. 2026-01-01T00:00:00Z unless told otherwise. */
  readonly now?: string | number;
  /** `owner@localhost` unless told otherwise. */
  readonly owner?: string;
  readonly contacts?: readonly string[];
  /** What is there already, by address and name. */
  readonly nodes?: { readonly [address: string]: { readonly [name: string]: Json } };
  /** Answers the agent's requests; status 200 with nothing in it unless told otherwise. */
  fetch?(wish: FetchWish): Partial<FetchAnswer> | Promise<Partial<FetchAnswer>>;
  /** Tries failed runs again as a host does, when the clock moves, in place of throwing from `emit`. */
  readonly retries?: boolean;
}

type Loose<Event> = Event extends AgentEvent
  ? { readonly type: Event["type"] } & {
      readonly [Key in Exclude<keyof Event, "type" | "message" | "lease">]?: Event[Key];
    } & { readonly message?: Partial<Message>; readonly lease?: LeaseWish }
  : never;

/** An event of which only the type must be given. */
export type Told = Loose<AgentEvent>;

export interface AgentTest {
  /** The agent's own address. */
  readonly self: string;
  readonly owner: string;
  /**
   * Tells it to the agent and waits until that is done. What is left out is filled in; a change of a property is true
   * from then on for `get` and `find`. Throws what the handler throws.
   */
  emit(event: Told): Promise<void>;
  /** Moves the clock: timers fire, leases end, failed runs are tried again. */
  advance(duration: string | number): Promise<void>;
  /** The last event once more, as after a crash before its end was known. */
  redeliver(): Promise<void>;
  /** The process ends right after this step of the next run is kept: nothing that follows happens, until `redeliver()`. */
  crashAfterStep(name: string): void;
  /** What the agent did, in order. */
  readonly effects: readonly Effect[];
  /** What it keeps. */
  readonly state: { readonly [key: string]: Json };
  /** The properties of a node: values by name. */
  node(address: string): { readonly [name: string]: Json };
  /** Events that failed for good, with `retries`. */
  readonly dead: readonly AgentEvent[];
  now(): number;
}

/** @throws AgentError where the agent is wrong, or the config does not fit */
export function testAgent(agent: Agent, options: TestOptions = {}): AgentTest {
  checkAgent(agent);
  const { owner = "owner@localhost", contacts = [], nodes = {}, config, retries = false } = options;
  const self = `${agent.name}@agents.localhost`;
  const time = openFakeTime(new Date(options.now ?? "2026-01-01T00:00:00Z").getTime());
  let crashAt: string | undefined;
  let hasCrashed = false;
  const memory = openMemory({
    self,
    nodes,
    now: time.now,
    fetch: options.fetch ?? (() => ({})),
    onStep(name) {
      if (name === crashAt) hasCrashed = true;
    },
  });
  const isContact = (address: string) => contacts.includes(address);
  const { permissions } = agent;
  const port = permitted(
    async (run, call, takes) => {
      const crashed = () => {
        if (hasCrashed) throw new PortError("unavailable", "The process has ended, as the test wants it.");
      };
      crashed();
      const gives = await memory.port(run, call, takes);
      crashed();
      return gives;
    },
    { permissions, owner, node: self, isContact },
  );
  const runtime = openRuntime(
    agent,
    config ?? {},
    port,
    { id: "test", node: self, owner, isContact },
    time.now,
  );
  const dead: AgentEvent[] = [];
  let failures: unknown[] = [];
  let last: AgentEvent | undefined;
  let told = 0;

  const dispatcher = openDispatcher<AgentEvent>({
    mode: agent.mode ?? "queued",
    ...(agent.concurrency !== undefined && { concurrency: agent.concurrency }),
    ...(agent.timeLimit !== undefined && { timeLimitMs: agent.timeLimit }),
    ...(!retries && { backoffMs: [] }),
    timers: time.timers,
    now: time.now,
    random: () => 0.5,
    async handle(event, run, _attempt, signal) {
      try {
        return await runtime.handle(event, run, signal);
      } catch (error) {
        if (hasCrashed) return "ignored";
        failures.push(error);
        throw error;
      }
    },
    onDead: ({ event }) => void dead.push(event),
  });

  async function deliver(event: AgentEvent): Promise<void> {
    last = event;
    dispatcher.offer(event);
    // One that waits to be tried again ends only when the clock moves.
    await (retries ? settledRuns() : dispatcher.idle());
    throwFailure();
  }

  async function settledRuns(): Promise<void> {
    await settled();
    while (dispatcher.running().some(({ state }) => state === "running")) await settled();
  }

  function throwFailure(): void {
    const [first] = failures;
    failures = [];
    if (first !== undefined && !retries) throw first;
  }

  function timerEvent(): TimerEvent | undefined {
    const [first] = [...memory.timers.values()].toSorted((a, b) => a.dueMs - b.dueMs);
    if (first === undefined || first.dueMs > time.now()) return undefined;
    memory.timers.delete(first.name);
    const { name, dueMs, data, hops } = first;
    return { ...heading(), type: "timer", node: self, hops, name, data, dueMs };
  }

  const heading = () => ({
    id: `event-${++told}`,
    time: new Date(time.now()).toISOString(),
    node: owner,
    hops: 0,
  });

  async function advance(duration: string | number): Promise<void> {
    const untilMs = time.now() + durationMs(duration);
    for (;;) {
      const timers = [...memory.timers.values()].map(({ dueMs }) => dueMs);
      const dueMs = Math.min(untilMs, memory.leaseEndsMs ?? Infinity, ...timers);
      await time.advanceTo(Math.max(dueMs, time.now()));
      await settledRuns();
      for (const change of memory.expire()) await deliver({ ...heading(), ...change });
      for (let timer = timerEvent(); timer !== undefined; timer = timerEvent()) await deliver(timer);
      throwFailure();
      if (time.now() >= untilMs) return;
    }
  }

  /** What is left out, and what is true from now on. */
  function filled(event: Told): AgentEvent {
    const head = heading();
    const isOwn = event.type === "timer" || event.type === "started";
    const full = { ...head, ...usual(event, head.id), ...event, ...(isOwn && { node: self }) };
    if (event.type === "message.received") {
      return { ...full, message: { ...messageTo(full.node, head.id), ...event.message } } as AgentEvent;
    }
    if (event.type === "property.removed") {
      return { ...full, revision: memory.drop(full.node, event.name ?? "") } as AgentEvent;
    }
    if (event.type !== "property.changed") return full as AgentEvent;
    const { name = "", value = null, by = full.node, lease } = event;
    return { ...full, ...memory.put(full.node, name, value, by, lease) } as AgentEvent;
  }

  function usual({ type }: Told, id: string): object {
    if (type === "timer") return { name: id, data: null, dueMs: time.now() };
    if (type === "property.changed") return { reason: "set" };
    if (type === "property.removed") return { reason: "deleted" };
    if (type.startsWith("match.")) return { properties: {} };
    if (type.startsWith("member.")) return { member: "somebody@localhost" };
    return type.startsWith("watcher.")
      ? { watcher: "somebody@localhost", properties: ["*"], via: "sse" }
      : {};
  }

  function messageTo(to: string, id: string): Message {
    return { id, from: "somebody@localhost", to, contentType: "text/plain; charset=utf-8", content: "" };
  }

  return {
    self,
    owner,
    emit: async (event) => deliver(filled(event)),
    advance,
    async redeliver() {
      if (last === undefined) throw new Error("There was no event yet: emit one first.");
      hasCrashed = false;
      crashAt = undefined;
      await deliver(last);
    },
    crashAfterStep(name) {
      crashAt = name;
    },
    effects: memory.effects,
    get state() {
      return Object.fromEntries(memory.state);
    },
    node: memory.node,
    dead,
    now: time.now,
  };
}
