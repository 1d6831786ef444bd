// P16 at a store that falls silent: who waits behind an unanswered write is refused with it, instead of waiting as long again.
import { expect, test } from "vitest";
import { openChanges } from "../../services/property/change.ts";
import { groupCommit } from "../../services/store/commit.ts";
import { commitLimits } from "../../services/store/commit-limits.ts";
import { LogUnavailable, OutcomeUnknown } from "../../services/store/log.ts";
import { until } from "../store/embedded.ts";

interface Attempt {
  readonly id: string;
  readonly refuse: (error: Error) => void;
}

/** A commit of one write at a time, whose attempts end as the test says, by a clock that the test moves. */
function silentStore() {
  const sent: Attempt[] = [];
  const clock = { ms: 0 };
  const single = ({ id }: { readonly id: string }): Promise<number> =>
    new Promise((_, refuse) => void sent.push({ id, refuse }));
  const batch = (): Promise<number> => Promise.reject(new Error("there are no batches here"));
  const find = async (): Promise<undefined> => undefined;
  const overtaken = async (): Promise<Set<never>> => new Set();
  const limits = { ...commitLimits, batchFrom: Number.POSITIVE_INFINITY, singlesInFlightMax: 1 };
  const commit = groupCommit({ single, batch, find, overtaken }, limits, () => clock.ms);
  return {
    commit,
    sent,
    clock,
    append: (name: string): Promise<unknown> =>
      commit
        .append([{ subject: `t.${name}`, body: "", expected: 0 }])
        .then(() => "stored")
        .catch((error: Error) => error),
    async ends(attempt: number, error: Error): Promise<void> {
      (await until("an attempt", () => sent[attempt])).refuse(error);
    },
  };
}

const noAnswer = new OutcomeUnknown("no answer");

test("two attempts without an answer refuse everybody who waits, and nothing of theirs was sent", async () => {
  const { commit, sent, append, ends } = silentStore();
  const outcomes = ["a", "b", "c"].map(append);
  await ends(0, noAnswer);
  await ends(1, noAnswer);
  const [first, ...behind] = await Promise.all(outcomes);
  expect(first).toBeInstanceOf(OutcomeUnknown);
  for (const outcome of behind) expect(outcome).toBeInstanceOf(LogUnavailable);
  expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
  expect(commit.pending()).toBe(0);
});

test("whoever has waited behind an unanswered write for long is refused, however that one ends", async () => {
  const { commit, sent, clock, append, ends } = silentStore();
  const outcomes = ["a", "b"].map(append);
  clock.ms = 900;
  await ends(0, noAnswer);
  const late = append("c");
  await until("another attempt", () => sent[1]);
  clock.ms = 1_800;
  await ends(1, new LogUnavailable("no room"));
  expect(await Promise.all(outcomes)).toEqual([expect.any(OutcomeUnknown), expect.any(LogUnavailable)]);
  await ends(2, new LogUnavailable("no room"));
  expect(await late).toBeInstanceOf(LogUnavailable);
  expect(new Set(sent.map(({ id }) => id)).size).toBe(2);
  expect(commit.pending()).toBe(0);
});

test("whoever has waited for long is told that nobody knows, instead of waiting for another attempt", async () => {
  const { sent, clock, append, ends } = silentStore();
  const outcome = append("a");
  clock.ms = 1_870;
  await ends(0, noAnswer);
  expect(await outcome).toBeInstanceOf(OutcomeUnknown);
  expect(sent).toHaveLength(1);
});

test("whoever waits for the turn of an unanswered change of the same property is refused in time", async () => {
  const heads = {
    get: () => undefined,
    peek: () => undefined,
    refresh: async () => undefined,
    append: () => new Promise<number>(() => undefined),
    follow: () => undefined,
  };
  const { change } = openChanges(heads, { caughtUp: async () => undefined });
  const decide = () => ({ appends: [{ subject: "t.a", body: "", expected: 0 }], outcome: undefined });
  const beganMs = performance.now();
  const [, ...behind] = Array.from({ length: 20 }, () => change({ writes: ["t.a"], decide }));
  for (const outcome of await Promise.allSettled(behind)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: expect.any(LogUnavailable) });
  }
  expect(performance.now() - beganMs).toBeLessThan(2_000);
});
