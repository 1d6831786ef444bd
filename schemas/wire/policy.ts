// Policy shapes: rules, blocks and answers about who may know, for types, validation and OpenAPI.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know (addresses, names).
import { type Static, Type } from "typebox";

const closed = { additionalProperties: false } as const;
const Patterns = Type.Array(Type.String({ maxLength: 127 }), { minItems: 1, maxItems: 100 });
const Time = Type.String({ format: "date-time", description: "RFC 3339, UTC, milliseconds." });
const Mode = Type.Enum(["polite", "hard"]);

const Rule = Type.Object(
  {
    who: Type.Array(
      Type.String({
        maxLength: 850,
        description: "An address, a group, @domain, contacts, authenticated or anyone.",
      }),
      { minItems: 1, maxItems: 1_000 },
    ),
    properties: Patterns,
    allow: Type.Array(Type.Enum(["read", "watch", "write", "message"]), { minItems: 1, maxItems: 4 }),
    confirm: Type.Optional(Type.Boolean({ description: "Grants nothing until the owner allows the party." })),
    reveal: Type.Optional(
      Type.Array(Type.String({ maxLength: 127 }), {
        maxItems: 20,
        description: "Properties of its own that the party must disclose.",
      }),
    ),
  },
  closed,
);

export const Policy = Type.Object({ rules: Type.Array(Rule, { maxItems: 100 }) }, closed);

export const BlockPut = Type.Object({ mode: Type.Optional(Mode) }, closed);
export const Block = Type.Object({ who: Type.String(), mode: Mode, since: Type.Optional(Time) });
export const Blocks = Type.Object({ blocks: Type.Array(Block) });

const Decision = Type.Enum(["allow", "deny", "polite"]);
export const AnswerPut = Type.Object({ decision: Decision, properties: Type.Optional(Patterns) }, closed);
export type AnswerPut = Static<typeof AnswerPut>;
export const Answer = Type.Object({
  watcher: Type.String(),
  decision: Decision,
  properties: Type.Optional(Type.Array(Type.String())),
});

export const Revealed = Type.Record(Type.String(), Type.Unsafe<unknown>({ description: "Any JSON value." }), {
  description: "What the watcher disclosed: values of its own properties by name.",
});
export const Verified = Type.Object(
  { by: Type.Enum(["local-account", "oidc"]), email: Type.Optional(Type.Enum(["confirmed", "unconfirmed"])) },
  { description: "How the broker knows who the watcher is." },
);
const Watcher = Type.Object({
  watcher: Type.String({ description: "An address, or `anonymous`." }),
  state: Type.Enum(["active", "pending", "fetched", "denied", "blocked"]),
  properties: Type.Array(Type.String()),
  since: Time,
  lastFetch: Type.Optional(Time),
  fetches: Type.Optional(Type.Integer({ description: "Reads that the owner has been told of." })),
  revealed: Revealed,
  verified: Type.Optional(Verified),
  via: Type.String({ description: "rest, poll, sse, websocket or subscription." }),
  subscriptions: Type.Optional(Type.Array(Type.String())),
});
export const Watchers = Type.Object({ watchers: Type.Array(Watcher) });
