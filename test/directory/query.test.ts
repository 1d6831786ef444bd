// Queries: what matches, by words and by expressions, and what an index is told of them.
import { describe, expect, it } from "vitest";
import type { Json } from "../../services/core/json.ts";
import type { QueryText } from "../../services/core/query-target.ts";
import { openQuery } from "../../services/directory/directory.ts";
import type { Query } from "../../services/directory/query.ts";

const alice = "alice@example.com/bike";

function asked(text: QueryText, properties: Record<string, Json>): string {
  return openQuery(text).matches(new Map(Object.entries(properties)), alice, Date.UTC(2026, 0, 1));
}

describe("words", () => {
  const found: readonly (readonly [q: string, value: Json])[] = [
    ["OSLO", "a trip to Oslo."],
    ["tromso oslo", { from: "Tromsø".normalize("NFD").replace("ø", "o"), to: ["Oslo"] }],
    ["zoe", "Zoë"],
    ["zoë", "ZOE"],
    ["strasse", "Straße"],
    ["STRAẞE", "strasse"],
    ["οδυσσευς", "ΟΔΥΣΣΕΥΣ"],
    ["istanbul", "İstanbul"],
    ["finland", "ﬁnland"],
    ["東京", "東京に行く"],
    ["京 東", "東京に行く"],
    ["2026", { year: 2026 }],
    ["bob@example.org", { mail: "mailto:bob@example.org" }],
    ["alice bike", null],
    ["example.com oslo", "Oslo"],
    ["'; DROP TABLE word; --", "drop the table, word"],
  ];
  for (const [q, value] of found) {
    it(`finds ${q} in ${JSON.stringify(value)}`, () => {
      expect(asked({ q }, { thing: value })).toBe("yes");
    });
  }

  it("finds whole words alone, in values alone, all of them", () => {
    expect(asked({ q: "osl" }, { thing: "Oslo" })).toBe("no");
    expect(asked({ q: "city" }, { thing: { city: "Oslo" } })).toBe("no");
    expect(asked({ q: "oslo bergen" }, { thing: "Oslo" })).toBe("no");
    expect(asked({ q: "oslo bergen" }, { one: "Oslo", other: { in: ["Bergen"] } })).toBe("yes");
  });

  it("is bounded, whatever is sent", () => {
    const refused = { code: "bad-request" };
    for (const q of [
      "",
      " ",
      "!?",
      "a".repeat(600),
      Array.from({ length: 17 }, (_, n) => `w${n}`).join(" "),
    ]) {
      expect(() => openQuery({ q }), q).toThrow(expect.objectContaining(refused));
    }
    expect(() => openQuery({})).toThrow(expect.objectContaining(refused));
    const long = "x".repeat(400);
    expect(asked({ q: long }, { thing: long })).toBe("yes");
    const many = Array.from({ length: 20_000 }, (_, n) => `w${n}`).join(" ");
    expect(asked({ q: "w7" }, { thing: many })).toBe("yes");
    expect(asked({ q: "w19999" }, { thing: many })).toBe("no");
  });
});

describe("expressions", () => {
  const travel = { city: "Berlin", seats: 3, "a b": true, until: "2026-02-01T00:00:00Z" };
  const yes = [
    'prop("travel").city == "Berlin"',
    'prop("travel").seats > 2 && node.startsWith("alice@")',
    'prop("travel")["a b"]',
    'prop("nothing").x == 1 || prop("travel").seats == 3',
    'timestamp(prop("travel").until) > now',
    "true",
    '"bike" in ["bike"]',
  ];
  const no = [
    'prop("nothing").x == 1',
    '!(prop("nothing").x == 1)',
    'has(prop("nothing").x)',
    'prop("travel").nothing == 1',
    'prop("travel")',
    'prop("travel").city > 5',
  ];
  for (const where of yes) it(`is true: ${where}`, () => expect(asked({ where }, { travel })).toBe("yes"));
  for (const where of no) it(`is not true: ${where}`, () => expect(asked({ where }, { travel })).toBe("no"));

  const bad = [
    "prop(node) == 1",
    'prop("Travel") == 1',
    'prop("a", "b") == 1',
    'prop("travel").prop("b") == 1',
    "value == 1",
    "previous == 1",
    "@properties == 1",
    "1",
    'prop("travel"',
    "prop",
  ];
  for (const where of bad) {
    it(`is refused: ${where}`, () => {
      expect(() => openQuery({ where })).toThrow(expect.objectContaining({ code: "bad-filter" }));
    });
  }

  it("tells which properties it looks at", () => {
    const names = (text: QueryText): unknown => openQuery(text).names && [...(openQuery(text).names ?? [])];
    expect(names({ where: 'prop("a").x == 1 || prop("b.c") == 2' })).toEqual(["a", "b.c"]);
    expect(names({ q: "oslo", where: 'prop("a").x == 1' })).toBeUndefined();
  });

  it("tells an index what every match fulfils, and nothing else", () => {
    const told = (where: string): unknown => {
      const { conditions, needed } = (openQuery({ where }) as Query).where ?? {};
      return { conditions, needed: [...(needed ?? [])] };
    };
    const city = { name: "travel", path: ["city"], is: "==", value: "Oslo" };
    expect(told('prop("travel").city == "Oslo"')).toEqual({ conditions: [city], needed: ["travel"] });
    expect(told('("Oslo" == prop("travel")["city"]) && prop("x").y')).toEqual({
      conditions: [city],
      needed: ["travel", "x"],
    });
    expect(told('-3 < prop("a").n && prop("a").n <= 7u')).toEqual({
      conditions: [
        { name: "a", path: ["n"], is: ">=", value: -3 },
        { name: "a", path: ["n"], is: "<=", value: 7 },
      ],
      needed: ["a"],
    });
    const nothing = { conditions: [], needed: [] };
    expect(told('prop("a").n == 1 || prop("b").n == 1')).toEqual(nothing);
    expect(told('!(prop("a").n == 1 || true)')).toEqual(nothing);
    expect(told('prop("a").n == 1 ? true : false')).toEqual(nothing);
    expect(told('[1].exists(x, prop("a").n == x)')).toEqual(nothing);
    expect(told('!(prop("a").n == 1)')).toEqual({ conditions: [], needed: ["a"] });
    expect(told('prop("a").n == prop("b").n')).toEqual({ conditions: [], needed: ["a", "b"] });
  });
});
