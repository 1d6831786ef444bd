// Which JSON Schemas (2020-12) we take from users: size, depth, references, dialect, patterns.
// In: a parsed schema. Out: what is wrong with it, with pointers into the schema.
// Never: compiles a schema, follows a reference, or runs a pattern of its own engine.

export type SchemaError = { pointer: string; detail: string };
export type SchemaVerdict = { ok: true } | { ok: false; errors: SchemaError[] };

const SCHEMA_BYTES_MAX = 16 * 1024;
const SCHEMA_DEPTH_MAX = 32;
export const DIALECT = "https://json-schema.org/draft/2020-12/schema";
export const VISIBILITIES = ["public", "contacts", "private"] as const;
export type Visibility = (typeof VISIBILITIES)[number];

/** In one verdict; more would not help anybody, and the sender chooses how many there are. */
export const ERRORS_MAX = 10;

/** Keywords whose value is data, where `$ref` or `$id` would be a plain member. */
const DATA = new Set([
  "const",
  "default",
  "dependentRequired",
  "enum",
  "examples",
  "required",
  "type",
  "$vocabulary",
]);
/** Keywords whose value maps names that the user chose to schemas. */
const MAPS = new Set([
  "$defs",
  "definitions",
  "dependencies",
  "dependentSchemas",
  "patternProperties",
  "properties",
]);

type JsonObject = { [key: string]: unknown };

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function segment(name: string): string {
  return `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** Cheap enough for the main thread: stops at the first thing that is too deep or too large. */
export function measureSchema(schema: unknown): SchemaError[] {
  if (!isObject(schema)) return [{ pointer: "", detail: "a schema must be a JSON object" }];
  let room = SCHEMA_BYTES_MAX;
  let tooDeep = false;
  const walk = (value: unknown, depth: number): void => {
    // Every member costs at least two bytes of JSON, so this ends early on what is far too large.
    room -= typeof value === "string" ? value.length + 2 : 2;
    if (room < 0 || tooDeep || typeof value !== "object" || value === null) return;
    if (depth > SCHEMA_DEPTH_MAX) {
      tooDeep = true;
      return;
    }
    // Member by member, since listing a million of them first would be the work that this avoids.
    for (const key in value) {
      if (!Array.isArray(value)) room -= key.length;
      walk((value as JsonObject)[key], depth + 1);
      if (room < 0 || tooDeep) return;
    }
  };
  walk(schema, 1);
  if (tooDeep)
    return [{ pointer: "", detail: `a schema may be nested ${SCHEMA_DEPTH_MAX} levels deep at most` }];
  if (room < 0 || Buffer.byteLength(JSON.stringify(schema)) > SCHEMA_BYTES_MAX)
    return [{ pointer: "", detail: `a schema may have ${SCHEMA_BYTES_MAX} bytes of JSON at most` }];
  return [];
}

/**
 * The rules beyond the meta-schema. The schema must have passed `measureSchema`, which bounds the recursion.
 * `refusePattern` answers why the pattern engine does not take a pattern, or nothing.
 */
export function lintSchema(
  schema: object,
  refusePattern: (pattern: string) => string | undefined,
): SchemaError[] {
  const errors: SchemaError[] = [];
  const targets = new Set<string>();
  const references: { pointer: string; target: string }[] = [];
  const refuse = (pointer: string, detail: string): void => {
    if (errors.length < ERRORS_MAX) errors.push({ pointer, detail });
  };

  const visit = (node: unknown, at: string): void => {
    if (Array.isArray(node)) {
      node.forEach((item, index) => {
        visit(item, `${at}/${index}`);
      });
      return;
    }
    if (typeof node === "boolean") targets.add(`#${at}`);
    if (!isObject(node)) return;
    targets.add(`#${at}`);
    for (const [keyword, value] of Object.entries(node)) {
      const pointer = at + segment(keyword);
      visitKeyword(keyword, value, at, pointer);
      if (DATA.has(keyword)) continue;
      if (MAPS.has(keyword) && isObject(value)) {
        for (const [name, member] of Object.entries(value)) visit(member, pointer + segment(name));
      } else {
        visit(value, pointer);
      }
    }
  };

  const visitKeyword = (keyword: string, value: unknown, at: string, pointer: string): void => {
    switch (keyword) {
      case "$ref":
      case "$dynamicRef":
      case "$recursiveRef": {
        if (typeof value !== "string") return;
        if (value.startsWith("#")) references.push({ pointer, target: value });
        else refuse(pointer, 'may only point into this schema ("#/$defs/…"); nothing is fetched');
        return;
      }
      case "$anchor":
      case "$dynamicAnchor": {
        if (typeof value !== "string") return;
        // The compiler keeps anchors as members of plain objects; these names would find the prototype's.
        if (value in {}) refuse(pointer, `${JSON.stringify(value)} cannot be an anchor; choose another name`);
        else targets.add(`#${value}`);
        return;
      }
      case "$id": {
        if (at !== "" && typeof value === "string")
          refuse(pointer, 'only the root may have an "$id"; use "$defs"');
        return;
      }
      case "$schema": {
        if (value !== DIALECT && value !== `${DIALECT}#`)
          refuse(pointer, `must be absent or ${JSON.stringify(DIALECT)}`);
        return;
      }
      case "$async":
      case "$data": {
        refuse(pointer, `${JSON.stringify(keyword)} is not part of JSON Schema 2020-12; remove it`);
        return;
      }
      case "pattern": {
        if (typeof value === "string") visitPattern(value, pointer);
        return;
      }
      case "patternProperties": {
        if (isObject(value))
          for (const name of Object.keys(value)) visitPattern(name, pointer + segment(name));
        return;
      }
      case "x-visibility": {
        if (at === "" && !VISIBILITIES.some((visibility) => visibility === value))
          refuse(pointer, `must be one of ${VISIBILITIES.map((v) => JSON.stringify(v)).join(", ")}`);
        return;
      }
      default:
    }
  };

  const visitPattern = (pattern: string, pointer: string): void => {
    const reason = refusePattern(pattern);
    if (reason !== undefined) refuse(pointer, reason);
  };

  visit(schema, "");
  for (const { pointer, target } of references) {
    const normal = normalReference(target);
    if (normal === undefined || !targets.has(normal))
      refuse(pointer, `${JSON.stringify(target)} points to nothing that is a schema in this document`);
  }
  return errors;
}

/** `#/a%20b/c` as the walk writes it (RFC 6901 §6); undefined when it is not percent-encoded UTF-8. */
function normalReference(reference: string): string | undefined {
  const fragment = reference === "#/" ? "#" : reference;
  try {
    return decodeURIComponent(fragment);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
