// Enumeration: nobody finds out who is here by asking for address after address.
// In: which address each caller asked for, and whether anything was found there. Out: yes, or a Refusal that is the same for what exists. Never: an address in clear, or one counted that was found.
import { hash } from "node:crypto";
import { Refusal } from "../core/refusal.ts";

export interface EnumerationLimit {
  /** Distinct targets that turned out to be unknown. */
  readonly unknownMax: number;
  readonly windowMs: number;
}

export interface Enumeration {
  /** Asked before a target is looked up, and again before its answer is given. @throws Refusal `rate-limited` */
  admit(caller: string, target: string): void;
  /** Nothing was there that the caller may see. */
  missed(caller: string, target: string): void;
}

/** When each target was missed, oldest first. */
type Misses = Map<string, number>;

/** Over all callers, some 30 MB. */
const usualTargetsMax = 400_000;

export function openEnumeration(
  { unknownMax, windowMs }: EnumerationLimit,
  now: () => number,
  targetsMax = usualTargetsMax,
): Enumeration {
  /** Two generations of callers: when the younger holds half of what may be kept, the older is forgotten. */
  let older = new Map<string, Misses>();
  let younger = new Map<string, Misses>();
  let youngTargets = 0;

  /** The caller's misses, from now on among the younger. */
  function missesOf(caller: string): Misses {
    const found = younger.get(caller);
    if (found !== undefined) return found;
    const misses = older.get(caller) ?? new Map<string, number>();
    if (youngTargets >= targetsMax / 2) {
      older = younger;
      younger = new Map();
      youngTargets = 0;
    }
    younger.set(caller, misses);
    youngTargets += misses.size;
    return misses;
  }

  return {
    admit(caller, target) {
      const misses = younger.get(caller) ?? older.get(caller);
      if (misses === undefined || misses.size < unknownMax) return;
      const [oldestMs = 0] = misses.values();
      const waitMs = oldestMs + windowMs - now();
      if (waitMs <= 0 || misses.has(digest(target))) return;
      const seconds = Math.ceil(waitMs / 1000);
      const detail = `You asked for ${unknownMax} addresses that are not known to you; try another one in ${seconds} s.`;
      throw new Refusal("rate-limited", detail, undefined, seconds);
    },
    missed(caller, target) {
      const misses = missesOf(caller);
      const nowMs = now();
      for (const [old, sinceMs] of misses) {
        if (sinceMs + windowMs > nowMs) break;
        misses.delete(old);
        youngTargets--;
      }
      const key = digest(target);
      if (misses.has(key)) return;
      misses.set(key, nowMs);
      youngTargets++;
    },
  };
}

/** Short, and of one length whatever was asked for. */
function digest(target: string): string {
  return hash("sha256", target, "base64url").slice(0, 12);
}
