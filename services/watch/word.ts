// Word: what a reader is told of its own subscriptions, of its watchers, and of the groups that it has to do with.
// In: what happened. Out: events on the stream. Never: a property; of what is not the reader's to hear, nothing.
import { memberEvent, type SubscriptionState, subscriptionEvent } from "../core/event.ts";
import type { MemberTurn } from "../groups/groups.ts";
import type { Fact } from "../store/log.ts";
import type { Start } from "./history.ts";
import type { Stream } from "./stream.ts";
import type { Ended } from "./subscription-facts.ts";
import { watcherEvent, watcherOf } from "./watcher-facts.ts";

export interface WordDeps {
  readonly now: () => number;
  readonly epoch: string;
}

export class Word {
  readonly #stream: Stream;
  readonly #start: Start;
  readonly #deps: WordDeps;
  #marks = 0;

  constructor(stream: Stream, start: Start, deps: WordDeps) {
    this.#stream = stream;
    this.#start = start;
    this.#deps = deps;
  }

  /** @param mark tells one change of the same subscription from another */
  ofSubscription(
    id: string,
    target: string,
    state: SubscriptionState,
    reason?: string,
    mark = `${++this.#marks}`,
  ): void {
    const subscriber = this.#stream.caller?.address.text ?? "anonymous";
    const change = { subscriber, id, target, state, reason, timeMs: this.#deps.now(), mark };
    this.#stream.announce(subscriptionEvent(change));
  }

  /** To a reader that has been told of it. */
  ofEnd({ id, position, was, why }: Ended): void {
    if (position <= (this.#start.position ?? Number.POSITIVE_INFINITY)) return;
    this.ofSubscription(id, was, "ended", why, String(position));
  }

  /** To the owner's own streams: who wants to know. */
  ofWatcher(fact: Fact): void {
    const told = watcherOf(fact);
    if (told === undefined) return;
    this.#stream.announce(watcherEvent(told, `${this.#deps.epoch}-${fact.position}`));
  }

  ofMember(turn: MemberTurn): void {
    this.#stream.announce(memberEvent(this.#deps.epoch, turn));
  }
}
