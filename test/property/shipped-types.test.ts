// The property types that ship: their examples fit, what is clearly wrong does not, and the pointer says where.
// In: schemas/types/. Out: a verdict for each example and each wrong value. Never: a worker; ours run in place.

import { describe, expect, test } from "vitest";
import { compileTrusted } from "../../services/property/ajv.ts";
import { openSchemaCheck } from "../../services/property/schema-check.ts";
import { loadShippedTypes } from "../../services/property/shipped-types.ts";

const types = loadShippedTypes();

function errorsOf(name: string, value: unknown): { pointer: string; detail: string }[] {
  const type = types.get(name);
  if (type === undefined) throw new Error(`no type ${name}`);
  return compileTrusted(type.schema)(value);
}

test("these types ship, each as visible as its owner would expect", () => {
  const visibilities = Object.fromEntries([...types].map(([name, type]) => [name, type.visibility]));
  expect(visibilities).toEqual({
    activity: "contacts",
    contact: "private",
    contacts: "private",
    "for-sale": "public",
    location: "private",
    "looking-for": "public",
    presence: "contacts",
    profile: "public",
    receipts: "private",
    travel: "contacts",
    typing: "contacts",
  });
});

describe.each([...types])("%s", (name, { schema }) => {
  const { title, description, examples } = schema as Record<string, unknown>;

  test("says what it is, and every example fits", () => {
    expect(title).toEqual(expect.any(String));
    expect(description).toEqual(expect.any(String));
    expect(examples).toBeInstanceOf(Array);
    const list = examples as unknown[];
    expect(list.length).toBeGreaterThanOrEqual(3);
    for (const example of list) expect(errorsOf(name, example), JSON.stringify(example)).toEqual([]);
  });

  test("may be extended, and asks for nothing", () => {
    expect(errorsOf(name, {})).toEqual([]);
    expect(errorsOf(name, { "com.example.mood": { deep: [1, null, true] } })).toEqual([]);
  });

  test.each([["online"], [42], [null], [true], [["a"]]])("is an object, not %j", (value) => {
    expect(errorsOf(name, value)).toEqual([{ pointer: "", detail: "must be object" }]);
  });
});

test("what ships would also be taken from a user", async () => {
  await using check = openSchemaCheck({ timeLimitMs: 10_000 });
  for (const [name, { schema }] of types) expect(await check.check(schema), name).toEqual({ ok: true });
});

test.each<[string, unknown]>([
  ["presence", { status: "online" }],
  ["presence", { state: "online" }],
  ["presence", { show: "away", note: "back at three" }],
  ["presence", { status: "at the dentist" }],
  ["travel", { city: "Berlin" }],
  ["travel", { city: "Oslo", from: "2026-12-01", to: "2026-12-05", country: "Norway" }],
  ["travel", { city: "Oslo", until: "2026-12-05T18:00:00.000Z" }],
  ["for-sale", { item: "bike", price: 50, currency: "EUR" }],
  ["for-sale", { title: "bike", price: 0 }],
  ["location", { latitude: -90, longitude: 180 }],
  ["contact", { email: "jörg@example.org" }],
  ["profile", { name: "Alice", birthday: "1990-04-23" }],
  [
    "contacts",
    { people: { "bob@example.com": { name: "Bobby 🦊", groups: ["Old friends"], note: "a\nb" } } },
  ],
  ["contacts", { people: { "@example.net": { "com.example.color": "red" } } }],
])("%s takes %j", (name, value) => {
  expect(errorsOf(name, value)).toEqual([]);
});

