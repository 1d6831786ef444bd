// Timers that outlive the process: those in the store become events when they are due.
// In: the store. Out: each timer, when it is due or as soon as the process is there again. Never: one before its time, or one that was ended.
import type { LocalStore, Timer } from "./local-store.ts";

/** The longest that setTimeout waits without an overflow. */
const waitMsMost = 2 ** 31 - 1;

export interface StoredTimers extends Disposable {
  /** Takes up those that are kept. */
  begin(): void;
  /** In place of one of the same name. */
  set(timer: Timer): Promise<void>;
  cancel(name: string): Promise<void>;
}

/** @param fire is told of a timer once, unless the process ends before the timer does */
export function openTimers(store: LocalStore, fire: (timer: Timer) => void): StoredTimers {
  const fired = new Set<string>();
  const isFiring = (id: string): boolean => fired.has(id);
  let wait: NodeJS.Timeout | undefined;

  function look(): void {
    clearTimeout(wait);
    const nowMs = Date.now();
    const all = store.timers();
    const held = new Set(all.map(({ id }) => id));
    for (const id of fired) if (!held.has(id)) fired.delete(id);
    for (const timer of all) {
      if (fired.has(timer.id)) continue;
      if (timer.dueMs > nowMs) {
        wait = setTimeout(look, Math.min(timer.dueMs - nowMs, waitMsMost));
        return;
      }
      fired.add(timer.id);
      fire(timer);
    }
  }

  return {
    begin: look,
    async set(timer) {
      await store.setTimer(timer, isFiring);
      look();
    },
    async cancel(name) {
      await store.cancelTimer(name, isFiring);
      look();
    },
    [Symbol.dispose]: () => clearTimeout(wait),
  };
}
