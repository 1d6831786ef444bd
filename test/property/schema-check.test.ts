// Users' schemas as the broker meets them: which it takes, which it refuses and why, and what they say of a value.
// In: schemas and values. Out: verdicts with their pointers. Never: attacks, which are in schema-hostile.test.ts.

import { afterAll, describe, expect, test } from "vitest";
import { createUserCompiler } from "../../services/property/ajv.ts";
import { openSchemaCheck, type SchemaVerdict } from "../../services/property/schema-check.ts";

// One for all friendly schemas. The limit is generous where it is not the subject: a busy machine is no refusal.
const shared = openSchemaCheck({ timeLimitMs: 20_000 });
afterAll(() => shared[Symbol.asyncDispose]());

const FRIENDLY = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

function nested(levels: number): object {
  let schema: object = { type: "string" };
  for (let level = 1; level < levels; level += 1) schema = { not: schema };
  return schema;
}

function refused(verdict: SchemaVerdict): { pointer: string; detail: string } {
  if (verdict.ok) throw new Error("expected a refusal");
  const [first] = verdict.errors;
  if (first === undefined) throw new Error("a refusal without an error");
  return first;
}

describe("a schema is taken", () => {
  test.each<[string, object]>([
    ["plain", FRIENDLY],
    ["with its dialect", { $schema: "https://json-schema.org/draft/2020-12/schema", type: "string" }],
    ["with a name of its own", { $id: "https://example.com/types/mood", type: "string" }],
    ["with annotations nobody knows", { "x-visibility": "public", "x-icon": "bike", colour: 1 }],
    ["with a reference into itself", { $defs: { x: { type: "string" } }, items: { $ref: "#/$defs/x" } }],
    ["with an anchor", { $defs: { x: { $anchor: "name", type: "string" } }, items: { $ref: "#name" } }],
    ["with a name that needs escapes", { $defs: { "a/b c": {} }, $ref: "#/$defs/a~1b%20c" }],
    ["that recurses through the value", { properties: { next: { $ref: "#" } } }],
    ["with $ref and $id as data", { const: { $ref: "http://example.com/", $id: "x" } }],
    [
      "with properties named like keywords",
      { properties: { $ref: {}, $id: {}, pattern: { type: "string" } } },
    ],
    ["with properties named like forbidden ones", { properties: { $data: {}, $async: {}, $schema: {} } }],
    ["whose name is also the prototype's", { $id: "constructor", type: "string" }],
    ["as deep as it may be", nested(32)],
    ["with an unknown format", { format: "colour" }],
  ])("%s", async (_, schema) => {
    expect(await shared.check(schema)).toEqual({ ok: true });
  });
});

