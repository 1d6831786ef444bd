// An agent in a program of its own: hears what happens from a broker elsewhere, and remembers in a file of its own.
// In: an agent, a broker, a store, a token's account. Out: runs, each event at least once and no step twice. Never: progress past an event that has not ended.
import { randomUUID } from "node:crypto";
import { type Agent, readConfig } from "../define.ts";
import { type Dispatcher, openDispatcher, type RunRecord } from "../dispatch.ts";
import { type AgentEvent, eventOf } from "../events.ts";
import { permitted } from "../permissions.ts";
import { type Calls, type Json, type LogLevel, type Port, PortError, type Run } from "../port.ts";
import { openRuntime } from "../runtime.ts";
import { type Contacts, openContacts } from "./contacts.ts";
import type { LocalStore, Timer } from "./local-store.ts";
import { nodePath, type Rest, RestError } from "./rest.ts";
import { openRestPort } from "./rest-port.ts";
import { openStream, type Told } from "./sse.ts";
import { subscribe, targetsFor } from "./targets.ts";
import { openTimers } from "./timers.ts";

export type OutsideRun = RunRecord<AgentEvent>;

export interface OutsideOptions {
  readonly agent: Agent;
  readonly config: unknown;
  readonly rest: Rest;
  readonly store: LocalStore;
  /** Takes a message off the account's list once it was handled: for an account that is the agent's own. */
  readonly acknowledges: boolean;
  /** The waits before further attempts, 1, 5 and 25 s unless told otherwise. */
  readonly backoffMs?: readonly number[] | undefined;
  /** Tries once more what failed for good before. */
  readonly retriesDead?: boolean;
  readonly signal: AbortSignal;
  /** The stream is open, broken, or the broker cannot serve. */
  onState?(state: "live" | "broken", why?: string): void;
  /** After each attempt, and at the end. */
  onRun?(record: OutsideRun): void;
  /** What a run did, and what that answered. */
  onEffect?<Call extends keyof Calls>(
    run: Run,
    call: Call,
    takes: Calls[Call]["takes"],
    gives: Calls[Call]["gives"],
  ): void;
  onLog?(run: Run, level: LogLevel, text: string, data: unknown): void;
}

/** Events that have not ended: past it the stream waits. */
const waitingMax = 1_000;
const graceMs = 5_000;
const againMs = 1_000;

/** Runs until the signal. @throws AgentError for a bad config, RestError when the broker refuses what cannot pass */
export async function runOutside(options: OutsideOptions): Promise<void> {
  const { agent, rest, store, onLog = () => undefined } = options;
  const owner = ((await rest.ask("GET", "/v1/me")) as { address: string }).address;
  const node = `${owner}/${agent.name}`;
  await rest.ask("PUT", nodePath(node), { body: { kind: "agent" } });
  const contacts = await openContacts(rest);
  const who = { id: node, node, owner, isContact: contacts.has };
  const told = openTold(store);
  using timers = openTimers(store, (timer) => offer(timerEvent(timer, node)));
  const port = openRestPort({ rest, store, timers, onLog });
  const guarded = permitted(watched(port, options), { ...agent, owner, node, isContact: contacts.has });
  const runtime = openRuntime(agent, options.config, guarded, who, Date.now);
  const dispatcher: Dispatcher<AgentEvent, string> = openDispatcher<AgentEvent, string>({
    mode: agent.mode ?? "queued",
    ...(agent.concurrency !== undefined && { concurrency: agent.concurrency }),
    ...(options.backoffMs !== undefined && { backoffMs: options.backoffMs }),
    // The limit holds for each try below: waiting for a broker that is away is no fault of the agent.
    timeLimitMs: 2 ** 31 - 1,
    handle: async (event, run, _, stopped) => {
      const limitMs = agent.timeLimit ?? 30_000;
      return await patiently(stopped, limitMs, async (ending) => await runtime.handle(event, run, ending));
    },
    onProgress: (cursor) => {
      told.forgetEnded();
      store.keepCursor(cursor);
    },
    onRun: (record) => {
      options.onRun?.(record);
      if (record.state === "failed" || record.state === "running") return;
      told.end(record);
      if (record.state !== "done") return;
      if (options.acknowledges && record.event.type === "message.received")
        void acknowledge(rest, record.event.message.id);
    },
    onDead: async ({ id, event, attempts, error = "" }) =>
      await store.keepDead({
        run: id,
        event: event as unknown as Json,
        error,
        attempts,
        at: new Date().toISOString(),
      }),
  });
  function offer(event: AgentEvent, cursor?: string): void {
    told.forgetEnded();
    if (told.begin(event.id)) dispatcher.offer(event, cursor);
    else if (cursor !== undefined && dispatcher.waiting === 0) store.keepCursor(cursor);
  }

  try {
    const startedId = store.fact("started") ?? `started:${randomUUID()}`;
    await store.keepFact("started", startedId);
    offer({ type: "started", id: startedId, time: new Date().toISOString(), node, hops: 0 });
    timers.begin();
    for (const { run, event } of options.retriesDead ? store.dead() : []) {
      told.beginAgain(run);
      dispatcher.offer(event as unknown as AgentEvent);
    }
    await listen({ ...options, owner, contacts, offer, dispatcher });
  } finally {
    await dispatcher.stop(graceMs);
    await store.flush();
  }
}

