// /v1/types and /v1/nodes/{me}/types: what values must look like, for the domain and for one's own properties.
// In: HTTP requests. Out: calls to the property service, answers. Never: a schema stored that cannot be used.
import type { FastifyInstance } from "fastify";
import { PropertyType, PropertyTypes, TypePut } from "../../schemas/wire/shapes.ts";
import type { Accounts } from "../accounts/accounts.ts";
import { type Address, parseAddress, parsePropertyName } from "../core/address.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { type PropertyService, requireOwner, type TypeShape } from "../property/properties.ts";
import { describe } from "./route.ts";

const tag = "Property types";
const name = { name: "The property's name." };
const own = { address: "The caller's own address.", ...name };
const found = { 200: { description: "The type.", schema: PropertyType } };
const put = {
  200: { description: "Replaced.", schema: PropertyType },
  201: { description: "Created.", schema: PropertyType },
};
const gone = { 204: { description: "Gone, or it never was.", schema: null } };

interface OwnParams {
  address: string;
  name: string;
}

export function typeRoutes(
  app: FastifyInstance,
  { properties, accounts }: { properties: PropertyService; accounts: Pick<Accounts, "audit"> },
): void {
  const { types } = properties;
  const { audit } = accounts;

  app.get(
    "/v1/types",
    describe({
      id: "listTypes",
      summary: "The property types of the domain",
      tag,
      access: "open",
      answers: { 200: { description: "Shipped types and those of the domain.", schema: PropertyTypes } },
      refusals: [],
    }),
    async () => ({ types: types.list() }),
  );

  app.get<{ Params: { name: string } }>(
    "/v1/types/:name",
    describe({
      id: "readType",
      summary: "One property type of the domain",
      tag,
      access: "open",
      params: name,
      answers: found,
      refusals: ["bad-name", "not-found"],
    }),
    async (request) => present(types.get(parsePropertyName(request.params.name))),
  );

  app.put<{ Params: { name: string }; Body: TypePut }>(
    "/v1/types/:name",
    describe({
      id: "setType",
      summary: "Set a property type for the whole domain",
      tag,
      access: "operator",
      params: name,
      body: TypePut,
      answers: put,
      refusals: ["bad-name", "storage-full", "type-invalid"],
    }),
    async (request, reply) => {
      const { type, created } = await types.put(
        parsePropertyName(request.params.name),
        request.body as never,
      );
      audit.record("type.set", { type: type.name });
      return reply.code(created ? 201 : 200).send(type);
    },
  );

  app.delete<{ Params: { name: string } }>(
    "/v1/types/:name",
    describe({
      id: "removeType",
      summary: "Remove a property type of the domain; a shipped one comes back as shipped",
      tag,
      access: "operator",
      params: name,
      answers: gone,
      refusals: ["bad-name", "storage-full"],
    }),
    async (request, reply) => {
      await types.remove(parsePropertyName(request.params.name));
      audit.record("type.removed", { type: request.params.name });
      return reply.code(204).send();
    },
  );

  app.get<{ Params: OwnParams }>(
    "/v1/nodes/:address/types/:name",
    describe({
      id: "readOwnType",
      summary: "A custom type of one's own",
      tag,
      access: "account",
      params: own,
      answers: found,
      refusals: ["bad-address", "bad-name", "forbidden", "not-found"],
    }),
    async (request) => {
      const address = ownAddress(request.caller as Principal, request.params.address);
      return present(await types.getOwn(address, parsePropertyName(request.params.name)));
    },
  );

  app.put<{ Params: OwnParams; Body: TypePut }>(
    "/v1/nodes/:address/types/:name",
    describe({
      id: "setOwnType",
      summary: "Set a custom type for one's own properties, where the domain has none of that name",
      tag,
      access: "account",
      params: own,
      body: TypePut,
      answers: put,
      refusals: [
        "bad-address",
        "bad-name",
        "forbidden",
        "scope-missing",
        "storage-full",
        "type-invalid",
        "type-taken",
      ],
    }),
    async (request, reply) => {
      const address = ownAddress(request.caller as Principal, request.params.address);
      requireScope(request.caller as Principal, "write", request.params.name);
      const { type, created } = await types.putOwn(
        address,
        parsePropertyName(request.params.name),
        request.body as never,
      );
      return reply.code(created ? 201 : 200).send(type);
    },
  );

  app.delete<{ Params: OwnParams }>(
    "/v1/nodes/:address/types/:name",
    describe({
      id: "removeOwnType",
      summary: "Remove a custom type of one's own",
      tag,
      access: "account",
      params: own,
      answers: gone,
      refusals: ["bad-address", "bad-name", "forbidden", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      const address = ownAddress(request.caller as Principal, request.params.address);
      requireScope(request.caller as Principal, "write", request.params.name);
      await types.removeOwn(address, parsePropertyName(request.params.name));
      return reply.code(204).send();
    },
  );
}

function ownAddress(who: Principal, text: string): Address {
  const address = parseAddress(text);
  requireOwner(who, address);
  if (address.path.length > 0)
    throw new Refusal("bad-address", "Custom types belong to an account, not to a child node.");
  return address;
}

function present(type: TypeShape | undefined): TypeShape {
  if (type === undefined) throw new Refusal("not-found", "There is no such type.");
  return type;
}
