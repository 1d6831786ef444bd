// Facts of properties and nodes on their way into the log and out of it.
// In: states, and the facts that they follow. Out: appends on condition that those facts still are the last. Never: an append without a condition.
import { encodeProperty, isTombstone, isTombstoneBody, tombstoneSeconds } from "../core/fact.ts";
import { goneState, type PropertyState, settleRevisions } from "../core/property.ts";
import { Refusal } from "../core/refusal.ts";
import { nodeOf, stateOf } from "../store/decoded.ts";
import type { Append, Basis, Fact } from "../store/log.ts";
import { placeOf } from "../store/subjects.ts";
import type { Known } from "./change.ts";

/** All views of a property, as the log holds them. */
const propertyBytesMax = 256 * 1024;
/** Stands in every fact that holds a lease. */
const leaseKeyInBody = '"l":{';

export function propertyAppend(subject: string, next: PropertyState, fact: Fact | undefined): Append {
  const body = encodeProperty(next);
  if (body.length > propertyBytesMax)
    throw new Refusal("too-many-views", "The views of this property take too much room together.");
  const decodedAt = (position: number): PropertyState => settleRevisions(next, position);
  const append = { subject, body, ...basisOf(fact), decodedAt };
  return isTombstone(next) ? { ...append, keepSeconds: tombstoneSeconds } : append;
}

function basisOf(fact: Fact | undefined): Basis {
  return fact?.basis ?? { expected: fact?.position ?? 0 };
}

export function isLiveNode(fact: Fact | undefined): boolean {
  return fact !== undefined && nodeOf(fact) !== undefined;
}

/** The ends of whatever these facts are, on condition that they are still the last ones. */
export function tombstones(known: Known, keeper: string): Append[] {
  const appends: Append[] = [];
  for (const [subject, fact] of known) {
    if (fact === undefined || !isLive(fact)) continue;
    const body = subject.includes(".property.") ? encodeProperty(goneState(stateOf(fact), keeper)) : "{}";
    appends.push({ subject, body, ...basisOf(fact), keepSeconds: tombstoneSeconds });
  }
  return appends;
}

/** Most facts hold no lease: looking for the key is cheaper than reading them. */
export function mayBeLeased(fact: Fact): boolean {
  return fact.decoded ? fact.subject.includes(".property.") : fact.body.includes(leaseKeyInBody);
}

export function isLive(fact: Fact): boolean {
  switch (placeOf(fact.subject).kind) {
    case "property":
      return !isTombstoneBody(fact.body);
    case "node":
    case "policy":
    case "block":
    case "answer":
    case "watcher":
    case "subscription":
    case "type":
    case "member":
    case "message":
    case "interest":
    case "receipt":
    case "ack":
    case "forward":
    case "match":
      return fact.body !== "{}";
    case "once":
    case "term":
    case "crowd":
    case "left":
      return false;
  }
}
