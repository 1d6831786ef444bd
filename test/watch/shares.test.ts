// Shares, by a clock of the test's own: what one reader's filters may take, which of them end first, what comes back.
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { storedFilter } from "../../services/watch/filter.ts";
import { openShares } from "../../services/watch/shares.ts";

const scope = { node: "alice@localhost", name: "travel", value: 1, previous: null };

/** Filters that take so long each, on a clock that nothing else moves. */
function world() {
  let nowMs = 0;
  const clock = (): number => nowMs;
  const shares = openShares(clock, { elapsed: clock, ran: clock });
  const taking = (ms: number) => ({
    text: "",
    usesPrevious: false,
    prepare: () => undefined,
    test: () => {
      nowMs += ms;
      return "yes" as const;
    },
  });
  /** Each in a turn of its own, until it is too slow. */
  async function asksOn(reader: string, ms: number): Promise<number> {
    const filter = taking(ms);
    for (let times = 0; ; times++) {
      await nextTurn();
      if (shares(reader).ask(filter, scope) === "too-slow") return times;
    }
  }
  return { shares, taking, asksOn, wait: (ms: number) => (nowMs += ms) };
}

test("thousands of dear filters take no more than a moment of one turn, and none of another reader's", async () => {
  const { shares, taking } = world();
  const answersOf = (reader: string) =>
    Array.from({ length: 1_000 }, () => shares(reader).ask(taking(8), scope)).indexOf("later");
  expect([answersOf("bob"), answersOf("carol")]).toEqual([13, 13]);
  await nextTurn();
  expect(answersOf("bob")).toBe(13);
});

test("dear ones end at half of the share, which comes back, and leave the rest to the others", async () => {
  const { shares, taking, asksOn, wait } = world();
  // A fifth of what they take comes back meanwhile.
  const times = await asksOn("bob", 8);
  expect(times * 8).toBeGreaterThan(2_000);
  expect(times * 8).toBeLessThan(2_600);
  const cheap = taking(0.1);
  expect(shares("bob").ask(cheap, scope)).toBe("yes");
  expect(await asksOn("bob", 8)).toBeGreaterThan(0);
  wait(5_000);
  const more = await asksOn("bob", 8);
  expect(more * 8).toBeGreaterThan(1_000);
  expect(more * 8).toBeLessThan(1_400);
});

test("one that is to be asked waits while a quarter of the share is used up", async () => {
  const { shares, taking, wait } = world();
  for (let n = 0; n < 130; n++) {
    shares("bob").ask(taking(10), scope);
    await nextTurn();
  }
  let isReady = false;
  const ready = shares("bob")
    .ready(taking(1))
    .then(() => {
      isReady = true;
    });
  await shares("carol").ready(taking(1));
  await nextTurn();
  expect(isReady).toBe(false);
  wait(5_000);
  await ready;
});

test("one that was stored is compiled when it is first wanted", () => {
  const filter = storedFilter("value.n >");
  expect(filter.text).toBe("value.n >");
  expect(() => filter.prepare()).toThrow("At character 9");
});
