// A claim: an item of work as whoever works on it sees it.
// In: nothing. Out: types. Never: a default.
import type { Json } from "../core/json.ts";

/** Somebody else holds the item now. */
export class ClaimLost extends Error {
  override readonly name = "ClaimLost";
}

export interface Claim {
  readonly item: string;
  /** What was saved last by whoever held it; undefined at first. */
  readonly progress: Json | undefined;
  /** Durable, on condition that the claim is still held. @throws ClaimLost, LogUnavailable, OutcomeUnknown */
  save(progress: Json): Promise<void>;
  /** Aborted when the claim is lost, given up or the broker stops: act no more. */
  readonly signal: AbortSignal;
}

export interface Division extends AsyncDisposable {
  /** An item that is to be worked on by exactly one of the living brokers. */
  add(item: string): void;
  /** Its work ends, and its progress is forgotten. */
  remove(item: string): void;
  /** What whoever works on it saved last, for showing it. */
  progress(item: string): Promise<Json | undefined>;
  /** Whoever holds the item begins anew with what follows from its progress; `next` may be asked again. */
  reset(item: string, next: (present: Json | undefined) => Json): Promise<void>;
  /** Whether this broker works on it now. */
  holds(item: string): boolean;
}

/** Resolves when it has stopped after the signal, or when there is nothing to do until the item is reset. */
export type Working = (claim: Claim) => Promise<void>;
