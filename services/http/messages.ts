// /v1/nodes/{to}/messages and /v1/messages: sending, and what waits for the caller.
// In: HTTP requests. Out: calls to messages, answers. Never: a word about whether anybody gets what was sent.
import type { FastifyInstance } from "fastify";
import { Type } from "typebox";
import { MessagePost, Messages as MessagesShape, Sent } from "../../schemas/wire/shapes.ts";
import { parseAddress } from "../core/address.ts";
import type { Principal } from "../core/principal.ts";
import type { MessageFields, Messages } from "../messages/messages.ts";
import { causeOf, onceOf } from "./conditions.ts";
import { lookOf, type Reader, revealQuery } from "./look.ts";
import { describe } from "./route.ts";

const tag = "Messages";

const SendQuery = Type.Object(revealQuery, { additionalProperties: false });
const ListQuery = Type.Object(
  {
    after: Type.Optional(
      Type.String({ pattern: "^\\d{1,15}$", description: "What the page before said as `next`." }),
    ),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: "100 without it." })),
  },
  { additionalProperties: false },
);
const AcknowledgeQuery = Type.Object(
  {
    read: Type.Optional(Type.Boolean({ description: "A human has read it; without it, a program has it." })),
  },
  { additionalProperties: false },
);

export function messageRoutes(
  app: FastifyInstance,
  { messages, reader }: { messages: Messages; reader: Reader },
): void {
  app.post<{ Params: { to: string }; Querystring: { reveal?: string }; Body: MessagePost }>(
    "/v1/nodes/:to/messages",
    describe({
      id: "sendMessage",
      summary: "Send a message to somebody, a group, or whoever watches a property",
      description:
        "Held for the absent until it expires, 7 days at most. 202 says that it is stored, and is the same whether the recipient exists, lets the sender write to it, or has politely blocked it. A message to a group reaches its members. With `interest` it reaches those who watch that property of the node now, or keep a subscription to it.",
      tag,
      access: "account",
      params: { to: "The recipient's address, percent-encoded; it may not exist yet." },
      query: SendQuery,
      headers: { "idempotency-key": "A retry with the same key has one effect and the same answer." },
      body: MessagePost,
      answers: { 202: { description: "Stored.", schema: Sent } },
      refusals: [
        "bad-address",
        "bad-name",
        "bad-precondition",
        "blocked",
        "forbidden",
        "idempotency-mismatch",
        "inbox-full",
        "message-too-large",
        "not-found",
        "reveal-required",
        "scope-missing",
        "storage-full",
      ],
    }),
    async (request, reply) => {
      const caller = request.caller as Principal;
      const to = parseAddress(request.params.to);
      const { disclosed } = await lookOf(caller, request.query.reveal, reader);
      const terms = { once: onceOf(request), disclosed, hops: causeOf(request)?.hops };
      return reply.code(202).send(await messages.send(caller, to, request.body as MessageFields, terms));
    },
  );

  app.get<{ Querystring: { after?: string; limit?: number } }>(
    "/v1/messages",
    describe({
      id: "listMessages",
      summary: "Messages that wait for the caller, oldest first",
      tag,
      access: "account",
      query: ListQuery,
      answers: {
        200: { description: "What has neither expired nor been acknowledged.", schema: MessagesShape },
      },
      refusals: ["scope-missing"],
    }),
    async ({ caller, query: { after = "0", limit = 100 } }) =>
      await messages.list(caller as Principal, Number(after), limit),
  );

  app.delete<{ Params: { id: string }; Querystring: { read?: boolean } }>(
    "/v1/messages/:id",
    describe({
      id: "acknowledgeMessage",
      summary: "Acknowledge a message: it waits no more",
      description:
        "Its sender is told `message.delivered`, or with `read` `message.read`, if the caller's policy lets it read the property `receipts`.",
      tag,
      access: "account",
      params: { id: "The message's id." },
      query: AcknowledgeQuery,
      answers: { 204: { description: "It waits no more, or did not.", schema: null } },
      refusals: ["scope-missing", "storage-full"],
    }),
    async (request, reply) => {
      const { caller, params, query } = request;
      await messages.acknowledge(caller as Principal, params.id, query.read ? "read" : "delivered");
      return reply.code(204).send();
    },
  );
}
