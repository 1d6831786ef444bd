// Subjects: where a fact lies in the log, as `t.<domain>.<local>.<path>.<kind>.<name>`, every token escaped.
// In: an address, a kind, a name. Out: a subject, and back. Never: a wildcard or a separator that somebody put into a name.
import { type Address, makeAddress } from "../core/address.ts";
import { Refusal } from "../core/refusal.ts";

export type FactKind =
  | "node"
  | "property"
  | "policy"
  | "block"
  | "answer"
  | "watcher"
  | "subscription"
  | "type"
  | "member"
  | "message"
  | "interest"
  | "receipt"
  | "ack"
  | "forward"
  | "match"
  | "once"
  | "term"
  | "crowd"
  | "left";

export interface Place {
  readonly address: Address;
  readonly kind: FactKind;
  readonly name: string;
}

/** The longest legal address and name need 2,660 bytes; the server drops connections near 4,096. */
const subjectBytesMax = 3072;
/** Stands for the empty string; no escape looks like it. */
const empty = "=";
const plain = /^[A-Za-z0-9_-]+$/;

/** Keeps [A-Za-z0-9_-]; every other byte of the UTF-8 becomes `=HH`. */
export function escapeToken(text: string): string {
  if (text === "") return empty;
  if (plain.test(text)) return text;
  let token = "";
  for (const byte of Buffer.from(text, "utf8")) {
    const letter = String.fromCharCode(byte);
    token += plain.test(letter) ? letter : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}

export function unescapeToken(token: string): string {
  if (token === empty) return "";
  if (!token.includes("=")) return token;
  return Buffer.from(
    token.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  ).toString("utf8");
}

export function subjectOf(address: Address, kind: FactKind, name = ""): string {
  const subject = `${nodePrefix(address)}.${kind}.${escapeToken(name)}`;
  if (subject.length > subjectBytesMax)
    throw new Refusal("bad-address", "The address and name are too long together.");
  return subject;
}

/** Every fact of one node, its children's not among them. */
export function factsOfNode(address: Address, kind?: FactKind): string {
  return `${nodePrefix(address)}.${kind ?? "*"}.*`;
}

/** Facts of one kind of an account's node and of all nodes under it. */
export function factsOfEveryPath(address: Address, kind: FactKind): string {
  return `t.${escapeToken(address.domain)}.${escapeToken(address.local)}.*.${kind}.*`;
}

/** Every fact of an account's node and of all nodes under it. */
export function factsOfTree(address: Address): string {
  return `t.${escapeToken(address.domain)}.${escapeToken(address.local)}.>`;
}

export function placeOf(subject: string): Place {
  const [, domain = "", local = "", path = "", kind = "", name = ""] = subject.split(".");
  const segments = unescapeToken(path);
  const address = makeAddress(
    unescapeToken(local),
    unescapeToken(domain),
    segments === "" ? [] : segments.split("/"),
  );
  return { address, kind: kind as FactKind, name: unescapeToken(name) };
}

/** The name alone, for whoever knows the node. */
export function nameOf(subject: string): string {
  return unescapeToken(subject.slice(subject.lastIndexOf(".") + 1));
}

function nodePrefix(address: Address): string {
  return `t.${escapeToken(address.domain)}.${escapeToken(address.local)}.${escapeToken(address.path.join("/"))}`;
}
