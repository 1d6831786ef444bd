// Targets: what a program of its own watches for an agent, made of the agent's triggers.
// In: triggers, a config, an owner. Out: targets of a stream, and subscriptions where a stream cannot carry it. Never: a watch that no trigger asks for.
import type { Json } from "../port.ts";
import { type Trigger, targetsOf } from "../triggers.ts";
import type { LocalStore } from "./local-store.ts";
import { type Rest, RestError } from "./rest.ts";

export interface Targets {
  /** As `?watch=` takes them. */
  readonly watch: readonly string[];
  /** As `POST /v1/subscriptions` takes them. */
  readonly subscriptions: readonly { readonly [key: string]: Json }[];
  readonly hasContacts: boolean;
}

/** The owner's own list is watched beside its contacts, so that the stream follows it. */
export function targetsFor(
  triggers: readonly Trigger[],
  config: { readonly [key: string]: Json },
  owner: string,
): Targets {
  const ofContacts = new Set<string>();
  const watch = new Set<string>();
  const subscriptions = new Map<string, { readonly [key: string]: Json }>();
  const subscribe = (wish: { readonly [key: string]: Json }): void => {
    subscriptions.set(JSON.stringify(wish), wish);
  };
  for (const trigger of triggers) {
    if (trigger.on === "match") {
      const { q, where } = trigger;
      subscribe({ query: { ...(q !== undefined && { q }), ...(where !== undefined && { where }) } });
    }
    if (trigger.on !== "property") continue;
    const { names, depth } = trigger;
    const targets = targetsOf(trigger, config, { owner });
    if (targets === "contacts") for (const name of names) ofContacts.add(name);
    else if (depth !== "0")
      for (const target of targets) subscribe({ target, depth, properties: [...names] });
    else for (const target of targets) watch.add(`${target}:${names.join(",")}`);
  }
  const hasContacts = ofContacts.size > 0;
  if (hasContacts) {
    watch.add(`roster:${[...ofContacts].join(",")}`);
    watch.add(`${owner}:contacts`);
  }
  return { watch: [...watch], subscriptions: [...subscriptions.values()], hasContacts };
}

/** An agent that is away for longer than this begins anew. */
const leaseSeconds = 7 * 86_400;

/** Renews those that were made before, and makes the others. @returns their ids */
export async function subscribe(
  rest: Rest,
  store: LocalStore,
  wishes: Targets["subscriptions"],
): Promise<ReadonlySet<string>> {
  const ids = new Set<string>();
  for (const wish of wishes) {
    const fact = `subscription ${JSON.stringify(wish)}`;
    const known = store.fact(fact);
    const id = (known !== undefined && (await renewed(rest, known))) || (await made(rest, wish));
    if (id !== known) await store.keepFact(fact, id);
    ids.add(id);
  }
  return ids;
}

async function renewed(rest: Rest, id: string): Promise<string | undefined> {
  try {
    await rest.ask("PATCH", `/v1/subscriptions/${encodeURIComponent(id)}`, { body: { lease: {} } });
    return id;
  } catch (error) {
    if (error instanceof RestError && error.status === 404) return undefined;
    throw error;
  }
}

async function made(rest: Rest, wish: { readonly [key: string]: Json }): Promise<string> {
  const body = { ...wish, lease: { seconds: leaseSeconds } };
  return ((await rest.ask("POST", "/v1/subscriptions", { body })) as { id: string }).id;
}
