// P16 at a store that falls silent: who waits behind an unanswered write is refused with it, instead of waiting as long again.
import { expect, test } from "vitest";
import { commitLimits, groupCommit } from "../../services/store/commit.ts";
import { LogUnavailable, OutcomeUnknown } from "../../services/store/log.ts";
import { until } from "../store/embedded.ts";

test("two attempts without an answer refuse everybody who waits, and nothing of theirs was sent", async () => {
  const sent: { readonly id: string; readonly timeOut: () => void }[] = [];
  const single = (unit: { readonly id: string }): Promise<number> =>
    new Promise((_, reject) => {
      sent.push({ id: unit.id, timeOut: () => reject(new OutcomeUnknown("no answer")) });
    });
  const batch = (): Promise<number> => Promise.reject(new Error("there are no batches here"));
  const find = async (): Promise<undefined> => undefined;
  const limits = { ...commitLimits, batchFrom: Number.POSITIVE_INFINITY, singlesInFlightMax: 1 };
  const commit = groupCommit({ single, batch, find }, limits);

  const outcomes = ["a", "b", "c"].map((name) => {
    const append = commit.append([{ subject: `t.${name}`, body: "", expected: 0 }]);
    return append.then(() => "stored").catch((error: Error) => error);
  });
  for (let attempt = 0; attempt < 2; attempt++) {
    const { timeOut } = await until("an attempt", () => sent[attempt]);
    timeOut();
  }
  const [first, ...behind] = await Promise.all(outcomes);
  expect(first).toBeInstanceOf(OutcomeUnknown);
  for (const outcome of behind) expect(outcome).toBeInstanceOf(LogUnavailable);
  expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
  expect(commit.pending()).toBe(0);
});
