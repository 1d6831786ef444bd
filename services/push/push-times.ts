// Push times: how long an endpoint is waited for, and when it is tried again.
// In: nothing. Out: one object, which tests replace. Never: a wait that is written anywhere else.

export interface PushTimes {
  /** From a failure to the next attempt, one after the other; after the last the webhook is disabled. */
  readonly retryMs: readonly number[];
  /** From any attempt to one that news brings forward, at least. */
  readonly gapMs: number;
  /** For one POST, all of it. */
  readonly answerMs: number;
  /** Of what an endpoint asks for in Retry-After. */
  readonly retryAfterMsMax: number;
  /** Progress is saved so often while all goes well. */
  readonly saveMs: number;
  /** The same while nothing is delivered and only the cursor moves. */
  readonly saveIdleMs: number;
  /** What its reader may know no more is on its way no longer than this. */
  readonly recallMs: number;
  /** The store is asked again after this. */
  readonly storeMs: number;
}

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;

export const usualTimes: PushTimes = {
  // As Standard Webhooks recommends it.
  retryMs: [
    5 * secondMs,
    5 * minuteMs,
    30 * minuteMs,
    2 * hourMs,
    5 * hourMs,
    10 * hourMs,
    14 * hourMs,
    20 * hourMs,
    24 * hourMs,
  ],
  gapMs: 5 * secondMs,
  answerMs: 15 * secondMs,
  retryAfterMsMax: 24 * hourMs,
  saveMs: secondMs,
  saveIdleMs: hourMs,
  recallMs: 500,
  storeMs: secondMs,
};
