// Validation of requests: strict for bodies, with coercion for query strings, which are text.
// In: the wire shapes. Out: validators for fastify. Never: a field dropped or changed without a word.
import { Ajv2020, type ErrorObject, type Options, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { FastifySchemaCompiler } from "fastify";

/** As ajv makes them, as far as they are asked here. */
export interface Validator {
  (data: unknown): boolean;
  errors: ErrorObject[] | null;
}

export function ajvCompiler(): FastifySchemaCompiler<unknown> {
  const shared: Options = { strict: false, allErrors: false, removeAdditional: false, useDefaults: true };
  const strict = new Ajv2020({ ...shared, coerceTypes: false });
  const lenient = new Ajv2020({ ...shared, coerceTypes: "array" });
  for (const ajv of [strict, lenient]) addFormats.default(ajv);
  return ({ schema, httpPart }) => whenAsked(httpPart === "querystring" ? lenient : strict, schema as object);
}

/** Compiled by the first who comes: all of them together take longer than all else that a start does. */
export function whenAsked(ajv: Ajv2020, schema: object): Validator {
  let compiled: ValidateFunction | undefined;
  const validate = (data: unknown): boolean => {
    compiled ??= ajv.compile(schema);
    const isValid = compiled(data);
    validate.errors = compiled.errors ?? null;
    return isValid;
  };
  validate.errors = null as ErrorObject[] | null;
  return validate;
}
