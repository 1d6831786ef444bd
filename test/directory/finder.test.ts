// The finder with lists that are long: whichever way it goes through them, it finds the same nodes in the same order.
import { describe, expect, it } from "vitest";
import { encodeProperty } from "../../services/core/fact.ts";
import type { Json } from "../../services/core/json.ts";
import { setView } from "../../services/core/property.ts";
import type { QueryText } from "../../services/core/query-target.ts";
import { openDatabase } from "../../services/directory/database.ts";
import { type Finder, openFinder } from "../../services/directory/finder.ts";
import { nodeKey } from "../../services/directory/keys.ts";
import { type Change, openProjection } from "../../services/directory/projection.ts";
import { knownWhere } from "../../services/directory/where.ts";

const epoch = "one";
const nodes = Array.from({ length: 5_000 }, (_, index) => ({
  address: `n${index}@localhost`,
  half: index % 2 === 0 ? "even" : "odd",
  hundredth: index % 100,
  index,
}));

function filled(): Finder {
  const { database } = openDatabase(":memory:");
  const projection = openProjection(database);
  const changes: Change[] = nodes.flatMap(({ address, half, hundredth, index }) => {
    const value = { half, hundredth, index, note: `note ${half} h${hundredth}` };
    return [{ is: "node", address, isThere: true }, property(address, "data", value)];
  });
  expect(projection.apply(changes, { epoch, position: 1, term: "", savedMs: 0 })).toEqual([]);
  return openFinder(database, knownWhere);
}

function property(address: string, name: string, value: Json): Change {
  const state = setView(undefined, { view: "", value, by: address }, 0, "test");
  return { is: "property", address, name, body: encodeProperty(state), visibility: "contacts" };
}

function all(find: Finder, text: QueryText, asker: string | undefined): readonly string[] {
  const found: string[] = [];
  for (let after = -1n; ; ) {
    const { candidates, last, isDone } = find({ text, asker, after, candidatesMax: 64, nowMs: 0 });
    found.push(...candidates.map(({ address }) => address));
    if (isDone) return found;
    after = last;
  }
}

describe("the finder", () => {
  const find = filled();
  type Node = (typeof nodes)[number];
  const asked: readonly (readonly [QueryText, (node: Node) => boolean])[] = [
    [{ where: 'prop("data").half == "even"' }, ({ half }) => half === "even"],
    [{ where: 'prop("data").index >= 10' }, ({ index }) => index >= 10],
    [
      { where: 'prop("data").index < 50 && prop("data").half == "odd"' },
      (n) => n.index < 50 && n.half === "odd",
    ],
    [
      { where: 'prop("data").index > 100 && prop("data").half == "odd" && prop("data").hundredth <= 90' },
      (n) => n.index > 100 && n.half === "odd" && n.hundredth <= 90,
    ],
    [{ q: "even" }, ({ half }) => half === "even"],
    [{ q: "note odd h7" }, ({ hundredth }) => hundredth === 7],
    [{ q: "localhost", where: 'prop("data").index > 2500' }, ({ index }) => index > 2_500],
    [{ q: "even", where: 'prop("data").hundredth == 4' }, ({ hundredth }) => hundredth === 4],
    [{ where: 'prop("data").note.endsWith("h42")' }, ({ hundredth }) => hundredth === 42],
    [{ where: 'node.endsWith("7@localhost")' }, ({ index }) => index % 10 === 7],
  ];
  for (const [text, is] of asked) {
    it(`finds all that ${JSON.stringify(text)} may mean, in order`, () => {
      const wanted = nodes.filter(is).map(({ address }) => address);
      wanted.sort((a, b) => (nodeKey(epoch, a) < nodeKey(epoch, b) ? -1 : 1));
      expect(all(find, text, "somebody@localhost")).toEqual(wanted);
    });
  }

  it("does not even look at what is open to nobody who asks", () => {
    for (const text of [{ q: "even" }, { where: 'prop("data").half == "even"' }]) {
      const question = { text, asker: undefined, after: -1n, candidatesMax: 64, nowMs: 0 };
      const { candidates, isDone, last } = find(question);
      expect({ candidates, isDone, last }).toEqual({ candidates: [], isDone: true, last: -1n });
    }
  });

  it("gives way after a moment, and goes on from there", () => {
    const text = { where: 'prop("data").note.matches("(n|o|t|e| )+h99") && prop("data").index < 0' };
    const began = performance.now();
    const { isDone, last } = find({ text, asker: "x@localhost", after: -1n, candidatesMax: 64, nowMs: 0 });
    expect(performance.now() - began).toBeLessThan(2_000);
    expect(isDone || last > -1n).toBe(true);
  });
});
