// Streams: every open connection that is told things, and how each of them ends.
// In: connections, the end of their tokens, the end of the broker. Out: one orderly end each. Never: a stream that outlives its token, or all of them ended in the same moment.
import type { Accounts } from "../accounts/accounts.ts";
import type { Caller } from "../core/principal.ts";

/** Why the broker ends a stream. */
export type StreamEnd = "draining" | "token-ended";

export interface OpenStream extends Disposable {}

export interface Streams {
  /** @param end is called at most once; the connection disposes of its stream when it has closed */
  add(caller: Caller, end: (why: StreamEnd) => void): OpenStream;
  /** Tells all of them to come back, spread over a while. Resolves when the last was told. */
  drain(): Promise<void>;
  readonly isDraining: boolean;
  readonly size: number;
}

/** All that are open are told within this, so that they do not come back in the same moment. */
const drainMsMax = 3_000;
/** Few streams need not wait for each other. */
const drainMsEach = 5;

export function openStreams(accounts: Pick<Accounts, "awaitEnd">): Streams {
  const open = new Set<(why: StreamEnd) => void>();
  let isDraining = false;

  return {
    add(caller, end) {
      const once = (why: StreamEnd): void => {
        if (open.delete(once)) end(why);
      };
      open.add(once);
      const ending = caller && accounts.awaitEnd(caller, () => once("token-ended"));
      if (isDraining) queueMicrotask(() => once("draining"));
      return {
        [Symbol.dispose]() {
          open.delete(once);
          ending?.[Symbol.dispose]();
        },
      };
    },
    async drain() {
      isDraining = true;
      const all = [...open];
      const overMs = Math.min(drainMsMax, all.length * drainMsEach);
      const began = performance.now();
      for (const [index, end] of all.entries()) {
        const dueMs = began + (overMs * index) / all.length;
        const waitMs = dueMs - performance.now();
        if (waitMs > 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
        end("draining");
      }
    },
    get isDraining() {
      return isDraining;
    },
    get size() {
      return open.size;
    },
  };
}
