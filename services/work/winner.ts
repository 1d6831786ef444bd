// Whom an item falls to: rendezvous hashing, so that few items move when somebody comes or goes.
// In: an item, those who live. Out: one of them, the same on every broker. Never: a look at anything else.
import { createHash } from "node:crypto";

export function winner(item: string, alive: ReadonlySet<string>): string | undefined {
  let best: { readonly id: string; readonly weight: string } | undefined;
  for (const id of alive) {
    const weight = createHash("sha1").update(`${id} ${item}`).digest("hex");
    if (best === undefined || weight > best.weight) best = { id, weight };
  }
  return best?.id;
}
