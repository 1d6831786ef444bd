// /v1/nodes/{me}/watchers: who wants to know, and what the owner answers.
// In: HTTP requests of the owner. Out: calls to watching, answers. Never: a word of it to anybody else.
import type { FastifyInstance } from "fastify";
import { Answer, AnswerPut, Watchers } from "../../schemas/wire/policy.ts";
import { type Address, parseAddress, rootOf } from "../core/address.ts";
import { requireNamePatterns } from "../core/name-pattern.ts";
import { type Principal, requireScope } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Groups } from "../groups/groups.ts";
import type { Watchers as WatcherService } from "../watch/watching.ts";
import { ownAddress } from "./policies.ts";
import { describe } from "./route.ts";

const tag = "Who wants to know";
const me = { address: "The caller's own address." };

export function watcherRoutes(
  app: FastifyInstance,
  { watchers, groups }: { watchers: WatcherService; groups: Pick<Groups, "members"> },
): void {
  app.get<{ Params: { address: string } }>(
    "/v1/nodes/:address/watchers",
    describe({
      id: "listWatchers",
      summary: "Everyone who watches the caller, waits to, or lately asked",
      description:
        "Callers without a token are counted together as `anonymous`. What happened longer than seven days ago is not listed. Of a group its members are told who watches it now.",
      tag,
      access: "account",
      params: {
        address: "The caller's own address, a node under it, or a group that the caller belongs to.",
      },
      answers: { 200: { description: "One entry a watcher.", schema: Watchers } },
      refusals: ["bad-address", "forbidden", "scope-missing"],
    }),
    async (request) => {
      const caller = request.caller as Principal;
      const address = parseAddress(request.params.address);
      if (groups.members.has(address.text, caller.address.text) && !isUnder(address, caller)) {
        requireScope(caller, "account");
        return { watchers: await watchers.listActive(address) };
      }
      ownAddress(caller, rootOf(address).text);
      return { watchers: await watchers.list(address) };
    },
  );

  app.put<{ Params: { address: string; watcher: string }; Body: AnswerPut }>(
    "/v1/nodes/:address/watchers/:watcher",
    describe({
      id: "answerWatcher",
      summary: "Allow a watcher, deny it, or let it wait politely for ever",
      description:
        "`allow` grants `properties`; without them what the policy's rules with `confirm` offer, or else what the watcher asked for. `deny` ends its subscriptions, and it may ask again. `polite` shows it absence.",
      tag,
      access: "account",
      params: { ...me, watcher: "The watcher's address." },
      body: AnswerPut,
      answers: { 200: { description: "It holds from now on.", schema: Answer } },
      refusals: ["bad-address", "bad-name", "forbidden", "scope-missing", "storage-full", "too-many-answers"],
    }),
    async (request) => {
      const owner = ownAddress(request.caller as Principal, request.params.address);
      const watcher = parseAddress(request.params.watcher);
      const { decision, properties: named } = request.body;
      if (named && decision !== "allow") {
        const detail = "belongs to allow: deny and polite are about everything";
        throw new Refusal("bad-request", "Only what is allowed has properties.", [
          { pointer: "/properties", detail },
        ]);
      }
      const answer = { decision, properties: named && requireNamePatterns(named) };
      const { properties } = await watchers.answer(owner, watcher, answer);
      return { watcher: watcher.text, decision, ...(properties && { properties }) };
    },
  );
}

function isUnder(node: Address, { address }: Principal): boolean {
  return rootOf(node).text === address.text;
}
