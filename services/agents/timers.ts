// Timers: what an agent wants to be woken by, fired once each, also those that fell due while nobody was there.
// In: timers as they are kept. Out: each when its time has come, until somebody says that it is done with. Never: one early, or one that is lost.
import type { Timer } from "./keeping.ts";

export interface Timers extends Disposable {
  /** In place of one of the same name. */
  set(timer: Timer): void;
  cancel(name: string): void;
}

/** What setTimeout takes at most. */
const sleepMsMax = 2 ** 31 - 1;

/** @param fire called once for each timer that is set */
export function openTimers(now: () => number, fire: (timer: Timer) => void): Timers {
  const all = new Map<string, Timer>();
  let sleeping: NodeJS.Timeout | undefined;

  function wake(): void {
    const nowMs = now();
    const due = [...all.values()].filter(({ dueMs }) => dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs);
    for (const timer of due) {
      all.delete(timer.name);
      fire(timer);
    }
    sleep();
  }

  function sleep(): void {
    clearTimeout(sleeping);
    if (all.size === 0) return;
    const nextMs = Math.min(...[...all.values()].map(({ dueMs }) => dueMs));
    sleeping = setTimeout(wake, Math.min(sleepMsMax, Math.max(0, Math.ceil(nextMs - now()))));
    sleeping.unref();
  }

  return {
    set(timer) {
      all.set(timer.name, timer);
      sleep();
    },
    cancel(name) {
      all.delete(name);
      sleep();
    },
    [Symbol.dispose]() {
      clearTimeout(sleeping);
      all.clear();
    },
  };
}
