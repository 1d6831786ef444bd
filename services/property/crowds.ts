// Crowds: leases that end together. What ends them is sent ahead of time, so that at the deadline little more than a word is missing.
// In: how many are due when; what ends each. Out: their ends, or word of those that must be ended one by one. Never: an end before its deadline.
import type { Heads } from "../store/heads.ts";
import type { Append } from "../store/log.ts";

/** What is due, and what ends it once this time has come. */
export interface Ending {
  readonly subject: string;
  readonly dueMs: number;
  /** Undefined where it has changed, or where too little is known of it. */
  append(atMs: number): Append | undefined;
  /** It has ended. */
  ended(): void;
  /** It has to be ended by itself. */
  giveBack(): void;
}

export interface CrowdLimits {
  /** What is due within so long ends together, in ms. */
  readonly togetherMs: number;
  /** So many are a crowd. */
  readonly from: number;
  /** So early it is sent, in ms: the longer, the more of them may still be renewed. */
  readonly aheadMs: number;
  /** The server takes 1,000 in one at most. */
  readonly batchMax: number;
  /** Of the 50 that the server keeps open for all brokers together. */
  readonly batchesMax: number;
}

export const crowdLimits: CrowdLimits = {
  togetherMs: 32,
  from: 500,
  aheadMs: 700,
  batchMax: 1_000,
  batchesMax: 12,
};

export interface CrowdDeps {
  readonly limits: CrowdLimits;
  readonly heads: Pick<Heads, "prepare">;
  readonly now: () => number;
  /** What is due from then until before then, earliest first; nobody else ends it from now on. */
  readonly collect: (fromMs: number, toMs: number) => readonly Ending[];
}

export interface Crowds extends Disposable {
  /** One more is due then. */
  add(dueMs: number): void;
  remove(dueMs: number): void;
  /** Somebody has written there: what was sent ahead for it holds no more. */
  spoil(subject: string): void;
}

interface Batch {
  isSpoiled: boolean;
}

export function openCrowds({ limits, heads, now, collect }: CrowdDeps): Crowds {
  const { togetherMs, from, aheadMs, batchMax, batchesMax } = limits;
  /** How many are due in each stretch of time. */
  const counts = new Map<number, number>();
  const timers = new Map<number, NodeJS.Timeout>();
  const batchOf = new Map<string, Batch>();
  let batches = 0;
  let closed = false;

  function later(stretch: number, atMs: number): void {
    // A timer holds 2^31 ms at most.
    const ms = Math.min(Math.max(Math.ceil(atMs - now()), 0), 2 ** 31 - 1);
    const timer = setTimeout(() => {
      if (now() < atMs) return later(stretch, atMs);
      timers.delete(stretch);
      prepare(stretch);
    }, ms);
    timer.unref();
    timers.set(stretch, timer);
  }

  function prepare(stretch: number): void {
    if ((counts.get(stretch) ?? 0) < from) return;
    const endings = collect(stretch * togetherMs, (stretch + 1) * togetherMs);
    const next = (at: number): void => {
      const some = endings.slice(at, at + batchMax);
      if (closed || some.length === 0) return;
      if (batches >= batchesMax) for (const one of endings.slice(at)) one.giveBack();
      else {
        send(some);
        setImmediate(next, at + batchMax);
      }
    };
    next(0);
  }

  function send(endings: readonly Ending[]): void {
    const atMs = Math.max(...endings.map(({ dueMs }) => dueMs));
    const sent: Ending[] = [];
    const appends: Append[] = [];
    for (const one of endings) {
      const append = one.append(atMs);
      if (append === undefined) one.giveBack();
      else {
        sent.push(one);
        appends.push(append);
      }
    }
    if (sent.length === 0) return;
    const batch: Batch = { isSpoiled: false };
    for (const { subject } of sent) batchOf.set(subject, batch);
    batches++;
    const prepared = heads.prepare(appends);
    const commit = async (): Promise<void> => {
      for (const { subject } of sent) batchOf.delete(subject);
      try {
        if (batch.isSpoiled) throw new Error("somebody has written to one of them");
        await prepared.commit();
        for (const one of sent) one.ended();
      } catch {
        // Whatever the reason is, each by itself meets it again, or does not.
        for (const one of sent) one.giveBack();
      } finally {
        batches--;
      }
    };
    setTimeout(() => void (closed || commit()), Math.max(Math.ceil(atMs - now()), 0));
  }

  return {
    add(dueMs) {
      const stretch = Math.floor(dueMs / togetherMs);
      const count = (counts.get(stretch) ?? 0) + 1;
      counts.set(stretch, count);
      const atMs = stretch * togetherMs - aheadMs;
      // Of those that come later than that, each is ended by itself.
      if (count === from && atMs > now() && !timers.has(stretch)) later(stretch, atMs);
    },
    remove(dueMs) {
      const stretch = Math.floor(dueMs / togetherMs);
      const count = (counts.get(stretch) ?? 0) - 1;
      if (count > 0) counts.set(stretch, count);
      else {
        counts.delete(stretch);
        clearTimeout(timers.get(stretch));
        timers.delete(stretch);
      }
    },
    spoil(subject) {
      const batch = batchOf.get(subject);
      if (batch) batch.isSpoiled = true;
    },
    [Symbol.dispose]() {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
