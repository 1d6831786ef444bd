// Strict JSON: text from outside to a value that is safe to store and to echo.
// In: UTF-8 text. Out: the value, or a Refusal that names what is wrong. Never: a value that two parsers would read differently.
import { Refusal } from "./refusal.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Parses JSON as RFC 8259 means it, and refuses what RFC 8259 §4 leaves to chance: duplicate keys.
 * Also refused: `__proto__` as a key, `constructor` that holds `prototype`, lone surrogates (RFC 8259 §8.2), numbers
 * beyond what a double holds (§6: they would come back as null), and nesting beyond `depthMax`.
 */
export function parseJson(text: string, depthMax: number): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    throw new Refusal("bad-json", `The body is not JSON: ${(error as Error).message}.`);
  }
  const { depth, members } = measureText(text);
  if (depth > depthMax) {
    throw new Refusal("too-deep", `The JSON nests ${depth} levels deep; at most ${depthMax} are allowed.`);
  }
  if (countMembers(value) !== members) {
    throw new Refusal("bad-json", "An object names the same key twice; name each key once.");
  }
  return value;
}

/** Depth and number of object members of a text that is known to be JSON, in one pass. */
function measureText(text: string): { depth: number; members: number } {
  let depth = 0;
  let deepest = 0;
  let members = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 34 /* " */) {
      i = endOfString(text, i);
    } else if (code === 58 /* : */) {
      members++;
    } else if (code === 123 /* { */ || code === 91 /* [ */) {
      if (++depth > deepest) deepest = depth;
    } else if (code === 125 /* } */ || code === 93 /* ] */) {
      depth--;
    }
  }
  return { depth: deepest, members };
}

function endOfString(text: string, start: number): number {
  let end = start;
  for (;;) {
    end = text.indexOf('"', end + 1);
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 92) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

/** The members that survived parsing: fewer than in the text when a key was named twice. */
function countMembers(value: Json): number {
  if (value === null || typeof value !== "object") {
    requirePortable(value);
    return 0;
  }
  let members = 0;
  if (Array.isArray(value)) {
    for (const item of value) members += countMembers(item);
    return members;
  }
  for (const key of Object.keys(value)) {
    const member = value[key] as Json;
    requirePortable(key);
    if (
      key === "__proto__" ||
      (key === "constructor" && isObject(member) && Object.hasOwn(member, "prototype"))
    ) {
      throw new Refusal("bad-json", `The key "${key}" is not allowed here; choose another name.`);
    }
    members += 1 + countMembers(member);
  }
  return members;
}

/** What others would read differently, or not at all. */
function requirePortable(scalar: null | boolean | number | string): void {
  if (typeof scalar === "string" && !scalar.isWellFormed()) {
    throw new Refusal("bad-json", "A string holds half of a surrogate pair; send whole characters.");
  }
  if (typeof scalar === "number" && !Number.isFinite(scalar)) {
    throw new Refusal("bad-json", "A number is too large for a double (IEEE 754); send it as a string.");
  }
}

function isObject(value: Json): value is { [key: string]: Json } {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
