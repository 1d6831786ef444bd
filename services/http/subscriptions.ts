// /v1/subscriptions: what the caller watches for longer than a stream is open.
// In: HTTP requests. Out: calls to watching, answers. Never: a word about whether a pending target exists.
import type { FastifyInstance } from "fastify";
import {
  Subscription,
  SubscriptionPatch,
  SubscriptionPost,
  Subscriptions,
} from "../../schemas/wire/subscriptions.ts";
import type { Principal } from "../core/principal.ts";
import {
  parseWatchWish,
  type SubscriptionChangeWish,
  type Subscriptions as SubscriptionService,
  type SubscriptionWish,
  targetOf,
} from "../watch/watching.ts";
import type { Lookups } from "./lookups.ts";
import { describe } from "./route.ts";

const tag = "Watching";
const path = "/v1/subscriptions/:id";
const params = { id: "The subscription's id." };

export function subscriptionRoutes(
  app: FastifyInstance,
  { subscriptions, lookups }: { subscriptions: SubscriptionService; lookups: Lookups },
): void {
  app.post<{ Body: SubscriptionPost }>(
    "/v1/subscriptions",
    describe({
      id: "subscribe",
      counts: "subscription",
      summary: "Watch somebody, from now on, on every stream of the caller or by webhook",
      description:
        "`query` in place of `target` is a standing query of the directory: `match.entered` and `match.left` tell who comes to match it and who does no more. The target may not exist yet: the subscription wakes when it registers. `pending` says that nothing is granted now, whatever the reason.",
      tag,
      access: "account",
      body: SubscriptionPost,
      answers: { 201: { description: "Kept.", schema: Subscription } },
      refusals: [
        "bad-address",
        "bad-filter",
        "bad-lease",
        "bad-name",
        "bad-webhook",
        "blocked",
        "reveal-required",
        "scope-missing",
        "storage-full",
        "too-many-subscriptions",
      ],
    }),
    async (request, reply) => {
      const wish = request.body as SubscriptionWish;
      await lookups.watch(request, [parseWatchWish({ target: targetOf(wish), properties: wish.properties })]);
      const made = await subscriptions.create(request.caller as Principal, wish);
      return reply.code(201).header("location", `/v1/subscriptions/${made.id}`).send(made);
    },
  );

  app.get(
    "/v1/subscriptions",
    describe({
      id: "listSubscriptions",
      summary: "The caller's subscriptions",
      tag,
      access: "account",
      answers: { 200: { description: "All that have not ended.", schema: Subscriptions } },
      refusals: [],
    }),
    async (request) => ({ subscriptions: await subscriptions.list(request.caller as Principal) }),
  );

  app.get<{ Params: { id: string } }>(
    path,
    describe({
      id: "readSubscription",
      summary: "One of the caller's subscriptions",
      tag,
      access: "account",
      params,
      answers: { 200: { description: "The subscription.", schema: Subscription } },
      refusals: ["not-found"],
    }),
    async (request) => await subscriptions.get(request.caller as Principal, request.params.id),
  );

  app.patch<{ Params: { id: string }; Body: SubscriptionPatch }>(
    path,
    describe({
      id: "changeSubscription",
      summary: "Renew a subscription's lease, or change what it selects",
      description: "`lease: {}` renews by as many seconds as before; `filter: null` takes the filter away.",
      tag,
      access: "account",
      params,
      body: SubscriptionPatch,
      answers: { 200: { description: "As it is now.", schema: Subscription } },
      refusals: [
        "bad-filter",
        "bad-lease",
        "bad-name",
        "bad-webhook",
        "not-found",
        "scope-missing",
        "storage-full",
      ],
    }),
    async (request) =>
      await subscriptions.change(
        request.caller as Principal,
        request.params.id,
        request.body as SubscriptionChangeWish,
      ),
  );

  app.delete<{ Params: { id: string } }>(
    path,
    describe({
      id: "unsubscribe",
      summary: "End a subscription",
      tag,
      access: "account",
      params,
      answers: { 204: { description: "Ended, or it was not there.", schema: null } },
      refusals: ["storage-full"],
    }),
    async (request, reply) => {
      await subscriptions.remove(request.caller as Principal, request.params.id);
      return reply.code(204).send();
    },
  );
}
