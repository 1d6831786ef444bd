// Validation of requests: strict for bodies, with coercion for query strings, which are text.
// In: the wire shapes. Out: validators for fastify. Never: a field dropped or changed without a word.
import { Ajv2020, type Options } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import type { FastifySchemaCompiler } from "fastify";

export function ajvCompiler(): FastifySchemaCompiler<unknown> {
  const shared: Options = { strict: false, allErrors: false, removeAdditional: false, useDefaults: true };
  const strict = new Ajv2020({ ...shared, coerceTypes: false });
  const lenient = new Ajv2020({ ...shared, coerceTypes: "array" });
  for (const ajv of [strict, lenient]) addFormats.default(ajv);
  return ({ schema, httpPart }) => (httpPart === "querystring" ? lenient : strict).compile(schema as object);
}
