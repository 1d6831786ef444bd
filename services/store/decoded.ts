// Decoding: what a fact says, read once for each fact however many ask.
// In: a way to read a fact. Out: the same, remembered as long as the fact is. Never: a copy; whoever gets it must not change it.
import { decodeProperty } from "../core/fact.ts";
import type { Fact } from "./log.ts";

export function oncePerFact<T>(decode: (fact: Fact) => T): (fact: Fact) => T {
  const known = new WeakMap<Fact, { readonly value: T }>();
  return (fact) => {
    let entry = known.get(fact);
    if (entry === undefined) {
      entry = { value: decode(fact) };
      known.set(fact, entry);
    }
    return entry.value;
  };
}

/** The property that a fact of kind `property` holds. */
export const stateOf = oncePerFact((fact) => decodeProperty(fact.body, fact.position));
