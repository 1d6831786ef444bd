// Removals: what a reader is told of properties that it may not see any more, exactly as if they had been deleted.
// In: properties that it knows, the place in the log where they were hidden. Out: the events of a deletion, one after the other. Never: a word that a deletion would not say.
import type { Address } from "../core/address.ts";
import { propertyRemoved } from "../core/event.ts";
import { placeOf } from "../store/subjects.ts";
import { share } from "./change.ts";
import type { SharedEvent } from "./session.ts";

export interface Removing {
  readonly epoch: string;
  /** Where its reader stands once it has been told. */
  readonly cursor: string;
  readonly nowMs: number;
}

/** A property is removed at a revision that it never had. */
export function removal(
  { address, name }: { readonly address: Address; readonly name: string },
  revision: number,
  { epoch, cursor, nowMs }: Removing,
): SharedEvent {
  const event = propertyRemoved({ epoch, node: address.text, name, revision, timeMs: nowMs }, "deleted");
  return share(event, revision, cursor, undefined);
}

/** Without what another watch of the same reader still shows: it may disclose more of it. */
export function shownByNone(
  lost: ReadonlyMap<string, number>,
  watches: Iterable<{ shows(subject: string): boolean }>,
): ReadonlyMap<string, number> {
  if (lost.size === 0) return lost;
  const all = [...watches];
  return new Map([...lost].filter(([subject]) => !all.some((watch) => watch.shows(subject))));
}

/**
 * @param lost revisions by subject
 * @param position where they were hidden; each gets another revision up to it, past the one that its reader knows
 * @param before where its reader stands until it has been told of all
 */
export function removals(
  lost: ReadonlyMap<string, number>,
  position: number,
  removing: Removing,
  before: string,
): readonly { readonly subject: string; readonly shared: SharedEvent }[] {
  const newestFirst = [...lost].sort(([, a], [, b]) => b - a);
  return newestFirst
    .map(([subject], index) => {
      const cursor = index === 0 ? removing.cursor : before;
      const shared = removal(placeOf(subject), position - index, { ...removing, cursor });
      return { subject, shared };
    })
    .reverse();
}
