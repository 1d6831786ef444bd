// Looks: who looks, and what it discloses of itself by `?reveal=`.
// In: a caller and names. Out: a Look with the values that the caller's own node holds. Never: a value that its owner did not name.
import { Type } from "typebox";
import { parseNamePatterns } from "../core/name-pattern.ts";
import type { Caller } from "../core/principal.ts";
import { type Look, nothingDisclosed, type PropertyService } from "../property/properties.ts";

export const revealQuery = {
  reveal: Type.Optional(
    Type.String({
      description:
        "Names of the caller's own properties, separated by commas, that it discloses to owners who ask for them.",
    }),
  ),
};

export type Reader = Pick<PropertyService["reader"], "own">;

export async function lookOf(
  caller: Caller,
  reveal: string | undefined,
  reader: Reader,
  via = "rest",
): Promise<Look> {
  if (caller === undefined || !reveal) return { caller, via, disclosed: nothingDisclosed };
  return { caller, via, disclosed: await reader.own(caller, parseNamePatterns(reveal)) };
}
