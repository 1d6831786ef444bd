// /v1/nodes/{me}/explain and /v1/explain: why somebody is told of a property, or is not.
// In: HTTP requests of the owner or the operator. Out: the steps between an event and its watcher. Never: an answer to anybody else.
import type { FastifyInstance } from "fastify";
import { type Static, Type } from "typebox";
import { parseAddress, parsePropertyName, rootOf } from "../core/address.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Explain } from "../watch/watching.ts";
import { ownAddress } from "./policies.ts";
import { describe } from "./route.ts";

const tag = "Who wants to know";

const asked = {
  watcher: Type.String({ description: "Whose view it is." }),
  property: Type.String({ description: "The property's name." }),
  revision: Type.Optional(Type.Integer({ minimum: 1, description: "The change that was missed." })),
};
const node = Type.String({ description: "The node that holds the property." });
const OwnQuery = Type.Object({ ...asked, node: Type.Optional(node) }, { additionalProperties: false });
const OperatorQuery = Type.Object({ ...asked, node }, { additionalProperties: false });

const Explained = Type.Object({
  node: Type.String(),
  property: Type.String(),
  watcher: Type.String(),
  revision: Type.Optional(Type.Integer()),
  isTold: Type.Boolean({ description: "Whether the watcher is told of a change that is made now." }),
  steps: Type.Array(
    Type.Object({
      step: Type.Enum(["property", "block", "policy", "subscription", "filter", "conflation", "transport"]),
      passes: Type.Boolean(),
      detail: Type.String(),
    }),
  ),
});
const answers = {
  200: { description: "Each step, and whether it lets the event through.", schema: Explained },
};

export function explainRoutes(app: FastifyInstance, { explain }: { explain: Explain }): void {
  app.get<{ Params: { address: string }; Querystring: Static<typeof OwnQuery> }>(
    "/v1/nodes/:address/explain",
    describe({
      id: "explain",
      summary: "Why a watcher is told of one of the caller's properties, or is not",
      tag,
      access: "account",
      params: { address: "The caller's own address." },
      query: OwnQuery,
      answers,
      refusals: ["bad-address", "bad-name", "forbidden", "scope-missing"],
    }),
    async (request) => {
      const owner = ownAddress(request.caller as Principal, request.params.address);
      const { node: given, ...rest } = request.query;
      const at = given === undefined ? owner : parseAddress(given);
      if (rootOf(at).text !== owner.text) throw new Refusal("forbidden", "That node is not yours.");
      return await explain(questionOf({ ...rest, node: at.text }));
    },
  );

  app.get<{ Querystring: Static<typeof OperatorQuery> }>(
    "/v1/explain",
    describe({
      id: "explainToOperator",
      summary: "The same for any node, with the operator's token",
      tag,
      access: "operator",
      query: OperatorQuery,
      answers,
      refusals: ["bad-address", "bad-name"],
    }),
    async (request) => await explain(questionOf(request.query)),
  );
}

function questionOf({ node: at, property, watcher, revision }: Static<typeof OperatorQuery>) {
  return {
    node: parseAddress(at),
    name: parsePropertyName(property),
    watcher: parseAddress(watcher),
    revision,
  };
}
