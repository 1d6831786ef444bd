// Subscriptions: standing wishes of watchers, as facts under the watcher's own node.
// In: principals' wishes, the feed. Out: facts, shapes, and the end of each lease at its time. Never: a wish that one watcher shows to another.

import { randomBytes } from "node:crypto";
import { type Address, rootOf } from "../core/address.ts";
import { tombstoneSeconds } from "../core/fact.ts";
import type { Json } from "../core/json.ts";
import { requireNamePatterns } from "../core/name-pattern.ts";
import type { Principal } from "../core/principal.ts";
import type { QueryText } from "../core/query-target.ts";
import { Refusal } from "../core/refusal.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import { nodeOf } from "../store/decoded.ts";
import type { Follower } from "../store/follower.ts";
import type { Heads } from "../store/heads.ts";
import { Conflict, type Fact, type Log, LogUnavailable } from "../store/log.ts";
import { factsOfNode, nameOf, subjectOf } from "../store/subjects.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Doorkeeper } from "./doorkeeper.ts";
import { Endings } from "./endings.ts";
import { badWebhook, hookWire } from "./hook.ts";
import type { Agreed, Hooks } from "./hooks.ts";
import { type Standing, selected } from "./standing.ts";
import {
  decode,
  type Ended,
  type EndReason,
  endBody,
  endOf,
  isOver,
  leaseOf,
  type Subscription,
  subscriberOf,
  subscriptionOf,
  toWire,
  type Wire,
} from "./subscription-facts.ts";
import { type SubscriptionShape, shapeOf } from "./subscription-shape.ts";
import type { SubscriptionChangeWish, SubscriptionWish } from "./subscription-wish.ts";
import { nodeKey } from "./target.ts";
import { parseWatchWish, requireQuery, requireWatchScope, targetOf } from "./wish.ts";

export interface Subscriptions extends Disposable {
  create(who: Principal, wish: SubscriptionWish): Promise<SubscriptionShape>;
  list(who: Principal): Promise<readonly SubscriptionShape[]>;
  get(who: Principal, id: string): Promise<SubscriptionShape>;
  change(who: Principal, id: string, wish: SubscriptionChangeWish): Promise<SubscriptionShape>;
  /** Nothing happens where there is none. */
  remove(who: Principal, id: string): Promise<void>;
  /** @throws Refusal `not-found`, also where it is told on streams */
  hooked(who: Principal, id: string): Promise<Subscription>;
  /** All of one account, or one: those that are good now, and the ends that the log still holds. */
  of(subscriber: Address, id?: string): Promise<{ held: readonly Subscription[]; ended: readonly Ended[] }>;
  /** Its owner hears of it as it stands now. */
  announce(subscription: Subscription): Promise<void>;
  /** Ends one that cannot go on. */
  end(subscription: Subscription, reason: EndReason): Promise<void>;
}

export interface SubscriptionDeps {
  readonly log: Log;
  readonly heads: Heads;
  readonly follower: Follower;
  readonly now: () => number;
  readonly standing: Standing;
  readonly forwarding: Pick<Forwarding, "follow" | "along">;
  readonly doorkeeper: Pick<Doorkeeper, "announce" | "ended">;
  /** Of these names the ones that the watcher's own node holds, with their values. */
  readonly own: (who: Principal, names: readonly string[]) => Promise<ReadonlyMap<string, Json>>;
  /** @throws Refusal where a query cannot be asked */
  readonly checkQuery: (query: QueryText) => void;
  readonly hooks: Hooks;
  readonly deliveries: Pick<Deliveries, "standing" | "renew">;
  readonly onTrouble: (message: string) => void;
}

const subscriptionsMax = 10_000;
const roundsMax = 20;
/** Two brokers that end a lease at the same moment would only get in each other's way. */
const graceMsMax = 100;

