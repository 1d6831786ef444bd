// Floors: where a reader would have to go on because of each watch that is not live yet.
// In: watches that begin and such as come live. Out: the lowest cursor of them all. Never: a cursor past something that a reader has yet to be shown.
import type { Start } from "./history.ts";
import type { Watch } from "./watch.ts";

export class Floors {
  readonly #starts = new Map<Watch, Start>();

  set(watch: Watch, start: Start): void {
    this.#starts.set(watch, start);
  }

  delete(watch: Watch): void {
    this.#starts.delete(watch);
  }

  get isEmpty(): boolean {
    return this.#starts.size === 0;
  }

  /** Undefined when all are live. */
  get lowest(): Start | undefined {
    let lowest: Start | undefined;
    for (const start of this.#starts.values()) {
      if (lowest === undefined || rank(start) < rank(lowest)) lowest = start;
    }
    return lowest;
  }
}

/** Whoever may have missed something for good comes before whoever knows nothing. */
function rank({ position, isLost }: Start): number {
  return isLost ? -1 : (position ?? 0);
}
