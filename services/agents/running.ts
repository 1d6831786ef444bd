// Running: one agent at work, as long as this broker holds the claim to it and its record stays as it is.
// In: a claim, a record, its kind. Out: events handled in its thread, progress, runs. Never: progress past an event that has not ended, or a thread that takes the broker with it.
import { setTimeout as delay } from "node:timers/promises";
import { openDispatcher, type RunRecord } from "../../agents/dispatch.ts";
import { type AgentEvent, eventOf } from "../../agents/events.ts";
import type { Port, Run } from "../../agents/port.ts";
import { timestamp } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import { Refusal } from "../core/refusal.ts";
import type { Watcher } from "../watch/watching.ts";
import { type Claim, openSaving } from "../work/work.ts";
import type { Kind } from "./catalog.ts";
import type { Keeping } from "./keeping.ts";
import { type Progress, progressJson } from "./progress.ts";
import type { Record } from "./records.ts";
import { openRing, type Ring } from "./ring.ts";
import { startThread, type Thread } from "./thread.ts";
import { ThreadEnded, type Threads } from "./threads.ts";
import { openTimers, type Timers } from "./timers.ts";

export interface Session {
  readonly claim: Claim;
  readonly record: Record;
  readonly kind: Kind;
  /** The agent's own address. */
  readonly node: string;
  readonly keeping: Keeping;
  readonly at: Standing;
  /** Aborted when the claim is lost, or the record became another one. */
  readonly signal: AbortSignal;
}

/** What is known of an agent from one session to the next. */
export interface Standing {
  /** How far it has come. */
  progress: Progress;
  /** When its thread has ended. */
  readonly deaths: number[];
  /** It was at work when the process of all threads ended: it has one of its own now, where it can harm nobody else. */
  isSuspect: boolean;
}

export interface RunningDeps {
  readonly threads: Threads;
  readonly backoffMs: readonly number[] | undefined;
  readonly now: () => number;
  listen(from: ListenFrom): Promise<Watcher>;
  openPort(hooks: PortHooks): Port;
  /** It is stopped, and shown as failed with this reason. */
  fail(reason: string): Promise<void>;
  onRun(state: string): void;
  onTrouble(message: string): void;
}

export interface ListenFrom {
  readonly after: string | undefined;
  readonly onReady: () => void;
  readonly onTakenBack: () => void;
  readonly onDeaf: (why: string) => void;
}

export interface PortHooks {
  readonly timers: Pick<Timers, "set" | "cancel">;
  readonly onLog: (
    run: Run,
    line: { readonly level: "debug" | "info" | "warn" | "error"; readonly text: string },
  ) => void;
  readonly signal: AbortSignal;
}

/** What an agent at work shows of itself. */
export interface Showing {
  readonly ring: Ring;
  readonly running: () => readonly RunRecord<AgentEvent>[];
  /** An owner has decided anew: nothing of before waits here for long. Without one, its own contacts are others now. */
  readonly recall: (owner: string | undefined) => void;
}

/** Events that wait for their turn, beyond which no more are taken from the stream. */
const waitingMax = 500;
/** Its thread may end so often within so long, with something else in between. */
const deathsMax = 3;
const deathsMs = 10 * 60_000;
const graceMs = 2_000;
const saveMs = 200;
const againMs = 1_000;

