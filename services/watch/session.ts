// A session: the latest event of each property that a watcher is owed, until its transport takes them.
// In: events, in log order. Out: runs of events to write at once. Never: more in memory than its cap; per property only the last is kept.
import type { TidingsEvent } from "../core/event.ts";

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
  /** The event as one transport writes it, once the first of its streams has written it. */
  framed?: string | undefined;
}

export interface Delivery {
  readonly shared: SharedEvent;
  /** Revisions of the same property that this reader was spared. */
  readonly skipped: number;
}

export interface Session {
  /** Owes the reader this event, in place of an older one with the same key. */
  offer(key: string, shared: SharedEvent): void;
  /** Everything that is owed, in order; nothing while a snapshot is on its way. */
  take(): readonly Delivery[];
  /** Events are held back until `release`. */
  hold(): void;
  /** Sends what a snapshot found, then what was held back, unless the snapshot covers it. */
  release(
    snapshot: readonly (readonly [key: string, SharedEvent])[],
    isCovered: (key: string, position: number) => boolean,
  ): void;
  /** Tells the transport that there may be something to take. */
  flush(): void;
  readonly waiting: number;
}

/** Characters that may wait for one reader. */
export const queuedMax = 1024 * 1024;

export interface Transport {
  /** There may be something to take. */
  readonly onReady: () => void;
  /** More waits than a stream may hold: the reader must come back with its cursor. */
  readonly onOverflow: () => void;
}

export function openSession(transport: Transport): Session {
  let queue = new Map<string, Delivery>();
  let queued = 0;
  let held = 0;
  /** What a snapshot brought is not the reader's fault: it counts from the first time that it could be taken. */
  let excused = false;
  let overflowed = false;

  function offer(key: string, shared: SharedEvent): void {
    const older = queue.get(key);
    let skipped = 0;
    if (older !== undefined) {
      skipped = older.skipped + 1;
      queued -= older.shared.size;
      // Moves to the end, so that cursors rise along the queue.
      queue.delete(key);
    }
    queue.set(key, { shared, skipped });
    queued += shared.size;
    if (queued > queuedMax && held === 0 && !excused && !overflowed) {
      overflowed = true;
      transport.onOverflow();
    }
  }

  return {
    offer,
    take() {
      if (held > 0 || queue.size === 0) return [];
      const deliveries = [...queue.values()];
      queue = new Map();
      queued = 0;
      excused = false;
      return deliveries;
    },
    hold() {
      held++;
    },
    release(snapshot, isCovered) {
      held--;
      excused = true;
      const live = queue;
      queue = new Map();
      queued = 0;
      for (const [key, shared] of snapshot) offer(key, shared);
      for (const [key, { shared, skipped }] of live) {
        if (isCovered(key, shared.position)) continue;
        queued -= queue.get(key)?.shared.size ?? 0;
        // To the end, as in offer(): no cursor may pass over what the snapshot found and nobody has yet told.
        queue.delete(key);
        queue.set(key, { shared, skipped });
        queued += shared.size;
      }
      transport.onReady();
    },
    flush: transport.onReady,
    get waiting() {
      return queued;
    },
  };
}
