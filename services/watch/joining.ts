// Joining: what a watch owes its reader before it is live.
// In: a watch, the log. Out: the changes that its reader has yet to see, in log order, and what the feed must not tell again. Never: a change that its reader may not see.
import type { Soon } from "../core/soon.ts";
import type { Fact, Log } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { type Change, type ChangeDeps, nodeChange, propertyChange } from "./change.ts";
import type { Start } from "./history.ts";
import type { Hub } from "./hub.ts";
import { logFilters } from "./target.ts";
import type { Watch } from "./watch.ts";

export interface JoinDeps extends ChangeDeps {
  readonly log: Log;
  readonly hub: Hub;
  /** Ends leases whose time has come, so that no snapshot shows a leased value after its deadline. */
  readonly settle: (fact: Fact) => Soon<Fact | undefined>;
}

interface Joined {
  readonly shown: readonly Change[];
  /** Where the snapshot stands. */
  readonly position: number;
  /** Facts that it shows although they are newer, by subject. */
  readonly ahead: ReadonlyMap<string, number>;
}

/** @returns undefined when the attempt does not count any more */
export async function join(watch: Watch, attempt: number, deps: JoinDeps): Promise<Joined | undefined> {
  const { log, hub, settle } = deps;
  const { target, start } = watch;
  const { facts, position } = await log.snapshot(logFilters(target));
  const ahead = new Map<string, number>();
  const shown: Change[] = [];
  for (const found of facts) {
    const settling = settle(found);
    const fact = settling instanceof Promise ? await settling : settling;
    if (fact === undefined) continue;
    if (fact.position > position) ahead.set(fact.subject, fact.position);
    const change = changeOf(fact, deps);
    hub.remember(watch, change);
    if (isOwed(change, start) && watch.isAt(attempt) && watch.selects(change)) shown.push(change);
  }
  shown.sort((a, b) => a.position - b.position);
  return watch.isAt(attempt) ? { shown, position, ahead } : undefined;
}

/** Whether its reader cannot know it yet: it came, or ended, after it left off. */
export function isNewTo({ position }: Change, start: Start): boolean {
  return start.position !== undefined && position > start.position;
}

function changeOf(fact: Fact, deps: ChangeDeps): Change {
  const { address, kind, name } = placeOf(fact.subject);
  return kind === "node" ? nodeChange(fact, address, deps) : propertyChange(fact, address, name, deps);
}

function isOwed(change: Change, start: Start): boolean {
  const { name, isThere } = change;
  // Whoever knows nothing knows no node that could be new to it.
  if (name === "") return isThere && isNewTo(change, start) && start.position !== 0;
  // Whoever never saw a property needs not hear of its end.
  return isNewTo(change, start) || (isThere && (start.position === undefined || start.isPartial === true));
}
