// Lease bounds: how long a lease may last, and when it ends; the same for properties and subscriptions.
// In: seconds, the time. Out: a deadline, or a Refusal that names the bounds. Never: a deadline that is early by a fraction of a millisecond.
import { Refusal } from "./refusal.ts";

const secondsMin = 1;
const secondsMax = 30 * 24 * 3600;

/** @param pointer where in the body the lease stands. @throws Refusal `bad-lease` */
export function requireLeaseSeconds(seconds: number, pointer: string): void {
  if (seconds >= secondsMin && seconds <= secondsMax) return;
  throw new Refusal("bad-lease", `A lease of ${seconds} seconds is not granted.`, [
    { pointer: `${pointer}/seconds`, detail: `must be from ${secondsMin} to ${secondsMax}` },
  ]);
}

/** In ms since 1970, rounded up. */
export function leaseEnd(nowMs: number, seconds: number): number {
  return Math.ceil(nowMs + seconds * 1000);
}
