// Own: the subscriptions that a stream carries: those that its caller keeps, and those of the moment.
// In: subscriptions and what becomes of them and of their targets. Out: watches on the stream, and events about the subscriptions. Never: a target watched twice for one subscription.
import { randomBytes } from "node:crypto";
import type { Address } from "../core/address.ts";
import type { Decisions, Verdict } from "../core/policy.ts";
import { after, type Soon } from "../core/soon.ts";
import { SparseMap } from "../core/sparse.ts";
import type { MemberTurn } from "../groups/groups.ts";
import type { Turn } from "../policy/policies.ts";
import { type Look, nothingDisclosed } from "../property/properties.ts";
import type { Fact } from "../store/log.ts";
import { nameOf } from "../store/subjects.ts";
import type { Change } from "./change.ts";
import { type Following, wayOf } from "./following.ts";
import { Found } from "./found.ts";
import { asDecided, Gathering } from "./gathering.ts";
import type { Start } from "./history.ts";
import { disclosing, isCarried, type Kept, keptFrom, startOf, targetOf } from "./kept.ts";
import { MemberWord } from "./member-word.ts";
import { Newest } from "./newest.ts";
import type { OwnDeps, OwnReach } from "./own-deps.ts";
import { type State, selected } from "./standing.ts";
import type { Stream } from "./stream.ts";
import { type Ended, endOf, type Subscription, subscriptionOf } from "./subscription-facts.ts";
import { TakingUp } from "./taking-up.ts";
import type { Watch } from "./watch.ts";
import type { WatchWish } from "./wish.ts";
import { Word } from "./word.ts";

export class Own {
  readonly #stream: Stream;
  readonly #start: Start;
  readonly #following: Pick<Following, "begin" | "isAway" | "wished">;
  readonly #reach: OwnReach;
  readonly #deps: OwnDeps;
  readonly #kept = new SparseMap<string, Kept>();
  /** The newest fact of each subscription that was seen; while the stream begins, of whatever the feed may bring again. */
  readonly #newest = new Newest();
  #hasBegun = false;
  readonly #word: Word;
  readonly #found: Found;
  readonly #taking: TakingUp;
  readonly members: MemberWord;

