// Simulated time: timers and clock stand still until the simulation moves them, so that days pass in milliseconds.
// In: steps. Out: every timer in order, and what it sets going, run to its end. Never: real time.
import { vi } from "vitest";

export interface SimulatedTime extends Disposable {
  /** In ms, with a fraction, as services/clock.ts gives it. */
  now(): number;
  /** Runs everything that needs no timer. */
  settle(): Promise<void>;
  advance(ms: number): Promise<void>;
}

const realImmediate = setImmediate;

export function simulateTime(startMs: number, fraction: number): SimulatedTime {
  vi.useFakeTimers({
    now: startMs,
    toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "Date"],
  });
  // One turn of the real event loop: all promises are through before it comes.
  const settle = (): Promise<void> => new Promise((resolve) => realImmediate(resolve));
  return {
    now: () => Date.now() + fraction,
    settle,
    async advance(ms) {
      // What was just begun sets its timers first.
      await settle();
      let reached = false;
      setTimeout(() => (reached = true), ms);
      while (!reached) {
        vi.advanceTimersToNextTimer();
        await settle();
      }
    },
    [Symbol.dispose]: () => void vi.useRealTimers(),
  };
}

/** Waits in simulated time; an aborted signal ends it early. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (ms <= 0 || signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
