// Listening: what an agent's triggers ask for, as one stream in its own name.
// In: triggers, a config, where it left off. Out: a stream that tells it all, and standing queries that are kept for it. Never: a trigger that keeps the others from being heard.
import { type Trigger, targetsOf } from "../../agents/triggers.ts";
import { parseAddress } from "../core/address.ts";
import { parseCursor } from "../core/cursor.ts";
import type { Json } from "../core/json.ts";
import { type Principal, rights } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { contactsOf, peopleIn } from "../core/roster.ts";
import {
  parseWatchWish,
  type Subscriptions,
  type Target,
  type Watcher,
  type Watching,
} from "../watch/watching.ts";
import type { Record } from "./records.ts";

export interface ListeningDeps {
  readonly watching: Pick<Watching, "open">;
  readonly subscriptions: Pick<Subscriptions, "of" | "create" | "end">;
  /** Of these names the ones that an account's own node holds, with their values. */
  readonly own: (who: Principal, names: readonly string[]) => Promise<ReadonlyMap<string, Json>>;
}

export interface Listening {
  readonly record: Record;
  /** The agent's own address. */
  readonly node: string;
  readonly principal: Principal;
  readonly triggers: readonly Trigger[];
  readonly after: string | undefined;
  readonly onReady: () => void;
  readonly onTakenBack: () => void;
  /** A trigger that cannot be heard now, and why. */
  readonly onDeaf: (why: string) => void;
}

/** The property that holds an account's contacts. */
const rosterName = "contacts";

export async function listen(wish: Listening, deps: ListeningDeps): Promise<Watcher> {
  const { record, principal, triggers, onReady, onTakenBack, onDeaf } = wish;
  await keepQueries(principal, triggers, deps);
  const after = wish.after === undefined ? undefined : parseCursor(wish.after);
  const properties = triggers.filter((one) => one.on === "property");
  const targets: Target[] = [];
  const named: { node: string; depth: "0" | "1" | "infinity"; properties: readonly string[] }[] = [];
  for (const trigger of properties) {
    const about = targetsOf(trigger, record.config, { owner: record.owner });
    if (about !== "contacts") {
      for (const node of about) named.push({ node, depth: trigger.depth, properties: trigger.names });
      continue;
    }
    const held = await deps.own(principal, [rosterName]);
    const names = trigger.names.includes("*") ? [] : trigger.names;
    for (const { address } of peopleIn(contactsOf(held.get(rosterName)))) {
      targets.push({ node: parseAddress(address), depth: "0", properties: names, isOfRoster: true });
    }
  }
  const watcher = await deps.watching.open({
    caller: principal,
    via: "agent",
    targets,
    own: true,
    brings: {
      inbox: triggers.some(({ on }) => on === "message"),
      notices: triggers.some(({ on }) => on === "watcher"),
      // Who wanted to know between its being set up and its first listening.
      sinceMs: record.sinceMs,
    },
    after,
    onReady,
    onTakenBack,
  });
  for (const { node, depth, properties: names } of named) {
    try {
      await watcher.watch(parseWatchWish({ target: node, properties: names, depth }), after);
    } catch (error) {
      if (!(error instanceof Refusal)) {
        watcher[Symbol.dispose]();
        throw error;
      }
      onDeaf(`${node} cannot be watched: ${error.message}`);
    }
  }
  return watcher;
}

/** Just the queries that its triggers ask for. */
async function keepQueries(
  principal: Principal,
  triggers: readonly Trigger[],
  { subscriptions }: ListeningDeps,
): Promise<void> {
  const asked = triggers.filter((one) => one.on === "match");
  const wanted = new Map(asked.map(({ q, where }) => [JSON.stringify([q, where]), { q, where }]));
  for (const one of await ofAgent(principal, subscriptions)) {
    const key = "query" in one.whom ? JSON.stringify([one.whom.query.q, one.whom.query.where]) : "";
    if (!wanted.delete(key)) await subscriptions.end(one, "deleted");
  }
  // What a query finds is cut to the agent's permissions where the agent hears of it.
  for (const query of wanted.values())
    await subscriptions.create({ ...principal, scopes: rights }, { query });
}

async function ofAgent(principal: Principal, { of }: Pick<Subscriptions, "of">) {
  const { held } = await of(principal.address);
  return held.filter(({ agent }) => agent?.text === principal.agent?.text);
}

/** The agent listens no more. */
export async function listenNoMore(
  principal: Principal,
  subscriptions: Pick<Subscriptions, "of" | "end">,
): Promise<void> {
  for (const one of await ofAgent(principal, subscriptions)) await subscriptions.end(one, "deleted");
}
