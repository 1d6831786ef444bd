// Word: what a reader is told of its own subscriptions, of its watchers, and of the groups that it has to do with.
// In: what happened. Out: events on the stream. Never: a property; of what is not the reader's to hear, nothing.
import { memberEvent, type SubscriptionState, subscriptionEvent } from "../core/event.ts";
import type { Decisions } from "../core/policy.ts";
import type { MemberTurn } from "../groups/groups.ts";
import type { Access } from "../property/properties.ts";
import type { Fact } from "../store/log.ts";
import type { Start } from "./history.ts";
import type { Stream } from "./stream.ts";
import type { Ended } from "./subscription-facts.ts";
import type { Watch } from "./watch.ts";
import { watcherEvent, watcherOf } from "./watcher-facts.ts";

export interface WordDeps {
  readonly now: () => number;
  readonly epoch: string;
}

export class Word {
  readonly #stream: Stream;
  readonly #start: Start;
  readonly #deps: WordDeps;
  #turns: WeakSet<MemberTurn> | undefined;
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

  /** To whoever watches for the moment: it was blocked, and is told so. Once the block is lifted it goes on. */
  ofBlock(
    { id, noticeId, look, target }: Watch,
    turns: readonly [before: Decisions, after: Decisions],
    position: number,
    access: Pick<Access, "judge">,
  ): void {
    if (id !== undefined || target.isGathered) return;
    const names = target.properties.length === 0 ? ["*"] : target.properties;
    const [was, is] = turns.map((decisions) =>
      names.some((name) => access.judge(look, target.node, name, "watch", decisions).is === "blocked"),
    );
    const { text } = target.node;
    if (is && !was) this.ofSubscription(noticeId ?? text, text, "ended", "blocked", String(position));
  }

  /** To the owner's own streams: who wants to know. */
  ofWatcher(fact: Fact): void {
    const told = watcherOf(fact);
    if (told === undefined) return;
    this.#stream.announce(watcherEvent(told, `${this.#deps.epoch}-${fact.position}`));
  }

  /** Once, however many of its subscriptions are about that group. */
  ofMember(turn: MemberTurn, when: "live" | "snapshot"): void {
    this.#turns ??= new WeakSet();
    if (this.#turns.has(turn)) return;
    this.#turns.add(turn);
    this.#stream.announce(memberEvent(this.#deps.epoch, turn), undefined, when);
  }
}
