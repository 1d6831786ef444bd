// /v1/nodes/{address}/properties/{name}: one property.
// In: HTTP requests. Out: calls to the property service, answers with ETags. Never: a 2xx before the change is durable.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Property, PropertyPut } from "../../schemas/wire/shapes.ts";
import { parseAddress, parsePropertyName } from "../core/address.ts";
import type { Principal } from "../core/principal.ts";
import type { ValueWish } from "../property/properties.ts";
import { matchesEntityTag, termsOf } from "./conditions.ts";
import { movedAnswer, requireHere } from "./forwards.ts";
import { lookOf, revealQuery } from "./look.ts";
import type { NodeDeps } from "./nodes.ts";
import { describe } from "./route.ts";

const tag = "Nodes and properties";
const path = "/v1/nodes/:address/properties/:name";
const params = {
  address: "The node's address, percent-encoded: alice@example.com%2Fbike.",
  name: "The property's name: [a-z0-9][a-z0-9.-]{0,126}.",
};
const conditions = {
  "if-match": 'The revision that the property must have, such as "17"; or * for any.',
  "if-none-match": "* demands that the property is not there.",
  "idempotency-key": "A retry with the same key has one effect and the same answer.",
};

interface PropertyParams {
  address: string;
  name: string;
}

const RemoveQuery = Type.Object(
  {
    view: Type.Optional(
      Type.String({ pattern: "^[A-Za-z0-9._~-]{1,64}$", description: "Remove this device's view alone." }),
    ),
  },
  { additionalProperties: false },
);

const ReadQuery = Type.Object(revealQuery, { additionalProperties: false });

export function propertyRoutes(app: FastifyInstance, { properties, lookups, forwarding }: NodeDeps): void {
  const { reader, writer } = properties;

  app.get<{ Params: PropertyParams; Querystring: { reveal?: string } }>(
    path,
    describe({
      id: "readProperty",
      summary: "A property, if the caller may see it",
      tag,
      access: "caller",
      params,
      query: ReadQuery,
      headers: { "if-none-match": "A revision that the caller has: 304 if it is still the present one." },
      answers: {
        200: { description: "The property, its revision as ETag.", schema: Property },
        304: { description: "The caller has it already.", schema: null },
        ...movedAnswer,
      },
      refusals: ["bad-address", "bad-name", "blocked", "moved", "not-found", "reveal-required"],
    }),
    async (request, reply) => {
      const address = parseAddress(request.params.address);
      const name = parsePropertyName(request.params.name);
      const look = await lookOf(request.caller, request.query.reveal, reader);
      const property = await lookups.read(request, address, () => reader.property(look, address, name));
      await requireHere(forwarding, { look, node: address, names: [name] }, request, reply);
      reply.header("etag", `"${property.revision}"`).header("cache-control", "private, no-cache");
      if (matchesEntityTag(request.headers["if-none-match"], property.revision))
        return reply.code(304).send();
      return property;
    },
  );

  app.put<{ Params: PropertyParams; Body: PropertyPut }>(
    path,
    describe({
      id: "setProperty",
      summary: "Set a property, leased or for good; durable when answered",
      tag,
      access: "account",
      params,
      headers: conditions,
      body: PropertyPut,
      answers: {
        200: { description: "Replaced.", schema: Property },
        201: { description: "Created.", schema: Property },
      },
      refusals: [
        "bad-address",
        "bad-lease",
        "bad-name",
        "bad-precondition",
        "blocked",
        "forbidden",
        "idempotency-mismatch",
        "not-found",
        "revision-mismatch",
        "scope-missing",
        "storage-full",
        "too-many-properties",
        "too-many-views",
        "value-invalid",
        "value-too-large",
      ],
    }),
    async (request, reply) => {
      const address = parseAddress(request.params.address);
      const name = parsePropertyName(request.params.name);
      const wish = request.body as ValueWish;
      const { property, created } = await writer.set(
        request.caller as Principal,
        address,
        name,
        wish,
        termsOf(request),
      );
      reply.header("etag", `"${property.revision}"`);
      return reply.code(created ? 201 : 200).send(property);
    },
  );

  app.delete<{ Params: PropertyParams; Querystring: { view?: string } }>(
    path,
    describe({
      id: "removeProperty",
      summary: "Remove a property, or one view of it",
      tag,
      access: "account",
      params,
      headers: conditions,
      query: RemoveQuery,
      answers: { 204: { description: "It is not there any more, or never was.", schema: null } },
      refusals: [
        "bad-address",
        "bad-name",
        "bad-precondition",
        "blocked",
        "forbidden",
        "idempotency-mismatch",
        "not-found",
        "revision-mismatch",
        "scope-missing",
        "storage-full",
      ],
    }),
    async (request, reply) => {
      const address = parseAddress(request.params.address);
      const name = parsePropertyName(request.params.name);
      await writer.remove(request.caller as Principal, address, name, request.query.view, termsOf(request));
      return reply.code(204).send();
    },
  );
}
