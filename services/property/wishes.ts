// Wishes: what a writer asks for, and the bounds that it must keep.
// In: wishes and terms as parsed. Out: the same, or a Refusal that names the bound. Never: a look at the log.
import { randomUUID } from "node:crypto";
import { type Address, rootOf } from "../core/address.ts";
import type { Json } from "../core/json.ts";
import { requireLeaseSeconds } from "../core/lease-bounds.ts";
import type { Principal } from "../core/principal.ts";
import type { Cause } from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import type { OnceKey } from "./once.ts";

export interface LeaseWish {
  readonly seconds: number;
  readonly id?: string | undefined;
  readonly default?: Json | undefined;
}

export interface ValueWish {
  readonly value: Json;
  readonly lease?: LeaseWish | undefined;
  readonly view?: string | undefined;
}

/** What must hold of the property before it is changed. */
export interface Condition {
  /** The revision that it must have; 0: it must not be there; "any": it must be there. */
  readonly revision: number | "any";
}

export interface Terms {
  readonly condition?: Condition | undefined;
  readonly once?: OnceKey | undefined;
  readonly cause?: Cause | undefined;
}

const valueBytesMax = 64 * 1024;

/** For what nobody can be granted: nodes, types, decisions. The answer is the same whether the node exists or not. */
export function requireOwner(who: Principal, node: Address): void {
  if (rootOf(node).text === who.address.text) return;
  throw new Refusal("forbidden", "Only the owner of a node may do this.");
}

export function requireCondition({ revision }: Condition, present: number | undefined): void {
  if (revision === "any" ? present !== undefined : revision === (present ?? 0)) return;
  throw new Refusal(
    "revision-mismatch",
    present === undefined ? "The property is not there." : `The property is at revision ${present}.`,
  );
}

export function requireSize(value: Json, pointer: string): void {
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes <= valueBytesMax) return;
  throw new Refusal("value-too-large", `The value has ${bytes} bytes.`, [
    { pointer, detail: `must have at most ${valueBytesMax} bytes as JSON` },
  ]);
}

export function requireLease(
  lease: LeaseWish,
  pointer: string,
): { id: string; seconds: number; default?: Json } {
  const { seconds } = lease;
  requireLeaseSeconds(seconds, pointer);
  const id = lease.id ?? randomUUID();
  return lease.default === undefined ? { id, seconds } : { id, seconds, default: lease.default };
}
