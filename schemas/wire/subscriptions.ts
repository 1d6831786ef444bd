// Wire shapes of subscriptions: what requests and answers look like.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know.
import { type Static, Type } from "typebox";
import { Depth, Filter, Patterns, Query, Time } from "./shapes.ts";

const closed = { additionalProperties: false } as const;

const HookFormat = Type.Enum(["cloudevents", "batch"], {
  description: "One event a POST, or up to 100 events in one.",
});
const hookUrl = "Where events are POSTed to: https:// or http://, on the public internet.";
const hookSecret = "`whsec_` and base64 of 24 to 64 bytes, for the signatures of Standard Webhooks.";

const HookWish = Type.Object(
  {
    url: Type.String({ description: hookUrl }),
    secret: Type.Optional(Type.String({ description: `${hookSecret} Issued when not given.` })),
    format: Type.Optional(HookFormat),
  },
  closed,
);

const HookChange = Type.Object(
  {
    url: Type.Optional(Type.String({ description: hookUrl })),
    format: Type.Optional(HookFormat),
    secret: Type.Optional(
      Type.String({ description: `${hookSecret} The one before signs as well for 24 hours.` }),
    ),
    rotate: Type.Optional(Type.Boolean({ description: "The same with a secret that is issued." })),
  },
  { ...closed, minProperties: 1 },
);

const Hook = Type.Object({
  url: Type.String(),
  format: HookFormat,
  verified: Type.Boolean({ description: "Whether the endpoint said that it wants what is sent there." }),
  state: Type.Enum(["active", "failing", "disabled"]),
  reason: Type.Optional(Type.String({ description: "Why it fails, or is disabled." })),
  secret: Type.Optional(Type.String({ description: "Shown once: in the answer that issues it." })),
});

export const SubscriptionPost = Type.Object(
  {
    target: Type.Optional(
      Type.String({ description: "An address, or mailto: and an e-mail address. It may not exist yet." }),
    ),
    query: Type.Optional(Query),
    properties: Type.Optional(Patterns),
    depth: Type.Optional(Depth),
    filter: Type.Optional(Filter),
    reveal: Type.Optional(Type.Array(Type.String({ maxLength: 127 }), { maxItems: 100 })),
    lease: Type.Optional(Type.Object({ seconds: Type.Number() }, closed)),
    delivery: Type.Optional(
      Type.Union([Type.Enum(["stream"]), Type.Object({ webhook: HookWish }, closed)], {
        description: "On every stream of the caller, which is so without it; or by webhook in place of them.",
      }),
    ),
  },
  closed,
);
export type SubscriptionPost = Static<typeof SubscriptionPost>;

export const SubscriptionPatch = Type.Object(
  {
    lease: Type.Optional(Type.Object({ seconds: Type.Optional(Type.Number()) }, closed)),
    filter: Type.Optional(Type.Union([Filter, Type.Null()])),
    properties: Type.Optional(Patterns),
    delivery: Type.Optional(Type.Object({ webhook: HookChange }, closed)),
  },
  { ...closed, minProperties: 1 },
);
export type SubscriptionPatch = Static<typeof SubscriptionPatch>;

export const Subscription = Type.Object({
  id: Type.String(),
  subscriber: Type.String(),
  target: Type.String(),
  query: Type.Optional(Query),
  properties: Type.Array(Type.String()),
  depth: Depth,
  filter: Type.Optional(Type.String()),
  state: Type.Enum(["active", "pending"]),
  lease: Type.Optional(Type.Object({ id: Type.String(), seconds: Type.Number(), until: Time })),
  delivery: Type.Union([
    Type.Enum(["stream"]),
    Type.Object({ webhook: Hook }),
    Type.Object({ agent: Type.String({ description: "The address of the agent that hears of it." }) }),
  ]),
  revealed: Type.Optional(Type.Array(Type.String())),
});
export const Subscriptions = Type.Object({ subscriptions: Type.Array(Subscription) });

export const Attempts = Type.Object({
  attempts: Type.Array(
    Type.Object({
      id: Type.String({ description: "`webhook-id`, as it was sent." }),
      type: Type.String({ description: "The event's type, or `batch`." }),
      at: Time,
      outcome: Type.Enum(["delivered", "retrying", "failed"]),
      status: Type.Optional(Type.Integer({ description: "What the endpoint answered." })),
      error: Type.Optional(Type.String({ description: "Why there was no answer." })),
      ms: Type.Integer(),
      attempt: Type.Integer({ description: "1 for the first." }),
    }),
  ),
});

export const Replay = Type.Object(
  { after: Type.Optional(Type.String({ description: "A cursor." })) },
  closed,
);
export type Replay = Static<typeof Replay>;
