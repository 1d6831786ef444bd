// Match facts: that a node matches somebody's standing query, or does no more, under whoever asks.
// In: bodies of facts. Out: how it stands, and when that last changed. Never: a turn forgotten that a reader who was away has yet to hear of, short of very many.
import type { Address } from "../core/address.ts";
import type { NodeShape, PropertyShape } from "../property/properties.ts";
import { oncePerFact } from "../store/decoded.ts";
import type { Fact } from "../store/log.ts";
import { nameOf, subjectOf } from "../store/subjects.ts";

export type Shown = Readonly<Record<string, PropertyShape>>;

export interface Match {
  /** The subscription. */
  readonly id: string;
  /** The node's address. */
  readonly node: string;
  /** False once it does not match any more. */
  readonly isIn: boolean;
  /** What was visible when it came to match. */
  readonly properties: Shown;
  readonly atMs: number;
  /** Where in the log it turned before, and to what. */
  readonly before: readonly Turned[];
}

export type Turned = readonly [position: number, isIn: boolean];

interface Wire {
  in: boolean;
  at: number;
  p?: Shown;
  b?: readonly Turned[];
}

/** Characters of properties that are told of a match; what does not fit can be read. */
const shownMax = 16 * 1024;
/** Turns of one node that somebody who was away is told of; of more only the last. */
const turnsMax = 16;

/** Undefined once nobody keeps the query any more. */
export const matchOf = oncePerFact((fact: Fact): Match | undefined => {
  const wire = JSON.parse(fact.body) as Partial<Wire>;
  if (wire.in === undefined) return undefined;
  const [id = "", node = ""] = nameOf(fact.subject).split(" ");
  return { id, node, isIn: wire.in, properties: wire.p ?? {}, atMs: wire.at ?? 0, before: wire.b ?? [] };
});

export function matchSubject(subscriber: Address, id: string, node: string): string {
  return subjectOf(subscriber, "match", `${id} ${node}`);
}

/** @param fact how it stood before */
export function matchBody(isIn: boolean, properties: Shown, atMs: number, fact: Fact | undefined): string {
  const past = fact && matchOf(fact);
  const before = past ? [...past.before, [(fact as Fact).position, past.isIn] as const].slice(-turnsMax) : [];
  const wire: Wire = { in: isIn, at: atMs };
  if (isIn) wire.p = properties;
  if (before.length > 0) wire.b = before;
  return JSON.stringify(wire);
}

/** As many properties as are told of at once. */
export function shownOf({ properties }: NodeShape): Shown {
  const shown: Record<string, Shown[string]> = {};
  let length = 0;
  for (const [name, property] of Object.entries(properties)) {
    length += JSON.stringify(property).length;
    if (length > shownMax) break;
    shown[name] = property;
  }
  return shown;
}
