// What a crowd's end means comes to the directory after those who watch, and in order with all else.
import { expect, test, vi } from "vitest";
import { openCourtesy } from "../../services/directory/courtesy.ts";
import type { Fact } from "../../services/store/log.ts";
import { until } from "../store/embedded.ts";

function aFact(position: number, isPart: boolean): Fact {
  const basis = isPart ? { expected: 1 } : undefined;
  return { subject: "t.a", position, timeMs: 0, body: "{}", groupEnd: position, decoded: undefined, basis };
}

function opened(heldMax = 1_000) {
  const handed: number[] = [];
  const courtesy = openCourtesy(
    heldMax,
    ({ position }) => handed.push(position),
    () => undefined,
  );
  return { courtesy, handed, [Symbol.dispose]: () => courtesy[Symbol.dispose]() };
}

test("what is by itself is handed on at once", () => {
  using one = opened();
  one.courtesy.take(aFact(1, false));
  expect(one.handed).toEqual([1]);
});

test("a part waits, and nothing overtakes it", async () => {
  using one = opened();
  one.courtesy.take(aFact(1, true));
  one.courtesy.take(aFact(2, false));
  expect(one.handed).toEqual([]);
  await until("both to come", () => one.handed.length === 2);
  expect(one.handed).toEqual([1, 2]);
  one.courtesy.take(aFact(3, false));
  expect(one.handed).toEqual([1, 2, 3]);
});

test("whoever waits for it hurries it, some at a time, and what comes meanwhile comes behind", async () => {
  using one = opened();
  for (let position = 1; position <= 600; position++) one.courtesy.take(aFact(position, true));
  one.courtesy.hurry();
  expect(one.handed.length).toBeLessThan(600);
  one.courtesy.take(aFact(601, false));
  await vi.waitFor(() => expect(one.handed).toHaveLength(601), { timeout: 400, interval: 5 });
  expect(one.handed).toEqual(one.handed.toSorted((a, b) => a - b));
});

test("no more are held than there is room for", () => {
  using one = opened(2);
  one.courtesy.take(aFact(1, true));
  one.courtesy.take(aFact(2, true));
  expect(one.handed).toEqual([1, 2]);
});

test("nor while they are handed on", () => {
  using one = opened(300);
  for (let position = 1; position <= 299; position++) one.courtesy.take(aFact(position, true));
  one.courtesy.hurry();
  for (let position = 300; position <= 1_000; position++) {
    one.courtesy.take(aFact(position, true));
    expect(position - one.handed.length).toBeLessThan(300);
  }
});
