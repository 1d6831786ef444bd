// Events: what a watcher is told, by type, as CloudEvents 1.0 in structured JSON.
// In: nothing. Out: TypeBox schemas. Never: a type that is not served yet.
import { type TSchema, Type } from "typebox";
import { Revealed, Verified } from "./policy.ts";
import { Message, NodePut, Property } from "./shapes.ts";
import { Subscription } from "./subscriptions.ts";

const { node, name, value, revision, by, lease, updated: time } = Property.properties;
const { kind } = NodePut.properties;
const { id, target } = Subscription.properties;
const skipped = Type.Optional(
  Type.Integer({ minimum: 1, description: "Events about the same thing that a slow reader was spared." }),
);
const subscription = { id, target, reason: Type.Optional(Type.String({ description: "Why it is so." })) };
const notice = {
  watcher: Type.String({ description: "An address, or `anonymous`." }),
  properties: Type.Array(Type.String()),
  revealed: Revealed,
  verified: Type.Optional(Verified),
  via: Type.String({ description: "rest, poll, sse, websocket or subscription." }),
  subscription: Type.Optional(Type.String()),
  count: Type.Optional(
    Type.Integer({ minimum: 2, description: "Reads since the owner was last told of them." }),
  ),
};
const receipt = {
  id: Type.String({ description: "Of the message." }),
  to: Type.String({ description: "Who has it." }),
  at: time,
};
const ofProperty = { subject: Type.String({ description: "The property's name." }) };

function event(
  kind: string,
  description: string,
  data: Record<string, TSchema>,
  attributes: Record<string, TSchema> = {},
): [type: string, schema: TSchema] {
  const type = `dev.tidings.${kind}`;
  const schema = Type.Object(
    {
      specversion: Type.Literal("1.0"),
      id: Type.String({
        minLength: 1,
        description: "Unique within the source; the same when it is told again.",
      }),
      source: Type.String({ pattern: "^/nodes/.", description: "/nodes/ and the address." }),
      ...attributes,
      type: Type.Literal(type),
      time,
      traceparent: Type.Optional(
        Type.String({ description: "W3C trace context of the request that caused it, where it had one." }),
      ),
      data: Type.Object(data),
    },
    { description },
  );
  return [type, schema];
}

const matching = {
  subscription: Type.String(),
  node,
  properties: Type.Record(Type.String(), Type.Unsafe<unknown>({ type: "object" }), {
    description: "What the reader may see of it, as far as it fits; nothing of a node that has left.",
  }),
};

const membership = { group: Type.String(), member: Type.String() };

/** Every event that is served, by its `type`. */
export const events: Readonly<Record<string, TSchema>> = Object.fromEntries([
  event(
    "property.changed",
    "A property has this value, now or when the reader came.",
    { node, name, value, revision, by, lease, skipped, reason: Type.Enum(["set", "expired", "snapshot"]) },
    ofProperty,
  ),
  event(
    "property.removed",
    "A property is gone.",
    { node, name, revision, skipped, reason: Type.Enum(["deleted", "expired"]) },
    ofProperty,
  ),
  event("node.registered", "A node that was waited for is there.", { node, kind, skipped }),
  event("node.moved", "A node that is watched is found at another address now, or at its own again.", {
    node,
    to: Type.String({ description: "Where it is watched from now on; `node` itself where it is back." }),
    until: Type.Optional(lease.properties.until),
    subscription: Type.Optional(Type.String({ description: "The subscription that goes along." })),
  }),
  event("subscription.active", "What a subscription is for is there.", subscription),
  event("subscription.pending", "Nothing is granted to a subscription now.", subscription),
  event("subscription.ended", "A subscription is over.", subscription),
  event("watcher.started", "Somebody watches from now on.", notice),
  event("watcher.fetched", "Somebody reads: told once a minute for each reader and property.", notice),
  event("watcher.pending", "Somebody wants to watch, and waits for the owner's answer.", notice),
  event("watcher.ended", "Somebody watches no more.", notice),
  event("watcher.denied", "Somebody asked for what is not granted, and saw nothing.", notice),
  event("match.entered", "A node has come to match a standing query.", matching),
  event("match.left", "A node does not match a standing query any more.", matching),
  event("member.joined", "Somebody belongs to a group.", membership),
  event("member.pending", "Somebody asks its owner to be let into a group.", membership),
  event("member.left", "Somebody belongs to a group no more.", membership),
  event("message.received", "A message; its id is the event's.", Message.properties),
  event("message.delivered", "A recipient has a message of the reader's.", receipt),
  event("message.read", "A human has read a message of the reader's.", receipt),
  event("stream.live", "The snapshot is complete; what follows is live.", {
    subscription: Type.Optional(Type.String({ description: "The `watch` that it is the snapshot of." })),
  }),
  event("stream.bookmark", "Everything up to this cursor has been sent.", {}),
  event("stream.reset", "What came before the fresh snapshot that follows may have holes.", {}),
]);
