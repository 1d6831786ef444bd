// Wire shapes: what requests and answers look like, once for types, validation and OpenAPI.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know (addresses, names, limits of the store).
import { type Static, Type } from "typebox";

/** Any JSON value. */
const JsonValue = Type.Unsafe<unknown>({ description: "Any JSON value." });

const closed = { additionalProperties: false } as const;
const Time = Type.String({ format: "date-time", description: "RFC 3339, UTC, milliseconds." });
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

export const NodePut = Type.Object({ kind: Type.Enum(["person", "group", "thing", "agent"]) }, closed);
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

export const Patched = Type.Object({
  address: Type.String(),
  properties: Type.Record(Type.String(), Property),
  removed: Type.Array(Type.String()),
});

const Email = Type.String({
  maxLength: 254,
  pattern: "^[^@\\s\\u0000-\\u001f]{1,64}@[^@\\s\\u0000-\\u001f]{1,190}$",
});
/** 256 characters are 1 KiB at most. */
const Password = Type.String({ minLength: 8, maxLength: 256 });

export const AccountPost = Type.Object(
  {
    handle: Type.Optional(Type.String()),
    email: Type.Optional(Email),
    password: Type.Optional(Password),
    displayName: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    invitation: Type.Optional(
      Type.String({
        maxLength: 128,
        description:
          "Needed where registration is by invitation, and used up there; not looked at elsewhere.",
      }),
    ),
  },
  closed,
);
export type AccountPost = Static<typeof AccountPost>;

export const Account = Type.Object({
  address: Type.String(),
  token: Type.String(),
  expires: Type.Optional(Time),
});

export const InvitationPost = Type.Object(
  {
    expiresIn: Type.Optional(
      Type.Number({ minimum: 1, maximum: 365 * 86400, description: "Seconds; 7 days without it." }),
    ),
    uses: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: "How many may register with it; 1 without it.",
      }),
    ),
  },
  closed,
);
export type InvitationPost = Static<typeof InvitationPost>;
export const IssuedInvitation = Type.Object({ id: Type.String(), invitation: Type.String(), expires: Time });
export const Invitations = Type.Object({
  invitations: Type.Array(
    Type.Object({
      id: Type.String(),
      created: Time,
      expires: Time,
      uses: Type.Integer({ description: "How many are left." }),
    }),
  ),
});

export const AuditEntries = Type.Object({
  entries: Type.Array(
    Type.Object({
      id: Type.String(),
      time: Time,
      kind: Type.String({ description: "What happened, such as `token.issued`." }),
      account: Type.Optional(Type.String({ description: "The address that it is about." })),
      token: Type.Optional(Type.String({ description: "The id of a token." })),
      invitation: Type.Optional(Type.String({ description: "The id of an invitation." })),
      type: Type.Optional(Type.String({ description: "The name of a property type." })),
      via: Type.Optional(Type.String({ description: "`oidc`: the account came from the issuer." })),
      unrecorded: Type.Optional(
        Type.Integer({ description: "How many of this kind came too fast to be recorded before it." }),
      ),
    }),
  ),
  next: Type.Optional(Type.String({ description: "There is more: send it as `after`." })),
});

export const Me = Type.Object({
  address: Type.String(),
  kind: Type.String(),
  scopes: Type.Array(Type.String()),
  email: Type.Optional(Type.String({ description: "For a token with the scope account." })),
  emailConfirmed: Type.Optional(Type.Boolean({ description: "Beside `email`." })),
});

export const EmailPut = Type.Object({ email: Email }, closed);
export type EmailPut = Static<typeof EmailPut>;
export const CodePost = Type.Object({ code: Type.String({ minLength: 1, maxLength: 32 }) }, closed);
export type CodePost = Static<typeof CodePost>;

export const PasswordPut = Type.Object(
  {
    current: Type.Optional(
      Type.String({ maxLength: 256, description: "The present password, if one is set." }),
    ),
    password: Password,
    keepTokens: Type.Optional(
      Type.Boolean({ description: "All other tokens stay good; without it they end, and their streams." }),
    ),
  },
  closed,
);
export type PasswordPut = Static<typeof PasswordPut>;

const tokenWish = {
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
  scopes: Type.Optional(Type.Array(Type.String({ maxLength: 140 }), { minItems: 1, maxItems: 50 })),
  expiresIn: Type.Optional(Type.Number({ minimum: 1, maximum: 10 * 365 * 86400, description: "Seconds." })),
};
export const TokenPost = Type.Object(
  {
    address: Type.Optional(Type.String({ description: "With `password`, in place of a bearer token." })),
    password: Type.Optional(Type.String({ maxLength: 256 })),
    ...tokenWish,
  },
  closed,
);
export type TokenPost = Static<typeof TokenPost>;

export const IssuedToken = Type.Object({
  id: Type.String(),
  token: Type.String(),
  expires: Type.Optional(Time),
});
const Token = Type.Object({
  id: Type.String(),
  name: Type.Optional(Type.String()),
  scopes: Type.Array(Type.String()),
  created: Time,
  expires: Type.Optional(Time),
});
export const Tokens = Type.Object({ tokens: Type.Array(Token) });

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
});
export const Health = Type.Object({
  status: Type.String(),
  reasons: Type.Optional(Type.Array(Type.String())),
});

const Depth = Type.Enum(["0", "1", "infinity"]);
const Patterns = Type.Array(Type.String({ maxLength: 127 }), { minItems: 1, maxItems: 100 });
const Filter = Type.String({
  minLength: 1,
  description: "A CEL expression over node, name, value, previous and now; at most 2,048 characters.",
});

export const SubscriptionPost = Type.Object(
  {
    target: Type.String({
      description: "An address, or mailto: and an e-mail address. It may not exist yet.",
    }),
    properties: Type.Optional(Patterns),
    depth: Type.Optional(Depth),
    filter: Type.Optional(Filter),
    reveal: Type.Optional(Type.Array(Type.String({ maxLength: 127 }), { maxItems: 100 })),
    lease: Type.Optional(Type.Object({ seconds: Type.Number() }, closed)),
    delivery: Type.Optional(Type.Enum(["stream"])),
  },
  closed,
);
export type SubscriptionPost = Static<typeof SubscriptionPost>;

export const SubscriptionPatch = Type.Object(
  {
    lease: Type.Optional(Type.Object({ seconds: Type.Optional(Type.Number()) }, closed)),
    filter: Type.Optional(Type.Union([Filter, Type.Null()])),
    properties: Type.Optional(Patterns),
  },
  { ...closed, minProperties: 1 },
);
export type SubscriptionPatch = Static<typeof SubscriptionPatch>;

export const Subscription = Type.Object({
  id: Type.String(),
  subscriber: Type.String(),
  target: Type.String(),
  properties: Type.Array(Type.String()),
  depth: Depth,
  filter: Type.Optional(Type.String()),
  state: Type.Enum(["active", "pending"]),
  lease: Type.Optional(Type.Object({ id: Type.String(), seconds: Type.Number(), until: Time })),
  delivery: Type.String(),
  revealed: Type.Optional(Type.Array(Type.String())),
});
export const Subscriptions = Type.Object({ subscriptions: Type.Array(Subscription) });

export const Polled = Type.Object({
  events: Type.Array(Type.Unsafe<unknown>({ type: "object", description: "A CloudEvent." })),
  cursor: Type.String(),
});

export const Ticket = Type.Object({ ticket: Type.String(), expires: Time });
