// Decoding: what a fact says, read once for each fact however many ask.
// In: a way to read a fact. Out: the same, remembered as long as the fact is. Never: a copy; whoever gets it must not change it.
import { decodeProperty, type NodeFact } from "../core/fact.ts";
import type { Fact } from "./log.ts";

/** One way to read a fact: what it says is kept in the fact itself, so that a fact must be read in one way only. */
export function oncePerFact<T>(decode: (fact: Fact) => T): (fact: Fact) => T {
  return (fact) => {
    fact.decoded ??= { value: decode(fact) };
    return fact.decoded.value as T;
  };
}

/** The property that a fact of kind `property` holds. */
export const stateOf = oncePerFact((fact) => decodeProperty(fact.body, fact.position));

/** The node that a fact of kind `node` tells of; undefined once it was deleted. */
export const nodeOf = oncePerFact((fact): NodeFact | undefined => {
  const node = JSON.parse(fact.body) as Partial<NodeFact>;
  return node.nodeKind === undefined ? undefined : (node as NodeFact);
});
