// Hostile values: texts, JSON, addresses, filters and schemas that nobody decent would send.
// In: chance. Out: values that fit a shape, nearly fit it, or are rubbish. Never: the same hope twice that a parser is kind.
import type { Data } from "../conversations/event-stream.ts";
import type { Random } from "../simulation/random.ts";

/** Whose addresses are aimed at. */
export interface Aims {
  readonly own: string;
  readonly others: readonly string[];
}

export interface Values {
  /** Chooses how far the next value may be from what fits: what is refused at the door never meets the rooms behind it. */
  begin(): void;
  text(): string;
  address(): string;
  /** Something for a place that is called so. */
  named(name: string): string;
  json(depth?: number): unknown;
  /** What a JSON Schema asks for, mostly; here and there something else. */
  fitting(schema: Data, name: string): unknown;
  /** JSON text of the value, or what is no JSON any more. */
  broken(value: unknown): string;
}

const letters = [
  "*",
  ">",
  ".",
  "..",
  "$",
  "%",
  "\u0000",
  "\r\n",
  "\t",
  " ",
  "/",
  "\\",
  '"',
  "'",
  "\u202e",
  "\ufeff",
  "\ud800",
  "\u{1f600}",
  "\u0430",
  "\u212a",
  "ﬀ",
  "a\u0301",
  "=",
  "_",
  "~",
  "@",
  ":",
  "a",
  "Z",
  "0",
];
const texts = [
  "",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "null",
  "undefined",
  "NaN",
  "-1",
  "1e999",
  "true",
  "[]",
  "{}",
  "0",
  "9007199254740993",
  "t.localhost.>",
  "$JS.API.STREAM.DELETE.tidings",
  "../../etc/passwd",
  "%2e%2e%2f",
  "%00",
  "%",
  "%zz",
  "%c0%ae",
  "<script>alert(1)</script>",
  "' OR 1=1 --",
  "x".repeat(5_000),
  "a".repeat(254),
  "\u0000\u0000",
  "stream.live",
  "acct:",
  "mailto:",
  "mailto:a@b",
];
const names = ["travel", "count", "evil", "profile.name", "for-sale", "a.b.c", "x-1", "*", "profile.*", ">"];
const cursors = [
  "0-0-0-0",
  "----",
  "a-b-c-d",
  "zzzzzz-999999999999-9-9",
  "-1",
  "1-1",
  "é",
  "0x10-1-1-1",
  `${"9".repeat(400)}-1-1-1`,
];
const filters = [
  "true",
  "value.seats > 2",
  "value.matches('(a+)+$')",
  "[1,2,3].all(x, [1,2,3].all(y, [1,2,3].all(z, x + y + z > 0)))",
  "value.map(x, value.map(y, value.map(z, [x, y, z]))).size() > 0",
  `${"(".repeat(900)}1${")".repeat(900)} == 1`,
  `${"!".repeat(2_000)}true`,
  Array(300).fill("value.a").join(" || "),
  `"${"a".repeat(1_500)}" == name`,
  "1/0 == 1",
  "9223372036854775807 + 1 > 0",
  `${"[".repeat(500)}${"]".repeat(500)} == []`,
  "now.getFullYear('../../etc/localtime') > 0",
  "value.__proto__.polluted == 1",
  "previous.constructor == value",
  'node == "',
  "name.replace('a', 'aaaaaaaaaa').size() > 1",
  "has(value.a.b.c) && has(value.a)",
  "{1: 2}[1] == 2",
  "duration('999999999999s') > now",
  "\u0000",
  "a ? b : c ? d : e",
  "bytes(name) == b'\\xff'",
  "x".repeat(3_000),
];
/** Each level doubles the tries of the one below. */
function doubling(levels: number): Data {
  const $defs: Data = { [`d${levels}`]: { type: "string" } };
  for (let level = 0; level < levels; level++) {
    const below = { $ref: `#/$defs/d${level + 1}` };
    $defs[`d${level}`] = { anyOf: [below, below] };
  }
  return { $defs, $ref: "#/$defs/d0" };
}
function nested(levels: number): unknown {
  let schema: unknown = { type: "string" };
  for (let level = 0; level < levels; level++) schema = { not: schema };
  return schema;
}
const schemas: readonly unknown[] = [
  { type: "object" },
  { pattern: "(a+)+$" },
  { pattern: "^(([a-z])+.)+[A-Z]([a-z])+$" },
  { pattern: "(?=a)b" },
  { pattern: "[" },
  { pattern: "(".repeat(2_000) },
  { pattern: "a{1000}{1000}" },
  { patternProperties: { "(x+x+)+y": { type: "string" } } },
  { $ref: "#" },
  { $ref: "https://example.com/schema.json" },
  { $ref: "file:///etc/passwd" },
  { $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" },
  { allOf: [{ $ref: "#" }, { $ref: "#" }] },
  { $dynamicRef: "#a", $dynamicAnchor: "a" },
  { $id: "https://example.com/", $schema: "https://example.com/other" },
  { const: { $data: "1/x" } },
  { enum: Array.from({ length: 5_000 }, (_, n) => n) },
  { uniqueItems: true },
  { properties: { constructor: { type: "string" } }, required: ["toString"] },
  { description: "x".repeat(17_000) },
  { maxLength: -1 },
  { multipleOf: 1e-300 },
  { type: ["string", "string", "nothing"] },
  { format: "x".repeat(300) },
  { if: true, else: false },
  nested(100),
  nested(900),
  doubling(10),
];
/** What a worker has to be ended for: 250 ms each. */
const exploding = doubling(28);

export function valuesFor(random: Random, { own, others }: Aims): Values {
  let wild = 0;

  function text(): string {
    if (random.chance(0.4)) return random.pick(texts);
    return Array.from({ length: 1 + random.int(random.chance(0.02) ? 5_000 : 12) }, () =>
      random.pick(letters),
    ).join("");
  }

  function address(): string {
    const aim = random.pick([own, own, ...others]);
    switch (random.int(9)) {
      case 0:
      case 1:
        return aim;
      case 2:
        return `${aim}/${random.pick(["bike", "..", ".", "*", ">", "x".repeat(65), text()])}`;
      case 3:
        return `${aim}${"/a".repeat(random.int(12))}`;
      case 4:
        return `acct:${aim.toUpperCase()}`;
      case 5:
        return aim.replace(
          /[a-z]/,
          (letter) => ({ a: "а", e: "е", o: "о", k: "K" })[letter] ?? `${letter}\u0301`,
        );
      case 6:
        return `${random.pick(["", "*", ">", "a.b", "-", "x".repeat(65), "nobody"])}@${random.pick(["localhost", "*", "LOCALHOST", "", "a..b", "x".repeat(300)])}`;
      case 7:
        return `${text()}@localhost`;
      default:
        return text();
    }
  }

  function named(name: string): string {
    if (random.chance(0.05 + 2 * wild)) return text();
    if (/address|node|target|watcher|who|member|group|to$|^me$/.test(name)) return address();
    if (name === "filter") return random.pick(filters);
    if (/after|cursor|event-id/.test(name)) return random.chance(0.8) ? random.pick(cursors) : text();
    if (name === "watch")
      return `${address()}${random.pick(["", ":", `:${random.pick(names)}`, `:${text()}`])}`;
    if (/^if-/.test(name)) return random.pick(['"1"', "*", '"x"', 'W/"1"', '"1", "2"', "1", text()]);
    if (/name|propert/.test(name)) return random.chance(0.7) ? random.pick(names) : text();
    if (name === "handle") return random.chance(0.5) ? `mallory-${random.int(1e9)}` : text();
    if (name === "password") return random.pick(["correct horse battery", "x".repeat(300), text()]);
    if (name === "email") return random.pick(["a@b.example", "A@B", text()]);
    return text();
  }

  function json(depth = 0): unknown {
    switch (random.int(depth > 4 ? 6 : 9)) {
      case 0:
        return null;
      case 1:
        return random.chance(0.5);
      case 2:
        return random.pick([0, -0, -1, 1.5, 1e308, 5e-324, 2 ** 53, -(2 ** 63), random.int(1e6)]);
      case 3:
      case 4:
      case 5:
        return text();
      case 6:
        return Array.from({ length: random.int(6) }, () => json(depth + 1));
      case 7:
        return Object.fromEntries(
          Array.from({ length: random.int(5) }, () => [
            random.chance(0.5) ? random.pick(names) : text(),
            json(depth + 1),
          ]),
        );
      default: {
        let deep: unknown = 1;
        for (let level = random.int(40); level > 0; level--) deep = random.chance(0.5) ? [deep] : { a: deep };
        return deep;
      }
    }
  }

  function number({ minimum = 0, maximum = 100 }: Data): number {
    return random.pick([
      minimum,
      minimum - 1,
      maximum + 1,
      0,
      -1,
      0.5,
      1,
      1e300,
      31_536_000,
      2 ** 53,
      -(2 ** 31),
    ]);
  }

  /** Leases that are too short, too long, or run out at once. */
  const seconds = (): number =>
    random.pick([0, -1, 0.5, 1, 1.001, 60, 2_592_000, 2_592_001, 31_536_000, 1e300]);

  function fitting(schema: Data, name: string): unknown {
    if (random.chance(wild)) return json();
    if (name === "schema") return random.chance(0.004) ? exploding : random.pick(schemas);
    if (name === "seconds") return seconds();
    const options = schema.anyOf ?? schema.oneOf;
    if (options) return fitting(random.pick(options), name);
    if ("const" in schema) return schema.const;
    if (schema.enum) return random.chance(1 - 2 * wild) ? random.pick(schema.enum as unknown[]) : text();
    switch ([schema.type].flat()[0]) {
      case "object": {
        const made: [string, unknown][] = [];
        const required = new Set(schema.required as string[] | undefined);
        for (const [key, of] of Object.entries((schema.properties ?? {}) as Record<string, Data>)) {
          if (random.chance(required.has(key) ? 1 - wild : 0.4)) made.push([key, fitting(of, key)]);
        }
        const any = schema.additionalProperties ?? Object.values(schema.patternProperties ?? {})[0];
        if (typeof any === "object") {
          for (let n = random.int(4); n > 0; n--) made.push([named("name"), fitting(any as Data, "")]);
        }
        if (random.chance(wild)) made.push([text(), json()]);
        return Object.fromEntries(made);
      }
      case "array":
        return Array.from({ length: random.int(random.chance(0.02) ? 1_200 : 4) }, () =>
          fitting((schema.items ?? {}) as Data, name),
        );
      case "string":
        return named(name);
      case "number":
      case "integer":
        return number(schema);
      case "boolean":
        return random.chance(0.5);
      case "null":
        return null;
      default:
        return json();
    }
  }

  function broken(value: unknown): string {
    const whole = JSON.stringify(value) ?? "null";
    switch (random.int(wild < 0.1 ? 200 : 24)) {
      case 0:
        return whole.slice(0, random.int(whole.length));
      case 1:
        return `${"[".repeat(20_000)}${whole}`;
      case 2:
        return `${'{"a":'.repeat(200)}${whole}${"}".repeat(200)}`;
      case 3:
        return whole.replace(/^\{/, '{"__proto__":{"polluted":1},');
      case 4:
        return whole.replace(/^\{("[^"]*":)/, '{$1"twice",$1');
      case 5:
        return whole.replace(/"[^"]*"/, "'single'");
      case 6:
        return `${whole}${random.pick(["\u0000", ",", "}", " x", whole])}`;
      case 7:
        return whole.replace(
          /\d+/,
          random.pick(["NaN", "Infinity", "1e400", "01", "0x10", "-", "1".repeat(2_000)]),
        );
      case 8:
        return whole.replace(/"([^"]*)"/, '"\\ud800\\u0000$1"');
      case 9:
        return `\ufeff${whole}`;
      case 10:
        return "";
      default:
        return whole;
    }
  }

  function begin(): void {
    wild = random.pick([0, 0, 0.01, 0.1]);
  }

  return { begin, text, address, named, json, fitting, broken };
}