describe("a schema is refused", () => {
  test.each<[string, object, string, RegExp]>([
    [
      "of an unknown type",
      { properties: { a: { type: "strin" } } },
      "/properties/a/type",
      /must be one of "array"/,
    ],
    ["with a keyword of the wrong shape", { required: "city" }, "/required", /must be array/],
    ["of another draft", { $schema: "http://json-schema.org/draft-07/schema#" }, "/$schema", /2020-12/],
    [
      "with a remote reference",
      { items: { $ref: "https://example.com/x.json" } },
      "/items/$ref",
      /only point into/,
    ],
    [
      "with a reference to a meta-schema",
      { $ref: "https://json-schema.org/draft/2020-12/schema" },
      "/$ref",
      /into/,
    ],
    [
      "with a remote reference in a property named like data",
      { properties: { const: { $ref: "https://example.com/" } } },
      "/properties/const/$ref",
      /only point into/,
    ],
    ["with a relative reference", { $ref: "other.json#/x" }, "/$ref", /only point into this schema/],
    [
      "with a remote dynamic reference",
      { $dynamicRef: "https://example.com/#a" },
      "/$dynamicRef",
      /only point/,
    ],
    ["with a reference to nothing", { $ref: "#/$defs/none" }, "/$ref", /points to nothing/],
    ["with a reference to the prototype", { $ref: "#/__proto__" }, "/$ref", /points to nothing/],
    ["with an anchor of the prototype", { $dynamicAnchor: "constructor" }, "/$dynamicAnchor", /another name/],
    ["with a reference to data", { const: { a: {} }, $ref: "#/const/a" }, "/$ref", /points to nothing/],
    [
      "with an $id inside",
      { properties: { a: { $id: "https://example.com/" } } },
      "/properties/a/$id",
      /only the root/,
    ],
    ["with $data", { minimum: { $data: "1/a" } }, "/minimum/$data", /not part of JSON Schema/],
    ["with $async", { $async: true }, "/$async", /not part of JSON Schema/],
    ["with a visibility nobody knows", { "x-visibility": "friends" }, "/x-visibility", /"contacts"/],
    ["that only refers to itself", { $ref: "#" }, "", /refers to itself without end/],
    ["that is too deep", nested(33), "", /32 levels deep/],
    ["that is deep beyond any stack", nested(50_000), "", /32 levels deep/],
    ["of 1 MB in one string", { description: "x".repeat(1_000_000) }, "", /16384 bytes/],
    ["of 1 MB in many parts", { enum: Array.from({ length: 200_000 }, (_, i) => i) }, "", /16384 bytes/],
    ["large in bytes, not in characters", { description: "€".repeat(6000) }, "", /16384 bytes/],
    ["that is a list", [{ type: "string" }], "", /must be a JSON object/],
    ["with a lookahead", { pattern: "^(?=a)b" }, "/pattern", /RE2.*lookahead/],
    ["with a lookbehind", { pattern: "(?<!a)b" }, "/pattern", /RE2.*lookbehind/],
    ["with a backreference", { pattern: "(a)\\1" }, "/pattern", /RE2.*backreferences/],
    ["with a named backreference", { pattern: "(?<x>a)\\k<x>" }, "/pattern", /RE2.*backreferences/],
    ["with a broken pattern", { items: { pattern: "(" } }, "/items/pattern", /missing closing/],
    ["with a bomb of repeats", { pattern: "((a{100}){100}){100}" }, "/pattern", /repeat/],
    ["with a lookahead for names", { patternProperties: { "(?=a)": {} } }, "/patternProperties/(?=a)", /RE2/],
  ])("%s", async (_, schema, pointer, detail) => {
    const error = refused(await shared.check(schema));
    expect(error.detail).toMatch(detail);
    expect(error.pointer).toBe(pointer);
  });

  test("with ten errors at most, however many it has", async () => {
    const properties = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`p${i}`, { pattern: "(" }]));
    const verdict = await shared.check({ properties });
    expect(verdict.ok ? 0 : verdict.errors.length).toBe(10);
  });
});

describe("a value", () => {
  test("fits, or the pointer says where it does not", async () => {
    expect(await shared.validate("friendly", FRIENDLY, { city: "Oslo" })).toEqual({ ok: true });
    const wrong = await shared.validate("friendly", FRIENDLY, { city: 5 });
    expect(wrong).toEqual({ ok: false, errors: [{ pointer: "/city", detail: "must be string" }] });
    expect(refused(await shared.validate("friendly", FRIENDLY, {})).detail).toMatch(
      /required property 'city'/,
    );
  });

  test("is held to recursion, formats and names as well", async () => {
    const tree = {
      $defs: { tree: { properties: { on: { format: "date" }, below: { items: { $ref: "#/$defs/tree" } } } } },
      $ref: "#/$defs/tree",
      propertyNames: { pattern: "^[a-z]+$" },
    };
    const late = { below: [{}, { below: [{ on: "2026-02-30" }] }] };
    expect(refused(await shared.validate("tree", tree, late)).pointer).toBe("/below/1/below/0/on");
    expect(refused(await shared.validate("tree", tree, { A1: 1 })).detail).toMatch(/property name "A1"/);
    expect(await shared.validate("tree", tree, { on: "2026-02-28", below: [] })).toEqual({ ok: true });
  });

  test("has its own members only, and cannot change what others have", async () => {
    const schema = { required: ["toString"], additionalProperties: { type: "number" } };
    expect(refused(await shared.validate("own", schema, {})).detail).toMatch(/toString/);
    const polluted = JSON.parse('{"toString":1,"__proto__":{"polluted":true}}') as object;
    expect((await shared.validate("own", schema, polluted)).ok).toBe(false);
    expect(await shared.validate("own", schema, { toString: 1, constructor: 2 })).toEqual({ ok: true });
  });

  test("is not checked by a schema that would not have been taken", async () => {
    const error = refused(await shared.validate("bad", { $ref: "https://example.com/" }, {}));
    expect(error).toEqual({ pointer: "", detail: expect.stringMatching(/schema cannot be used: \/\$ref/) });
  });

  test("that is not JSON is its sender's error, and nobody else's", async () => {
    const others = shared.validate("friendly", FRIENDLY, { city: "Oslo" });
    const bad = shared.validate("friendly", FRIENDLY, { city: () => 1 });
    const more = shared.validate("friendly", FRIENDLY, { city: "Oslo" });
    await expect(bad).rejects.toThrow(/could not be cloned/);
    expect(await Promise.all([others, more])).toEqual([{ ok: true }, { ok: true }]);
  });

  test("by the thousand is judged each for itself, in any mixture", async () => {
    const verdicts = await Promise.all(
      Array.from({ length: 900 }, (_, i) =>
        shared.validate("friendly", FRIENDLY, { city: i % 3 === 0 ? i : "Oslo" }),
      ),
    );
    expect(verdicts.map((verdict) => verdict.ok)).toEqual(verdicts.map((_, i) => i % 3 !== 0));
  });
});

