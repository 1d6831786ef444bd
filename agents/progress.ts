// Progress: how far all is done, where things that began in order end in any order.
// In: what was begun, and that it has ended. Out: the cursor of the last before which nothing is left. Never: one past something that is left.
import { openFifo } from "./fifo.ts";

interface Held<Cursor> {
  readonly cursor: Cursor | undefined;
  readonly hasEnded: boolean;
}

export interface Progress<Cursor> {
  /** From the first that has not ended to the last. */
  readonly held: number;
  add(one: Held<Cursor>): void;
  /** After `hasEnded` has become true. */
  ended(one: Held<Cursor>): void;
  /** Resolves when nothing is left. */
  idle(): Promise<void>;
}

/** @param onProgress once for several that end together; not for those without a cursor */
export function openProgress<Cursor>(onProgress: (cursor: Cursor) => void): Progress<Cursor> {
  const held = openFifo<Held<Cursor>>();
  let idlers: (() => void)[] = [];
  return {
    get held() {
      return held.size;
    },
    add: held.push,
    ended(one) {
      if (held.first() !== one) return;
      let cursor: Cursor | undefined;
      while (held.first()?.hasEnded) cursor = held.shift()?.cursor ?? cursor;
      if (cursor !== undefined) onProgress(cursor);
      if (held.size > 0) return;
      const done = idlers;
      idlers = [];
      for (const resolve of done) resolve();
    },
    idle: () =>
      new Promise((resolve) => {
        if (held.size === 0) resolve();
        else idlers.push(resolve);
      }),
  };
}
