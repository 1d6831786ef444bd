// The oracle: what a search must find, by reading every node as whoever asks, slowly and plainly.
// In: nodes as they are read, a question. Out: addresses and values, in order. Never: a line of the directory's own code.
import { createHash } from "node:crypto";
import { parseAddress } from "../../services/core/address.ts";
import type { Json } from "../../services/core/json.ts";
import { Refusal } from "../../services/core/refusal.ts";
import type { Look } from "../../services/property/properties.ts";
import type { SmallWorld } from "./small-world.ts";

export type Seen = Readonly<Record<string, Json>>;

export interface Question {
  readonly q?: string;
  readonly where?: string;
  /** The same as `where`, in JavaScript. */
  readonly is?: (seen: Seen, address: string) => unknown;
}

/** Everything that whoever looks may see of these nodes. */
export async function seenBy(
  world: SmallWorld,
  look: Look,
  addresses: Iterable<string>,
): Promise<ReadonlyMap<string, Seen>> {
  const all = new Map<string, Seen>();
  for (const address of addresses) {
    try {
      const select = { patterns: [], matches: () => true };
      const node = await world.reader.node(look, parseAddress(address), select, "0");
      const values = Object.entries(node.properties).map(([name, { value }]) => [name, value]);
      all.set(address, Object.fromEntries(values) as Seen);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
  return all;
}

export function mustFind(
  epoch: string,
  seen: ReadonlyMap<string, Seen>,
  { q, is }: Question,
): readonly (readonly [address: string, seen: Seen])[] {
  return [...seen]
    .filter(([address, values]) => q === undefined || holdsWords(q, address, values))
    .filter(([address, values]) => is === undefined || passes(is, address, values))
    .sort(([a], [b]) => (place(epoch, a) < place(epoch, b) ? -1 : 1));
}

function passes(is: NonNullable<Question["is"]>, address: string, values: Seen): boolean {
  try {
    return is(values, address) === true;
  } catch {
    // A property or a field that is missing.
    return false;
  }
}

function place(epoch: string, address: string): bigint {
  const digest = createHash("sha256").update(`${epoch} ${address}`).digest("hex");
  return BigInt(`0x${digest.slice(0, 16)}`) / 2n;
}

function holdsWords(q: string, address: string, values: Seen): boolean {
  const held = new Set([address, ...textsIn(values)].flatMap(plainWords));
  return plainWords(q).every((word) => held.has(word));
}

function textsIn(value: Json): readonly string[] {
  if (typeof value === "string" || typeof value === "number") return [String(value)];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}

function plainWords(text: string): readonly string[] {
  return text
    .normalize("NFD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== "");
}
