// Crowds: leases that end together. Each is marked ahead of time as one of a crowd; then one fact ends them all.
// In: how many are due when. Out: marks, and the fact that ends whatever still carries them. Never: an end before its deadline.
import type { Heads } from "../store/heads.ts";
import { type Append, Conflict, type Log } from "../store/log.ts";
import { crowdEndAppend, newCrowd } from "./crowd-facts.ts";

/** What is due, and how it is marked. */
export interface Ending {
  readonly dueMs: number;
  /** Undefined where it has changed, or where too little is known of it. */
  mark(crowd: string): Append | undefined;
  /** Whether it still carries that mark. */
  carries(crowd: string): boolean;
  /** It has to be ended by itself. */
  giveBack(): void;
}

export interface CrowdLimits {
  /** What is due within so long ends together, in ms. */
  readonly togetherMs: number;
  /** So many are a crowd. */
  readonly from: number;
  /** So early they are marked, in ms: the longer, the more of them may still be renewed. */
  readonly aheadMs: number;
  /** So long before the first of them is due no more are marked, in ms: what is left is ended one by one, in time. */
  readonly markedBeforeMs: number;
  /** Marks that are sent together. */
  readonly markedAtOnce: number;
}

export const crowdLimits: CrowdLimits = {
  togetherMs: 32,
  from: 500,
  aheadMs: 2_500,
  markedBeforeMs: 300,
  markedAtOnce: 500,
};

const triesMax = 20;
const refusedDelayMs = 5;
const awayDelayMs = 250;

export interface CrowdDeps {
  readonly domain: string;
  readonly limits: CrowdLimits;
  readonly log: Pick<Log, "append">;
  readonly heads: Pick<Heads, "append">;
  readonly now: () => number;
  /** What is due from then until before then, earliest first; nobody else ends it from now on. */
  readonly collect: (fromMs: number, toMs: number) => readonly Ending[];
}

export interface Crowds extends Disposable {
  /** One more is due then. */
  add(dueMs: number): void;
  remove(dueMs: number): void;
  /** Whether this broker is about to end that crowd. */
  leads(crowd: string | undefined): boolean;
}

export function openCrowds({ domain, limits, log, heads, now, collect }: CrowdDeps): Crowds {
  const { togetherMs, from, aheadMs, markedBeforeMs, markedAtOnce } = limits;
  /** How many are due in each stretch of time. */
  const counts = new Map<number, number>();
  const timers = new Map<number, NodeJS.Timeout>();
  const led = new Set<string>();
  let closed = false;

  function later(stretch: number, atMs: number): void {
    // A timer holds 2^31 ms at most.
    const ms = Math.min(Math.max(Math.ceil(atMs - now()), 0), 2 ** 31 - 1);
    const timer = setTimeout(() => {
      if (now() < atMs) return later(stretch, atMs);
      timers.delete(stretch);
      if ((counts.get(stretch) ?? 0) >= from) void lead(stretch);
    }, ms);
    timer.unref();
    timers.set(stretch, timer);
  }

  async function lead(stretch: number): Promise<void> {
    const crowd = newCrowd();
    const endings = collect(stretch * togetherMs, (stretch + 1) * togetherMs);
    led.add(crowd);
    let hasEnded = false;
    try {
      const markedUntilMs = stretch * togetherMs - markedBeforeMs;
      for (let at = 0; at < endings.length; at += markedAtOnce) {
        const some = endings.slice(at, at + markedAtOnce);
        if (now() < markedUntilMs) await mark(crowd, some);
        else for (const one of some) one.giveBack();
      }
      const endsMs = endings.at(-1)?.dueMs ?? 0;
      await until(endsMs);
      const isCarried = (): boolean => endings.some((one) => one.carries(crowd));
      if (closed || !isCarried()) return;
      await end(crowd, endsMs, isCarried);
      hasEnded = true;
    } catch {
      // Whatever the reason is, each by itself meets it again, or does not.
    } finally {
      led.delete(crowd);
      if (!hasEnded && !closed) for (const one of endings) one.giveBack();
    }
  }

  /**
   * Nobody else ends it: but while others leave it at that moment, a cluster refuses its end for nothing; and one by one
   * they would take longer than a store that is away for a moment.
   */
  async function end(crowd: string, endsMs: number, isCarried: () => boolean): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await log.append([crowdEndAppend(domain, crowd, endsMs)]);
        return;
      } catch (error) {
        if (tries === triesMax || closed || !isCarried()) throw error;
        await until(now() + (error instanceof Conflict ? refusedDelayMs : awayDelayMs));
      }
    }
  }

  /** Those that cannot be marked are ended by themselves. */
  async function mark(crowd: string, endings: readonly Ending[]): Promise<void> {
    await Promise.all(
      endings.map(async (one) => {
        try {
          const append = closed ? undefined : one.mark(crowd);
          if (append === undefined) one.giveBack();
          else await heads.append([append]);
        } catch {
          one.giveBack();
        }
      }),
    );
  }

  async function until(atMs: number): Promise<void> {
    while (!closed && now() < atMs) {
      await new Promise<void>((resolve) => setTimeout(resolve, Math.ceil(atMs - now())).unref());
    }
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
    leads: (crowd) => crowd !== undefined && led.has(crowd),
    [Symbol.dispose]() {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
    },
  };
}
