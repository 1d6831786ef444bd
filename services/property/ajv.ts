// How JSON Schemas become validators: ajv for 2020-12, RE2 for patterns, formats that cannot backtrack.
// In: schemas, ours or users'. Out: functions from a value to its errors. Never: fetches a reference; compiles
// a user's schema on the main thread, which is the caller's part (schema-worker.ts).

import type { ErrorObject, Options, ValidateFunction } from "ajv/dist/2020.js";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { RE2JS } from "re2js";
import { DIALECT, ERRORS_MAX, lintSchema, measureSchema, type SchemaError } from "./schema-rules.ts";

/** No errors: the value fits. Throws `BrokenSchema`. */
export type Validate = (value: unknown) => SchemaError[];

/** The schema has no answer for this value: neither that it fits nor that it does not. */
export class BrokenSchema extends Error {
  override readonly name = "BrokenSchema";
}

const DETAIL_CHARS_MAX = 300;
const NAME_CHARS_MAX = 64;
const POINTER_CHARS_MAX = 1024;
/** Of generated code for one schema. A schema of 16 KiB needs far less unless it is built to explode. */
const CODE_CHARS_MAX = 1024 * 1024;

const EXAMPLES = new Map([
  ["date", '"2026-12-24"'],
  ["date-time", '"2026-12-24T18:00:00Z"'],
  ["time", '"18:00:00Z"'],
  ["duration", '"PT30M"'],
  ["uri", '"https://example.com/a"'],
  ["email", '"alice@example.com"'],
  ["idn-email", '"alice@example.com"'],
]);

/** Patterns by RE2: linear in the length of the value, whatever the pattern (ReDoS is no longer a word). */
class Patterns {
  readonly #compiled = new Map<string, RE2JS>();

  compile(pattern: string): RE2JS {
    let compiled = this.#compiled.get(pattern);
    if (compiled === undefined) {
      // The translation turns ECMA-262 escapes (\u0041, (?<name>)) into RE2's, but `\k<name>` into plain text.
      if (/^(?:[^\\]|\\[^k])*\\k/su.test(pattern)) throw new SyntaxError("invalid escape sequence: `\\k`");
      compiled = RE2JS.compile(RE2JS.translateRegExp(pattern));
      this.#compiled.set(pattern, compiled);
    }
    return compiled;
  }

  /** Why RE2 does not take this pattern; nothing if it does. */
  refuse(pattern: string): string | undefined {
    try {
      this.compile(pattern);
      return undefined;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return clip(
        `the pattern is not one that RE2 takes (${reason.replace(/^error parsing regexp: /, "")}); ` +
          "lookahead, lookbehind and backreferences have no linear time, write it without them",
      );
    }
  }
}

