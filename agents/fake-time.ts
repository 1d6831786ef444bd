// Fake time: a clock that moves when a test says so.
// In: how far. Out: timers, in the order in which they fall due. Never: a wait of its own.
import type { Timers } from "./timers.ts";

export interface FakeTime {
  now(): number;
  readonly timers: Timers;
  /** When the next timer is due. */
  readonly nextMs: number | undefined;
  /** Fires what falls due until then, one after the other, and lets each have its effect. */
  advanceTo(ms: number): Promise<void>;
}

interface Timer {
  readonly dueMs: number;
  readonly due: () => void;
}

export function openFakeTime(startMs: number): FakeTime {
  let nowMs = startMs;
  const timers = new Set<Timer>();
  const next = () => {
    let first: Timer | undefined;
    for (const timer of timers) if (first === undefined || timer.dueMs < first.dueMs) first = timer;
    return first;
  };
  return {
    now: () => nowMs,
    timers: {
      set(delayMs, due) {
        const timer = { dueMs: nowMs + Math.max(0, delayMs), due };
        timers.add(timer);
        return timer;
      },
      clear: (timer) => timers.delete(timer as Timer),
    },
    get nextMs() {
      return next()?.dueMs;
    },
    async advanceTo(ms) {
      await settled();
      for (let timer = next(); timer !== undefined && timer.dueMs <= ms; timer = next()) {
        timers.delete(timer);
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.due();
        await settled();
      }
      nowMs = Math.max(nowMs, ms);
    },
  };
}

/** What is to be done at once has been done. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
