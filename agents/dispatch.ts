// Dispatcher: decides which event is handled when, and what becomes of those that fail.
// In: events in the order of their cursors. Out: runs, their records, and how far all is done. Never: two runs of one node at once
// (but in the mode `parallel`), an event that ends twice, or progress past one that has not ended.
import { type Fifo, openFifo } from "./fifo.ts";
import type { LogLevel, Run } from "./port.ts";
import { openProgress } from "./progress.ts";
import {
  addLine,
  type Dispatchable,
  errorText,
  type RunRecord,
  type RunState,
  recordOf,
  type Tried,
} from "./run-record.ts";
import { systemTimers, type Timers } from "./timers.ts";

export type { RunRecord } from "./run-record.ts";

export type Mode = "queued" | "restart" | "single" | "parallel";

export interface DispatcherOptions<Event extends Dispatchable, Cursor> {
  readonly mode: Mode;
  /** Runs at the same time. */
  readonly concurrency?: number;
  /** The wait before each further attempt, give or take a fifth. */
  readonly backoffMs?: readonly number[];
  readonly hopsMax?: number;
  /** Of one attempt. */
  readonly timeLimitMs?: number;
  /** When the signal is aborted the attempt is over, whatever the handler does. `attempt` counts from 1. */
  handle(event: Event, run: Run, attempt: number, signal: AbortSignal): Promise<"handled" | "ignored">;
  /** All events up to this one have ended. Told once for several that end together. */
  onProgress?(cursor: Cursor): void;
  /** After each attempt, and for what is never attempted; exactly once with a state that is not `failed`. */
  onRun?(record: RunRecord<Event>): void;
  /** The event ends, and progress goes on, when this has resolved; it is called again after a while where it rejects. */
  onDead?(record: RunRecord<Event>): void | Promise<void>;
  readonly timers?: Timers;
  now?(): number;
  /** From 0 to 1. */
  random?(): number;
}

export interface Dispatcher<Event, Cursor> {
  /** Without a cursor it moves no progress: timers, replays. */
  offer(event: Event, cursor?: Cursor): void;
  /** Offered, and not passed by progress yet: who offers should pause when it is high. */
  readonly waiting: number;
  /** Those that have begun and not ended. */
  running(): RunRecord<Event>[];
  /** Adds a line to the record of the run of this id. */
  note(id: string, level: LogLevel, text: string): void;
  /** Resolves when all that was offered has ended. */
  idle(): Promise<void>;
  /** Begins nothing more, waits for what runs, and aborts it after `graceMs`. What has not ended then never does here. */
  stop(graceMs?: number): Promise<void>;
}

interface Entry<Event, Cursor> extends Tried<Event> {
  readonly run: Run;
  readonly cursor: Cursor | undefined;
  readonly lane: Lane<Event, Cursor>;
  deadlineMs: number;
  /** Of the attempt that is on. */
  abort: AbortController | undefined;
  /** Until the next attempt. */
  pause: unknown;
  hasEnded: boolean;
}

interface Lane<Event, Cursor> {
  readonly node: string;
  readonly waiting: Fifo<Entry<Event, Cursor>>;
  /** The one whose turn it is: it runs, waits to be tried again, or waits for a free place. */
  current: Entry<Event, Cursor> | undefined;
}

