// /v1/nodes/{address}: a node with its properties, child nodes, and changes of several properties at once.
// In: HTTP requests. Out: calls to the property service, answers. Never: a difference between what is hidden and what is not there.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Node, NodeNames, NodePatch, NodePut, Patched } from "../../schemas/wire/shapes.ts";
import { type Depth, parseAddress } from "../core/address.ts";
import type { Joining } from "../core/fact.ts";
import { matchNames, parseNamePatterns } from "../core/name-pattern.ts";
import { type NodeKind, type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Forwarding } from "../forward/forwarding.ts";
import { AnswerRoom, type NodeShape, type PropertyService, requireOwner } from "../property/properties.ts";
import { causeOf, onceOf, refuseConditions } from "./conditions.ts";
import { movedAnswer, requireHere } from "./forwards.ts";
import { lookOf, revealQuery } from "./look.ts";
import type { Lookups } from "./lookups.ts";
import { patch } from "./patch.ts";
import type { Quotas } from "./quotas.ts";
import { describe } from "./route.ts";

const tag = "Nodes and properties";
const address = { address: "The node's address, percent-encoded: alice@example.com%2Fbike." };

const NodeQuery = Type.Object(
  {
    properties: Type.Optional(
      Type.String({ description: "Names and patterns separated by commas: travel,profile.*" }),
    ),
    names: Type.Optional(Type.Boolean({ description: "Names alone, without values." })),
    depth: Type.Optional(Type.Enum(["0", "1", "infinity"])),
    ...revealQuery,
  },
  { additionalProperties: false },
);

/** Each so much of what nodes show costs as much as if it was read by itself: a value has no more. */
const charactersARequest = 64 * 1024;

/** How many requests it was besides the one that it came with. */
export function requestsOf({ looked }: AnswerRoom): number {
  return Math.floor(looked / charactersARequest);
}

interface NodeQueryShape {
  properties?: string;
  names?: boolean;
  depth?: Depth;
  reveal?: string;
}

export interface NodeDeps {
  readonly properties: PropertyService;
  readonly lookups: Lookups;
  readonly forwarding: Forwarding;
  readonly quotas: Pick<Quotas, "spend">;
}

export function nodeRoutes(
  app: FastifyInstance,
  { properties, lookups, forwarding, quotas }: NodeDeps,
): void {
  const { reader, writer, nodes } = properties;

  app.get<{ Params: { address: string }; Querystring: NodeQueryShape }>(
    "/v1/nodes/:address",
    describe({
      id: "readNode",
      summary: "A node with the properties that the caller may see",
      description: "With `names=true` a sorted list under `names` takes the place of `properties`.",
      tag,
      access: "caller",
      params: address,
      query: NodeQuery,
      answers: {
        200: { description: "The node.", schema: Type.Union([Node, NodeNames]) },
        ...movedAnswer,
      },
      refusals: [
        "answer-too-large",
        "bad-address",
        "bad-name",
        "blocked",
        "moved",
        "not-found",
        "reveal-required",
      ],
    }),
    async (request, reply) => {
      const { names, depth = "0", reveal, properties: list } = request.query;
      const patterns = list === undefined ? [] : parseNamePatterns(list);
      const look = await lookOf(request.caller, reveal, reader);
      const room = new AnswerRoom(names ? Number.POSITIVE_INFINITY : undefined);
      const selection = { patterns, matches: matchNames(patterns), room };
      const of = parseAddress(request.params.address);
      const reading = lookups.read(request, of, () => reader.node(look, of, selection, depth));
      const node = await reading.finally(() => quotas.spend("requests", request, requestsOf(room)));
      await requireHere(forwarding, { look, node: of, names: patterns }, request, reply);
      return names ? namesAlone(node) : node;
    },
  );

  app.patch<{ Params: { address: string }; Body: NodePatch }>(
    "/v1/nodes/:address",
    describe({
      id: "patchNode",
      summary: "Set and remove several properties, all or nothing",
      tag,
      access: "account",
      params: address,
      headers: { "idempotency-key": "A retry with the same key has one effect and the same answer." },
      body: NodePatch,
      answers: { 200: { description: "What was set and what was removed.", schema: Patched } },
      refusals: [
        "bad-address",
        "bad-lease",
        "bad-name",
        "bad-precondition",
        "blocked",
        "forbidden",
        "idempotency-mismatch",
        "not-found",
        "scope-missing",
        "storage-full",
        "too-many-properties",
        "too-many-views",
        "value-invalid",
        "value-too-large",
      ],
    }),
    async (request) => {
      refuseConditions(request);
      const node = parseAddress(request.params.address);
      return await patch(writer, request.caller as Principal, node, request.body, {
        once: onceOf(request),
        cause: causeOf(request),
      });
    },
  );

  app.put<{ Params: { address: string }; Body: NodePut }>(
    "/v1/nodes/:address",
    describe({
      id: "createNode",
      summary: "Create a child node of one's own node, such as a group",
      tag,
      access: "account",
      params: address,
      body: NodePut,
      answers: {
        200: {
          description: "It was there.",
          schema: Type.Object({ address: Type.String(), kind: Type.String() }),
        },
        201: {
          description: "Created.",
          schema: Type.Object({ address: Type.String(), kind: Type.String() }),
        },
      },
      refusals: ["bad-address", "forbidden", "no-parent", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      const node = parseAddress(request.params.address);
      const { kind, joining } = request.body;
      if (joining !== undefined && kind !== "group") {
        throw new Refusal("bad-request", "Only a group is joined.", [
          { pointer: "/joining", detail: "goes with the kind group" },
        ]);
      }
      requireOwner(request.caller as Principal, node);
      requireScope(request.caller as Principal, "write");
      const { created } = await nodes.create(node, kind as NodeKind, joining as Joining | undefined);
      return reply.code(created ? 201 : 200).send({ address: node.text, kind });
    },
  );

  app.delete<{ Params: { address: string } }>(
    "/v1/nodes/:address",
    describe({
      id: "deleteNode",
      summary: "Delete a child node and everything under it",
      description: "An account's own node ends with the account: DELETE /v1/me.",
      tag,
      access: "account",
      params: address,
      answers: { 204: { description: "Gone.", schema: null } },
      refusals: ["bad-address", "forbidden", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      const node = parseAddress(request.params.address);
      requireOwner(request.caller as Principal, node);
      requireScope(request.caller as Principal, "write");
      if (node.path.length === 0)
        throw new Refusal("forbidden", "An account's own node ends with the account: DELETE /v1/me.");
      await nodes.remove(node);
      return reply.code(204).send();
    },
  );
}

interface NamesAlone {
  readonly address: string;
  readonly kind: string;
  readonly names: readonly string[];
  readonly children?: readonly NamesAlone[];
}

function namesAlone({ address, kind, properties, children }: NodeShape): NamesAlone {
  const names = { address, kind, names: Object.keys(properties).sort() };
  return children ? { ...names, children: children.map(namesAlone) } : names;
}
