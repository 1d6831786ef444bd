// /v1/nodes/{group}/members: who belongs to a group.
// In: HTTP requests of owners, of members, and of such as want to be. Out: calls to groups, answers. Never: a decision about who may.
import type { FastifyInstance } from "fastify";
import { Group, Member, MyGroups } from "../../schemas/wire/groups.ts";
import { parseAddress } from "../core/address.ts";
import type { Principal } from "../core/principal.ts";
import type { Groups } from "../groups/groups.ts";
import { describe } from "./route.ts";

const tag = "Groups";
const group = { address: "The group's address, percent-encoded: alice@example.com%2Fchess." };
const both = { ...group, member: "The member's address." };
const memberPath = "/v1/nodes/:address/members/:member";

interface Both {
  address: string;
  member: string;
}

export function groupRoutes(app: FastifyInstance, { groups }: { groups: Groups }): void {
  app.get<{ Params: { address: string } }>(
    "/v1/nodes/:address/members",
    describe({
      id: "listMembers",
      summary: "Who belongs to a group",
      description:
        "For its owner, its members, and whoever the owner's policy lets read `members`. Whoever waits to be let in is shown to the owner and to itself.",
      tag,
      access: "account",
      params: group,
      answers: { 200: { description: "All members, by address.", schema: Group } },
      refusals: ["bad-address", "blocked", "not-found", "reveal-required", "scope-missing"],
    }),
    async (request) => await groups.list(request.caller as Principal, parseAddress(request.params.address)),
  );

  app.put<{ Params: Both }>(
    memberPath,
    describe({
      id: "joinGroup",
      summary: "Put somebody into one's group, or oneself into another's",
      description:
        "The owner puts in whom it likes. Others put in themselves where `joining` is `open`, and ask to be let in where it is `approval`: the owner lets them in by the same request.",
      tag,
      access: "account",
      params: both,
      answers: {
        200: { description: "It was one, or has asked before.", schema: Member },
        201: { description: "It is one now, or has asked (`pending`).", schema: Member },
      },
      refusals: [
        "bad-address",
        "blocked",
        "forbidden",
        "not-found",
        "reveal-required",
        "scope-missing",
        "storage-full",
        "too-many-members",
      ],
    }),
    async (request, reply) => {
      const { address, member } = request.params;
      const joined = await groups.join(
        request.caller as Principal,
        parseAddress(address),
        parseAddress(member),
      );
      const { created, ...shape } = joined;
      return reply.code(created ? 201 : 200).send(shape);
    },
  );

  app.delete<{ Params: Both }>(
    memberPath,
    describe({
      id: "leaveGroup",
      summary: "Leave a group, or put somebody out of one's own",
      tag,
      access: "account",
      params: both,
      answers: { 204: { description: "It is no member, or never was.", schema: null } },
      refusals: [
        "bad-address",
        "blocked",
        "forbidden",
        "not-found",
        "reveal-required",
        "scope-missing",
        "storage-full",
      ],
    }),
    async (request, reply) => {
      const { address, member } = request.params;
      await groups.leave(request.caller as Principal, parseAddress(address), parseAddress(member));
      return reply.code(204).send();
    },
  );

  app.get(
    "/v1/me/groups",
    describe({
      id: "myGroups",
      summary: "The groups that the caller belongs to, or has asked to",
      tag,
      access: "account",
      answers: { 200: { description: "By address.", schema: MyGroups } },
      refusals: ["scope-missing"],
    }),
    async (request) => ({ groups: await groups.of(request.caller as Principal) }),
  );
}
