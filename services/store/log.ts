// The log: one totally ordered record of facts, the last fact of each subject kept. The port, and what it promises.
// In: appends. Out: positions, facts, and the feed of what follows. Never: an acknowledgement before the fact is durable.
//
// Promises, held by every implementation (test/store/log-contract.ts):
// - A position rises with each fact and is never given twice.
// - `append` is durable when it resolves, applies all of its facts or none, at neighbouring positions.
// - Each append carries the position that its subject, or another that it names, must stand at (0: nothing there); otherwise
//   Conflict, nothing applied.
// - `last` and `snapshot` show everything that any broker acknowledged before they were called.
// - A snapshot holds for each subject its last fact at `position` or a later one, and no group of facts by half.
// - The feed gives every fact once, in order, unless a later fact of the same subject took its place; it survives reconnects.
import type { Soon } from "../core/soon.ts";

/** What an append relies on. */
export interface Basis {
  /** The position of the subject's last fact; 0 when there must be none. */
  readonly expected: number;
  /** The crowd that it leaves by being written: the property service's affair (crowd-facts.ts). */
  readonly leaves?: string | undefined;
}

export interface Append extends Basis {
  readonly subject: string;
  readonly body: string;
  /** The subject that `expected` speaks of, where that is not its own. */
  readonly of?: string;
  /** Whole seconds after which the log forgets the fact; absent: never. */
  readonly keepSeconds?: number;
  /** What reading the body will give once it has this position: whoever wrote it need not read it. */
  readonly decodedAt?: (position: number) => unknown;
}

export interface Fact {
  readonly subject: string;
  readonly position: number;
  readonly timeMs: number;
  readonly body: string;
  /** The position of the last fact that was appended together with this one; its own when it stands alone. */
  readonly groupEnd: number;
  /** What an append that follows it relies on, where that is not just its position. */
  readonly basis?: Basis | undefined;
  /** What the body says, once somebody has read it (decoded.ts). */
  decoded?: { readonly value: unknown } | undefined;
}

export interface Snapshot {
  readonly facts: readonly Fact[];
  /** Where a feed takes over without a hole: everything up to here is in the snapshot. */
  readonly position: number;
}

export interface Log {
  /** Names this log's history: positions of another epoch mean nothing here. */
  readonly epoch: string;
  /** @returns the position of the first fact; the others follow at its neighbours. @throws Conflict, OutcomeUnknown, LogUnavailable */
  append(facts: readonly Append[]): Promise<number>;
  last(subject: string): Promise<Fact | undefined>;
  /**
   * Last facts of the subjects that match a filter: literal subjects, or wildcards as NATS writes them (`*`, `>`).
   * @param charactersMax of all bodies together. @throws TooMuch
   */
  snapshot(filters: readonly string[], charactersMax?: number): Promise<Snapshot>;
  /** Facts after a position, in batches as they come, until the signal. */
  feed(after: number, signal: AbortSignal): AsyncIterable<readonly Fact[]>;
  /**
   * The position of the last fact that the log still holds, as its leader knows it: the read barrier.
   * @param known up to where the caller has been told everything: a log that has given no later position says just that
   */
  end(known?: number): Promise<number>;
  /** The last position that was given to any fact, also to one that the log has forgotten since. */
  lastGiven(): Promise<number>;
}

/** Somebody else wrote first. Nothing was applied. */
export class Conflict extends Error {
  override readonly name = "Conflict";
}

/** The store did not answer in time: the append may or may not have happened. */
export class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown";
}

/** There is more than whoever asks has room for. */
export class TooMuch extends Error {
  override readonly name = "TooMuch";
}

/** The store cannot serve right now. Nothing was applied. */
export class LogUnavailable extends Error {
  override readonly name = "LogUnavailable";
  readonly full: boolean;
  constructor(message: string, full = false) {
    super(message);
    this.full = full;
  }
}

/** What follows an append: whoever is refused from here on must not be told that nothing was applied. @throws OutcomeUnknown in place of LogUnavailable */
export async function onceApplied<T>(following: Soon<T>): Promise<T> {
  try {
    return await following;
  } catch (error) {
    throw error instanceof LogUnavailable ? new OutcomeUnknown(error.message) : error;
  }
}
