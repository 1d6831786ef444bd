// Knowledge: what a reader of one watch was told of each property, so that what it misses can be counted and taken back.
// In: changes as they are told, or passed over. Out: revisions by subject, and how many changes lie between. Never: more than it was told, besides as many properties as a node has.
import type { Change } from "./change.ts";

type Known = Pick<Change, "revision" | "edition">;

/** As many as a node has properties; names come and go. */
const passedMax = 500;

export class Knowledge {
  #told: Map<string, Known> | undefined;
  /** What its filter turned down, and what ended: its reader knows it not, and misses nothing by it. */
  #passed: Map<string, Known> | undefined;

  /** Revisions of the properties that its reader knows, by subject. */
  get revisions(): Map<string, number> {
    return new Map([...(this.#told ?? [])].map(([subject, { revision }]) => [subject, revision]));
  }

  revision(subject: string): number | undefined {
    return this.#told?.get(subject)?.revision;
  }

  tell(change: Change): void {
    const { subject, name, isThere, revision, edition } = change;
    if (name === "") return;
    if (!isThere) {
      this.#told?.delete(subject);
      this.pass(change);
      return;
    }
    this.#passed?.delete(subject);
    this.#told ??= new Map();
    this.#told.set(subject, { revision, edition });
  }

  /** Its reader is not told of it, and misses nothing by that. */
  pass({ subject, revision, edition }: Change): void {
    this.#passed ??= new Map();
    this.#passed.delete(subject);
    this.#passed.set(subject, { revision, edition });
    if (this.#passed.size <= passedMax) return;
    const [oldest] = this.#passed.keys();
    this.#passed.delete(oldest as string);
  }

  forget(subject: string): void {
    this.#told?.delete(subject);
  }

  /**
   * How many changes between the last that it came to and this one nobody showed it.
   * @param from what its snapshot covered
   */
  missed({ subject, edition, born, past }: Change, from: number): number {
    const last = this.#passed?.get(subject) ?? this.#told?.get(subject);
    if (last === undefined && born <= from) return 0;
    // Once the log has forgotten the end of a property, its editions begin anew.
    const isForgotten = past === undefined && born > (last?.revision ?? 0);
    const before = isForgotten ? 0 : ((last ?? past)?.edition ?? 0);
    return Math.max(0, edition - before - 1);
  }
}
