// A stream: one reader, all that it watches, and what it is owed.
// In: watches, arrivals from the hub, snapshots from the log. Out: deliveries, when the transport asks for them. Never: more of a snapshot in memory than the reader has room for.
//
// The transport pulls: when nothing is owed, the next watches are joined. Until the last of them is live, every delivery
// carries the cursor that the reader came with, so that whoever is cut off in the middle of a snapshot gets it again.
import type { Address } from "../core/address.ts";
import type { TidingsEvent } from "../core/event.ts";
import type { Caller } from "../core/principal.ts";
import type { Turn } from "../policy/policies.ts";
import { Coming } from "./coming.ts";
import { Floors } from "./floors.ts";
import type { Start } from "./history.ts";
import type { Arrival } from "./hub.ts";
import { join, show } from "./joining.ts";
import { type Delivery, Session } from "./session.ts";
import type { StreamDeps, StreamOptions } from "./stream-options.ts";
import type { Target } from "./target.ts";
import { Teller } from "./teller.ts";
import { type Turned, Watch, type WatchOwner } from "./watch.ts";

/** Snapshots that one stream takes at a time. */
const joinedAtOnce = 8;
const retryDelayMs = 500;

export class Stream implements WatchOwner, Disposable {
  readonly caller: Caller;
  readonly via: string;
  readonly access: WatchOwner["access"];
  readonly #deps: StreamDeps;
  readonly #options: StreamOptions;
  readonly #session: Session;
  readonly #teller: Teller;
  readonly #watches = new Set<Watch>();
  /** Watches whose snapshot is still to be taken. */
  #waiting: Watch[] = [];
  #joining = 0;
  /** Where to resume because of each watch that is not live yet. */
  readonly #floors = new Floors();
  /** Watches that were live and take another snapshot, of what was granted in addition. */
  readonly #again = new Set<Watch>();
  readonly #coming = new Coming();
  #opened = Promise.withResolvers<void>();
  #hasBegun = false;
  #isOpen = false;
  #ended = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(deps: StreamDeps, options: StreamOptions) {
    this.#deps = deps;
    this.#options = options;
    this.caller = options.caller;
    this.via = options.via;
    this.access = deps.access;
    this.#session = new Session(options.start.text, () => this.#reset(), deps.tally);
    const reader = options.caller?.address.text ?? "anonymous";
    this.#teller = new Teller(this.#session, deps, reader, options.start.position ?? 0);
    // Nobody may be waiting for it.
    this.#opened.promise.catch(() => undefined);
    this.#session.hold(options.start.text);
  }

  /** Begins with what was added so far. Resolves when the first snapshots are in. @throws LogUnavailable */
  async open(): Promise<void> {
    this.#hasBegun = true;
    if (this.#options.start.isLost) this.#tellOfStream("reset");
    this.#coming.begin(this.#watches);
    this.#holdLowest();
    if (this.#watches.size === 0) this.#tellOfStream("live");
    this.#pump();
    if (this.#joining === 0) this.#opened.resolve();
    await this.#opened.promise;
    this.#isOpen = true;
  }

  /** @param start where the reader left off with it. @param isLate it belongs to what the reader has been shown before */
  add(target: Target, start: Start, id?: string, isLate = false): Watch {
    const watch = new Watch(this, target, start, id);
    this.#watches.add(watch);
    this.#deps.hub.add(watch);
    this.#floors.set(watch, start);
    this.#waiting.push(watch);
    if (start.isLost && !this.#options.start.isLost) this.#tellOfStream("reset", watch);
    if (!this.#hasBegun) return watch;
    if (!isLate) this.#coming.add(watch);
    this.#holdLowest();
    this.#options.onReady();
    return watch;
  }

  drop(watch: Watch): void {
    if (!this.#watches.delete(watch)) return;
    const wasJoining = watch.stage !== "live";
    this.#deps.doorkeeper.leave(watch);
    watch.stage = "ended";
    this.#deps.hub.remove(watch);
    this.#waiting = this.#waiting.filter((one) => one !== watch);
    this.#floors.delete(watch);
    this.#again.delete(watch);
    if (wasJoining && this.#hasBegun) this.#joined(watch, false);
  }

  /** Drops a watch, and takes back what its reader knows by it alone. */
  takeAway(watch: Watch, position: number): void {
    this.drop(watch);
    this.#takeBack(watch.knownAlone(this.#watches), position);
  }

  /** Everything that is owed now. When nothing is, the next part of the snapshot is fetched. */
  take(): readonly Delivery[] {
    const deliveries = this.#session.take();
    if (deliveries.length === 0) this.#pump();
    const storedMs = deliveries[0]?.shared.storedMs;
    if (storedMs !== undefined) this.#deps.onSent(this.#deps.now() - storedMs);
    return deliveries;
  }

  /** Owes the reader an event that is no property's. */
  announce(event: TidingsEvent): void {
    if (this.#ended) return;
    this.#teller.announce(event);
    this.#options.onTouched();
  }

  /** Tells the reader how far it has come, unless it knows or is still on its way there. */
  bookmark(): void {
    const isOnItsWay = !this.#floors.isEmpty || !this.#session.isEmpty;
    if (!isOnItsWay && this.#session.last !== this.#teller.cursor()) this.#tellOfStream("bookmark");
  }

  watches(node: Address, name: string): boolean {
    return [...this.#watches].some((watch) => watch.covers(node, name));
  }

  /** Everything that the stream watches is live. */
  get isLive(): boolean {
    return this.#floors.isEmpty;
  }

  /** Where the feed stands, for a reader that has been told all of it. */
  get start(): Start {
    return { text: this.#session.last, position: this.#deps.hub.position, isLost: false };
  }

  /** Characters that wait for the reader. */
  get waiting(): number {
    return this.#session.waiting;
  }

  /** Where the reader resumes, as far as it has taken what it is owed. */
  get last(): string {
    return this.#session.last;
  }

  tell(watch: Watch, { change, shared }: Arrival): void {
    if (change.name === "") {
      this.#options.onNode?.(watch, change);
      if (!change.isThere) return;
    }
    this.#session.offer(change.subject, shared());
    this.#options.onTouched();
    // Whoever came just now hears who waited for it before anything of it is told.
    if (change.name === "") this.#joinAgain(watch, change.position, change.position);
  }

  stopped(watch: Watch): void {
    this.#options.onStopped?.(watch);
    this.drop(watch);
  }

  turned(watch: Watch, { position, lost, hasGrown, isBlock }: Turned, turn?: Turn): void {
    // Whoever takes a snapshot anew may still be on its way to what it was told before.
    if (lost.size > 0 || watch.stage !== "live") this.#options.onTakenBack?.();
    this.#takeBack(lost, position);
    if (turn) this.#options.onTurned?.(watch, turn);
    if (!this.#watches.has(watch)) return;
    if (watch.stage !== "live") {
      // What its reader knew from before may be hidden now; a block alone is seen to when the snapshot is in.
      if (watch.start.position !== undefined && !isBlock) this.#reset();
    } else if (hasGrown) {
      this.#joinAgain(watch, position, undefined);
    }
  }

  now = (): number => this.#deps.now();

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#retry);
    for (const watch of this.#watches) {
      watch.stage = "ended";
      this.#deps.hub.remove(watch);
      this.#deps.doorkeeper.leave(watch);
    }
    this.#watches.clear();
    this.#opened.resolve();
  }

  #takeBack(lost: Turned["lost"], position: number): void {
    if (lost.size === 0) return;
    this.#teller.takeBack(lost, position);
    this.#options.onTouched();
  }

  #pump(): void {
    if (this.#ended || !this.#session.isEmpty) return;
    while (this.#joining < joinedAtOnce) {
      const watch = this.#waiting.shift();
      if (watch === undefined) return;
      this.#joining++;
      void this.#start(watch);
    }
  }

  async #start(watch: Watch): Promise<void> {
    const attempt = watch.begin();
    try {
      await this.#join(watch, attempt);
    } catch (error) {
      if (!this.#isOpen) this.#opened.reject(error);
      else if (watch.isAt(attempt)) this.#tryAgain(watch);
    }
    this.#joining--;
    if (this.#joining === 0) this.#opened.resolve();
    if (!this.#ended && this.#isOpen) this.#options.onReady();
  }

  /** The store does not answer; it will. */
  #tryAgain(watch: Watch): void {
    watch.stage = "waiting";
    this.#waiting.push(watch);
    this.#retry = setTimeout(() => this.#options.onReady(), retryDelayMs);
  }

  async #join(watch: Watch, attempt: number): Promise<void> {
    const joined = await join(watch, this.#deps);
    // Where nobody is yet, nobody can be told of it.
    const isThere = joined.changes.some(({ name, isThere }) => name === "" && isThere);
    if (isThere && watch.isAt(attempt)) await this.#deps.doorkeeper.admit(watch);
    // It may have been dropped in the very moment in which its snapshot was done.
    if (!watch.isAt(attempt)) return;
    show(joined, watch, this.#teller, this.#options.onNode);
    watch.goLive(joined.position, joined.ahead);
    // What came meanwhile may have made it begin anew: then it is not there yet.
    if (watch.isWaiting) this.#again.delete(watch);
    else this.#joined(watch, true);
  }

  /**
   * Its reader goes on from before something that came until it has been shown what that brought.
   * @param known up to where its reader knows what was there
   */
  #joinAgain(watch: Watch, position: number, known: number | undefined): void {
    const start = { text: this.#deps.history.cursor(position - 1), position: known, isLost: false };
    watch.restart(start, false);
    this.#again.add(watch);
    this.#floors.set(watch, start);
    this.#waiting.push(watch);
    this.#holdLowest();
    this.#options.onReady();
  }

  #joined(watch: Watch, isThere: boolean): void {
    this.#floors.delete(watch);
    this.#holdLowest();
    const isAgain = this.#again.delete(watch);
    const come = this.#coming.take(watch);
    if (come === "all") this.#tellOfStream("live");
    else if (come === "one" && isThere && !isAgain) this.#tellOfStream("live", watch);
  }

  /** The reader could not keep up, and more waited than may: it gets the present anew. */
  #reset(): void {
    this.#session.drop();
    // Whoever has forgotten what it knew, as a reset asks, must not resume from what it once knew.
    const start = { text: this.#deps.history.cursor(0), position: undefined, isLost: false };
    this.#waiting = [];
    this.#again.clear();
    for (const watch of this.#watches) {
      watch.restart(start, true);
      this.#floors.set(watch, start);
      this.#waiting.push(watch);
    }
    this.#coming.begin(this.#watches);
    this.#holdLowest();
    this.#tellOfStream("reset");
  }

  #holdLowest(): void {
    const { lowest } = this.#floors;
    if (lowest === undefined) this.#session.lift();
    else this.#session.hold(lowest.text);
  }

  #tellOfStream(kind: "live" | "reset" | "bookmark", watch?: Watch): void {
    this.#teller.ofStream(kind, watch);
    this.#options.onTouched();
  }
}
