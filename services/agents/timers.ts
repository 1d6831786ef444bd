// Timers: what an agent at work wants to be woken by, fired once each, also those that fell due while nobody was there.
// In: timers as runs set them and as they are kept. Out: each when its time has come. Never: one early, one that is lost, or one twice while its run is on.
import type { KeptTimers, Timer } from "./kept-timers.ts";

export interface Timers extends Disposable {
  /** Takes up those that are kept. */
  begin(): Promise<void>;
  /** In place of one of the same name. */
  set(timer: Omit<Timer, "id">): Promise<void>;
  cancel(name: string): Promise<void>;
  /** The run of the event of this id has ended: it does not fire again, whatever is killed next. */
  end(id: string): Promise<void>;
}

/** What setTimeout takes at most. */
const sleepMsMax = 2 ** 31 - 1;

export function openTimers(kept: KeptTimers, now: () => number, fire: (timer: Timer) => void): Timers {
  const waiting = new Map<string, Timer>();
  const firing = new Map<string, Timer>();
  const isFiring = (id: string): boolean => firing.has(id);
  let sleeping: NodeJS.Timeout | undefined;

  function wake(): void {
    const nowMs = now();
    const due = [...waiting.values()].filter(({ dueMs }) => dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs);
    for (const timer of due) {
      waiting.delete(timer.id);
      // Its run was told anew to set it, and may well wait for that run.
      if (isFiring(timer.id)) continue;
      firing.set(timer.id, timer);
      fire(timer);
    }
    sleep();
  }

  function sleep(): void {
    clearTimeout(sleeping);
    if (waiting.size === 0) return;
    const nextMs = Math.min(...[...waiting.values()].map(({ dueMs }) => dueMs));
    sleeping = setTimeout(wake, Math.min(sleepMsMax, Math.max(0, Math.ceil(nextMs - now()))));
    sleeping.unref();
  }

  /** One that is due fires, whatever takes its name. */
  function take(name: string): void {
    const nowMs = now();
    for (const { id, name: its, dueMs } of waiting.values()) {
      if (its === name && dueMs > nowMs) waiting.delete(id);
    }
  }

  return {
    async begin() {
      for (const timer of await kept.all()) waiting.set(timer.id, timer);
      sleep();
    },
    async set(wish) {
      const timer = await kept.set(wish, isFiring);
      take(wish.name);
      if (timer) waiting.set(timer.id, timer);
      sleep();
    },
    async cancel(name) {
      await kept.cancel(name, isFiring);
      take(name);
      sleep();
    },
    async end(id) {
      const timer = firing.get(id);
      if (timer) await kept.end(timer);
      firing.delete(id);
    },
    [Symbol.dispose]() {
      clearTimeout(sleeping);
      waiting.clear();
    },
  };
}
