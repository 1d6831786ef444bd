// /v1/subscriptions/{id}/attempts and …/replay: what became of a webhook's deliveries, and once more from a cursor.
// In: HTTP requests. Out: calls to deliveries, answers. Never: a body that was sent, or a secret.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { Attempts, Replay } from "../../schemas/wire/subscriptions.ts";
import type { Principal } from "../core/principal.ts";
import type { Deliveries, Subscriptions } from "../watch/watching.ts";
import { describe } from "./route.ts";

const tag = "Watching";
const params = { id: "The subscription's id." };

interface DeliveryDeps {
  readonly subscriptions: Pick<Subscriptions, "hooked">;
  readonly deliveries: Pick<Deliveries, "attempts" | "replay">;
}

export function deliveryRoutes(app: FastifyInstance, { subscriptions, deliveries }: DeliveryDeps): void {
  app.get<{ Params: { id: string } }>(
    "/v1/subscriptions/:id/attempts",
    describe({
      id: "listAttempts",
      summary: "The last 50 POSTs to a subscription's webhook",
      description:
        "Newest first. `retrying` is sent again, unless something newer takes its place; `failed` was given up.",
      tag,
      access: "account",
      params,
      answers: { 200: { description: "What was sent, and what came of it.", schema: Attempts } },
      refusals: ["not-found"],
    }),
    async (request) => {
      const one = await subscriptions.hooked(request.caller as Principal, request.params.id);
      return { attempts: await deliveries.attempts(one) };
    },
  );

  app.post<{ Params: { id: string }; Body: Replay | null }>(
    "/v1/subscriptions/:id/replay",
    describe({
      id: "replay",
      summary: "Deliver again, from a cursor or from a snapshot; a disabled webhook is enabled",
      description:
        "A cursor is what a delivery carried as `Tidings-Cursor`, or any other cursor of the caller's. Of each property the present value is delivered, not what it was meanwhile.",
      tag,
      access: "account",
      params,
      body: Type.Union([Replay, Type.Null()]),
      answers: { 204: { description: "It begins again.", schema: null } },
      refusals: ["bad-cursor", "not-found", "storage-full"],
    }),
    async (request, reply) => {
      const one = await subscriptions.hooked(request.caller as Principal, request.params.id);
      await deliveries.replay(one, request.body?.after);
      return reply.code(204).send();
    },
  );
}
