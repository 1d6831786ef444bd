// Subscription facts: standing wishes as the log holds them.
// In: subscriptions. Out: bodies of facts, and back. Never: an end that does not say of what.
import { type Address, makeAddress } from "../core/address.ts";
import { leaseEnd, requireLeaseSeconds } from "../core/lease-bounds.ts";
import { type Principal, rights } from "../core/principal.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Fact } from "../store/log.ts";
import { nameOf, placeOf } from "../store/subjects.ts";
import { storedFilter } from "./filter.ts";
import { type Hook, type HookWire, hookOf, hookWire } from "./hook.ts";
import { parseWatchWish, type WatchWish } from "./wish.ts";

export type EndReason = "deleted" | "expired" | "filter-too-slow" | "blocked" | "denied";

/** A subscription as the log holds it. */
export interface Subscription extends WatchWish {
  readonly id: string;
  readonly subscriber: Address;
  readonly createdMs: number;
  readonly lease: { readonly seconds: number; readonly untilMs: number } | undefined;
  readonly reveal: readonly string[];
  /** The agent that hears of it in place of its subscriber's streams. */
  readonly agent: Address | undefined;
  /** Where it is delivered to in place of streams. */
  readonly hook: Hook | undefined;
  /** The position at which it was made: a reader from before has yet to see any of it. */
  readonly made: number;
  /** The position at which what it selects was last decided: a reader from before may have seen other things of it. */
  readonly since: number;
  readonly position: number;
}

export interface Wire {
  target: string;
  properties: readonly string[];
  depth: WatchWish["depth"];
  at: number;
  filter?: string;
  /** Seconds, and ms since 1970. */
  l?: { s: number; u: number };
  reveal?: readonly string[];
  hook?: HookWire;
  /** The path of the agent's node, under the subscriber's. */
  agent?: string;
  /** Absent: the position of this very fact. */
  made?: number;
  since?: number;
}

/** Undefined once it has ended. */
export const subscriptionOf = oncePerFact((fact): Subscription | undefined => {
  const wire = JSON.parse(fact.body) as Partial<Wire>;
  return wire.target === undefined ? undefined : decode(fact.subject, wire as Wire, fact.position);
});

/** The end of a subscription: of which target, and why. */
export interface Ended {
  readonly id: string;
  readonly position: number;
  readonly was: string;
  readonly why: EndReason;
}

export function endOf(fact: Fact): Ended {
  const { was = "", why = "deleted" } = JSON.parse(fact.body) as { was?: string; why?: EndReason };
  return { id: nameOf(fact.subject), position: fact.position, was, why };
}

export function endBody({ target }: Subscription, why: EndReason): string {
  return JSON.stringify({ was: target, why });
}

/** The subscriber, or the agent that acts for it, without the token that it came with. */
export function subscriberOf({ subscriber, agent }: Pick<Subscription, "subscriber" | "agent">): Principal {
  return { address: subscriber, agent, kind: "person", scopes: rights, tokenId: "" };
}

export function isOver({ lease }: Subscription, nowMs: number): boolean {
  return lease !== undefined && lease.untilMs <= nowMs;
}

export function decode(subject: string, wire: Wire, position: number): Subscription {
  const { address, name } = placeOf(subject);
  const properties = wire.properties.length === 0 ? undefined : wire.properties;
  const { target, depth, filter } = wire;
  const wish = parseWatchWish({ target, properties, depth, filter }, storedFilter);
  return {
    ...wish,
    // What the values were, the owner was told when it was made.
    disclosed: new Map(wire.reveal?.map((one) => [one, null])),
    id: name,
    subscriber: address,
    createdMs: wire.at,
    lease: wire.l && { seconds: wire.l.s, untilMs: wire.l.u },
    reveal: wire.reveal ?? [],
    agent:
      wire.agent === undefined
        ? undefined
        : makeAddress(address.local, address.domain, wire.agent.split("/")),
    hook: wire.hook && hookOf(wire.hook),
    made: wire.made ?? position,
    since: wire.since ?? position,
    position,
  };
}

export function toWire(one: Subscription): Wire {
  const { target, properties, depth, createdMs, filter, lease, reveal, agent, hook, made, since } = one;
  const wire: Wire = { target, properties, depth, at: createdMs, made, since };
  if (filter) wire.filter = filter.text;
  if (lease) wire.l = { s: lease.seconds, u: lease.untilMs };
  if (reveal.length > 0) wire.reveal = reveal;
  if (agent) wire.agent = agent.path.join("/");
  if (hook) wire.hook = hookWire(hook);
  return wire;
}

/** @throws Refusal `bad-lease` */
export function leaseOf(seconds: number, nowMs: number): { s: number; u: number } {
  requireLeaseSeconds(seconds, "/lease");
  return { s: seconds, u: leaseEnd(nowMs, seconds) };
}
