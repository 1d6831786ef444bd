// Saving: progress into the log, at once where it matters and now and then where it does not.
// In: progress as it comes. Out: saves, one after the other. Never: a save for each of many steps.
import type { Json } from "../core/json.ts";

export interface Saving extends Disposable {
  /** At once. @returns whether it is saved; what is not is tried again */
  now(): Promise<boolean>;
  /** Within so many ms. */
  soon(ms: number): void;
}

export interface SavingDeps {
  readonly progress: () => Json;
  readonly save: (progress: Json) => Promise<void>;
  readonly againMs: number;
}

export function openSaving({ progress, save, againMs }: SavingDeps): Saving {
  let timer: NodeJS.Timeout | undefined;
  let dueMs = Number.POSITIVE_INFINITY;
  let isOpen = true;

  function soon(ms: number): void {
    const wantedMs = performance.now() + ms;
    if (!isOpen || wantedMs >= dueMs) return;
    clearTimeout(timer);
    dueMs = wantedMs;
    timer = setTimeout(() => void now(), ms);
  }

  async function now(): Promise<boolean> {
    clearTimeout(timer);
    dueMs = Number.POSITIVE_INFINITY;
    try {
      await save(progress());
      return true;
    } catch {
      // Whoever has lost its claim is told so by its signal; a store that does not answer is asked again.
      soon(againMs);
      return false;
    }
  }

  return {
    now,
    soon,
    [Symbol.dispose]() {
      isOpen = false;
      clearTimeout(timer);
    },
  };
}