/** Resolves when the signal says so, or when it has failed. */
export async function run(
  session: Session,
  deps: RunningDeps,
  onShow: (showing: Showing) => void,
): Promise<void> {
  const { claim, record, kind, node, keeping, at } = session;
  const { definition, file } = kind;
  const { now, threads } = deps;
  const over = new AbortController();
  const signal = AbortSignal.any([session.signal, over.signal]);
  using saving = openSaving({ progress: () => progressJson(at.progress), save: claim.save, againMs });
  await using ring = openRing(await keeping.runs(), keeping.keepRuns);
  let watcher: Watcher | undefined;
  let thread: Promise<Thread> | undefined;
  let failing: Promise<void> | undefined;
  let seenDead: ThreadEnded | undefined;

  const port = deps.openPort({
    signal,
    timers: { set: (timer) => timers.set(timer), cancel: (name) => timers.cancel(name) },
    onLog: (one, { level, text }) => dispatcher.note(one.id, level, text),
  });

  function threadNow(): Promise<Thread> {
    thread ??= (async () => {
      const who = { id: record.id, node, owner: record.owner };
      try {
        const task = { is: "run", file, config: record.config as Json, who } as const;
        return await threads.turns.run(() => startThread(task, port, threads, at.isSuspect));
      } catch (error) {
        if (error instanceof ThreadEnded && error.isShared) died(error);
        else fail(`it could not be loaded: ${(error as Error).message}`);
        throw error;
      }
    })();
    return thread;
  }

  function fail(reason: string): void {
    if (signal.aborted) return;
    over.abort();
    failing = deps.fail(reason);
  }

  /** Another one is begun with the next attempt, unless it dies too often. */
  function died(ended: ThreadEnded): void {
    if (seenDead === ended || signal.aborted) return;
    seenDead = ended;
    thread = undefined;
    if (ended.isShared) {
      at.isSuspect = true;
      return;
    }
    const nowMs = now();
    at.deaths.push(nowMs);
    if (at.deaths.length > deathsMax) at.deaths.shift();
    if (at.deaths.length === deathsMax && nowMs - (at.deaths[0] ?? 0) < deathsMs) fail(ended.message);
  }

  async function handle(event: AgentEvent, one: Run, abort: AbortSignal): Promise<"handled" | "ignored"> {
    // What has ended all of them while this one had nothing to do was no fault of it.
    if ((await threadNow()).ended?.isShared) thread = undefined;
    const there = await threadNow();
    try {
      return await there.handle(event, one, abort);
    } catch (error) {
      if (error instanceof ThreadEnded) died(error);
      throw error;
    }
  }

  const dispatcher = openDispatcher<AgentEvent>({
    mode: definition.mode ?? "queued",
    ...(definition.concurrency !== undefined && { concurrency: definition.concurrency }),
    ...(definition.timeLimit !== undefined && { timeLimitMs: definition.timeLimit }),
    ...(deps.backoffMs && { backoffMs: deps.backoffMs }),
    now,
    handle: (event, one, _, abort) => handle(event, one, abort),
    onProgress(cursor) {
      at.progress = { ...at.progress, cursor };
      saving.soon(saveMs);
      queueMicrotask(pump);
    },
    onRun(ended) {
      deps.onRun(ended.state);
      if (ended.state === "failed" || ended.state === "running") ring.note(ended);
      else {
        const leaving = seeOff(ended).finally(() => left.delete(leaving));
        left.add(leaving);
      }
    },
    async onDead({ id, event, error = "", attempts }) {
      await keeping.bury({ run: id, event, error, attempts, atMs: now() });
    },
  });

  /** Runs that have ended, until nothing of them is left to be remembered. */
  const left = new Set<Promise<void>>();

  /** What came by no stream is remembered until its run has ended. */
  async function seeOff(ended: RunRecord<AgentEvent>): Promise<void> {
    const { id, event, state } = ended;
    try {
      // A timer that is shown as done does not fire again, whatever is killed next.
      if (event.type === "timer") await endTimer(id);
      ring.note(ended);
      if (event.type === "started") {
        at.progress = { ...at.progress, turn: record.turn };
        saving.soon(0);
      }
      if (at.progress.replay.some((one) => one.id === id)) {
        if (state === "done") await keeping.unbury(id);
        at.progress = { ...at.progress, replay: at.progress.replay.filter((one) => one.id !== id) };
        saving.soon(0);
      }
    } catch (error) {
      deps.onTrouble(`${record.id}: ${(error as Error).message}`);
    }
  }

  /** Tried until it is kept or the session is over. */
  async function endTimer(id: string): Promise<void> {
    for (;;) {
      try {
        return await timers.end(id);
      } catch (error) {
        if (signal.aborted) throw error;
        deps.onTrouble(`${record.id}: ${(error as Error).message}`);
        await Promise.race([aborted(signal), delay(againMs, undefined, { ref: false })]);
      }
    }
  }

  /** Accounts that the events are about which wait here. */
  const waitingOf = new Set<string>();
  using timers: Timers = openTimers(keeping.timers, now, ({ id, name, data, dueMs }) => {
    dispatcher.offer({ type: "timer", id, node, name, data, dueMs, hops: 0, time: timestamp(now()) });
  });

  function pump(): void {
    while (watcher && !signal.aborted && dispatcher.waiting < waitingMax) {
      const deliveries = watcher.take();
      if (deliveries.length === 0) return;
      for (const { shared, cursor } of deliveries) {
        const event = eventOf(shared.event);
        if (event) {
          if (dispatcher.waiting === 0) waitingOf.clear();
          waitingOf.add(event.node.split("/", 1)[0] as string);
          dispatcher.offer(event, cursor);
        } else if (dispatcher.waiting === 0) {
          at.progress = { ...at.progress, cursor };
          saving.soon(againMs);
        }
      }
    }
  }

  const recalled = Promise.withResolvers<void>();
  onShow({
    ring,
    running: () => dispatcher.running(),
    recall(owner) {
      if (owner === undefined || (dispatcher.waiting > 0 && waitingOf.has(owner))) recalled.resolve();
    },
  });
  try {
    await threadNow();
    await timers.begin();
    for (const event of at.progress.replay) dispatcher.offer(event as AgentEvent);
    if (at.progress.turn !== record.turn) {
      const id = `${record.id}-started-${record.turn}`;
      dispatcher.offer({ type: "started", id, node, hops: 0, time: timestamp(now()) });
    }
    watcher = await deps.listen({
      after: at.progress.cursor,
      onReady: pump,
      // What waits here may be hidden now: it is heard anew, as it may be heard.
      onTakenBack: () => void (dispatcher.waiting > 0 && recalled.resolve()),
      onDeaf: (why) => deps.onTrouble(`${record.id}: ${why}`),
    });
    pump();
    await Promise.race([recalled.promise, aborted(signal)]);
  } catch (error) {
    if (error instanceof Refusal && error.code === "bad-cursor") {
      at.progress = { ...at.progress, cursor: undefined };
      await saving.now();
    } else if (!signal.aborted) throw error;
  } finally {
    watcher?.[Symbol.dispose]();
    watcher = undefined;
    await dispatcher.stop(over.signal.aborted ? 0 : graceMs);
    // Its next session takes up nothing that has ended in this one.
    await Promise.all(left);
    const there = await thread?.catch(() => undefined);
    there?.[Symbol.dispose]();
    // Its next session, here or elsewhere, goes on from here.
    if (!claim.signal.aborted) await saving.now();
    await failing;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
