// Coming: what a reader has yet to be told of that it is live: all that its stream began with, and subscriptions that came later.
// In: watches as they are added and as they come live. Out: whether the last of those that belong together is there. Never: a word twice.
import { SparseMap, SparseSet } from "../core/sparse.ts";
import type { Inbox } from "./inbox.ts";
import type { Watch } from "./watch.ts";

export class Coming {
  readonly #first = new SparseSet<Watch | Inbox>();
  /** By subscription: of a group that is watched many come together. */
  readonly #later = new SparseMap<string, Set<Watch | Inbox>>();

  /** What the stream begins with, or begins anew with. */
  begin(watches: Iterable<Watch | Inbox>): void {
    this.#first.clear();
    for (const watch of watches) this.#first.add(watch);
    this.#later.clear();
  }

  /** @param instead the one whose place it takes */
  add(watch: Watch | Inbox, instead?: Watch): void {
    if (instead && this.#first.has(instead)) {
      this.#first.add(watch);
      return;
    }
    const key = watch.id ?? "";
    const beside = this.#later.get(key);
    if (beside) beside.add(watch);
    else this.#later.set(key, new Set([watch]));
  }

  /** @returns whether it was the last of those that the stream began with, or of its subscription */
  take(watch: Watch | Inbox): "all" | "one" | undefined {
    if (this.#first.delete(watch)) return this.#first.size === 0 ? "all" : undefined;
    const key = watch.id ?? "";
    const beside = this.#later.get(key);
    if (!beside?.delete(watch) || beside.size > 0) return undefined;
    this.#later.delete(key);
    return "one";
  }
}
