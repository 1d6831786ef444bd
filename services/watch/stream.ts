// A stream: one reader, all that it watches, and what it is owed.
// In: watches, an inbox, arrivals from the hub, snapshots from the log. Out: deliveries, when the transport asks for them. Never: more of a snapshot in memory than the reader has room for.
//
// The transport pulls: when nothing is owed, the next watches are joined. Until the last of them is live, every delivery
// carries the cursor that the reader came with, so that whoever is cut off in the middle of a snapshot gets it again.
import { type Address, rootOf } from "../core/address.ts";
import type { Caller, Principal } from "../core/principal.ts";
import { SparseSet } from "../core/sparse.ts";
import type { Arrived } from "../messages/messages.ts";
import type { Turn } from "../policy/policies.ts";
import { Coming } from "./coming.ts";
import { Floors } from "./floors.ts";
import type { Start } from "./history.ts";
import type { Arrival } from "./hub.ts";
import { Inbox, type InboxOwner } from "./inbox.ts";
import { Joins, type JoinsOwner } from "./joins.ts";
import { present } from "./presenting.ts";
import { shownByNone } from "./removals.ts";
import { type Delivery, queuedMax, Session, stillTold } from "./session.ts";
import type { StreamDeps, StreamOptions } from "./stream-options.ts";
import type { Target } from "./target.ts";
import { Teller } from "./teller.ts";
import { type Turned, Watch, type WatchOwner } from "./watch.ts";

export class Stream implements WatchOwner, InboxOwner, JoinsOwner<Watch | Inbox>, Disposable {
  takes = 0;
  readonly caller: Caller;
  readonly via: string;
  readonly access: WatchOwner["access"];
  readonly #deps: StreamDeps;
  readonly reader: StreamOptions;
  readonly #session: Session;
  readonly #teller: Teller;
  readonly #watches = new Set<Watch>();
  #inbox: Inbox | undefined;
  readonly #joins: Joins<Watch | Inbox>;
  /** Where to resume because of each watch that is not live yet. */
  readonly floors: Floors;
  /** Of those, such as the reader has yet to be told of that they are live. */
  readonly #coming = new Coming();
  /** Those that were live and take another snapshot: of what was granted in addition, of what its reader was too slow for. */
  readonly #again = new SparseSet<Watch | Inbox>();
  #hasBegun = false;
  #ended = false;

