// Wire shapes: what requests and answers look like, once for types, validation and OpenAPI.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know (addresses, names, limits of the store).
import { type Static, Type } from "typebox";
import { Joining } from "./groups.ts";

/** Any JSON value. */
const JsonValue = Type.Unsafe<unknown>({ description: "Any JSON value." });

const closed = { additionalProperties: false } as const;
export const Time = Type.String({ format: "date-time", description: "RFC 3339, UTC, milliseconds." });
const LeaseId = Type.String({ pattern: "^[A-Za-z0-9._~-]{1,64}$" });

const LeaseWish = Type.Object(
  {
    seconds: Type.Number({ description: "1 to 2592000 (30 days); fractions are allowed." }),
    id: Type.Optional(LeaseId),
    default: Type.Optional(JsonValue),
  },
  closed,
);

const Lease = Type.Object({
  id: Type.String(),
  seconds: Type.Number(),
  until: Time,
  default: Type.Optional(JsonValue),
});

export const Property = Type.Object({
  node: Type.String(),
  name: Type.String(),
  value: JsonValue,
  revision: Type.Integer(),
  updated: Time,
  by: Type.String(),
  lease: Type.Optional(Lease),
});

export const PropertyPut = Type.Object(
  {
    value: JsonValue,
    lease: Type.Optional(LeaseWish),
    view: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z0-9._~-]{1,64}$",
        description: "Names a device, so that each holds its own lease.",
      }),
    ),
  },
  { ...closed, required: ["value"] },
);
export type PropertyPut = Static<typeof PropertyPut>;

export const NodePatch = Type.Object(
  {
    set: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Object(
          { value: JsonValue, lease: Type.Optional(LeaseWish) },
          { ...closed, required: ["value"] },
        ),
      ),
    ),
    remove: Type.Optional(Type.Array(Type.String(), { maxItems: 500 })),
  },
  { ...closed, minProperties: 1 },
);
export type NodePatch = Static<typeof NodePatch>;

export const NodePut = Type.Object(
  { kind: Type.Enum(["person", "group", "thing", "agent"]), joining: Type.Optional(Joining) },
  closed,
);
export type NodePut = Static<typeof NodePut>;

export const Node = Type.Object({
  address: Type.String(),
  kind: Type.String(),
  properties: Type.Optional(Type.Record(Type.String(), Property)),
  names: Type.Optional(Type.Array(Type.String())),
  children: Type.Optional(
    Type.Array(
      Type.Unsafe<unknown>({ type: "object", description: "A node under this one, of the same shape." }),
    ),
  ),
});

/** A node where names alone were asked for. */
export const NodeNames = Type.Object({
  address: Type.String(),
  kind: Type.String(),
  names: Type.Array(Type.String()),
  children: Type.Optional(
    Type.Array(
      Type.Unsafe<unknown>({ type: "object", description: "A node under this one, of the same shape." }),
    ),
  ),
});

export const DirectoryPage = Type.Object({
  nodes: Type.Array(
    Type.Object({ address: Type.String(), properties: Type.Record(Type.String(), Property) }),
  ),
  next: Type.Optional(Type.String({ description: "There is more: send it as `after`." })),
  partial: Type.Optional(
    Type.Boolean({ description: "True while the index has yet to catch up: more may be found later." }),
  ),
});

export const Patched = Type.Object({
  address: Type.String(),
  properties: Type.Record(Type.String(), Property),
  removed: Type.Array(Type.String()),
});

export const RenewPost = Type.Object({ seconds: Type.Optional(Type.Number()) }, closed);
export type RenewPost = Static<typeof RenewPost>;
export const Renewed = Type.Object({
  id: Type.String(),
  until: Time,
  properties: Type.Array(Type.Object({ node: Type.String(), name: Type.String() })),
});

const Visibility = Type.Enum(["public", "contacts", "private"]);
export const TypePut = Type.Object(
  {
    schema: Type.Unsafe<{ [key: string]: unknown }>({ type: "object", description: "JSON Schema, 2020-12." }),
    visibility: Type.Optional(Visibility),
  },
  closed,
);
export type TypePut = Static<typeof TypePut>;
export const PropertyType = Type.Object({
  name: Type.String(),
  schema: Type.Unsafe<unknown>({ type: "object" }),
  visibility: Visibility,
  source: Type.Enum(["shipped", "domain", "custom"]),
});
export const PropertyTypes = Type.Object({ types: Type.Array(PropertyType) });

export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String(),
  detail: Type.String(),
  errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }))),
  to: Type.Optional(Type.String({ description: "Where the node is found, with the code `moved`." })),
});
export const Health = Type.Object({
  status: Type.String(),
  reasons: Type.Optional(Type.Array(Type.String())),
});

export const Depth = Type.Enum(["0", "1", "infinity"]);
export const Patterns = Type.Array(Type.String({ maxLength: 127 }), { minItems: 1, maxItems: 100 });
export const Filter = Type.String({
  minLength: 1,
  description: "A CEL expression over node, name, value, previous and now; at most 2,048 characters.",
});

export const Query = Type.Object(
  {
    q: Type.Optional(
      Type.String({ description: "Words: all must stand in a node's address or properties." }),
    ),
    where: Type.Optional(Type.String({ description: "A CEL expression over its properties." })),
  },
  { ...closed, description: "What to look for, in place of `target`, as GET /v1/directory takes it." },
);

const MediaType = Type.String({
  maxLength: 255,
  description: "A media type (RFC 9110 §8.3.1), such as text/plain; what it says is carried as it is.",
});
const Invitation = Type.Object(
  {
    media: Type.String({ minLength: 1, maxLength: 255, description: "To what: audio, video, a game." }),
    uri: Type.Optional(
      Type.String({
        pattern: "^[A-Za-z][A-Za-z0-9+.-]{0,63}:[\\x21-\\x7e]{1,1900}$",
        description: "Where it takes place.",
      }),
    ),
  },
  closed,
);
const content = {
  content: Type.Optional(Type.String({ description: "Text; either this or contentBase64." })),
  contentBase64: Type.Optional(Type.String({ description: "RFC 4648 §4; at most 64 KiB, decoded." })),
};

export const MessagePost = Type.Object(
  {
    contentType: MediaType,
    ...content,
    expiresIn: Type.Optional(
      Type.Number({ minimum: 1, maximum: 604_800, description: "Seconds; 7 days without it." }),
    ),
    invitation: Type.Optional(Invitation),
    interest: Type.Optional(
      Type.Object(
        { property: Type.String({ description: "For whoever watches this property of the node." }) },
        closed,
      ),
    ),
  },
  closed,
);
export type MessagePost = Static<typeof MessagePost>;
export const Sent = Type.Object({ id: Type.String() });

export const Message = Type.Object({
  id: Type.String(),
  from: Type.String(),
  to: Type.String({ description: "The recipient; a group; or the node whose watchers it is for." }),
  contentType: Type.String(),
  ...content,
  invitation: Type.Optional(Type.Object({ media: Type.String(), uri: Type.Optional(Type.String()) })),
  expires: Time,
});
export const Messages = Type.Object({
  messages: Type.Array(Message),
  next: Type.Optional(Type.String({ description: "There is more: send it as `after`." })),
});

export const Polled = Type.Object({
  events: Type.Array(Type.Unsafe<unknown>({ type: "object", description: "A CloudEvent." })),
  cursor: Type.String(),
});
