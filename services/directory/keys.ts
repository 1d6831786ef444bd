// Keys: under which numbers and words nodes, places in properties and words stand in the index.
// In: addresses, places, words, and to whom they are open. Out: integers of 63 bits, tokens. Never: an order that anything but addresses decides.
import { hash } from "node:crypto";
import type { Json } from "../core/json.ts";
import type { Condition } from "./where.ts";

/** To whom something in the index may be open: to anyone, to some accounts, or to the account of this address alone. */
export type Realm = "anyone" | "some" | { readonly owner: string };

const cacheMax = 20_000;
const hashed = new Map<string, bigint>();

function hash63(text: string): bigint {
  const known = hashed.get(text);
  if (known !== undefined) return known;
  const key = hash("sha256", text, "buffer").readBigUInt64BE() >> 1n;
  if (hashed.size >= cacheMax) hashed.clear();
  hashed.set(text, key);
  return key;
}

/** The place of a node in every list: the same on all brokers of a log, and nobody's choice. */
export function nodeKey(epoch: string, address: string): bigint {
  return hash("sha256", `${epoch} ${address}`, "buffer").readBigUInt64BE() >> 1n;
}

export function ownerKey(owner: string): bigint {
  return hash63(`owner ${owner}`);
}

/** Of a place in a property, or with an empty path also of the property itself: whether it is there. */
export function placeKey(realm: Realm, name: string, path: readonly string[] | undefined): bigint {
  return hash63(`${realmKey(realm)} ${JSON.stringify([name, path ?? 0])}`);
}

/** As FTS5 takes it: letters and digits, none of which it looks into. */
export function wordToken(realm: Realm, word: string): string {
  return `${realmKey(realm)}${word}`;
}

function realmKey(realm: Realm): string {
  if (realm === "anyone") return "p";
  return realm === "some" ? "s" : `o${ownerKey(realm.owner).toString(16).padStart(16, "0")}`;
}

/** A scalar as the index orders it: numbers before texts, and booleans as texts that no text is. */
export type Indexed = number | string;

const prefixMax = 64;

/** Of a long text its beginning: texts that are equal or in order have beginnings that are so too. */
function indexed(value: string | number | boolean): Indexed {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? "b1" : "b0";
  return `s${[...value.slice(0, 2 * prefixMax)].slice(0, prefixMax).join("")}`;
}

/** What the index may hold where a condition is fulfilled: from, to, both included. */
export function rangeOf({ is, value }: Condition): readonly [Indexed, Indexed] {
  const key = indexed(value);
  if (is === "==") return [key, key];
  if (typeof value === "number") return is === ">=" ? [key, Number.MAX_VALUE] : [-Number.MAX_VALUE, key];
  if (typeof value === "boolean") return is === ">=" ? [key, "b1"] : ["b0", key];
  return is === ">=" ? [key, "t"] : ["s", key];
}

const scalarsMax = 100;
const depthMax = 8;

/** The first scalars of a value with their paths: what comes after them, an index does not find. */
export function scalarsOf(value: Json): readonly (readonly [path: readonly string[], value: Indexed])[] {
  const found: [readonly string[], Indexed][] = [];
  const visit = (part: Json, path: readonly string[]): void => {
    if (found.length >= scalarsMax || path.length > depthMax || part === null) return;
    if (typeof part !== "object") found.push([path, indexed(part)]);
    else if (!Array.isArray(part)) {
      for (const [key, member] of Object.entries(part)) visit(member, [...path, key]);
    }
  };
  visit(value, []);
  return found;
}
