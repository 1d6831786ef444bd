// /v1/nodes/{me}/forward: where an account's watchers and messages go on to, and what readers are told of it.
// In: HTTP requests. Out: calls to forwarding, answers. Never: a word of whether there is anybody at the other end.
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { Forward } from "../../schemas/wire/forward.ts";
import { Problem } from "../../schemas/wire/shapes.ts";
import { type Address, parseAddress, rootOf } from "../core/address.ts";
import { timestamp } from "../core/event.ts";
import { Moved } from "../core/moved.ts";
import type { Principal } from "../core/principal.ts";
import { Refusal } from "../core/refusal.ts";
import type { Forward as Forwarded, Forwarding } from "../forward/forwarding.ts";
import type { Look } from "../property/properties.ts";
import { ownAddress } from "./policies.ts";
import { describe } from "./route.ts";

const tag = "Forwarding";
const path = "/v1/nodes/:address/forward";
const me = { address: "The caller's own address." };

export interface ForwardDeps {
  readonly forwarding: Forwarding;
  readonly domain: string;
  readonly now: () => number;
}

export function forwardRoutes(app: FastifyInstance, { forwarding, domain, now }: ForwardDeps): void {
  app.get<{ Params: { address: string } }>(
    path,
    describe({
      id: "readForward",
      summary: "Where the caller is forwarded to",
      tag,
      access: "account",
      params: me,
      answers: { 200: { description: "The forward that holds.", schema: Forward } },
      refusals: ["bad-address", "forbidden", "not-found", "scope-missing"],
    }),
    async (request) => {
      const forward = await forwarding.of(accountOf(request));
      if (forward === undefined) throw new Refusal("not-found", "You are not forwarded.");
      return shapeOf(forward);
    },
  );

  app.put<{ Params: { address: string }; Body: Forward }>(
    path,
    describe({
      id: "setForward",
      summary: "Let watchers and messages go on to another address, for good or until a time",
      description:
        "Who watches the caller hears `node.moved` and follows, as far as the other address grants it anything; whoever it grants nothing, or whom the caller does, notices nothing. The answer is the same whether anybody is there or not.",
      tag,
      access: "account",
      params: me,
      body: Forward,
      answers: { 200: { description: "It holds from now on, on open streams as well.", schema: Forward } },
      refusals: ["bad-address", "forbidden", "forward-loop", "scope-missing", "storage-full"],
    }),
    async (request) => {
      const owner = accountOf(request);
      const forward = { to: destination(request.body.to, domain), untilMs: end(request.body.until, now()) };
      await forwarding.set(owner, forward);
      return shapeOf(forward);
    },
  );

  app.delete<{ Params: { address: string } }>(
    path,
    describe({
      id: "removeForward",
      summary: "Be found at one's own address again",
      tag,
      access: "account",
      params: me,
      answers: { 204: { description: "Taken back, or there was none.", schema: null } },
      refusals: ["bad-address", "forbidden", "scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      await forwarding.remove(accountOf(request));
      return reply.code(204).send();
    },
  );
}

/**
 * Somebody who may see what it asked for is told where it is found now, if it may see it there as well.
 * @throws Moved
 */
export async function requireHere(
  forwarding: Pick<Forwarding, "follow">,
  asked: { readonly look: Look; readonly node: Address; readonly names: readonly string[] },
  { url }: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const names = asked.names.length === 0 ? ["*"] : asked.names;
  const { at, untilMs } = await forwarding.follow({ ...asked, names, right: "read" });
  if (at.text === asked.node.text) return;
  // /v1/nodes/{address}, and what follows it.
  const segments = url.split("/");
  const [, ...query] = (segments[3] ?? "").split("?");
  segments[3] = [encodeURIComponent(at.text), ...query].join("?");
  reply.header("location", segments.join("/"));
  throw new Moved(at.text, untilMs !== undefined);
}

/** What /openapi.json says of it. */
export const movedAnswer = {
  307: {
    description: "The same for a time: whoever asks again later asks here.",
    schema: Problem,
    mediaType: "application/problem+json",
  },
};

function accountOf({
  caller,
  params,
}: {
  caller: Principal | undefined;
  params: { address: string };
}): Address {
  const who = caller as Principal;
  const address = parseAddress(params.address);
  if (address.path.length > 0 && rootOf(address).text === who.address.text) {
    throw new Refusal("bad-request", "Only an account's own node is forwarded, with all that lies under it.");
  }
  return ownAddress(who, params.address);
}

function destination(given: string, domain: string): Address {
  const to = parseAddress(given);
  if (to.domain === domain) return to;
  const detail = `must be an address of ${domain}`;
  throw new Refusal("bad-request", "A forward stays within the domain.", [{ pointer: "/to", detail }]);
}

function end(until: string | undefined, nowMs: number): number | undefined {
  if (until === undefined) return undefined;
  const untilMs = Date.parse(until);
  if (untilMs > nowMs) return untilMs;
  const detail = "must be a time to come";
  throw new Refusal("bad-request", "The forward would have ended.", [{ pointer: "/until", detail }]);
}

function shapeOf({ to, untilMs }: Forwarded): Forward {
  return { to: to.text, ...(untilMs !== undefined && { until: timestamp(untilMs) }) };
}
