// The backlog: changes that the projection has yet to take in, the newest of each subject.
// In: facts in log order. Out: batches in log order, each with the place in the log that it leads to. Never: more than its bounds, by more than one fact.
import type { Noted } from "./changes.ts";

export interface Backlog {
  /** @param size roughly, in characters */
  add(subject: string, position: number, change: Noted, size: number): void;
  /** Everything up to here has been added that there is to add. */
  seen: number;
  readonly isFull: boolean;
  readonly isEmpty: boolean;
  /** The oldest of them; where nothing waits, as far as everything was seen. */
  take(): { readonly changes: readonly Noted[]; readonly position: number };
  clear(): void;
}

interface Entry {
  readonly position: number;
  readonly change: Noted;
  readonly size: number;
}

export interface BacklogBounds {
  readonly count: number;
  readonly size: number;
}

export const usualBounds: BacklogBounds = { count: 20_000, size: 16 * 1024 * 1024 };
/** So few at once that a search need not wait for long. */
const batchCountMax = 512;
const batchSizeMax = 1024 * 1024;
const overhead = 200;

export function openBacklog(bounds: BacklogBounds): Backlog {
  // A Map keeps the order of insertion: by position, since what is replaced goes to the end.
  const entries = new Map<string, Entry>();
  let total = 0;

  function drop(subject: string): void {
    const entry = entries.get(subject);
    if (entry === undefined) return;
    entries.delete(subject);
    total -= entry.size;
  }

  const backlog: Backlog = {
    seen: 0,
    add(subject, position, change, length) {
      drop(subject);
      const size = length + overhead;
      entries.set(subject, { position, change, size });
      total += size;
    },
    get isFull() {
      return entries.size >= bounds.count || total >= bounds.size;
    },
    get isEmpty() {
      return entries.size === 0;
    },
    take() {
      const changes: Noted[] = [];
      let position = 0;
      let size = 0;
      for (const [subject, entry] of entries) {
        if (changes.length >= batchCountMax || size >= batchSizeMax) break;
        changes.push(entry.change);
        size += entry.size;
        position = entry.position;
        drop(subject);
      }
      return { changes, position: entries.size === 0 ? backlog.seen : position };
    },
    clear() {
      entries.clear();
      total = 0;
    },
  };
  return backlog;
}
