// Routes: how one is described, so that OpenAPI, authentication and refusals come from one place.
// In: who may call, what fits, what may be refused. Out: options for fastify. Never: a route that /openapi.json does not list.
import type { RouteShorthandOptions } from "fastify";
import type { TSchema } from "typebox";
import { Problem } from "../../schemas/wire/shapes.ts";
import type { Principal } from "../core/principal.ts";
import { type RefusalCode, refusals } from "../core/refusals.ts";

/** Who may call: anybody; anybody, but a token that is sent must be good; an account; the operator. */
export type Access = "open" | "caller" | "account" | "operator";

/** What the route's requests are counted as; one that changes something is a write as well. */
export type Counts = "request" | "subscription" | "registration" | "revocation" | "nothing";

declare module "fastify" {
  interface FastifyRequest {
    /** The account that calls; undefined without a token. */
    caller: Principal | undefined;
  }
  interface FastifyContextConfig {
    access?: Access;
    takesTicket?: boolean;
    counts?: Counts;
  }
}

export interface RouteDescription {
  readonly id: string;
  readonly summary: string;
  readonly tag: string;
  readonly access: Access;
  /** A browser may come with `?ticket=` in place of a header. */
  readonly takesTicket?: boolean;
  /** `request` if absent. */
  readonly counts?: Counts;
  readonly description?: string;
  readonly params?: Record<string, string>;
  readonly query?: TSchema;
  readonly body?: TSchema;
  /** Media types that the route reads besides JSON, each into what `body` describes. */
  readonly otherBodies?: Readonly<Record<string, TSchema>>;
  readonly headers?: Record<string, string>;
  /** By status; null: an answer without a body. */
  readonly answers: Record<number, AnswerDescription>;
  readonly refusals: readonly RefusalCode[];
}

interface AnswerDescription {
  readonly description: string;
  readonly schema: TSchema | null;
  readonly mediaType?: string;
  /** Media types besides, for whoever asks for them. */
  readonly others?: Readonly<Record<string, TSchema>>;
}

/** Refusals that any route may give. */
const everywhere: readonly RefusalCode[] = ["bad-request", "internal", "unavailable", "rate-limited"];
const ofBodies: readonly RefusalCode[] = ["bad-json", "too-deep", "body-too-large", "unsupported-media-type"];

function refusalsOf(route: RouteDescription): readonly RefusalCode[] {
  const codes = new Set<RefusalCode>([...route.refusals, ...everywhere]);
  if (route.body) for (const code of ofBodies) codes.add(code);
  if (route.access !== "open") codes.add("unauthenticated");
  if (route.access === "operator") codes.add("forbidden");
  return [...codes].sort();
}

export function describe(route: RouteDescription): RouteShorthandOptions {
  const {
    id,
    summary,
    tag,
    access,
    takesTicket = false,
    counts = "request",
    description,
    params,
    query,
    body,
    otherBodies,
    headers,
    answers,
  } = route;
  const schema: Record<string, unknown> = {
    operationId: id,
    summary,
    tags: [tag],
    security: access === "open" ? [] : access === "caller" ? [{}, { bearer: [] }] : [{ bearer: [] }],
    response: { ...describeAnswers(answers), ...describeRefusals(refusalsOf(route)) },
  };
  if (description !== undefined) schema.description = description;
  if (params) schema.params = stringObject(params, true);
  if (headers) schema.headers = stringObject(headers, false);
  if (query) schema.querystring = query;
  if (body) schema.body = body;
  const config = { access, takesTicket, counts };
  if (body === undefined || otherBodies === undefined) return { schema, config };
  const content = contentOf({ "application/json": body, ...otherBodies });
  // Validated as what is read from it, described as what is sent.
  const swaggerTransform = ({ url }: { url: string }) => ({ schema: { ...schema, body: { content } }, url });
  return { schema, config: { ...config, swaggerTransform } };
}

function contentOf(schemas: Readonly<Record<string, TSchema>>): Record<string, { schema: TSchema }> {
  return Object.fromEntries(Object.entries(schemas).map(([type, schema]) => [type, { schema }]));
}

function describeAnswers(answers: RouteDescription["answers"]): Record<string, unknown> {
  const described: Record<string, unknown> = {};
  for (const [status, answer] of Object.entries(answers)) {
    const { description, schema, mediaType = "application/json", others } = answer;
    described[status] =
      schema === null
        ? { description, type: "null" }
        : { description, content: contentOf({ [mediaType]: schema, ...others }) };
  }
  return described;
}

/** One answer a status, its description naming each code that it may carry. */
function describeRefusals(codes: readonly RefusalCode[]): Record<string, unknown> {
  const described: Record<string, unknown> = {};
  for (const status of new Set(codes.map((code) => refusals[code].status))) {
    const here = codes.filter((code) => refusals[code].status === status);
    described[status] = {
      description: here.map((code) => `\`${code}\`: ${refusals[code].title}.`).join(" "),
      content: { "application/problem+json": { schema: Problem } },
    };
  }
  return described;
}

function stringObject(members: Record<string, string>, required: boolean): object {
  const properties = Object.fromEntries(
    Object.entries(members).map(([name, description]) => [name, { type: "string", description }]),
  );
  return required
    ? { type: "object", properties, required: Object.keys(members) }
    : { type: "object", properties };
}

/** The methods of the route that stands at this path, parameters filled in. */
export function methodsAt(routes: ReadonlyMap<string, ReadonlySet<string>>, path: string): string[] {
  const segments = path.split("/");
  for (const [pattern, methods] of routes) {
    const wanted = pattern.split("/");
    const fits = wanted.every((want, index) => want.startsWith(":") || want === segments[index]);
    if (fits && wanted.length === segments.length) return [...methods].sort();
  }
  return [];
}
