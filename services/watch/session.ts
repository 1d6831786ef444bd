// A session: the latest event of each property that a reader is owed, until its transport takes them.
// In: events, in log order. Out: runs of events to write at once. Never: more in memory than its cap; per property only the last is kept.

import type { TidingsEvent } from "../core/event.ts";
import { SparseMap } from "../core/sparse.ts";

/** One event for all sessions that are owed it: encoded once. */
export interface SharedEvent {
  readonly event: TidingsEvent;
  /** The position of the fact that it tells of. */
  readonly position: number;
  /** Everything up to here has been told once this event is. */
  readonly cursor: string;
  /** Size of the encoded event in characters. */
  readonly size: number;
  /** The event as JSON. */
  readonly json: string;
  /** When the fact was stored, in ms; undefined for events that no fact stands behind. */
  readonly storedMs: number | undefined;
  /** Whether an account may still be told of it, where that must be asked once more when it is taken. */
  readonly mayTell: ((account: string | undefined) => boolean) | undefined;
  /** The event as one transport writes it, once the first of its streams has written it. */
  framed: Buffer | undefined;
}

export interface Delivery {
  readonly shared: SharedEvent;
  /** Where the reader resumes once it has this; the event's own cursor, unless a snapshot is still on its way. */
  readonly cursor: string;
  /** Revisions of the same property that this reader was spared. */
  readonly skipped: number;
}

/** The event as its reader is told it, with what it was spared declared. */
export function toldEvent({ shared: { event }, skipped }: Delivery): TidingsEvent {
  return skipped === 0 ? event : { ...event, data: { ...event.data, skipped } };
}

/** Without what may be told no more; most is asked nothing. */
export function stillTold(owed: readonly Delivery[], account: string | undefined): readonly Delivery[] {
  const isAsked = owed.some(({ shared }) => shared.mayTell);
  return isAsked ? owed.filter(({ shared }) => shared.mayTell?.(account) ?? true) : owed;
}

/** What all sessions of a broker did so far. */
export interface Tally {
  offered: number;
  /** Offers that took the place of one that nobody had taken yet. */
  conflated: number;
  sent: number;
}

export interface SessionOwner {
  /** More waits than may. */
  reset(): void;
}

/** Characters that may wait for one reader, besides the part of a snapshot that it is being sent. */
export const queuedMax = 1024 * 1024;

export class Session {
  readonly #owner: SessionOwner;
  readonly #tally: Tally;
  readonly #queue = new SparseMap<string, Delivery>();
  #queued = 0;
  /** The part of what waits that a snapshot brought: no fault of the reader. */
  #excused = 0;
  /** While it is set, every delivery carries it in place of its own cursor. */
  #floor: string | undefined;
  #last: string;

  /** @param start where the reader resumes until it has been told anything */
  constructor(start: string, owner: SessionOwner, tally: Tally) {
    this.#last = start;
    this.#owner = owner;
    this.#tally = tally;
  }

  /**
   * Owes the reader this event, in place of an older one with the same key.
   * @param missed revisions between the one offered before and this one that nobody could offer
   */
  offer(key: string, shared: SharedEvent, missed = 0): void {
    const older = this.#queue.get(key);
    // Two watches of one stream may both be owed it.
    if (older?.shared.position === shared.position) return;
    this.#put(key, shared, missed + (older === undefined ? 0 : older.skipped + 1));
    if (this.#queued - this.#excused > queuedMax) this.#owner.reset();
  }

  /** Owes the reader a part of a snapshot; the reader is not blamed for its size. */
  present(key: string, shared: SharedEvent): void {
    this.#put(key, shared, 0);
    this.#excused += shared.size;
  }

  /** Everything that is owed, in order. */
  take(): readonly Delivery[] {
    if (this.#queue.size === 0) return [];
    const deliveries = [...this.#queue.values()];
    this.#clear();
    this.#tally.sent += deliveries.length;
    this.#last = deliveries.at(-1)?.cursor ?? this.#last;
    return deliveries;
  }

  /** Forgets what is owed: a snapshot will take its place. */
  drop(): void {
    this.#clear();
  }

  /** From now on the reader resumes from here whatever it is told, until the floor is lifted. */
  hold(floor: string): void {
    this.#floor = floor;
  }

  lift(): void {
    this.#floor = undefined;
  }

  get isEmpty(): boolean {
    return this.#queue.size === 0;
  }

  /** Characters that wait. */
  get waiting(): number {
    return this.#queued;
  }

  /** Where the reader resumes, as far as it has been told. */
  get last(): string {
    return this.#last;
  }

  #put(key: string, shared: SharedEvent, skipped: number): void {
    const older = this.#queue.get(key);
    this.#tally.offered++;
    if (older !== undefined) {
      this.#tally.conflated++;
      this.#queued -= older.shared.size;
      // Moves to the end, so that cursors rise along the queue.
      this.#queue.delete(key);
    }
    this.#queue.set(key, { shared, cursor: this.#floor ?? shared.cursor, skipped });
    this.#queued += shared.size;
  }

  #clear(): void {
    this.#queue.clear();
    this.#queued = 0;
    this.#excused = 0;
  }
}
