// Addresses and property names: parsed once at the edge into types that cannot be wrong inside.
// In: text from a URL or a body. Out: an Address, a PropertyName, or a Refusal. Never: a guess at what was meant.
import { Refusal } from "./refusal.ts";
import { remembered } from "./remembered.ts";

declare const brand: unique symbol;
export type PropertyName = string & { readonly [brand]: "PropertyName" };

/** A node's address: `local@domain`, or `local@domain/seg/seg` for a child node. */
export interface Address {
  readonly local: string;
  readonly domain: string;
  /** 0 to 8 segments; empty for the node of an account. */
  readonly path: readonly string[];
  /** The one spelling: lower case before the path. */
  readonly text: string;
}

/** A node alone, with the nodes right under it, or with everything under it. */
export type Depth = "0" | "1" | "infinity";

const localPattern = /^[a-z0-9][a-z0-9._+-]{0,63}$/;
const labelPattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const segmentPattern = /^[A-Za-z0-9._~-]{1,64}$/;
const namePattern = /^[a-z0-9][a-z0-9.-]{0,126}$/;
/** 64 + 1 + 253 + 8 × 65, and the prefix `acct:`. */
const addressLengthMax = 843;

/** A node that is written is mostly written again. */
const recentMax = 1_000;

/** Parses `local@domain[/path]`, with or without `acct:` (RFC 7565). Letters before the path compare in lower case. */
export const parseAddress: (given: string) => Address = remembered(recentMax, readAddress);

function readAddress(given: string): Address {
  if (given.length > addressLengthMax) throw badAddress(given);
  const text = given.startsWith("acct:") ? given.slice(5) : given;
  const [head = "", ...path] = text.split("/");
  const at = head.indexOf("@");
  // Only ASCII letters are lowered: a Kelvin sign must not become a k.
  const local = lowerAscii(head.slice(0, Math.max(at, 0)));
  const domain = lowerAscii(head.slice(at + 1));
  if (at < 1 || !isLocal(local) || !isDomain(domain)) throw badAddress(given);
  if (path.length > 8 || !path.every(isSegment)) throw badAddress(given);
  return makeAddress(local, domain, path);
}

/** An address from parts that are known to be right. */
export function makeAddress(local: string, domain: string, path: readonly string[] = []): Address {
  return { local, domain, path, text: [`${local}@${domain}`, ...path].join("/") };
}

export function parseHandle(given: string): string {
  const local = lowerAscii(given);
  if (!isLocal(local)) {
    throw new Refusal("bad-address", `"${shown(given)}" cannot be a handle.`, [
      { pointer: "/handle", detail: "must match [a-z0-9][a-z0-9._+-]{0,63}" },
    ]);
  }
  return local;
}

/** RFC 5321 §4.5.3.1: what a mailbox may be at most. */
const emailPattern = /^[^\s@<>"(),:;[\]\\]{1,64}@[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** One spelling of an e-mail address, in lower case: no provider in use tells `Ann@` from `ann@`. Undefined if it is none. */
export function emailOf(text: string): string | undefined {
  const email = text.toLowerCase();
  return emailPattern.test(email) ? email : undefined;
}

export function isDomain(text: string): boolean {
  return text.length <= 253 && text.split(".").every((label) => labelPattern.test(label));
}

export function parsePropertyName(given: string): PropertyName {
  if (!namePattern.test(given)) throw new Refusal("bad-name", `"${shown(given)}" is not a property name.`);
  return given as PropertyName;
}

/** The address of the account that a node lies under. */
export function rootOf(address: Address): Address {
  return address.path.length === 0 ? address : makeAddress(address.local, address.domain);
}

/** Whether a path lies within the depth of a node's path. */
export function isWithin(path: readonly string[], top: readonly string[], depth: Depth): boolean {
  const below = path.length - top.length;
  if (below < 0 || (depth === "0" && below > 0) || (depth === "1" && below > 1)) return false;
  return top.every((segment, index) => segment === path[index]);
}

export function parentOf(address: Address): Address {
  return makeAddress(address.local, address.domain, address.path.slice(0, -1));
}

function isLocal(text: string): boolean {
  return localPattern.test(text);
}

function isSegment(text: string): boolean {
  // "." and ".." would be resolved away by the URL parsers of clients and proxies (RFC 3986 §5.2.4).
  return segmentPattern.test(text) && text !== "." && text !== "..";
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function badAddress(given: string): Refusal {
  return new Refusal("bad-address", `"${shown(given)}" is not an address.`);
}

/** What was given, short and without control characters, for a message. */
function shown(given: string): string {
  const text = given.length > 80 ? `${given.slice(0, 80)}…` : given;
  return text.replace(/[^\x20-\x7e…]/g, "?").replace(/"/g, "'");
}
