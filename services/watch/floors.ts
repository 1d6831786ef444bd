// Floors: where a reader would have to go on because of each watch, and of the inbox, while it is not live.
// In: watches that begin and such as come live. Out: the lowest cursor of them all. Never: a cursor past something that a reader has yet to be shown.
import type { Start } from "./history.ts";
import type { Inbox } from "./inbox.ts";
import type { Session } from "./session.ts";
import type { Watch } from "./watch.ts";

export class Floors {
  readonly #starts = new Map<Watch | Inbox, Start>();
  /** How many watches begin there: thousands that came together share one. */
  readonly #counts = new Map<Start, number>();

  set(watch: Watch | Inbox, start: Start): void {
    this.delete(watch);
    this.#starts.set(watch, start);
    this.#counts.set(start, (this.#counts.get(start) ?? 0) + 1);
  }

  delete(watch: Watch | Inbox): void {
    const start = this.#starts.get(watch);
    if (start === undefined) return;
    this.#starts.delete(watch);
    const others = (this.#counts.get(start) as number) - 1;
    if (others === 0) this.#counts.delete(start);
    else this.#counts.set(start, others);
  }

  get isEmpty(): boolean {
    return this.#starts.size === 0;
  }

  /** Holds a session at the lowest of them, until all are live. */
  hold(session: Session): void {
    let lowest: Start | undefined;
    for (const start of this.#counts.keys()) {
      if (lowest === undefined || rank(start) < rank(lowest)) lowest = start;
    }
    if (lowest === undefined) session.lift();
    else session.hold(lowest.text);
  }
}

/** Whoever may have missed something for good comes before whoever knows nothing. */
function rank({ position, isLost }: Start): number {
  return isLost ? -1 : (position ?? 0);
}
