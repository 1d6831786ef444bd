// Verdicts: what a caller may learn of one.
// In: a verdict of the policy. Out: a refusal, or nothing where absence is all that it may learn. Never: a difference between what is hidden and what is not there.
import type { Verdict } from "./policy.ts";
import { Refusal } from "./refusal.ts";

/** What a caller is told whose wish met this verdict; undefined where absence is all that it may learn. */
export function refusalOf(verdict: Verdict): Refusal | undefined {
  switch (verdict.is) {
    case "blocked":
      return new Refusal("blocked", "The owner has blocked you.");
    case "undisclosed":
      return new Refusal(
        "reveal-required",
        `The owner asks that you disclose ${verdict.missing.join(", ")}.`,
        verdict.missing.map((name) => ({ pointer: "/reveal", detail: `must name ${name}, which you hold` })),
      );
    default:
      return undefined;
  }
}
