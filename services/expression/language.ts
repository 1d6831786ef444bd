// The CEL that filters are written in: the library's, held to the specification, bounded, and at home with JSON numbers.
// In: nothing, and at evaluation what users wrote and published. Out: the environment that filters are planned in.
// Never: a regular expression that backtracks; a search in the square of the length; a string without bound.

import assert from "node:assert/strict";
import {
  type CelFunc,
  type CelInput,
  type CelList,
  CelScalar,
  type CelValue,
  celEnv,
  celFunc,
  celList,
  celMap,
  celMethod,
  celUint,
  isCelUint,
  listType,
  objectType,
} from "@bufbuild/cel";
import { RE2JS } from "re2js";

type Numeric = number | bigint | CelValue<typeof UINT>;

const { BOOL, BYTES, DOUBLE, INT, STRING, UINT } = CelScalar;
const LIST = listType(CelScalar.DYN);
const TIMESTAMP = objectType("google.protobuf.Timestamp");
const TEXT_MAX = 256 * 1024;
const PATTERN_MAX = 512;
const PROGRAM_MAX = 1000;
/** An automaton may grow to 8 MB, so few are kept: patterns beyond them are compiled anew each time. */
const PATTERNS_MAX = 32;

const patterns = new Map<string, RE2JS>();

/** @throws Error that says why RE2 does not take it, or that it is too large */
export function patternOf(text: string): RE2JS {
  let pattern = patterns.get(text);
  if (pattern === undefined) {
    if (text.length > PATTERN_MAX) throw new Error(`a pattern has at most ${PATTERN_MAX} characters`);
    pattern = RE2JS.compile(text);
    if (pattern.programSize() > PROGRAM_MAX) throw new Error("the pattern repeats too much");
    if (patterns.size === PATTERNS_MAX) patterns.clear();
    patterns.set(text, pattern);
  }
  return pattern;
}

/** After an evaluation was stopped: it may have left an automaton half built. */
export function forgetPatterns(): void {
  patterns.clear();
}

/** `ms` since 1970 as CEL's timestamp; the message is plain, so that protobuf itself need not be known here. */
export function instant(
  ms: number,
  nanos = Math.floor((((ms % 1000) + 1000) % 1000) * 1e6),
): CelInput<typeof TIMESTAMP> {
  if (!(ms >= -62_135_596_800_000 && ms < 253_402_300_800_000))
    throw new RangeError("beyond years 1 to 9999");
  const message = { $typeName: "google.protobuf.Timestamp", seconds: BigInt(Math.floor(ms / 1000)), nanos };
  return message;
}

