// Answers: what a reader or a writer of properties gets back.
// In: states. Out: the shapes of the public contract. Never: a value that the reader may not see; callers ask first.
import { type LeaseShape, leaseShape, timestamp } from "../core/event.ts";
import type { Json } from "../core/json.ts";
import type { PropertyState, View } from "../core/property.ts";
import { visible } from "../core/property.ts";

export interface PropertyShape {
  readonly node: string;
  readonly name: string;
  readonly value: Json;
  readonly revision: number;
  /** RFC 3339 UTC with milliseconds. */
  readonly updated: string;
  readonly by: string;
  readonly lease?: LeaseShape;
}

export interface ChangeAnswer {
  /** True when the property was not there before. */
  readonly created: boolean;
  readonly changed: readonly PropertyShape[];
  readonly removed: readonly string[];
}

export function propertyShape(node: string, name: string, state: PropertyState): PropertyShape | undefined {
  const view = visible(state);
  return view && viewShape(node, name, view, state.revision);
}

function viewShape(node: string, name: string, view: View, revision: number): PropertyShape {
  const { value, updatedMs, by, lease } = view;
  const shape = { node, name, value, revision, updated: timestamp(updatedMs), by };
  return lease ? { ...shape, lease: leaseShape(lease) } : shape;
}

/** Turns offsets within an append into revisions. */
export function placeAnswer(answer: ChangeAnswer, first: number): ChangeAnswer {
  return {
    ...answer,
    changed: answer.changed.map((shape) => ({ ...shape, revision: first + shape.revision })),
  };
}
