// Joining: what the log shows of a watch's target, before the watch is live.
// In: a target, the log. Out: its changes in log order, and what the feed must not tell again. Never: a decision about who may see them; that is made in the moment in which they are told.
import type { Soon } from "../core/soon.ts";
import type { Messages } from "../messages/messages.ts";
import type { Fact, Log } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import { type Change, type ChangeDeps, letterChange, nodeChange, propertyChange } from "./change.ts";
import type { Hub } from "./hub.ts";
import { logFilters } from "./target.ts";
import type { Watch } from "./watch.ts";

export interface JoinDeps extends ChangeDeps {
  readonly log: Log;
  readonly hub: Hub;
  /** Ends leases whose time has come, so that no snapshot shows a leased value after its deadline. */
  readonly settle: (fact: Fact) => Soon<Fact | undefined>;
  readonly messages: Pick<Messages, "mail" | "rights">;
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
  // What ended many leases at once is known from the feed alone.
  await known(position);
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
  return { changes: [...changes, ...(await lettersOf(watch, position, deps))], position, ahead };
}

/** Messages to those who watch, sent while this reader was away. */
async function lettersOf(watch: Watch, upTo: number, { messages }: JoinDeps): Promise<readonly Change[]> {
  const { mail, rights } = messages;
  const { target, lettersAfter } = watch;
  const owed = mail
    .interests(target, lettersAfter, upTo)
    .filter(({ box, interest = "" }) => watch.covers(box.address, interest));
  const found = await mail.read(owed);
  return found.map((arrived) => letterChange(arrived, arrived.letter.interest ?? "", rights));
}

function changeOf(fact: Fact, deps: ChangeDeps): Change {
  const { address, kind, name } = placeOf(fact.subject);
  return kind === "node" ? nodeChange(fact, address, deps) : propertyChange(fact, address, name, deps);
}