  constructor(stream: Stream, start: Start, following: Following, reach: OwnReach, deps: OwnDeps) {
    this.#stream = stream;
    this.#start = start;
    this.#following = following;
    this.#reach = reach;
    this.#deps = deps;
    this.#word = new Word(stream, start, deps);
    this.#taking = new TakingUp(stream);
    this.members = new MemberWord(stream, this.#word, this, reach.hearsGroups, deps);
    this.#found = new Found(stream, this.#kept, deps);
  }

  /** One that the caller keeps, as it stands when the stream begins. */
  async begin(subscription: Subscription): Promise<void> {
    const isMine = isCarried(subscription.id, subscription, this.#stream.caller, this.#reach.only);
    if (!isMine || !this.#newest.isNews(subscription.id, subscription.position)) return;
    const start = startOf(subscription, this.#start, this.#stream.start);
    await this.#keep(keptFrom(subscription, start));
  }

  /** One that ended, perhaps while the reader was away. */
  beginEnded(end: Ended): void {
    if (this.#newest.isNews(end.id, end.position)) this.#word.ofEnd(end);
  }

  /** All have been begun with: from now on each fact comes once, by the feed. */
  begun(): Promise<void> {
    this.#hasBegun = true;
    return this.#found.begin();
  }

  /** The reader has been told to forget what it knew. */
  onReset(): void {
    this.#found.again().catch(() => undefined);
  }

  /** What the feed brings about one that the caller keeps. */
  take(fact: Fact): void {
    if (fact.subject.includes(".watcher.")) this.tellOfWatcher(fact);
    else if (fact.subject.includes(".match.")) this.#found.take(fact);
    else this.#takeSubscription(fact);
  }

  #takeSubscription(fact: Fact): void {
    const id = nameOf(fact.subject);
    const next = subscriptionOf(fact);
    const present = this.#kept.get(id);
    const isMine = present || isCarried(id, next, this.#stream.caller, this.#reach.only);
    if (!isMine || !this.#newest.isNews(id, fact.position)) return;
    if (next === undefined) {
      // It may have ended before the stream came to know it.
      if (present) this.#drop(present, endOf(fact).why);
      else this.#word.ofEnd(endOf(fact));
      if (this.#hasBegun) this.#newest.forget(id);
      return;
    }
    if (present && present.stored?.since === next.since) {
      this.#kept.set(id, { ...present, stored: next, wish: next });
      return;
    }
    if (present) this.#unwatch(present);
    const start = present
      ? { ...this.#stream.start, isPartial: true }
      : startOf(next, this.#start, this.#stream.start);
    this.#taking.begin(
      () => this.#keep(keptFrom(next, start)),
      () => this.#isWanted(id, next.since, fact.position),
    );
  }

  /** Whether a subscription is to be taken up as it stood at a position; a renewal makes no other one of it. */
  #isWanted(id: string, since: number, position: number): boolean {
    const kept = this.#kept.get(id);
    if (kept?.stored?.since === since) return kept.watch === undefined;
    return this.#newest.isAt(id, position);
  }

  /** One that lasts as long as the stream. @throws Refusal `blocked`, `reveal-required` */
  async add(wish: WatchWish, start: Start): Promise<{ subscription: string; state: State }> {
    const look = this.#lookOf(wish);
    await this.#deps.standing.requireOpen(wish, look);
    const id = randomBytes(9).toString("base64url");
    await this.#keep({ id, wish, stored: undefined, start, watch: undefined });
    return { subscription: id, state: await this.#deps.standing.of(wish, look) };
  }

  /** @returns false when the stream holds no such subscription of the moment */
  remove(id: string): boolean {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.stored) return false;
    this.#unwatch(kept);
    return this.#kept.delete(id);
  }

  /** Somebody registered with this e-mail address. */
  registered(email: string, address: Address): void {
    for (const kept of this.#kept.values()) {
      if (!("email" in kept.wish.whom) || kept.wish.whom.email !== email) continue;
      if (kept.watch && this.#following.wished(kept.watch).node.text === address.text) continue;
      // The address has changed hands.
      this.#unwatch(kept);
      this.#word.ofSubscription(kept.id, kept.wish.target, "active");
      const start = { text: this.#stream.last, position: undefined, isLost: false };
      this.#taking.begin(
        () => this.#watch(kept, address, start),
        () => this.#kept.has(kept.id) && kept.watch === undefined,
      );
    }
  }

  /** The target of a watch came or went. */
  onNode(watch: Watch, change: Change): void {
    const kept = this.#keptOf(watch);
    if (kept === undefined || change.address.text !== watch.target.node.text) return;
    // Where it has followed to somebody who is no more, it goes back.
    if (this.#following.isAway(watch)) return;
    const state = change.isThere ? "active" : "pending";
    this.#word.ofSubscription(kept.id, kept.wish.target, state, undefined, String(change.revision));
  }

  /** The owner of its target has decided anew. */
  onTurned(watch: Watch, { before, after, member, position }: Turn): void {
    this.#word.ofBlock(watch, [before, after], position, this.#deps.access);
    const kept = this.#keptOf(watch);
    if (kept === undefined) return;
    if (this.#isStanding(kept, watch.target.node, "blocked")) {
      if (!this.#following.isAway(watch)) this.#end(kept, "blocked");
      return;
    }
    kept.gathering?.decided(position);
    const [was, is] = [before, after].map((decisions) =>
      this.#isStanding(kept, watch.target.node, "granted", decisions),
    );
    if (is && (!was || member?.hasJoined)) this.#word.ofSubscription(kept.id, kept.wish.target, "active");
  }

  /** Somebody came into a group, left it, or asks to be let in: word for its watchers, its owner, and whom it is about. */
  onMember(turn: MemberTurn): void {
    for (const { gathering } of this.#kept.values())
      if (gathering?.group === turn.group) gathering.turned(turn);
    this.members.tell([turn], "live");
  }

  /** Another watch has taken the place of the one that it had. */
  onMoved(watch: Watch): void {
    const kept = this.#keptOf(watch);
    if (kept === undefined) return;
    kept.gathering?.drop();
    this.#carry(kept, watch, { ...watch.start, position: undefined });
    if (this.#isStanding(kept, watch.target.node, "blocked")) this.#end(kept, "blocked");
  }

  /** What becomes of a group's member is no matter of the subscription to the group. */
  #keptOf({ id, target }: Watch): Kept | undefined {
    return id === undefined || target.isGathered ? undefined : this.#kept.get(id);
  }

  #isStanding(kept: Kept, node: Address, as: Verdict["is"], decisions?: Decisions): boolean {
    const [look, { access }] = [this.#lookOf(kept.wish), this.#deps];
    return selected(kept.wish).some((name) => access.judge(look, node, name, "watch", decisions).is === as);
  }

  /** What its reader watches, and how. */
  *looks(): Iterable<readonly [node: string, look: Look]> {
    for (const { watch, wish } of this.#kept.values())
      if (watch) yield [watch.target.node.text, this.#lookOf(wish)];
  }

  #lookOf({ disclosed = nothingDisclosed }: Pick<WatchWish, "disclosed">): Look {
    return { caller: this.#stream.caller, via: this.#stream.via, disclosed };
  }

  /** Its filter took too long: it would take as long each time. */
  onStopped(watch: Watch): void {
    const kept = this.#keptOf(watch);
    if (kept) this.#end(kept, "filter-too-slow");
  }

  /** One that cannot go on. What is kept ends in the log: the feed brings word of it. */
  #end(kept: Kept, reason: "filter-too-slow" | "blocked"): void {
    const { id, stored } = kept;
    if (stored === undefined) this.#drop(kept, reason);
    else
      this.#taking.begin(
        () => this.#deps.end(this.#kept.get(id)?.stored ?? stored, reason),
        () => this.#kept.has(id),
      );
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Who wants to know, also while the owner was away. */
  tellOfWatcher(fact: Fact): void {
    if (!this.#reach.hearsWatchers || !this.#newest.isNews(fact.subject, fact.position)) return;
    if (this.#hasBegun) this.#newest.forget(fact.subject);
    this.#word.ofWatcher(fact);
  }

  async #keep(wished: Kept): Promise<void> {
    const kept = await disclosing(wished, this.#stream.caller, this.#deps.own);
    // It may have ended meanwhile, or become another one that is taken up for itself.
    if (wished.stored && !this.#isWanted(wished.id, wished.stored.since, wished.stored.position)) return;
    const before = this.#kept.get(kept.id);
    if (before) this.#unwatch(before);
    this.#kept.set(kept.id, kept);
    const { whom } = kept.wish;
    if ("address" in whom) return this.#watch(kept, whom.address, kept.start);
    const address = "email" in whom ? await this.#deps.whoHas(whom.email) : undefined;
    if (address && this.#kept.get(kept.id) === kept && kept.watch === undefined) {
      await this.#watch(kept, address, kept.start);
    }
  }

  #watch(kept: Kept, node: Address, start: Start): Soon<void> {
    const { id, stored, wish } = kept;
    if (this.#isStanding(kept, node, "blocked")) return this.#end(kept, "blocked");
    const target = targetOf(kept, node);
    return after(this.#deps.acquaintance.startOf(wayOf(this.#stream, target), start), (left) => {
      const from = (): Start => asDecided({ id, look: this.#lookOf(wish), target }, left, this.#deps);
      return after(this.#following.begin({ target, start: from, since: left.position, id }), (watch) => {
        const present = this.#kept.get(id);
        if (present === undefined || present.watch || present.stored?.since !== stored?.since)
          return this.#stream.drop(watch);
        this.#carry(present, watch, left);
        if (this.#isStanding(present, node, "blocked")) this.#end(present, "blocked");
      });
    });
  }

  /** With whoever belongs to the group that is watched. @param left where its reader left off */
  #carry(kept: Kept, watch: Watch, left: Start): void {
    kept.watch = watch;
    const { target, start: from } = watch;
    if (target.depth === "0") return;
    const gathered = { id: kept.id, look: this.#lookOf(kept.wish), target };
    kept.gathering = new Gathering(gathered, this.#stream, this.#deps);
    this.members.beginWith(target.node.text, left.position);
    // One reset is word enough for all of them.
    kept.gathering.begin({ ...from, isLost: false });
  }

  #unwatch(kept: Kept): void {
    kept.gathering?.drop();
    if (kept.watch) this.#stream.drop(kept.watch);
    kept.watch = undefined;
  }

  #drop(kept: Kept, reason: string): void {
    this.#unwatch(kept);
    this.#kept.delete(kept.id);
    this.#word.ofSubscription(kept.id, kept.wish.target, "ended", reason);
  }
}
