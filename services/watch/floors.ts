// Floors: where a reader would have to go on because of each watch, and of the inbox, while it is not live.
// In: watches that begin and such as come live. Out: the lowest cursor of them all. Never: a cursor past something that a reader has yet to be shown.
import { SparseMap } from "../core/sparse.ts";
import type { Start } from "./history.ts";
import type { Session } from "./session.ts";

interface FloorsOwner {
  /** All are live: whoever waits for that is told by nothing else. */
  onTouched(): void;
}

export class Floors {
  readonly #session: Session;
  readonly #owner: FloorsOwner;
  #isHeld = false;
  readonly #starts = new SparseMap<object, Start>();
  /** How many watches begin there: thousands that came together share one. */
  readonly #counts = new SparseMap<Start, number>();

  /** @param session no delivery of which gets ahead of the lowest of them */
  constructor(session: Session, owner: FloorsOwner) {
    this.#session = session;
    this.#owner = owner;
  }

  /** @param why a watch, the inbox, or whatever else keeps the reader where it is */
  set(why: object, start: Start): void {
    this.delete(why);
    this.#starts.set(why, start);
    this.#counts.set(start, (this.#counts.get(start) ?? 0) + 1);
  }

  delete(why: object): void {
    const start = this.#starts.get(why);
    if (start === undefined) return;
    this.#starts.delete(why);
    const others = (this.#counts.get(start) as number) - 1;
    if (others === 0) this.#counts.delete(start);
    else this.#counts.set(start, others);
  }

  get isEmpty(): boolean {
    return this.#starts.size === 0;
  }

  /** From now on they count, until all are live. */
  hold(): void {
    let lowest: Start | undefined;
    for (const start of this.#counts.keys()) {
      if (lowest === undefined || rank(start) < rank(lowest)) lowest = start;
    }
    const wasHeld = this.#isHeld;
    this.#isHeld = lowest !== undefined;
    if (lowest) this.#session.hold(lowest.text);
    else this.#session.lift();
    if (wasHeld && !this.#isHeld) this.#owner.onTouched();
  }
}

/** Whoever may have missed something for good comes before whoever knows nothing. */
function rank({ position, isLost }: Start): number {
  return isLost ? -1 : (position ?? 0);
}