// Date.parse alone takes what RFC 3339 does not know, and makes 2 March of 30 February.
const rfc3339 = /^(\d{4}-\d\d-\d\d)(T(?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

function parseInstant(text: string): CelInput<typeof TIMESTAMP> {
  const [, date, time, fraction = "", zone] = rfc3339.exec(text) ?? [];
  const ms = Date.parse(`${date}${time}${zone}`);
  if (date === undefined || Number.isNaN(ms) || !isDay(date))
    throw new Error("not a time as RFC 3339 writes it");
  return instant(ms, Number(fraction.padEnd(9, "0")));
}

function isDay(date: string): boolean {
  return date.slice(8) <= "28" || new Date(`${date}T00:00:00Z`).toISOString().startsWith(date);
}

/** KMP. `includes` of V8 takes 300 ms where a long part nearly occurs everywhere in 64 KiB; short ones it finds well. */
function contains(text: string, part: string): boolean {
  if (part.length <= 64) return text.includes(part);
  const borders = new Uint32Array(part.length);
  const step = (matched: number, unit: number) => {
    while (matched > 0 && part.charCodeAt(matched) !== unit) matched = borders[matched - 1] ?? 0;
    return part.charCodeAt(matched) === unit ? matched + 1 : 0;
  };
  for (let i = 1, matched = 0; i < part.length; i++) {
    borders[i] = matched = step(matched, part.charCodeAt(i));
  }
  for (let i = 0, matched = 0; i < text.length; i++) {
    matched = step(matched, text.charCodeAt(i));
    if (matched === part.length) return true;
  }
  return false;
}

/** By code points, as the specification has it: in UTF-16 an emoji would come before a full-width letter. */
function compareText(left: string, right: string): number {
  const end = Math.min(left.length, right.length);
  for (let i = 0; i < end; i++) {
    const [a, b] = [left.charCodeAt(i), right.charCodeAt(i)];
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

function toNumber(value: Numeric): number {
  return Number(isCelUint(value) ? value.value : value);
}

function toInt(text: string, pattern: RegExp, narrow: (value: bigint) => bigint): bigint {
  const value = pattern.test(text) ? BigInt(text) : undefined;
  if (value === undefined || narrow(value) !== value) throw new Error("not an integer of 64 bits");
  return value;
}

function toDouble(text: string): number {
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) return Number(text);
  if (/^(?:nan|[+-]?inf(?:inity)?)$/i.test(text)) {
    return /nan/i.test(text) ? Number.NaN : text.startsWith("-") ? -Infinity : Infinity;
  }
  throw new Error("not a number");
}

function bounded<T extends string | Uint8Array>(left: T, right: T, join: (left: T, right: T) => T): T {
  if (left.length + right.length > TEXT_MAX) throw new Error(`longer than ${TEXT_MAX}`);
  return join(left, right);
}

/** Each list that a macro is building, by the list that it has handed out: the library would nest one in the next. */
const growing = new WeakMap<CelList, CelValue[]>();

function append(list: CelList, one: CelList): CelList {
  const [item] = one;
  assert(item !== undefined);
  const items = growing.get(list);
  items?.push(item);
  if (items !== undefined) return list;
  const first = [item];
  const grown = celList(first);
  growing.set(grown, first);
  return grown;
}

// Upstream takes a key whose value is null for absent, in has() and in `in`. The specification asks for the key.
Object.getPrototypeOf(celMap(new Map())).has = function (this: ReturnType<typeof celMap>, key: string) {
  return this.get(key) !== undefined;
};

/** JSON knows doubles only, and people write `value.n * 2`: where one side is a double, the other becomes one. */
function mixed(name: string, operate: (left: number, right: number) => number): CelFunc[] {
  const pairs = [INT, UINT].flatMap((type) => [[DOUBLE, type] as const, [type, DOUBLE] as const]);
  return pairs.map(([left, right]) =>
    celFunc(name, [left, right], DOUBLE, (a: Numeric, b: Numeric) => operate(toNumber(a), toNumber(b))),
  );
}

function remainder(left: number, right: number): number {
  if (!Number.isInteger(left) || !Number.isInteger(right) || right === 0) throw new Error("no whole numbers");
  return left % right;
}

export const language = celEnv({
  funcs: [
    ...mixed("_+_", (left, right) => left + right),
    ...mixed("_-_", (left, right) => left - right),
    ...mixed("_*_", (left, right) => left * right),
    ...mixed("_/_", (left, right) => left / right),
    ...mixed("_%_", remainder),
    celFunc("_%_", [DOUBLE, DOUBLE], DOUBLE, remainder),
    celFunc("_+_", [STRING, STRING], STRING, (a, b) => bounded(a, b, () => a + b)),
    celFunc("_+_", [BYTES, BYTES], BYTES, (a, b) => bounded(a, b, () => Buffer.concat([a, b]))),
    celFunc("@append", [LIST, LIST], LIST, append),
    celFunc("_<_", [STRING, STRING], BOOL, (a, b) => compareText(a, b) < 0),
    celFunc("_<=_", [STRING, STRING], BOOL, (a, b) => compareText(a, b) <= 0),
    celFunc("_>_", [STRING, STRING], BOOL, (a, b) => compareText(a, b) > 0),
    celFunc("_>=_", [STRING, STRING], BOOL, (a, b) => compareText(a, b) >= 0),
    celFunc("int", [STRING], INT, (text) => toInt(text, /^-?\d{1,19}$/, (value) => BigInt.asIntN(64, value))),
    celFunc("uint", [STRING], UINT, (text) =>
      celUint(toInt(text, /^\d{1,20}$/, (value) => BigInt.asUintN(64, value))),
    ),
    celFunc("double", [STRING], DOUBLE, toDouble),
    celFunc("timestamp", [STRING], TIMESTAMP, parseInstant),
    celFunc("timestamp", [INT], TIMESTAMP, (seconds) => instant(Number(seconds) * 1000)),
    celFunc("timestamp", [DOUBLE], TIMESTAMP, (seconds) => instant(Math.round(seconds * 1000))),
    celMethod("contains", STRING, [STRING], BOOL, function (part) {
      return contains(this, part);
    }),
    celMethod("matches", STRING, [STRING], BOOL, function (pattern) {
      return patternOf(pattern).test(this);
    }),
    celFunc("matches", [STRING, STRING], BOOL, (text, pattern) => patternOf(pattern).test(text)),
  ],
});