interface Listening extends OutsideOptions {
  readonly owner: string;
  readonly contacts: Contacts;
  readonly dispatcher: Dispatcher<AgentEvent, string>;
  offer(event: AgentEvent, cursor: string): void;
}

/** The stream goes on in place of an older one whenever the owner's contacts change. */
async function listen(options: Listening): Promise<void> {
  const { agent, rest, store, owner, contacts, dispatcher, signal, offer, onState } = options;
  const read = readConfig(agent, options.config);
  const { watch, subscriptions, hasContacts } = targetsFor(
    agent.on,
    "config" in read ? read.config : {},
    owner,
  );
  const ids = await subscribe(rest, store, subscriptions);
  let after = store.fact("cursor");
  while (!signal.aborted) {
    const turn = new AbortController();
    const ending = AbortSignal.any([signal, turn.signal]);
    for await (const one of openStream(rest, { watch, after, signal: ending, ...(onState && { onState }) })) {
      after = one.cursor;
      const event = heard(one, ids, agent, owner);
      if (event !== undefined) offer(event, one.cursor);
      else if (dispatcher.waiting === 0) store.keepCursor(one.cursor);
      if (hasContacts && isList(one, owner) && (await insisting(contacts.refresh, signal))) turn.abort();
      while (dispatcher.waiting > waitingMax && !signal.aborted) await pause(10);
    }
  }
}

/** Undefined: not for this agent. */
function heard(
  { event }: Told,
  ids: ReadonlySet<string>,
  agent: Agent,
  owner: string,
): AgentEvent | undefined {
  const { subscription } = event.data as { subscription?: string };
  // The account may keep standing queries that are no agent's.
  if (event.type.startsWith("dev.tidings.match.") && !ids.has(subscription ?? "")) return undefined;
  const known = eventOf(event);
  if (known === undefined || agent.ignoreSelf === false) return known;
  // What agents write out here is by their owner's account: the hops tell it from what the owner writes.
  const isOwn = known.type === "property.changed" && known.by === owner && known.hops > 0;
  return isOwn ? undefined : known;
}

function isList({ event: { type, subject, source } }: Told, owner: string): boolean {
  const isProperty = type === "dev.tidings.property.changed" || type === "dev.tidings.property.removed";
  return isProperty && subject === "contacts" && source === `/nodes/${owner}`;
}

function timerEvent({ id, name, dueMs, data, hops }: Timer, node: string): AgentEvent {
  return { type: "timer", id, time: new Date(dueMs).toISOString(), node, hops, name, data, dueMs };
}

/** Which events are on their way or have ended, so that none that is told again is handled again. */
function openTold(store: LocalStore) {
  const held = new Map<string, { ended?: OutsideRun["state"]; isAgain?: true }>();
  return {
    /** False: it is known already. */
    begin(id: string): boolean {
      if (held.has(id) || store.hasEnded(id)) return false;
      held.set(id, {});
      return true;
    },
    beginAgain: (id: string) => void held.set(id, { isAgain: true }),
    end({ id, state, event }: OutsideRun): void {
      store.keepRun(id, state);
      // A timer that cannot be ended now fires again after a restart, and is known to have ended.
      if (event.type === "timer") store.endTimer(id).catch(() => undefined);
      const one = held.get(id);
      if (one?.isAgain && state !== "dead") store.forgetDead(id);
      if (one) one.ended = state;
    },
    /** Progress is at the first that has not ended. Those that are dead may be tried again, with the steps that they have. */
    forgetEnded(): void {
      const over: string[] = [];
      for (const [id, { ended }] of held) {
        if (ended === undefined) break;
        held.delete(id);
        if (ended !== "dead") over.push(id);
      }
      store.forgetSteps(over);
    },
  };
}

/** Tries until it is handled or fails by itself: a broker that is away is waited for. */
async function patiently<T>(
  stopped: AbortSignal,
  limitMs: number,
  handle: (ending: AbortSignal) => Promise<T>,
): Promise<T> {
  for (;;) {
    const late = new AbortController();
    const ending = AbortSignal.any([stopped, late.signal]);
    const over = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const why = new Error(`it took longer than ${limitMs} ms`);
      late.abort(why);
      over.reject(why);
    }, limitMs);
    try {
      return await Promise.race([handle(ending), over.promise]);
    } catch (error) {
      const isAway = error instanceof PortError && error.code === "unavailable";
      if (!isAway || stopped.aborted) throw error;
      await pause(againMs * (0.5 + Math.random()));
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Asks until somebody answers. */
async function insisting<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof RestError && error.isPassing)) throw error;
      await pause(againMs);
    }
  }
  return undefined;
}

function watched(port: Port, { onEffect }: OutsideOptions): Port {
  if (onEffect === undefined) return port;
  return async (run, call, takes) => {
    const gives = await port(run, call, takes);
    onEffect(run, call, takes, gives);
    return gives;
  };
}

/** What stays is told again, and was handled. */
async function acknowledge(rest: Rest, id: string): Promise<void> {
  await rest.ask("DELETE", `/v1/messages/${encodeURIComponent(id)}`).catch(() => undefined);
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
