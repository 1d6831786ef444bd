// Policy shapes: rules, blocks and answers about who may know, for types, validation and OpenAPI.
// In: nothing. Out: TypeBox schemas. Never: a rule that only the services know (addresses, names).
import { Type } from "typebox";

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
