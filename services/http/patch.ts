// Patches: several properties in one change, as REST and sockets ask for it and are answered.
// In: the fields of a request. Out: a call to the writer, and its answer's shape. Never: more names than a node may hold.
import { type Address, type PropertyName, parsePropertyName } from "../core/address.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { PropertyService, Terms, ValueWish } from "../property/properties.ts";

export interface PatchFields {
  readonly set?: Readonly<Record<string, unknown>> | undefined;
  readonly remove?: readonly string[] | undefined;
}

const namesMax = 500;

export async function patch(
  writer: PropertyService["writer"],
  who: Principal,
  node: Address,
  { set = {}, remove = [] }: PatchFields,
  terms: Terms,
): Promise<object> {
  const wishes = new Map<PropertyName, ValueWish>();
  for (const [name, wish] of Object.entries(set)) wishes.set(parsePropertyName(name), wish as ValueWish);
  const removals = [...new Set(remove.map(parsePropertyName))];
  if (wishes.size + removals.length > namesMax)
    throw new Refusal("too-many-properties", `A change names at most ${namesMax} properties.`);
  const { changed, removed } = await writer.patch(who, node, wishes, removals, terms);
  const properties = Object.fromEntries(changed.map((property) => [property.name, property]));
  return { address: node.text, properties, removed };
}
