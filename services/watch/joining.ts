// Joining: what the log shows of a watch's target, before the watch is live.
// In: a target, the log. Out: its changes in log order, and what the feed must not tell again. Never: a decision about who may see them before the moment in which they are told.
import type { Soon } from "../core/soon.ts";
import type { Fact, Log } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { type Change, type ChangeDeps, nodeChange, propertyChange } from "./change.ts";
import type { Hub } from "./hub.ts";
import { logFilters } from "./target.ts";
import type { Teller } from "./teller.ts";
import type { Watch } from "./watch.ts";

export interface JoinDeps extends ChangeDeps {
  readonly log: Log;
  readonly hub: Hub;
  /** Ends leases whose time has come, so that no snapshot shows a leased value after its deadline. */
  readonly settle: (fact: Fact) => Soon<Fact | undefined>;
  /** Resolves once this broker knows what was decided up to a position. */
  readonly known: (position: number) => Soon<void>;
}

interface Joined {
  readonly changes: readonly Change[];
  /** Where the snapshot stands. */
  readonly position: number;
  /** Facts that it shows although they are newer, by subject. */
  readonly ahead: ReadonlyMap<string, number>;
}

export async function join(watch: Watch, deps: JoinDeps): Promise<Joined> {
  const { log, hub, settle, known } = deps;
  const { facts, position } = await log.snapshot(logFilters(watch.target));
  const ahead = new Map<string, number>();
  const changes: Change[] = [];
  let newest = position;
  for (const found of facts) {
    const settling = settle(found);
    const fact = settling instanceof Promise ? await settling : settling;
    if (fact === undefined) continue;
    if (fact.position > position) ahead.set(fact.subject, fact.position);
    newest = Math.max(newest, fact.position);
    const change = changeOf(fact, deps);
    hub.remember(watch, change);
    changes.push(change);
  }
  changes.sort((a, b) => a.position - b.position);
  // A block may lie before what was read.
  await known(newest);
  return { changes, position, ahead };
}

/** Tells what the snapshot shows, and takes back what it does not show any more. */
export function show(
  { changes, position }: Joined,
  watch: Watch,
  teller: Teller,
  onNode: ((watch: Watch, change: Change) => void) | undefined,
): void {
  const hidden: Change[] = [];
  for (const change of changes) {
    const owed = watch.owes(change);
    if (owed === undefined) continue;
    if (change.name === "") onNode?.(watch, change);
    if (owed === "removal") hidden.push(change);
    else teller.present(change, owed);
  }
  teller.hide(hidden, (change) => watch.hiddenSince(change) || position);
}

function changeOf(fact: Fact, deps: ChangeDeps): Change {
  const { address, kind, name } = placeOf(fact.subject);
  return kind === "node" ? nodeChange(fact, address, deps) : propertyChange(fact, address, name, deps);
}
