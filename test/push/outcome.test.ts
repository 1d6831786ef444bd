// Outcomes of attempts: the schedule, what brings an attempt forward and what does not, and the end of it.
import { describe, expect, test } from "vitest";
import { type Attempted, after } from "../../services/push/outcome.ts";
import type { Outcome } from "../../services/push/posting.ts";
import { type Progress, progressOf } from "../../services/push/progress.ts";
import { usualTimes } from "../../services/push/push-times.ts";

const began = Date.parse("2030-01-01T00:00:00Z");
const failed: Outcome = { is: "failed", status: 500 };

/** One attempt at this time, which took no time at all. */
function attempt(progress: Progress, outcome: Outcome, atMs: number, dice = 0): Progress {
  const letter = { id: "event", type: "type", contentType: "", body: "" };
  const attempted: Attempted = {
    letter,
    parcel: { events: [], cursor: "further" },
    outcome,
    atMs,
    endMs: atMs,
    dice,
  };
  return after(progress, attempted, usualTimes);
}

describe("a failing endpoint", () => {
  test("is tried as Standard Webhooks recommends, then no more", () => {
    let progress = progressOf(undefined);
    let nowMs = began;
    const waitsS: number[] = [];
    for (let count = 0; count < 9; count++) {
      progress = attempt(progress, failed, nowMs);
      expect(progress).toMatchObject({ state: "failing", cursor: undefined, failures: count + 1 });
      waitsS.push((progress.dueMs - nowMs) / 1000);
      nowMs = progress.dueMs;
    }
    const hourS = 3600;
    const hours = [2, 5, 10, 14, 20, 24].map((count) => count * hourS);
    expect(waitsS).toEqual([5, 300, 1800, ...hours]);
    progress = attempt(progress, failed, nowMs);
    expect(progress.state).toBe("disabled");
    expect(progress.reason).toMatch(/after 10 attempts: the endpoint answered 500/);
    expect(progress.attempts.map(({ outcome }) => outcome)).toEqual([...Array(9).fill("retrying"), "failed"]);
  });

  test("is tried a little later than the schedule says, not all in the same moment", () => {
    expect(attempt(progressOf(undefined), failed, began, 0.5).dueMs - began).toBe(5_500);
  });

  test("does not come nearer to its end by attempts that news brought forward", () => {
    let progress = attempt(progressOf(undefined), failed, began);
    progress = attempt(progress, failed, progress.dueMs);
    const { dueMs } = progress;
    for (let count = 0; count < 20; count++) {
      progress = attempt(progress, failed, progress.closedMs);
      expect(progress).toMatchObject({ state: "failing", dueMs, step: 2 });
    }
    expect(progress.failures).toBe(22);
  });

  test("is left alone for as long as it asks, a day at most, and never for less than the gap", () => {
    const asks = (retryAfterMs: number): number =>
      attempt(progressOf(undefined), { ...failed, retryAfterMs }, began).closedMs - began;
    expect([0, 60_000, 100 * 3_600_000].map(asks)).toEqual([5_000, 60_000, 24 * 3_600_000]);
  });

  test("is as good as new once it has taken something", () => {
    const failing = attempt(progressOf(undefined), failed, began);
    const progress = attempt(failing, { is: "delivered", status: 200 }, failing.dueMs);
    expect(progress).toMatchObject({ state: "active", cursor: "further", failures: 0, step: 0, dueMs: 0 });
    expect(progress).not.toHaveProperty("reason");
    expect(progress.attempts.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  test("that is gone is not tried again", () => {
    expect(attempt(progressOf(undefined), { is: "gone", status: 410 }, began).state).toBe("disabled");
  });
});

test("no more than the last 50 attempts are kept", () => {
  let progress = progressOf(undefined);
  for (let count = 0; count < 60; count++) {
    progress = attempt(progress, { is: "delivered", status: 200 }, began + count);
  }
  expect(progress.attempts.length).toBe(50);
  expect(progress.attempts.at(-1)?.at).toBe("2030-01-01T00:00:00.059Z");
});
