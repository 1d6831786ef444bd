// Presenting: a watch is shown what is there, and is live from then on.
// In: a watch that joins, what the log shows of its target. Out: deliveries in its stream. Never: a first value before the owner's notice.
import type { Change } from "./change.ts";
import { type JoinDeps, join } from "./joining.ts";
import type { StreamDeps, StreamOptions } from "./stream-options.ts";
import type { Teller } from "./teller.ts";
import type { Watch } from "./watch.ts";

/** @returns false when something came between, so that this attempt does not count */
export async function present(
  watch: Watch,
  attempt: number,
  teller: Teller,
  deps: JoinDeps & Pick<StreamDeps, "doorkeeper">,
  reader: Pick<StreamOptions, "share" | "onNode">,
): Promise<boolean> {
  const joined = await join(watch, deps);
  // Where nobody is yet, nobody can be told of it.
  const isThere = joined.changes.some(({ name, isThere }) => name === "" && isThere);
  if (isThere && watch.isAt(attempt)) await deps.doorkeeper.admit(watch);
  // It may have been dropped in the very moment in which its snapshot was done.
  if (!watch.isAt(attempt)) return false;
  const hidden: Change[] = [];
  for (const change of joined.changes) {
    const resting = watch.target.filter && reader.share.rest();
    if (resting) await resting;
    const owed = watch.owes(change);
    // Its filter took too long: it would take as long for each of the others.
    if (!watch.isAt(attempt)) return false;
    if (owed === undefined) continue;
    if (change.name === "") reader.onNode?.(watch, change);
    if (owed === "removal") hidden.push(change);
    else teller.present(change, owed);
  }
  teller.hide(hidden, (change) => watch.hiddenSince(change) || joined.position);
  watch.goLive(joined.position, joined.ahead);
  return true;
}
