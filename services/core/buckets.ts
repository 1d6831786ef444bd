// Buckets: how much each of many callers may take, and how soon it comes back (token buckets, as GCRA of ITU-T I.371 keeps them).
// In: keys, amounts, the time. Out: whether there was enough, else how long to wait. Never: more keys than the bound; whoever was idle longest is forgotten first.

export interface Limit {
  /** What may be taken at once. */
  readonly burst: number;
  /** What comes back of it. */
  readonly perSecond: number;
}

export class Bucket {
  readonly #msEach: number;
  readonly #burstMs: number;
  /** When all of it is back: one number says both how much is left and when. */
  #fullAtMs = 0;

  constructor({ burst, perSecond }: Limit) {
    this.#msEach = 1000 / perSecond;
    this.#burstMs = burst * this.#msEach;
  }

  /** @returns 0 when it was taken, else in how many ms there will be enough; then nothing was taken */
  take(amount: number, nowMs: number): number {
    const fullAtMs = Math.max(this.#fullAtMs, nowMs) + amount * this.#msEach;
    const waitMs = fullAtMs - nowMs - this.#burstMs;
    if (waitMs > 0) return waitMs;
    this.#fullAtMs = fullAtMs;
    return 0;
  }

  /** Takes it whether it is there or not. @returns in how many ms it would have been there */
  spend(amount: number, nowMs: number): number {
    this.#fullAtMs = Math.max(this.#fullAtMs, nowMs) + amount * this.#msEach;
    return Math.max(0, this.#fullAtMs - nowMs - this.#burstMs);
  }

  giveBack(amount: number): void {
    this.#fullAtMs -= amount * this.#msEach;
  }

  /** How much of it is not back yet: from 0, nothing was taken, to 1, nothing is left. */
  used(nowMs: number): number {
    return Math.min(1, Math.max(0, this.#fullAtMs - nowMs) / this.#burstMs);
  }
}

export interface Buckets {
  of(key: string): Bucket;
}

/**
 * Two generations: when the younger is full, the older is forgotten, and whoever was seen since is not in it. A Map that
 * lost its first key again and again would look for the next one ever longer.
 */
export function openBuckets(limit: Limit, keysMax: number): Buckets {
  let older = new Map<string, Bucket>();
  let younger = new Map<string, Bucket>();
  return {
    of(key) {
      const found = younger.get(key);
      if (found !== undefined) return found;
      const bucket = older.get(key) ?? new Bucket(limit);
      if (younger.size >= keysMax / 2) {
        older = younger;
        younger = new Map();
      }
      younger.set(key, bucket);
      return bucket;
    },
  };
}