describe("patterns", () => {
  const LONG = `${"a".repeat(60_000)}!`;

  // With a backtracking engine each of these would outlive us all, and be refused for its time.
  test.each<[string, object, unknown, string]>([
    ["pattern", { pattern: "(a+)+$" }, LONG, "must match pattern"],
    [
      "patternProperties",
      { patternProperties: { "(a+)+$": true, "^(a|aa)+!$": false } },
      { [LONG]: 1 },
      "not allowed",
    ],
    ["propertyNames", { propertyNames: { pattern: "^(a|a)*$" } }, { [LONG]: 1 }, "must match pattern"],
  ])("in %s are linear", async (name, schema, value, detail) => {
    await using check = openSchemaCheck({ timeLimitMs: 2000 });
    expect(refused(await check.validate(name, schema, value)).detail).toMatch(detail);
    expect(check.stats()).toMatchObject({ overruns: 0, crashes: 0 });
  });

  test.each<[string, string, string]>([
    ["^\\p{L}+$", "Åse", "Å1"],
    ["^.$", "😀", "😀😀"],
    ["^\\u0041\\u{1F600}$", "A😀", "A"],
    ["^(?<year>\\d{4})$", "2026", "20261"],
    ["\\\\k", "a\\k", "k"],
    ["^a$", "a", "a\n"],
  ])("%s means what ECMA-262 says", async (pattern, fits, fails) => {
    expect(new RegExp(pattern, "u").test(fits)).toBe(true);
    expect(await shared.validate(pattern, { pattern }, fits)).toEqual({ ok: true });
    expect((await shared.validate(pattern, { pattern }, fails)).ok).toBe(false);
  });
});

test("what a schema says is never run as code", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the point is that nothing evaluates it
  const hostile = "\"];globalThis.pwned=1;//'`${globalThis.pwned=1}\u2028\n*/globalThis.pwned=1;/*\\";
  const compile = createUserCompiler();
  const compiled = compile({
    $comment: hostile,
    title: hostile,
    properties: { [hostile]: { enum: [hostile], format: hostile } },
    required: [hostile],
    patternProperties: { "^[\"'`]globalThis.pwned=1": { const: hostile } },
    dependentRequired: { [hostile]: [hostile] },
    $defs: { [hostile]: { type: "string" } },
    additionalProperties: false,
    [hostile]: hostile,
  });
  if (!("validate" in compiled)) throw new Error(JSON.stringify(compiled.errors));
  expect(compiled.validate({ [hostile]: hostile })).toEqual([]);
  expect(compiled.validate({ [hostile]: 1 })).not.toEqual([]);
  expect(globalThis).not.toHaveProperty("pwned");
});
