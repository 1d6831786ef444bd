// Changes: what a fact means to the projection, with what holds for it now.
// In: facts, what owners have decided, what types say. Out: changes. Never: a fact that nobody could search for.
import type { Book } from "../policy/policies.ts";
import type { Visibilities } from "../property/properties.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Fact } from "../store/log.ts";
import type { Place } from "../store/subjects.ts";
import { grantsOf } from "./openness.ts";
import type { Change } from "./projection.ts";

export interface ChangeDeps {
  readonly book: Pick<Book, "of">;
  readonly visibilities: Pick<Visibilities, "of" | "ownersOf">;
}

/** A change as it waits. What an owner has decided is looked up when it is taken in: once, however much was decided by then. */
export type Noted =
  | Exclude<Change, { readonly is: "grants" }>
  | { readonly is: "decisions"; readonly owner: string };

/** What the projection needs to know of: whose name each follows. */
export const kinds: ReadonlySet<string> = new Set(["node", "property", "type", "policy", "answer"]);

export function changeOf(
  fact: Fact,
  { address, kind, name }: Place,
  { visibilities }: Pick<ChangeDeps, "visibilities">,
): Noted {
  switch (kind) {
    case "node":
      return { is: "node", address: address.text, isThere: nodeOf(fact) !== undefined };
    case "property": {
      const visibility = visibilities.of(address, name);
      return { is: "property", address: address.text, name, body: fact.body, visibility };
    }
    case "type": {
      const whose = address.local === "" ? { except: visibilities.ownersOf(name) } : { owner: address.text };
      return { is: "type", name, ...whose, visibility: visibilities.of(address, name) };
    }
    default:
      return { is: "decisions", owner: address.text };
  }
}

export function takenIn(noted: Noted, { book }: Pick<ChangeDeps, "book">): Change {
  if (noted.is !== "decisions") return noted;
  const { owner } = noted;
  return { is: "grants", owner, grants: grantsOf(book.of(owner)) };
}
