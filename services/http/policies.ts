// /v1/nodes/{me}/policy and /blocks: what an owner lets others know, and whom it blocks.
// In: HTTP requests of the owner. Out: calls to policies, answers. Never: a word of it to anybody else.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Block, BlockPut, Blocks, Policy } from "../../schemas/wire/policy.ts";
import { type Address, parseAddress } from "../core/address.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import { type Policies, parseRules, parseWho, type RuleWish } from "../policy/policies.ts";
import { describe } from "./route.ts";

const tag = "Who wants to know";
const policyPath = "/v1/nodes/:address/policy";
const blockPath = "/v1/nodes/:address/blocks/:who";
const me = { address: "The caller's own address." };
const party = { ...me, who: "An address, @domain or anonymous." };

export function policyRoutes(app: FastifyInstance, { policies }: { policies: Policies }): void {
  app.get<{ Params: { address: string } }>(
    policyPath,
    describe({
      id: "readPolicy",
      summary: "The caller's policy",
      tag,
      access: "account",
      params: me,
      answers: { 200: { description: "The rules.", schema: Policy } },
      refusals: ["bad-address", "forbidden", "not-found", "scope-missing"],
    }),
    async (request) => {
      const rules = await policies.rules(ownAddress(request.caller as Principal, request.params.address));
      if (rules === undefined) {
        throw new Refusal("not-found", "You have no policy: each property type's own default holds.");
      }
      return { rules };
    },
  );

  app.put<{ Params: { address: string }; Body: { rules: RuleWish[] } }>(
    policyPath,
    describe({
      id: "setPolicy",
      summary: "Say who may see, watch and write what; open streams follow at once",
      description:
        "Rules only grant, and take the place of the types' defaults; a block beats every grant. Without rules nobody but the owner sees anything.",
      tag,
      access: "account",
      params: me,
      body: Policy,
      answers: { 200: { description: "It holds from now on, on open streams as well.", schema: Policy } },
      refusals: ["bad-address", "bad-name", "forbidden", "scope-missing", "storage-full"],
    }),
    async (request) => {
      const owner = ownAddress(request.caller as Principal, request.params.address);
      const rules = parseRules(request.body.rules);
      await policies.setRules(owner, rules);
      return { rules };
    },
  );

  app.delete<{ Params: { address: string } }>(
    policyPath,
    describe({
      id: "removePolicy",
      summary: "Go back to the types' defaults",
      tag,
      access: "account",
      params: me,
      answers: { 204: { description: "The defaults hold.", schema: null } },
      refusals: ["bad-address", "forbidden", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      await policies.removeRules(ownAddress(request.caller as Principal, request.params.address));
      return reply.code(204).send();
    },
  );

  app.get<{ Params: { address: string } }>(
    "/v1/nodes/:address/blocks",
    describe({
      id: "listBlocks",
      summary: "Whom the caller blocks",
      tag,
      access: "account",
      params: me,
      answers: { 200: { description: "All blocks.", schema: Blocks } },
      refusals: ["bad-address", "forbidden", "scope-missing"],
    }),
    async (request) => ({
      blocks: await policies.blocks(ownAddress(request.caller as Principal, request.params.address)),
    }),
  );

  app.put<{ Params: { address: string; who: string }; Body: { mode?: "polite" | "hard" } | null }>(
    blockPath,
    describe({
      id: "block",
      summary: "Block somebody: nothing that is accepted after the answer reaches them by any path",
      description:
        "`polite`, the default, shows them absence and nothing else; `hard` tells them that they are blocked.",
      tag,
      access: "account",
      params: party,
      body: Type.Union([BlockPut, Type.Null()]),
      answers: {
        200: { description: "Blocked from now on.", schema: Block },
      },
      refusals: ["bad-address", "forbidden", "scope-missing", "storage-full", "too-many-blocks"],
    }),
    async (request) => {
      const owner = ownAddress(request.caller as Principal, request.params.address);
      const who = parseWho(request.params.who);
      if (who === owner.text) throw new Refusal("bad-request", "Nobody can block themselves.");
      const mode = request.body?.mode ?? "polite";
      await policies.block(owner, who, mode);
      return { who, mode };
    },
  );

  app.delete<{ Params: { address: string; who: string } }>(
    blockPath,
    describe({
      id: "unblock",
      summary: "Lift a block: open streams are told what is there now, never what happened meanwhile",
      tag,
      access: "account",
      params: party,
      answers: { 204: { description: "Lifted, or there was none.", schema: null } },
      refusals: ["bad-address", "forbidden", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      const owner = ownAddress(request.caller as Principal, request.params.address);
      await policies.unblock(owner, parseWho(request.params.who));
      return reply.code(204).send();
    },
  );
}

/** Decisions are the account's own: they hold for its node and all nodes under it. */
export function ownAddress(who: Principal, given: string): Address {
  const address = parseAddress(given);
  if (address.text !== who.address.text) {
    throw new Refusal("forbidden", "Only an account itself decides about its nodes.");
  }
  requireScope(who, "account");
  return address;
}
