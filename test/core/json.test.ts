// Strict JSON: what two parsers would read differently is refused.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJson } from "../../services/core/json.ts";
import type { Refusal } from "../../services/core/refusal.ts";

const code = (text: string, depthMax = 32): string => {
  try {
    parseJson(text, depthMax);
    return "accepted";
  } catch (error) {
    return (error as Refusal).code;
  }
};

describe("strict JSON", () => {
  it.each([
    ['{"a":1,"a":2}', "bad-json"],
    ['{"a":1,"\\u0061":2}', "bad-json"],
    ['[{"x":{"b":1,"c":2,"b":3}}]', "bad-json"],
    ['{"__proto__":1}', "bad-json"],
    ['{"a":{"\\u005f_proto__":{}}}', "bad-json"],
    ['{"constructor":{"prototype":{}}}', "bad-json"],
    ['{"constructor":1}', "accepted"],
    ['{"a":":","b":"{\\"a\\":1,\\"a\\":2}"}', "accepted"],
    ['{"a":"\\\\","b":"\\\\\\"","c":":"}', "accepted"],
    ["{", "bad-json"],
    ["", "bad-json"],
    ["NaN", "bad-json"],
    ["[1,]", "bad-json"],
    ["\ufeff{}", "bad-json"],
    ['"\\ud83d"', "bad-json"],
    ['{"\\ude00":1}', "bad-json"],
    ['["\\ud83d\\ude00"]', "accepted"],
    ["[1e999]", "bad-json"],
    ["[-1e308]", "accepted"],
    ["[".repeat(32) + "]".repeat(32), "accepted"],
    ["[".repeat(33) + "]".repeat(33), "too-deep"],
    ['"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', "accepted"],
  ])("finds %s to be %s", (text, expected) => {
    expect(code(text)).toBe(expected);
  });

  it("reads whatever JSON.stringify writes", () => {
    const keys = fc.string().filter((key) => key !== "__proto__" && key !== "constructor");
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constant(null),
        fc.boolean(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.string({ unit: "binary" }),
        fc.array(tie("value")),
        fc.dictionary(keys, tie("value"), { noNullPrototype: true }),
      ),
    }));
    fc.assert(
      fc.property(value, (json) => {
        const text = JSON.stringify(json);
        expect(parseJson(text, 32)).toEqual(JSON.parse(text));
      }),
    );
  });
});
