// Outcomes: what an attempt makes of a webhook's progress.
// In: progress, an outcome, the time. Out: progress. Never: a clock or a throw of dice of its own.
import { timestamp } from "../core/event.ts";
import type { Attempt } from "../watch/watching.ts";
import type { Letter, Parcel } from "./parcel.ts";
import type { Outcome } from "./posting.ts";
import { noted, type Progress } from "./progress.ts";
import type { PushTimes } from "./push-times.ts";

export interface Attempted {
  readonly letter: Letter;
  readonly parcel: Parcel;
  readonly outcome: Outcome;
  /** In ms since 1970. */
  readonly atMs: number;
  readonly endMs: number;
  /** 0 to 1: where in its time the next attempt lies. */
  readonly dice: number;
}

/** How much later than the schedule says an attempt may be, so that not all come at once. */
const jitterPart = 0.2;

export function after(progress: Progress, attempted: Attempted, times: PushTimes): Progress {
  const { outcome, parcel } = attempted;
  if (outcome.is === "delivered") {
    const { reason: _, ...rest } = progress;
    return {
      ...rest,
      state: "active",
      cursor: parcel.cursor,
      failures: 0,
      step: 0,
      dueMs: 0,
      closedMs: 0,
      attempts: noted(progress.attempts, attemptOf(progress, attempted, "delivered")),
    };
  }
  if (outcome.is === "gone") return disabled(progress, attempted, "the endpoint answered 410: it is gone");
  return failed(progress, attempted, times);
}

function failed(progress: Progress, attempted: Attempted, times: PushTimes): Progress {
  const { outcome, endMs, dice } = attempted;
  const why = outcome.status === undefined ? outcome.error : `the endpoint answered ${outcome.status}`;
  // One that news brought forward leaves the schedule as it is: else much news would soon end a webhook.
  const isEarly = progress.failures > 0 && endMs < progress.dueMs;
  const step = isEarly ? progress.step : progress.step + 1;
  const waitMs = times.retryMs[step - 1];
  if (waitMs === undefined) {
    return disabled(progress, attempted, `given up after ${progress.failures + 1} attempts: ${why}`);
  }
  const dueMs = isEarly ? progress.dueMs : endMs + waitMs * (1 + jitterPart * dice);
  const asked = Math.min(outcome.retryAfterMs ?? 0, times.retryAfterMsMax);
  const closedMs = endMs + Math.max(times.gapMs, asked);
  return {
    ...progress,
    state: "failing",
    reason: why ?? "no answer",
    failures: progress.failures + 1,
    step,
    // An endpoint that says when it wants to be asked is asked then.
    dueMs: outcome.retryAfterMs === undefined ? Math.max(dueMs, closedMs) : closedMs,
    closedMs,
    attempts: noted(progress.attempts, attemptOf(progress, attempted, "retrying")),
  };
}

function disabled(progress: Progress, attempted: Attempted, reason: string): Progress {
  return {
    ...progress,
    state: "disabled",
    reason,
    failures: progress.failures + 1,
    attempts: noted(progress.attempts, attemptOf(progress, attempted, "failed")),
  };
}

function attemptOf(
  { failures }: Progress,
  { letter, outcome, atMs, endMs }: Attempted,
  came: Attempt["outcome"],
): Attempt {
  const { status, error } = outcome;
  return {
    id: letter.id,
    type: letter.type,
    at: timestamp(atMs),
    outcome: came,
    ...(status !== undefined && { status }),
    ...(error !== undefined && { error }),
    ms: Math.round(endMs - atMs),
    attempt: failures + 1,
  };
}