export function openDispatcher<Event extends Dispatchable, Cursor = string>(
  options: DispatcherOptions<Event, Cursor>,
): Dispatcher<Event, Cursor> {
  type One = Entry<Event, Cursor>;
  const { mode, concurrency = 16, hopsMax = 16, timeLimitMs = 30_000, timers = systemTimers } = options;
  const { backoffMs = [1000, 5000, 25_000], now = Date.now, random = Math.random } = options;
  const lanes = new Map<string, Lane<Event, Cursor>>();
  /** Those whose turn it is and who wait for a free place. */
  const ready = openFifo<One>();
  const progress = openProgress<Cursor>((cursor) => options.onProgress?.(cursor));
  /** In the order of their deadlines, since all have the same limit. */
  const attempts = new Set<One>();
  const begun = new Map<string, One>();
  let watchdog: unknown;
  let isStopping = false;
  let onQuiet: (() => void) | undefined;

  function offer(event: Event, cursor?: Cursor): void {
    if (isStopping) return;
    const lane = laneOf(event.node);
    const entry: One = {
      event,
      run: { id: event.id, hops: event.hops },
      cursor,
      lane,
      attempts: 0,
      startedMs: 0,
      deadlineMs: 0,
      abort: undefined,
      pause: undefined,
      log: undefined,
      hasEnded: false,
    };
    progress.add(entry);
    if (event.hops >= hopsMax) {
      end(entry, "stopped", `hop limit: ${event.hops} reactions of agents led to it`);
      forget(lane);
    } else if (lane.current === undefined) {
      take(lane, entry);
    } else if (mode === "single") {
      end(entry, "dropped", "another run of this node is on");
    } else if (mode === "restart") {
      end(lane.current, "stopped", "restarted by a newer event");
      take(lane, entry);
    } else {
      lane.waiting.push(entry);
    }
  }

  function laneOf(node: string): Lane<Event, Cursor> {
    const known = mode === "parallel" ? undefined : lanes.get(node);
    if (known) return known;
    const lane = { node, waiting: openFifo<One>(), current: undefined };
    if (mode !== "parallel") lanes.set(node, lane);
    return lane;
  }

  function take(lane: Lane<Event, Cursor>, entry: One): void {
    lane.current = entry;
    ready.push(entry);
    fill();
  }

  function forget(lane: Lane<Event, Cursor>): void {
    if (lane.current === undefined && mode !== "parallel") lanes.delete(lane.node);
  }

  function fill(): void {
    while (!isStopping && attempts.size < concurrency) {
      const entry = ready.shift();
      if (entry === undefined) return;
      if (!entry.hasEnded) attempt(entry);
    }
  }

  function attempt(entry: One): void {
    const abort = new AbortController();
    const startedMs = now();
    if (entry.attempts++ === 0) {
      entry.startedMs = startedMs;
      begun.set(entry.event.id, entry);
    }
    entry.abort = abort;
    entry.deadlineMs = startedMs + timeLimitMs;
    attempts.add(entry);
    watchdog ??= timers.set(timeLimitMs, checkTime);
    let handling: Promise<"handled" | "ignored">;
    try {
      handling = options.handle(entry.event, entry.run, entry.attempts, abort.signal);
    } catch (error) {
      handling = Promise.reject(error);
    }
    handling.then(
      (outcome) => {
        if (entry.abort !== abort) return;
        leave(entry);
        endTurn(entry, outcome === "ignored" ? "ignored" : "done");
      },
      (error) => {
        if (entry.abort !== abort) return;
        leave(entry);
        failed(entry, errorText(error));
      },
    );
  }

  /** The attempt is over; its place is free. */
  function leave(entry: One): void {
    entry.abort = undefined;
    attempts.delete(entry);
    if (attempts.size === 0) onQuiet?.();
  }

  function checkTime(): void {
    watchdog = undefined;
    const nowMs = now();
    const due: One[] = [];
    for (const entry of attempts) {
      if (entry.deadlineMs > nowMs) {
        watchdog = timers.set(entry.deadlineMs - nowMs, checkTime);
        break;
      }
      due.push(entry);
    }
    const why = `time limit: it took more than ${timeLimitMs} ms`;
    for (const entry of due) {
      entry.abort?.abort(new Error(why));
      leave(entry);
      failed(entry, why);
    }
  }

  function failed(entry: One, error: string): void {
    if (isStopping) return;
    const wait = backoffMs[entry.attempts - 1];
    if (wait === undefined) {
      bury(entry, recordOf(entry, now(), "dead", error));
    } else {
      options.onRun?.(recordOf(entry, now(), "failed", error));
      later(entry, wait, () => {
        ready.push(entry);
        fill();
      });
    }
    fill();
  }

  function later(entry: One, waitMs: number, then: () => void): void {
    if (entry.hasEnded) return;
    entry.pause = timers.set(waitMs * (0.8 + 0.4 * random()), () => {
      entry.pause = undefined;
      then();
    });
  }

  function bury(entry: One, record: RunRecord<Event>): void {
    const kept = options.onDead?.(record) ?? Promise.resolve();
    kept.then(
      () => endTurn(entry, "dead", record.error),
      () => later(entry, backoffMs.at(-1) ?? 1000, () => bury(entry, record)),
    );
  }

  /** It has ended, and the next of its node has its turn. */
  function endTurn(entry: One, state: RunState, error?: string): void {
    if (entry.hasEnded) return;
    const { lane } = entry;
    end(entry, state, error);
    lane.current = lane.waiting.shift();
    if (lane.current === undefined) forget(lane);
    else ready.push(lane.current);
    fill();
  }

  function end(entry: One, state: RunState, error?: string): void {
    entry.hasEnded = true;
    if (entry.abort) {
      entry.abort.abort(new Error(error));
      leave(entry);
    }
    if (entry.pause !== undefined) timers.clear(entry.pause);
    if (begun.get(entry.event.id) === entry) begun.delete(entry.event.id);
    options.onRun?.(recordOf(entry, now(), state, error));
    progress.ended(entry);
  }

  return {
    offer,
    get waiting() {
      return progress.held;
    },
    running: () =>
      [...begun.values()].map((entry) => recordOf(entry, now(), entry.abort ? "running" : "failed")),
    note(id, level, text) {
      const entry = begun.get(id);
      if (entry) addLine(entry, { atMs: now(), level, text });
    },
    idle: progress.idle,
    async stop(graceMs = 0) {
      isStopping = true;
      for (const { pause } of begun.values()) if (pause !== undefined) timers.clear(pause);
      if (attempts.size > 0 && graceMs > 0) {
        await new Promise<void>((resolve) => {
          const grace = timers.set(graceMs, resolve);
          onQuiet = () => {
            timers.clear(grace);
            // Those that ended in this very moment are recorded first.
            queueMicrotask(resolve);
          };
        });
      }
      for (const entry of attempts) {
        entry.hasEnded = true;
        entry.abort?.abort(new Error("the agent is stopped"));
        entry.abort = undefined;
      }
      attempts.clear();
      if (watchdog !== undefined) timers.clear(watchdog);
    },
  };
}
