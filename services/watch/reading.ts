// Reading: one reader's stream, with what it follows and the subscriptions that it carries.
// In: a request, word from the stream. Out: the same word to whoever of the others it concerns; deliveries to the transport. Never: anything of its own that a thousand quiet readers would each hold.
import type { Cursor } from "../core/cursor.ts";
import type { Caller } from "../core/principal.ts";
import type { ForwardTurn } from "../forward/forwarding.ts";
import type { Turn } from "../policy/policies.ts";
import type { Change } from "./change.ts";
import { Following, type FollowingDeps } from "./following.ts";
import type { Start } from "./history.ts";
import { Own } from "./own.ts";
import type { OwnDeps, OwnReach } from "./own-deps.ts";
import type { Delivery } from "./session.ts";
import type { Share } from "./shares.ts";
import { Stream } from "./stream.ts";
import type { StreamDeps, StreamOptions } from "./stream-options.ts";
import type { StreamRequest, Watcher } from "./stream-request.ts";
import type { Watch } from "./watch.ts";
import type { WatchWish } from "./wish.ts";

/** What all readings of a broker share. */
export interface ReadingDeps {
  readonly stream: StreamDeps;
  readonly following: FollowingDeps;
  readonly own: OwnDeps;
  startOf(after: Cursor | undefined): Promise<Start>;
  /** There may be something to take, once the run of facts is through. */
  touched(reading: Reading): void;
  /** It is over; may be said twice. */
  ended(reading: Reading): void;
}

export class Reading implements StreamOptions, Watcher {
  readonly caller: Caller;
  readonly via: string;
  readonly start: Start;
  readonly share: Share;
  readonly onReady: () => void;
  readonly onTakenBack: StreamOptions["onTakenBack"];
  readonly stream: Stream;
  readonly following: Following;
  readonly own: Own;
  readonly #deps: ReadingDeps;

  constructor(
    request: Pick<StreamRequest, "caller" | "via" | "onReady" | "onTakenBack">,
    start: Start,
    share: Share,
    reach: OwnReach,
    deps: ReadingDeps,
  ) {
    this.caller = request.caller;
    this.via = request.via;
    this.onReady = request.onReady;
    this.onTakenBack = request.onTakenBack;
    this.start = start;
    this.share = share;
    this.#deps = deps;
    this.stream = new Stream(deps.stream, this);
    this.following = new Following(this.stream, deps.following, this);
    this.own = new Own(this.stream, start, this.following, reach, deps.own);
  }

  take(): readonly Delivery[] {
    return this.stream.take();
  }

  async watch(wish: WatchWish, after?: Cursor): ReturnType<Watcher["watch"]> {
    return await this.own.add(wish, await this.#deps.startOf(after));
  }

  unwatch(subscription: string): boolean {
    return this.own.remove(subscription);
  }

  get isLive(): boolean {
    return this.stream.isLive;
  }

  get last(): string {
    return this.stream.last;
  }

  get waiting(): number {
    return this.stream.waiting;
  }

  get size(): number {
    return this.own.size;
  }

  onTouched(): void {
    this.#deps.touched(this);
  }

  onNode(watch: Watch, change: Change): void {
    this.own.onNode(watch, change);
  }

  onStopped(watch: Watch): void {
    this.own.onStopped(watch);
  }

  onTurned(watch: Watch, turn: Turn): void {
    this.own.onTurned(watch, turn);
  }

  onForwarded(watch: Watch, turn: ForwardTurn): void {
    this.following.look(watch, turn.position);
  }

  onMoved(watch: Watch): void {
    this.own.onMoved(watch);
  }

  onReset(): void {
    this.following.tellAgain();
    this.own.onReset();
  }

  onDropped(watch: Watch): void {
    this.following.dropped(watch);
  }

  [Symbol.dispose](): void {
    this.#deps.ended(this);
    this.following[Symbol.dispose]();
    this.stream[Symbol.dispose]();
  }
}
