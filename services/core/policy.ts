// Policy: the one rule for who may see what.
// In: whose property, who is looking, what the property's type grants. Out: yes or no. Never: I/O, a clock, a second rule elsewhere.

export type Visibility = "public" | "contacts" | "private";

/** The visibility of a property that no type describes. */
export const visibilityOfUnknown: Visibility = "contacts";

export interface Look {
  /** The account that the node lies under. */
  readonly owner: string;
  /** The account that looks; undefined for a caller without a token. */
  readonly watcher: string | undefined;
  readonly visibility: Visibility;
}

/** Asked at delivery by every exit: reads, snapshots, streams. Until rosters exist, every account counts as a contact. */
export function mayDeliver(look: Look): boolean {
  if (look.watcher === look.owner) return true;
  switch (look.visibility) {
    case "public":
      return true;
    case "contacts":
      return look.watcher !== undefined;
    case "private":
      return false;
  }
}
