// Pace: how fast all agents of one owner together may ask things of the broker: as fast as their owner.
// In: owners, calls. Out: a wait, once they are faster. Never: a refusal; what waits is bounded where it comes from.
import { setTimeout as delay } from "node:timers/promises";
import type { Calls } from "../../agents/port.ts";
import { openBuckets } from "../core/buckets.ts";

/** What comes back is as much as of the quotas over HTTP; at once it is less, since nobody is turned away. */
const writing = { burst: 2_000, perSecond: 500 };
const reading = { burst: 4_000, perSecond: 1_000 };
const ownersMax = 10_000;

const reads: ReadonlySet<keyof Calls> = new Set(["get", "find", "fetch", "recallState", "recallStep", "log"]);

/** Resolves when it is the call's turn. @throws AbortError */
export type Pace = (owner: string, call: keyof Calls, signal: AbortSignal) => Promise<void>;

export function openPace(now: () => number = () => performance.now()): Pace {
  const writers = openBuckets(writing, ownersMax);
  const readers = openBuckets(reading, ownersMax);
  return async (owner, call, signal) => {
    const waitMs = (reads.has(call) ? readers : writers).of(owner).spend(1, now());
    if (waitMs > 0) await delay(waitMs, undefined, { signal, ref: false });
  };
}

export const noPace: Pace = async () => undefined;