  constructor(deps: StreamDeps, reader: StreamOptions) {
    const { caller, via, start } = reader;
    this.#deps = deps;
    this.reader = reader;
    this.caller = caller;
    this.via = via;
    this.access = deps.access;
    this.#session = new Session(start.text, this, deps.tally);
    this.floors = new Floors(this.#session, reader);
    this.#teller = new Teller(this.#session, deps, caller, start.position ?? 0);
    this.#joins = new Joins(this);
    this.floors.set(this, start);
    this.floors.hold();
    if (start.isLost) this.#teller.ofStream("reset");
  }

  /** Begins with what was added so far. Resolves when the first snapshots are in. @throws LogUnavailable */
  async open(): Promise<void> {
    this.#hasBegun = true;
    this.floors.delete(this);
    this.#coming.begin(this.#all());
    this.floors.hold();
    if (this.#all().length === 0) this.#tellOfStream("live");
    await this.#joins.open();
  }

  /** Before it begins: the messages of its caller come along. */
  addInbox({ address }: Principal, start: Start): void {
    this.#inbox = new Inbox(this, rootOf(address), start, this.#deps);
    this.floors.set(this.#inbox, start);
    this.#joins.push(this.#inbox);
  }

  /** @param start where its reader left off. @param place whose place it takes; late: of what the reader was shown before */
  add(target: Target, start: Start, id?: string, place?: Watch | "late"): Watch {
    const watch = new Watch(this, target, start, id);
    if (this.#ended) return watch.end();
    this.#watches.add(watch);
    this.#deps.hub.add(watch);
    this.floors.set(watch, start);
    this.#joins.push(watch);
    if (start.isLost && !this.reader.start.isLost) this.#tellOfStream("reset", watch);
    if (!this.#hasBegun) return watch;
    if (place !== "late") this.#coming.add(watch, place);
    this.floors.hold();
    this.reader.onReady();
    return watch;
  }

  drop(watch: Watch): void {
    if (!this.#watches.delete(watch)) return;
    const wasJoining = watch.stage !== "live";
    this.#leave(watch);
    this.#joins.withdraw(watch);
    this.floors.delete(watch);
    this.#again.delete(watch);
    if (wasJoining && this.#hasBegun) this.#joined(watch, false);
  }

  /** Drops a watch, and takes back what its reader knows by it alone. */
  takeAway(watch: Watch, position: number): void {
    this.drop(watch);
    this.takeBack(watch.knownAlone(this.#watches), position);
  }

  /** Everything that is owed now. When nothing is, the next part of the snapshot is fetched. */
  take(): readonly Delivery[] {
    const deliveries = stillTold(this.#session.take(), this.caller?.address.text);
    this.takes++;
    if (deliveries.length === 0) this.#joins.pump();
    const storedMs = deliveries[0]?.shared.storedMs;
    if (storedMs !== undefined) this.#deps.onSent(this.#deps.now() - storedMs);
    return deliveries;
  }

  /** Owes the reader an event that is no property's. @param position of its fact, if the hub has yet to come to it */
  announce(...[event, position, when, mayTell]: Parameters<Teller["announce"]>): void {
    if (this.#ended) return;
    this.#teller.announce(event, position, when, mayTell);
    this.reader.onTouched();
  }

  /** Tells the reader how far it has come, unless it knows or is still on its way there. */
  bookmark(): void {
    const isOnItsWay = !this.floors.isEmpty || !this.#session.isEmpty;
    if (!isOnItsWay && this.#session.last !== this.#teller.cursor()) this.#tellOfStream("bookmark");
  }

  watches(node: Address, name: string): boolean {
    return [...this.#watches].some((watch) => watch.covers(node, name));
  }

  get isLive(): boolean {
    return this.floors.isEmpty;
  }

  /** Where the feed stands, for a reader that has been told all of it. */
  get start(): Start {
    return { text: this.#session.last, position: this.#deps.hub.position, isLost: false };
  }

  get waiting(): number {
    return this.#session.waiting;
  }

  get last(): string {
    return this.#session.last;
  }

  tell(watch: Watch, { change, shared }: Arrival, missed: number): void {
    const isNode = change.name === "";
    if (isNode) this.reader.onNode?.(watch, change);
    if (isNode && !change.isThere) return;
    this.#session.offer(change.subject, shared(), missed);
    this.reader.onTouched();
    // Whoever came just now hears who waited for it before anything of it is told.
    if (isNode) this.#joinAgain(watch, change.position, change.position);
  }

  /** There is room for any one message besides. */
  get isBehind(): boolean {
    return this.#session.waiting > queuedMax / 2;
  }

  deliver(inbox: Inbox, message: Arrived, when: "live" | "waiting"): void {
    const { position } = message.letter;
    if (when === "waiting") {
      this.floors.set(inbox, { text: this.#deps.history.cursor(position), position, isLost: false });
      this.floors.hold();
    }
    this.#teller.message(message, when);
    this.reader.onTouched();
  }

  stopped(watch: Watch): void {
    this.reader.onStopped?.(watch);
    this.drop(watch);
  }

  turned(watch: Watch, { position, lost, hasGrown, isBlock }: Turned, turn?: Turn): void {
    // Whoever takes a snapshot anew may still be on its way to what it was told before.
    if (watch.stage !== "live") this.recall();
    this.takeBack(shownByNone(lost, this.#watches), position);
    if (turn) this.reader.onTurned?.(watch, turn);
    if (!this.#watches.has(watch)) return;
    if (watch.stage !== "live") {
      // What its reader knew from before may be hidden now; a block alone is seen to when the snapshot is in.
      if (watch.start.position !== undefined && !isBlock) this.reset();
    } else if (hasGrown) {
      this.#joinAgain(watch, position, undefined);
    }
  }

  takeBack(lost: Turned["lost"], position: number): void {
    if (lost.size === 0) return;
    this.recall();
    this.#teller.takeBack(lost, position);
    this.reader.onTouched();
  }

  behind(one: Watch | Inbox, position: number): void {
    this.#joinAgain(one, position, position - 1);
  }

  recall(): void {
    this.reader.onTakenBack?.();
  }

  async bring(next: Watch | Inbox, attempt: number): Promise<void> {
    await (next instanceof Inbox ? this.#collect(next, attempt) : this.#join(next, attempt));
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    for (const watch of this.#watches) this.#leave(watch);
    this.#watches.clear();
    this.#inbox?.[Symbol.dispose]();
    this.#joins[Symbol.dispose]();
  }

  #leave(watch: Watch): void {
    watch.stage = "ended";
    this.#deps.hub.remove(watch);
    this.#deps.doorkeeper.leave(watch);
    this.reader.onDropped?.(watch);
  }

  async #collect(inbox: Inbox, attempt: number): Promise<void> {
    const isAll = await inbox.collect(attempt);
    if (isAll) this.#joined(inbox, true);
    else if (isAll === false) {
      inbox.stage = "waiting";
      this.#joins.push(inbox);
    }
  }

  async #join(watch: Watch, attempt: number): Promise<void> {
    await this.reader.share.ready(watch.target.filter);
    if (!(await present(watch, attempt, this.#teller, this.#deps, this.reader))) return;
    // What came meanwhile may have made it begin anew: then it is not there yet.
    if (watch.isWaiting) this.#again.delete(watch);
    else this.#joined(watch, true);
  }

  /**
   * Its reader goes on from before something that came until it has been shown what that brought.
   * @param known up to where its reader knows what was there
   */
  #joinAgain(watch: Watch | Inbox, position: number, known: number | undefined): void {
    const start = { text: this.#deps.history.cursor(position - 1), position: known, isLost: false };
    watch.restart(start, false);
    this.#again.add(watch);
    this.floors.set(watch, start);
    this.#joins.push(watch);
    this.floors.hold();
    this.reader.onReady();
  }

  #joined(watch: Watch | Inbox, isThere: boolean): void {
    this.floors.delete(watch);
    this.floors.hold();
    const isAgain = this.#again.delete(watch);
    const come = this.#coming.take(watch);
    if (come === "all") this.#tellOfStream("live");
    else if (come === "one" && isThere && !isAgain) this.#tellOfStream("live", watch);
  }

  /** What its reader was told may have holes, or more waited than may: it gets the present anew. */
  reset(): void {
    this.#session.drop();
    // Whoever has forgotten what it knew, as a reset asks, must not resume from what it once knew.
    const start = { text: this.#deps.history.cursor(0), position: undefined, isLost: false };
    this.#joins.clear();
    this.#again.clear();
    this.#coming.begin(this.#all());
    for (const one of this.#all()) {
      one.restart(start, true);
      this.floors.set(one, start);
      this.#joins.push(one);
    }
    this.floors.hold();
    this.#tellOfStream("reset");
    this.reader.onReset?.();
  }

  #all(): readonly (Watch | Inbox)[] {
    return this.#inbox ? [this.#inbox, ...this.#watches] : [...this.#watches];
  }

  #tellOfStream(kind: "live" | "reset" | "bookmark", watch?: Watch | Inbox): void {
    this.#teller.ofStream(kind, watch);
    this.reader.onTouched();
  }
}
