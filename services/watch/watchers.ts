// Watchers: the list of those who want to know, and what their owner answers them.
// In: an owner, the facts of its watchers, its decisions. Out: one entry a watcher; answers, which take effect at once. Never: a word of it to a watcher.
import { type Address, parseAddress, rootOf } from "../core/address.ts";
import { timestamp } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import type { Decision } from "../core/policy.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Policies } from "../policy/policies.ts";
import { type Access, nothingDisclosed } from "../property/properties.ts";
import type { Notices } from "./notices.ts";
import type { Subscriptions } from "./subscriptions.ts";
import { anonymous, type Verification, type WatcherFact, watcherOf } from "./watcher-facts.ts";

/** `active` watches, `pending` waits for an answer, `fetched` lately read, `denied` asked in vain, `blocked` is blocked. */
export type WatcherStanding = "active" | "pending" | "fetched" | "denied" | "blocked";

export interface WatcherShape {
  readonly watcher: string;
  readonly state: WatcherStanding;
  readonly properties: readonly string[];
  readonly since: string;
  readonly lastFetch?: string;
  /** Reads that the owner has been told of. */
  readonly fetches?: number;
  readonly revealed: Readonly<Record<string, Json>>;
  readonly verified?: Verification;
  readonly via: string;
  readonly subscriptions?: readonly string[];
}

export interface Watchers {
  /** Of an account, or of one node under it. */
  list(node: Address): Promise<readonly WatcherShape[]>;
  /** Who watches a group now, as its members may know: not how, nor by what disclosure. */
  listActive(group: Address): Promise<readonly WatcherShape[]>;
  answer(
    owner: Address,
    watcher: Address,
    answer: { readonly decision: Decision; readonly properties?: readonly string[] | undefined },
  ): Promise<{ readonly properties: readonly string[] | undefined }>;
}

export interface WatchersDeps {
  readonly notices: Pick<Notices, "of">;
  readonly policies: Pick<Policies, "answer" | "book">;
  readonly access: Pick<Access, "judge">;
  readonly subscriptions: Pick<Subscriptions, "of" | "end" | "announce">;
}

