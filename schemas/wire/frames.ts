// Frames: what a client may say on a socket, by operation; the same fields as over REST.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know.
import { type TSchema, Type } from "typebox";
import { MessagePost, NodePatch, PropertyPut } from "./shapes.ts";
import { SubscriptionPost } from "./subscriptions.ts";

const closed = { additionalProperties: false } as const;
/** A larger number would come back as another one (RFC 8259 §6). */
const number = Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER });
const id = Type.Union([number, Type.String({ maxLength: 64 })]);
const node = Type.String({ description: "An address." });
const name = Type.String({ description: "A property's name." });
const { value, lease, view } = PropertyPut.properties;
const { target, properties, depth, filter, reveal } = SubscriptionPost.properties;
const { set, remove } = NodePatch.properties;
const conditions = {
  ifMatch: Type.Optional(Type.Union([Type.Integer(), Type.Literal("*")])),
  ifNoneMatch: Type.Optional(Type.Literal("*")),
  idempotencyKey: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
};

function frame(op: string, fields: Record<string, TSchema>, required: readonly string[]): TSchema {
  return Type.Object(
    { id, op: Type.Literal(op), ...fields },
    { ...closed, required: ["id", "op", ...required] },
  );
}

export const frames: Readonly<Record<string, TSchema>> = {
  watch: frame("watch", { target, properties, depth, filter, reveal, after: Type.Optional(Type.String()) }, [
    "target",
  ]),
  unwatch: frame("unwatch", { subscription: Type.String() }, ["subscription"]),
  set: frame("set", { node, name, value, lease, view, ...conditions }, ["node", "name", "value"]),
  patch: frame("patch", { node, set, remove, idempotencyKey: conditions.idempotencyKey }, ["node"]),
  delete: frame("delete", { node, name, view, ...conditions }, ["node", "name"]),
  send: frame(
    "send",
    { to: node, ...MessagePost.properties, reveal, idempotencyKey: conditions.idempotencyKey },
    ["to", "contentType"],
  ),
  renew: frame("renew", { lease: Type.String(), seconds: Type.Optional(Type.Number()) }, ["lease"]),
  ping: frame("ping", {}, []),
};

/** With which codes the broker closes a socket, and what to do then (RFC 6455 §7.4, and the registry it founded). */
export const closings = {
  unsupported: { code: 1003, reason: "Frames are JSON text." },
  unreadable: { code: 1008, reason: "Too many frames that cannot be read." },
  "token-ended": { code: 1008, reason: "The token has ended." },
  "too-large": { code: 1009, reason: "A frame has 256 KiB at most." },
  draining: { code: 1012, reason: "This broker stops; connect again and resume with your cursor." },
} as const;
