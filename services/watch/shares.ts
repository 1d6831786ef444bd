// Shares: how much of this thread's time the filters of one reader may take, however many there are.
// In: readers, their filters and what they are put to. Out: what the filters say. Never: one reader's filters that hold up the others for longer than a moment.
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { type Limit, openBuckets } from "../core/buckets.ts";
import type { Soon } from "../core/soon.ts";
import type { FilterAnswer } from "../expression/expression.ts";
import type { Filter, FilterScope } from "./filter.ts";

/** In ms: a fifth of the thread, and what somebody takes who comes back to thousands of nodes. */
const limit: Limit = { burst: 4_000, perSecond: 200 };
/** The same within one turn of the event loop, in which nobody else is served. */
const turnMsMax = 100;
/** Some thirty loops over a list of ten. */
const dearMs = 0.2;
const readersMax = 10_000;

/** How much of the share may be used up: others that a reader has must not end by one that is dear, nor by its coming. */
const parts = { ofComing: 0.25, ofDear: 0.5, ofAll: 1 };

export interface Share {
  /**
   * "too-slow" unasked, once the share is used up: half of it, for a filter that was dear before. "later" unasked, while
   * others wait for their turn of the event loop: nothing is wrong with the filter.
   */
  ask(filter: Filter, scope: Omit<FilterScope, "now">): FilterAnswer | "later";
  /** Resolves in the next turn, where this one is nearly used up. */
  rest(): Soon<void>;
  /** Prepares one that is to be asked, as soon as enough of the share is left for those that are asked already. */
  ready(filter: Filter | undefined): Promise<void>;
}

/** What this program's time is measured by, in ms: what others on the machine take meanwhile is no fault of a filter. */
export interface Clocks {
  elapsed(): number;
  /** Of this thread alone. */
  ran(): number;
}

const usualClocks: Clocks = {
  elapsed: () => performance.now(),
  ran() {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1_000;
  },
};

/** @param now what a filter takes for the time */
export function openShares(
  now: () => number,
  { elapsed, ran }: Clocks = usualClocks,
): (reader: string) => Share {
  const buckets = openBuckets(limit, readersMax);
  const windowMs = (1_000 * limit.burst) / limit.perSecond;
  const ofTurn = new Map<string, number>();
  const dear = new WeakSet<Filter>();

  /** From 0, nothing, to 1, all. */
  const used = (reader: string): number => buckets.of(reader).used(elapsed());
  const usedOfTurn = (reader: string): number => (ofTurn.get(reader) ?? 0) / turnMsMax;

  /** @returns the ms that it took */
  function spend(reader: string, work: () => void): number {
    const before = ran();
    work();
    const tookMs = ran() - before;
    buckets.of(reader).spend(tookMs, elapsed());
    if (ofTurn.size === 0) setImmediate(() => ofTurn.clear());
    ofTurn.set(reader, (ofTurn.get(reader) ?? 0) + tookMs);
    return tookMs;
  }

  class OneShare implements Share {
    readonly #reader: string;

    constructor(reader: string) {
      this.#reader = reader;
    }

    ask(filter: Filter, scope: Omit<FilterScope, "now">): FilterAnswer | "later" {
      const part = dear.has(filter) ? parts.ofDear : parts.ofAll;
      let answer: FilterAnswer = "too-slow";
      if (used(this.#reader) >= part) return answer;
      if (usedOfTurn(this.#reader) >= parts.ofAll) return "later";
      const tookMs = spend(this.#reader, () => {
        answer = filter.test({ ...scope, now: now() });
      });
      if (tookMs > dearMs) dear.add(filter);
      return answer;
    }

    rest(): Soon<void> {
      return usedOfTurn(this.#reader) < parts.ofDear ? undefined : nextTurn();
    }

    async ready(filter: Filter | undefined): Promise<void> {
      if (filter === undefined) return;
      for (;;) {
        const over = used(this.#reader) - parts.ofComing;
        if (over > 0) await delay(over * windowMs, undefined, { ref: false });
        else if (usedOfTurn(this.#reader) >= parts.ofComing) await nextTurn();
        else break;
      }
      spend(this.#reader, () => filter.prepare());
    }
  }

  return (reader) => new OneShare(reader);
}