export function openWatchers({ notices, policies, access, subscriptions }: WatchersDeps): Watchers {
  async function factsOf(owner: Address): Promise<readonly WatcherFact[]> {
    const told: WatcherFact[] = [];
    for (const fact of await notices.of(owner)) {
      const one = watcherOf(fact);
      if (one) told.push(one);
    }
    return told.sort((a, b) => a.atMs - b.atMs);
  }

  function standingOf(owner: Address, watcher: string, facts: readonly WatcherFact[]): WatcherStanding {
    const look = { caller: watching(watcher), via: "", disclosed: nothingDisclosed };
    if ("block" in access.judge(look, owner, "*", "watch").ground) return "blocked";
    const watches = facts.filter(({ state }) => state === "started" || state === "pending");
    if (watches.some((one) => isGranted(one))) return "active";
    if (watches.length > 0) return "pending";
    return facts.some(({ state }) => state === "fetched" || state === "ended") ? "fetched" : "denied";
  }

  /** What was granted when it began may have been taken back, and the other way round. */
  function isGranted({ watcher, node, properties, revealed = {} }: WatcherFact): boolean {
    const look = { caller: watching(watcher), via: "", disclosed: new Map(Object.entries(revealed)) };
    return properties.some((name) => access.judge(look, parseAddress(node), name, "watch").is === "granted");
  }

  function shapeOf(owner: Address, watcher: string, facts: readonly WatcherFact[]): WatcherShape {
    const state = watcher === anonymous ? "fetched" : standingOf(owner, watcher, facts);
    const newest = facts.at(-1) as WatcherFact;
    const counted = facts.filter((one) => (state === "active" || state === "pending" ? isOn(one) : true));
    const fetched = facts.filter((one) => one.state === "fetched");
    const lastFetch = fetched.at(-1);
    const kept = facts.flatMap((one) => (isOn(one) && one.subscription ? [one.subscription] : []));
    return {
      watcher,
      state,
      properties: [...new Set(counted.flatMap(({ properties }) => properties))].sort(),
      since: timestamp(Math.min(...counted.map(({ sinceMs }) => sinceMs))),
      ...(lastFetch && {
        lastFetch: timestamp(lastFetch.atMs),
        fetches: fetched.reduce((sum, { count = 1 }) => sum + count, 0),
      }),
      revealed: Object.assign({}, ...facts.map(({ revealed }) => revealed ?? {})),
      ...(newest.verified && { verified: newest.verified }),
      via: newest.via,
      ...(kept.length > 0 && { subscriptions: kept }),
    };
  }

  async function list(node: Address): Promise<readonly WatcherShape[]> {
    const owner = rootOf(node);
    const all = await factsOf(owner);
    const facts = node.path.length === 0 ? all : all.filter((one) => one.node === node.text);
    const byWatcher = Map.groupBy(facts, ({ watcher }) => watcher);
    const shapes: WatcherShape[] = [];
    for (const [watcher, facts] of byWatcher) {
      // Whoever watched for a while and left has no place in a list of those who watch.
      if (facts.every(({ state }) => state === "ended")) continue;
      shapes.push(shapeOf(owner, watcher, facts));
    }
    return shapes;
  }

  /** What `allow` grants: what was named; else what rules with `confirm` offer; else what the watcher asks for. */
  function granted(
    owner: Address,
    watcher: Address,
    named: readonly string[] | undefined,
    asked: readonly string[],
  ): readonly string[] | undefined {
    if (named !== undefined || asked.length === 0) return named;
    const position = Number.MAX_SAFE_INTEGER;
    const allowed = { decision: "allow", properties: undefined, position } as const;
    // What others were answered decides nothing here.
    const answers = new Map([[watcher.text, allowed]]);
    const decisions = { ...policies.book.of(owner.text), answers };
    const caller = { address: watcher, kind: "person", scopes: [], tokenId: "" } as const;
    const look = { caller, via: "", disclosed: nothingDisclosed };
    const isOffered = asked.some(
      (name) => access.judge(look, owner, name, "watch", decisions).is !== "absent",
    );
    return isOffered ? undefined : asked;
  }

  return {
    list,
    async listActive(group) {
      const active = (await list(group)).filter(({ state }) => state === "active");
      return active.map(({ watcher, state, properties, since, via }) => ({
        watcher,
        state,
        properties,
        since,
        revealed: {},
        via,
      }));
    },
    async answer(owner, watcher, { decision, properties }) {
      if (watcher.text === owner.text) throw new Refusal("bad-request", "Nobody watches themselves.");
      const facts = (await factsOf(owner)).filter((one) => one.watcher === watcher.text);
      const pending = facts.filter(({ state }) => state === "pending");
      const asked = [...new Set(pending.flatMap((one) => one.properties))];
      const grants = decision === "allow" ? granted(owner, watcher, properties, asked) : undefined;
      await policies.answer(owner, watcher.text, { decision, properties: grants });
      const { held } = await subscriptions.of(watcher);
      for (const one of held) {
        if (!("address" in one.whom) || !isUnder(one.whom.address, owner)) continue;
        if (decision === "deny") await subscriptions.end(one, "denied");
        else if (decision === "allow") await subscriptions.announce(one);
      }
      return { properties: grants };
    },
  };
}

/** Whoever a notice names: an account, or an agent that watches for one. */
function watching(watcher: string): Principal {
  const address = parseAddress(watcher);
  const agent = address.path.length > 0 ? address : undefined;
  return { address: rootOf(address), agent, kind: "person", scopes: ["watch"], tokenId: "" };
}

function isOn({ state }: WatcherFact): boolean {
  return state === "started" || state === "pending";
}

function isUnder(node: Address, account: Address): boolean {
  return node.local === account.local && node.domain === account.domain;
}
