// Progress: whoever loses what waited for it goes on from what it has taken, not from what it was told.
import { expect, it } from "vitest";
import { Progress } from "../../services/watch/progress.ts";

it("goes back to what was taken", () => {
  const one = new Progress(5);
  one.tell(7, 0);
  one.tell(9, 0);
  one.back(0);
  expect(one.told).toBe(5);
  one.tell(7, 0);
  one.tell(9, 1);
  one.back(1);
  expect(one.told).toBe(7);
  one.tell(9, 1);
  one.back(2);
  expect(one.told).toBe(9);
});

it("begins where its reader does, if that was owed nothing of before", () => {
  const one = new Progress(Number.POSITIVE_INFINITY);
  one.back(3);
  expect(one.told).toBe(Number.POSITIVE_INFINITY);
  one.tell(20, 3);
  one.tell(22, 3);
  one.back(3);
  expect(one.told).toBe(20);
});