test.each<[string, unknown, string]>([
  ["presence", { status: 1 }, "/status"],
  ["presence", { status: "" }, "/status"],
  ["presence", { status: "x".repeat(65) }, "/status"],
  ["presence", { state: ["online"] }, "/state"],
  ["presence", { since: "yesterday" }, "/since"],
  ["presence", { since: "2026-02-30" }, "/since"],
  ["presence", { idleSeconds: -1 }, "/idleSeconds"],
  ["activity", { text: {} }, "/text"],
  ["activity", { progress: 1.5 }, "/progress"],
  ["activity", { url: "not a uri" }, "/url"],
  ["location", { latitude: 91 }, "/latitude"],
  ["location", { lon: "13.4" }, "/lon"],
  ["travel", { city: 5 }, "/city"],
  ["travel", { city: "" }, "/city"],
  ["travel", { from: 20261201 }, "/from"],
  ["travel", { until: "soon" }, "/until"],
  ["for-sale", { price: -1 }, "/price"],
  ["for-sale", { price: "50" }, "/price"],
  ["for-sale", { currency: 978 }, "/currency"],
  ["for-sale", { tags: ["ok", 1] }, "/tags/1"],
  ["looking-for", { priceMax: -5 }, "/priceMax"],
  ["looking-for", { item: 7 }, "/item"],
  ["contact", { email: "nobody" }, "/email"],
  ["contact", { accounts: { irc: 1 } }, "/accounts/irc"],
  ["contact", { accounts: { "a/b": 1 } }, "/accounts/a~1b"],
  ["profile", { name: 5 }, "/name"],
  ["profile", { birthday: "spring" }, "/birthday"],
  ["receipts", { read: "yes" }, "/read"],
  ["typing", { to: ["bob@example.com"] }, "/to"],
  ["profile", { languages: "de" }, "/languages"],
  ["contacts", { members: ["nobody"] }, "/members/0"],
  ["contacts", { people: [] }, "/people"],
  ["contacts", { people: { nobody: {} } }, "/people"],
  ["contacts", { people: { "b@c": "Bobby" } }, "/people/b@c"],
  ["contacts", { people: { "b@c": { name: "" } } }, "/people/b@c/name"],
  ["contacts", { people: { "b@c": { name: "a\nb" } } }, "/people/b@c/name"],
  ["contacts", { people: { "b@c": { name: "x".repeat(129) } } }, "/people/b@c/name"],
  ["contacts", { people: { "b@c": { groups: ["a", "a"] } } }, "/people/b@c/groups"],
  ["contacts", { people: { "b@c": { groups: [""] } } }, "/people/b@c/groups/0"],
  ["contacts", { people: { "b@c": { note: "\u0007" } } }, "/people/b@c/note"],
])("%s refuses %j at %s", (name, value, pointer) => {
  const errors = errorsOf(name, value);
  expect(errors.length).toBeGreaterThan(0);
  for (const error of errors) expect(error.pointer).toBe(pointer);
});

test("a misspelt keyword in a type of ours is an error at start", () => {
  expect(() => compileTrusted({ type: "object", propertys: {} })).toThrow("propertys");
});

test("a member that only the prototype has is not there", () => {
  const validate = compileTrusted({
    type: "object",
    properties: { constructor: { type: "number" } },
    required: ["constructor"],
  });
  expect(validate({})).not.toEqual([]);
  expect(validate({ constructor: 1 })).toEqual([]);
});

// Our own types run on the main thread, so no format may take more than linear time on 64 KiB of malice.
const MALICE = [
  "a",
  "1",
  ".",
  "-",
  ":",
  "/",
  "%41",
  "a.",
  "a-",
  "a@",
  "1:",
  "//",
  "[",
  "{a}",
  "::",
  "é",
  "~0",
];
test.each([
  ["date"],
  ["time"],
  ["date-time"],
  ["duration"],
  ["uri"],
  ["uri-reference"],
  ["uri-template"],
  ["url"],
  ["email"],
  ["idn-email"],
  ["hostname"],
  ["ipv4"],
  ["ipv6"],
  ["uuid"],
  ["json-pointer"],
  ["relative-json-pointer"],
  ["regex"],
  ["byte"],
])("the format %s cannot be made to backtrack", (format) => {
  const validate = compileTrusted({ type: "string", format });
  for (const prefix of ["", "http://", "a@", "P", "2026-12-24T", "/"])
    for (const piece of MALICE) {
      const text = `${prefix}${piece.repeat(65536 / piece.length)}\u0000!`;
      const began = process.threadCpuUsage();
      validate(text);
      const { user } = process.threadCpuUsage(began);
      expect(user / 1000, `${format}: ${JSON.stringify(prefix + piece)} repeated`).toBeLessThan(150);
    }
});
