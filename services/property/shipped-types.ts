// The property types that every domain has, read from schemas/types/.
// In: the JSON files beside the code. Out: schema and default visibility by property name.
// Never: a type that the operator or a user defined.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { VISIBILITIES, type Visibility } from "./schema-rules.ts";

export type ShippedType = { schema: object; visibility: Visibility };

const FOLDER = new URL("../../schemas/types/", import.meta.url);

/** Reads from disk, so once, at start. */
export function loadShippedTypes(): Map<string, ShippedType> {
  const types = new Map<string, ShippedType>();
  for (const file of readdirSync(FOLDER).sort()) {
    if (!file.endsWith(".json")) continue;
    const name = file.slice(0, -".json".length);
    const schema = JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as Record<string, unknown>;
    const visibility = VISIBILITIES.find((known) => known === schema["x-visibility"]);
    assert(visibility !== undefined, `schemas/types/${file} has no x-visibility`);
    assert.equal(schema.$id, `urn:tidings:type:${name}`, `schemas/types/${file} has another type's $id`);
    types.set(name, { schema, visibility });
  }
  return types;
}
