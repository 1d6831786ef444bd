// Hooked: all subscriptions of the domain that a webhook delivers, on every broker.
// In: the feed. Out: word of each as it comes, changes and ends. Never: those that are told on streams.
import type { Follower } from "../store/follower.ts";
import type { Fact } from "../store/log.ts";
import { type Subscription, subscriptionOf } from "./subscription-facts.ts";

export interface HookListener {
  changed(one: Subscription): void;
  ended(one: Subscription): void;
}

export interface Hooked extends Disposable {
  /** Told of those that are there, then of whatever becomes of them. */
  listen(listener: HookListener): Disposable;
}

/** What a fact holds if a webhook delivers it; most need not be read for that. */
const mark = '"hook":';

export function openHooked({ listen }: Pick<Follower, "listen">): Hooked {
  const all = new Map<string, Subscription>();
  const listeners = new Set<HookListener>();
  const following = listen({ take });

  function take(fact: Fact): void {
    const { subject } = fact;
    if (!subject.includes(".subscription.")) return;
    const present = all.get(subject);
    const next = fact.body.includes(mark) ? subscriptionOf(fact) : undefined;
    if (next?.hook) {
      all.set(subject, next);
      for (const one of listeners) one.changed(next);
    } else if (present) {
      all.delete(subject);
      for (const one of listeners) one.ended(present);
    }
  }

  return {
    listen(listener) {
      listeners.add(listener);
      for (const one of all.values()) listener.changed(one);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    [Symbol.dispose]: () => following[Symbol.dispose](),
  };
}
