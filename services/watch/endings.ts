// Endings: things that end at a time, which may still be moved.
// In: a key and a time. Out: a call for each key whose time has come. Never: a call before its time, or for a key that was forgotten.
import { Deadlines } from "../core/deadlines.ts";

const timerMsMax = 2 ** 31 - 1;

export class Endings implements Disposable {
  readonly #now: () => number;
  readonly #onEnd: (key: string) => void;
  readonly #times = new Map<string, number>();
  readonly #deadlines = new Deadlines<string>();
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;

  constructor(now: () => number, onEnd: (key: string) => void) {
    this.#now = now;
    this.#onEnd = onEnd;
  }

  set(key: string, atMs: number): void {
    this.#times.set(key, atMs);
    this.#deadlines.add(atMs, key);
    this.#arm();
  }

  forget(key: string): void {
    this.#times.delete(key);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#times.clear();
    this.#timerMs = Number.NEGATIVE_INFINITY;
  }

  #arm(): void {
    const nextMs = this.#deadlines.next();
    if (nextMs === undefined || nextMs >= this.#timerMs) return;
    clearTimeout(this.#timer);
    this.#timerMs = nextMs;
    const inMs = Math.max(Math.ceil(nextMs - this.#now()), 0);
    this.#timer = setTimeout(() => this.#end(), Math.min(inMs, timerMsMax));
  }

  #end(): void {
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#now();
    for (let key = this.#deadlines.take(nowMs); key !== undefined; key = this.#deadlines.take(nowMs)) {
      // It may have been moved to later: then it stands in the queue once more.
      if ((this.#times.get(key) ?? Number.POSITIVE_INFINITY) > nowMs) continue;
      this.#times.delete(key);
      this.#onEnd(key);
    }
    this.#arm();
  }
}