export function openSubscriptions(deps: SubscriptionDeps): Subscriptions {
  const { log, heads, follower, now, standing, forwarding, doorkeeper, own, hooks, onTrouble } = deps;
  /** The ids that each account holds, by the key of its node. */
  const held = new Map<string, Set<string>>();
  const endings = new Endings(now, (subject) => expire(subject));
  const graceMs = Math.random() * graceMsMax;
  const following = follower.listen({ take });

  function take(fact: Fact): void {
    if (!fact.subject.includes(".subscription.")) return;
    const key = nodeKey(fact.subject);
    const id = nameOf(fact.subject);
    const ids = held.get(key);
    // Most are of people who are not here now: nobody needs their filters.
    const { target, l } = JSON.parse(fact.body) as Partial<Wire>;
    if (target === undefined) {
      ids?.delete(id);
      if (ids?.size === 0) held.delete(key);
      endings.forget(fact.subject);
      return;
    }
    if (ids) ids.add(id);
    else held.set(key, new Set([id]));
    if (l) endings.set(fact.subject, l.u + graceMs);
    else endings.forget(fact.subject);
  }

  async function expire(subject: string): Promise<void> {
    try {
      const fact = await heads.get(subject);
      const one = fact && subscriptionOf(fact);
      if (one?.lease && one.lease.untilMs <= now()) await end(one, "expired");
    } catch (error) {
      if (error instanceof Conflict) return;
      onTrouble(`a subscription could not be ended yet: ${(error as Error).message}`);
      endings.set(subject, now() + 1_000);
    }
  }

  async function end(one: Subscription, reason: EndReason): Promise<void> {
    const subject = subjectOf(one.subscriber, "subscription", one.id);
    const body = endBody(one, reason);
    await heads.append([{ subject, body, expected: one.position, keepSeconds: tombstoneSeconds }]);
    const node = await standing.addressOf(one);
    for (const at of node ? forwarding.along(node) : []) doorkeeper.ended(at, one.subscriber, one.id);
    if (one.hook) {
      // It signs nothing any more; with the account it goes at the latest.
      const kept = (error: Error): void => onTrouble(`a secret was not forgotten: ${error.message}`);
      await hooks.secrets.forget(one.subscriber, one.id).catch(kept);
    }
  }

  /** Its owner hears of it before the subscriber is answered, where anything is granted. */
  async function announce(one: Subscription): Promise<void> {
    const target = await standing.addressOf(one);
    const there = target && (await heads.get(subjectOf(target, "node")));
    if (target === undefined || there === undefined || nodeOf(there) === undefined) return;
    const caller = subscriberOf(one);
    const look = { caller, via: "subscription", disclosed: await own(caller, one.reveal) };
    const names = selected(one);
    const { at: node } = await forwarding.follow({ look, node: target, names, right: "watch" });
    await doorkeeper.announce({ look, node, properties: names, id: one.id, isKept: true });
  }

  async function create(who: Principal, wish: SubscriptionWish): Promise<SubscriptionShape> {
    const { target, whom, properties, depth, filter } = parseWatchWish({ ...wish, target: targetOf(wish) });
    if ("query" in whom) requireQuery(who, wish, whom.query, deps.checkQuery);
    requireWatchScope(who, properties);
    const root = rootOf(who.address);
    const count = held.get(nodeKey(subjectOf(root, "node")))?.size ?? 0;
    if (count >= subscriptionsMax) {
      throw new Refusal("too-many-subscriptions", `You hold ${count} subscriptions; end some of them.`);
    }
    const disclosed = await own(who, requireNamePatterns(wish.reveal ?? []));
    await standing.requireOpen({ whom, properties }, { caller: who, via: "", disclosed });
    const wire: Wire = { target, properties, depth, at: Math.floor(now()) };
    if (filter) wire.filter = filter.text;
    if (wish.reveal && wish.reveal.length > 0) wire.reveal = wish.reveal;
    if (who.agent) wire.agent = who.agent.path.join("/");
    const id = randomBytes(12).toString("base64url");
    const { delivery = "stream" } = wish;
    const agreed = delivery === "stream" ? undefined : await hooks.agree(root, delivery.webhook);
    // It lasts from now on, however long the endpoint took to answer.
    if (wish.lease) wire.l = leaseOf(wish.lease.seconds, now());
    if (agreed) await settle(root, id, wire, agreed);
    const made = await put(subjectOf(root, "subscription", id), wire, 0);
    // The account may have ended meanwhile: then this would outlive it.
    await announce(made).catch((error) => end(made, "deleted").then(() => Promise.reject(error)));
    return await shapeOf(who, made, deps, agreed?.issued);
  }

  /** The secret is kept before anything can be delivered. */
  async function settle(owner: Address, id: string, wire: Wire, { hook, secret }: Agreed): Promise<void> {
    wire.hook = hookWire(hook);
    if (secret !== undefined) await hooks.secrets.keep(owner, id, secret);
  }

  async function put(subject: string, wire: Wire, expected: number): Promise<Subscription> {
    const body = JSON.stringify(wire);
    const position = await heads.append([{ subject, body, expected }]);
    return decode(subject, wire, position);
  }

  async function find(who: Principal, id: string, fresh = false): Promise<Subscription> {
    const subject = idPattern.test(id) ? subjectOf(rootOf(who.address), "subscription", id) : undefined;
    const fact = subject && (await (fresh ? heads.refresh(subject) : heads.get(subject)));
    const one = fact && subscriptionOf(fact);
    if (one && !isOver(one, now())) return one;
    // What this broker remembers may be older than what another one has acknowledged.
    if (!fresh) return await find(who, id, true);
    throw new Refusal("not-found", "You have no such subscription.");
  }

  async function change(
    who: Principal,
    id: string,
    wish: SubscriptionChangeWish,
  ): Promise<SubscriptionShape> {
    const agreed = await agreedOn(who, id, wish);
    for (let round = 0; round < roundsMax; round++) {
      const present = await find(who, id, round > 0);
      const wire = toWire(present);
      if (wish.lease) {
        const seconds = wish.lease.seconds ?? present.lease?.seconds;
        if (seconds === undefined) throw new Refusal("bad-lease", "Say how many seconds: it had no lease.");
        wire.l = leaseOf(seconds, now());
      }
      if ("query" in present.whom && (wish.properties !== undefined || wish.filter !== undefined)) {
        throw new Refusal("bad-request", "A standing query is not changed: end it, and ask another.");
      }
      const wanted = parseWatchWish({
        target: present.target,
        depth: present.depth,
        properties: wish.properties ?? (present.properties.length === 0 ? undefined : present.properties),
        filter: wish.filter === undefined ? present.filter?.text : (wish.filter ?? undefined),
      });
      requireWatchScope(who, wanted.properties);
      const isOther = wish.properties !== undefined || wish.filter !== undefined;
      wire.properties = wanted.properties;
      delete wire.filter;
      if (wanted.filter) wire.filter = wanted.filter.text;
      if (isOther) delete wire.since;
      try {
        if (agreed) await settle(present.subscriber, id, wire, agreed);
        const subject = subjectOf(present.subscriber, "subscription", id);
        const changed = await put(subject, wire, present.position);
        await announce(changed);
        if (changed.hook && changed.hook.url !== present.hook?.url) await deps.deliveries.renew(changed);
        return await shapeOf(who, changed, deps, agreed?.issued);
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept changing the same subscription");
  }

  async function agreedOn(
    who: Principal,
    id: string,
    { delivery }: SubscriptionChangeWish,
  ): Promise<Agreed | undefined> {
    if (delivery === undefined) return undefined;
    const { hook, subscriber } = await find(who, id);
    if (hook) return await hooks.change(subscriber, hook, delivery.webhook);
    throw badWebhook("url", "cannot be given to a subscription that is told on streams: make another one");
  }

  async function remove(who: Principal, id: string): Promise<void> {
    for (let round = 0; round < roundsMax; round++) {
      try {
        return await end(await find(who, id, round > 0), "deleted");
      } catch (error) {
        if (error instanceof Refusal && error.code === "not-found") return;
        if (!(error instanceof Conflict)) throw error;
      }
    }
    throw new LogUnavailable("others kept changing the same subscription");
  }

  async function of(subscriber: Address, id?: string): Promise<{ held: Subscription[]; ended: Ended[] }> {
    const root = rootOf(subscriber);
    const wanted = id === undefined ? factsOfNode(root, "subscription") : subjectOf(root, "subscription", id);
    const { facts } = await log.snapshot([wanted]);
    const nowMs = now();
    const found: { held: Subscription[]; ended: Ended[] } = { held: [], ended: [] };
    for (const fact of facts) {
      const one = subscriptionOf(fact);
      if (one === undefined) found.ended.push(endOf(fact));
      else if (!isOver(one, nowMs)) found.held.push(one);
    }
    return found;
  }

  /** Of one that a webhook delivers. */
  async function hooked(who: Principal, id: string): Promise<Subscription> {
    const one = await find(who, id);
    if (one.hook) return one;
    throw new Refusal("not-found", "No webhook delivers this subscription.");
  }

  return {
    create,
    change,
    remove,
    of,
    announce,
    end,
    list: async (who) =>
      await Promise.all((await of(who.address)).held.map((one) => shapeOf(who, one, deps))),
    get: async (who, id) => await shapeOf(who, await find(who, id), deps),
    hooked,
    [Symbol.dispose]() {
      following[Symbol.dispose]();
      endings[Symbol.dispose]();
    },
  };
}

const idPattern = /^[A-Za-z0-9_-]{1,64}$/;