function createAjv(patterns: Patterns, options: Options): Ajv2020 {
  let codeChars = 0;
  const ajv = new Ajv2020({
    // One error (with anyOf: one a branch) is enough to say no; all of them would be work the sender chooses.
    allErrors: false,
    // `toString` and `constructor` are names like any other: only what the value itself has counts.
    ownProperties: true,
    // Copying a definition to where it is used lets a small schema grow into megabytes of code.
    inlineRefs: false,
    logger: false,
    // Each instance compiles one schema, so nothing of it can meet another's `$id`, or outlive its eviction.
    meta: false,
    validateSchema: false,
    keywords: ["x-visibility"],
    ...options,
    code: {
      regExp: Object.assign((pattern: string) => patterns.compile(pattern), { code: "RE2" }),
      process: (code: string) => {
        codeChars += code.length;
        if (codeChars > CODE_CHARS_MAX) throw new Error("the schema is too complex; make it smaller");
        return code;
      },
    },
  });
  addFormats.default(ajv);
  // The package's `url` backtracks in the square of the length, and `regex` takes what we refuse as a pattern.
  ajv.addFormat("url", (text: string) => /^(?:https?|ftp):\/\//i.test(text) && URL.canParse(text));
  ajv.addFormat("regex", (text: string) => text.length <= 1024 && new Patterns().refuse(text) === undefined);
  // RFC 6531 addresses are not in the package. One @ with something on both sides is what can be said cheaply.
  ajv.addFormat("idn-email", (text: string) => text.length <= 254 && /^[^\s@]+@[^\s@]+$/u.test(text));
  return ajv;
}

/** For schemas of our own: strict, so that a misspelt keyword of ours is an error at start. */
export function compileTrusted(schema: object): Validate {
  return validator(createAjv(new Patterns(), { strict: true }).compile(schema));
}

/**
 * For schemas of users; only inside a worker, because both compiling and validating may take for ever.
 * The function that it returns checks everything that `SchemaCheck.check` promises.
 */
export function createUserCompiler(): (
  schema: unknown,
) => { errors: SchemaError[] } | { validate: Validate } {
  const metaSchema = new Ajv2020({ strict: false, logger: false }).getSchema(DIALECT);
  if (metaSchema === undefined) throw new Error("ajv has lost the meta-schema of 2020-12");
  const fitsDialect = validator(metaSchema as ValidateFunction);

  return (schema) => {
    const patterns = new Patterns();
    const tooLarge = measureSchema(schema);
    if (tooLarge.length > 0) return { errors: tooLarge };
    const refused = lintSchema(schema as object, (pattern) => patterns.refuse(pattern));
    if (refused.length > 0) return { errors: refused };
    const malformed = fitsDialect(schema);
    if (malformed.length > 0) return { errors: malformed };
    // The root's `$id` names the type for its author; to the compiler it would only be a base for references.
    const { $id: _, ...unnamed } = schema as { $id?: unknown };
    try {
      return { validate: validator(createAjv(patterns, { strict: false }).compile(unnamed)) };
    } catch (error) {
      return { errors: [{ pointer: "", detail: `the schema cannot be used: ${messageOf(error)}` }] };
    }
  };
}

function validator(compiled: ValidateFunction): Validate {
  return (value) => {
    try {
      return compiled(value) ? [] : explain(compiled.errors ?? []);
    } catch (error) {
      // Stack overflow: `{"$ref":"#"}` is valid JSON Schema and has no answer.
      if (error instanceof RangeError)
        throw new BrokenSchema("the schema refers to itself without end; let each reference look deeper");
      throw new BrokenSchema(`the schema cannot be applied: ${messageOf(error)}`);
    }
  };
}

function explain(failures: ErrorObject[]): SchemaError[] {
  const seen = new Map<string, SchemaError>();
  for (const failure of failures) {
    const pointer = failure.instancePath.length > POINTER_CHARS_MAX ? "" : failure.instancePath;
    const detail = clip(describe(failure));
    seen.set(`${pointer} ${detail}`, { pointer, detail });
    if (seen.size === ERRORS_MAX) break;
  }
  return [...seen.values()];
}

function describe({ keyword, params, message, propertyName }: ErrorObject): string {
  const prefix =
    propertyName === undefined ? "" : `property name ${JSON.stringify(clip(propertyName, NAME_CHARS_MAX))} `;
  switch (keyword) {
    case "enum":
      return `${prefix}must be one of ${(params.allowedValues as unknown[]).map((v) => JSON.stringify(v)).join(", ")}`;
    case "const":
      return `${prefix}must be ${JSON.stringify(params.allowedValue)}`;
    case "additionalProperties":
      return `must not have the property ${JSON.stringify(params.additionalProperty)}`;
    case "unevaluatedProperties":
      return `must not have the property ${JSON.stringify(params.unevaluatedProperty)}`;
    case "format": {
      const example = EXAMPLES.get(params.format);
      return `${prefix}must match format "${params.format}"${example === undefined ? "" : `, such as ${example}`}`;
    }
    case "false schema":
      return "is not allowed";
    default:
      return prefix + (message ?? `fails "${keyword}"`);
  }
}

function messageOf(error: unknown): string {
  return clip(error instanceof Error ? error.message : String(error));
}

function clip(text: string, charsMax = DETAIL_CHARS_MAX): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`;
}
